"""Which texts and pairs of clips a study asks about: balanced, and at random for the rest."""

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from negclap.data.manifest import INVENTED, Track, first_told
from negclap.errors import InputError
from negclap.rng import stream
from negclap.text.compose import Claim
from negclap.text.probes import LEVELS, Level, Statement, assumed_absent, build_probes
from negclap.text.templates import write_captions
from negclap.text.vocabulary import Vocabulary

_CANDIDATES = 16  # clips that are looked at for the two of a pair
_TRIES = 1000  # pairs of clips that are looked at for an attention check


class Question(NamedTuple):
    """A text and the rows of two clips, left and right, with how well the text fits each."""

    text: Statement
    level: Level | None
    check: int | None
    rows: tuple[int, int]
    fits: tuple[float, float]
    assumed: bool

    def swapped(self) -> "Question":
        """Left and right exchanged."""
        return self._replace(rows=self.rows[::-1], fits=self.fits[::-1])


class Known(NamedTuple):
    """What a clip has and lacks; ``assumed`` where the latter is not known."""

    present: frozenset[str]
    absent: frozenset[str]
    assumed: bool

    @classmethod
    def of(cls, track: Track, vocabulary: Vocabulary) -> "Known":
        """What the manifest says; unlisted tags that are unrelated to the listed ones lack."""
        named = [tag for tag in track.tags if tag in vocabulary]
        present = frozenset(named).union(*(vocabulary.ancestors(tag) for tag in named))
        assumed = track.absent_tags is None
        absent = assumed_absent(track.tags, vocabulary) if assumed else track.absent_tags or ()
        return cls(present, frozenset(absent) - present, assumed)

    def fit(self, claims: Sequence[Claim]) -> float | None:
        """Share of the claims that are true of the clip; None where one is not known."""
        if not all(tag in self.present or tag in self.absent for tag, _ in claims):
            return None
        return sum((tag in self.present) == claimed for tag, claimed in claims) / len(claims)


def draw(
    tracks: Sequence[Track], vocabulary: Vocabulary, pairs: int, checks: int, seed: int
) -> list[Question]:
    """``pairs`` questions of each negation level and ``checks`` attention checks, shuffled.

    The better clip is on the left as often as on the right, within each level. Each check is asked
    twice, the second time with its sides swapped.

    Args:
        tracks: The clips that may be asked about.
        vocabulary: The tags.
        pairs: Questions per negation level.
        checks: Attention checks.
        seed: All randomness.

    Raises:
        InputError: If the clips do not suffice.
    """
    asked = [
        *_balanced(_levels(tracks, vocabulary, pairs, seed)),
        *_sides_of_checks(_checks(tracks, vocabulary, checks, seed)),
    ]
    return stream(seed, "order of the numbers").sample(asked, len(asked))


def _levels(
    tracks: Sequence[Track], vocabulary: Vocabulary, pairs: int, seed: int
) -> list[Question]:
    """Questions of the levels in turn, the better clip on the left."""
    rng = stream(seed, "pairs")
    found: list[Question] = []
    for row in rng.sample(range(len(tracks)), len(tracks)):
        if len(found) == pairs * len(LEVELS):
            break
        level = LEVELS[len(found) % len(LEVELS)]
        text = _text(tracks[row], vocabulary, level, seed)
        others = rng.sample(range(len(tracks)), min(_CANDIDATES, len(tracks)))
        question = text and _pair(text, level, {row, *others}, tracks, vocabulary, rng)
        if question:
            found.append(question)
    if len(found) < pairs * len(LEVELS):
        raise InputError(
            f"{pairs} pairs of each of {len(LEVELS)} negation levels were asked for, these "
            f"{len(tracks)} clips suffice for {len(found) // len(LEVELS)}"
        )
    return found


def _text(track: Track, vocabulary: Vocabulary, level: Level, seed: int) -> Statement | None:
    """The track's caption at a level.

    None where it has not all the levels: levels would differ in more than in negation if short
    captions were asked about at some of them only.
    """
    if all(caption.kind == INVENTED for caption in track.captions):
        return None
    (probe,) = build_probes([track], [first_told(track)], (), vocabulary, seed)
    return probe[level] if all(name in probe for name in LEVELS) else None


def _pair(
    text: Statement,
    level: Level,
    rows: set[int],
    tracks: Sequence[Track],
    vocabulary: Vocabulary,
    rng: random.Random,
) -> Question | None:
    """The text with one of the clips that fit it best and one of those that fit it least."""
    known = {row: Known.of(tracks[row], vocabulary) for row in sorted(rows)}
    fits = {row: fit for row in known if (fit := known[row].fit(text.claims)) is not None}
    best, least = max(fits.values(), default=0.0), min(fits.values(), default=0.0)
    if best == least:
        return None
    good, bad = (rng.choice([r for r in fits if fits[r] == wanted]) for wanted in (best, least))
    assumed = known[good].assumed or known[bad].assumed
    return Question(text, level, None, (good, bad), (best, least), assumed)


def _balanced(questions: Sequence[Question]) -> Iterator[Question]:
    """Every other question of each level with its sides swapped; levels begin differently."""
    for place, question in enumerate(questions):
        turn, level = divmod(place, len(LEVELS))
        yield question.swapped() if (turn + level) % 2 else question


def _checks(
    tracks: Sequence[Track], vocabulary: Vocabulary, checks: int, seed: int
) -> list[Question]:
    """Texts of one tag alone, which one clip has and the other lacks; each tag once."""
    rng = stream(seed, "checks")
    found: dict[str, Question] = {}
    for _ in range(_TRIES if len(tracks) > 1 else 0):
        if len(found) == checks:
            break
        rows = first, second = rng.sample(range(len(tracks)), 2)
        one, other = (Known.of(tracks[row], vocabulary) for row in rows)
        # Whether an instrument plays is easier to hear than whether a piece is slow.
        tags = [
            tag
            for tag in sorted(one.present & other.absent - found.keys())
            if vocabulary[tag].part_of_speech == "noun"
        ]
        if tags:
            tag = rng.choice(tags)
            text = Statement(write_captions([tag], vocabulary, rng, 1)[0], ((tag, True),))
            found[tag] = Question(
                text, None, len(found), (first, second), (1.0, 0.0), other.assumed
            )
    if len(found) < checks:
        raise InputError(f"{checks} checks were asked for, these clips suffice for {len(found)}")
    return list(found.values())


def _sides_of_checks(checks: Sequence[Question]) -> Iterator[Question]:
    for check in checks:
        yield check
        yield check.swapped()
