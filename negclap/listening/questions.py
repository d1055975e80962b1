"""The questions of a study: texts and pairs of clips, random but balanced."""

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from negclap.data.manifest import ATTRIBUTE_PREDICTION, Track, reference_caption
from negclap.errors import InputError
from negclap.rng import stream
from negclap.text.compose import Claim
from negclap.text.probes import LEVELS, Level, Statement, assumed_absent, build_probes
from negclap.text.templates import write_captions
from negclap.text.vocabulary import Vocabulary

_CANDIDATES = 16  # random clips to choose the two clips of a question from
_TRIES = 1000  # random pairs of clips to find attention checks in


class Question(NamedTuple):
    """A text and two clips.

    Attributes:
        text: The text with its claims.
        level: The text's negation level; None for an attention check.
        check: Number of the attention check; None for other questions.
        rows: Rows of the left and right clip.
        fits: Share of the text's claims that are true of the left and right clip.
        assumed: Whether an absent tag of one of the clips is only assumed.
    """

    text: Statement
    level: Level | None
    check: int | None
    rows: tuple[int, int]
    fits: tuple[float, float]
    assumed: bool

    def swapped(self) -> "Question":
        """Return the question with left and right exchanged."""
        return self._replace(rows=self.rows[::-1], fits=self.fits[::-1])


class ClipTags(NamedTuple):
    """Present and absent tags of a clip; ``assumed`` if the absent ones are not in the manifest."""

    present: frozenset[str]
    absent: frozenset[str]
    assumed: bool

    @classmethod
    def of(cls, track: Track, vocabulary: Vocabulary) -> "ClipTags":
        """Return the tags of a track; broader tags of present ones are present as well."""
        known = [tag for tag in track.tags if tag in vocabulary]
        present = frozenset(known).union(*(vocabulary.ancestors(tag) for tag in known))
        assumed = track.absent_tags is None
        absent = assumed_absent(track.tags, vocabulary) if assumed else track.absent_tags or ()
        return cls(present, frozenset(absent) - present, assumed)

    def fit(self, claims: Sequence[Claim]) -> float | None:
        """Return the share of claims that are true of the clip; None if one is undecidable."""
        if not all(tag in self.present or tag in self.absent for tag, _ in claims):
            return None
        return sum((tag in self.present) == claimed for tag, claimed in claims) / len(claims)


def draw_questions(
    tracks: Sequence[Track], vocabulary: Vocabulary, pairs: int, checks: int, seed: int
) -> list[Question]:
    """Draw ``pairs`` questions per negation level and ``checks`` attention checks, shuffled.

    Within each level, the better clip is on the left as often as on the right. Each check appears
    twice, the second time with its sides swapped.

    Args:
        tracks: The clips.
        vocabulary: The tags.
        pairs: Questions per negation level.
        checks: Attention checks.
        seed: Random seed.

    Raises:
        InputError: If there are not enough clips.
    """
    questions = [
        *_balance_sides(_draw_levels(tracks, vocabulary, pairs, seed)),
        *_repeat_swapped(_draw_checks(tracks, vocabulary, checks, seed)),
    ]
    return stream(seed, "order of the numbers").sample(questions, len(questions))


def _draw_levels(
    tracks: Sequence[Track], vocabulary: Vocabulary, pairs: int, seed: int
) -> list[Question]:
    """Draw questions of each level in turn, with the better clip on the left."""
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
            f"{len(tracks)} clips give {len(found) // len(LEVELS)} pairs per negation level, "
            f"expected {pairs}; lower --pairs or use more clips"
        )
    return found


def _text(track: Track, vocabulary: Vocabulary, level: Level, seed: int) -> Statement | None:
    """Return the track's caption at a level; None if it does not have all three levels.

    Otherwise only long captions would be half negated, and levels would differ in more than the
    negation.
    """
    if all(caption.kind == ATTRIBUTE_PREDICTION for caption in track.captions):
        return None
    (probe,) = build_probes([track], [reference_caption(track)], (), vocabulary, seed)
    return probe.level(level) if probe.half else None  # with half negated there are all levels


def _pair(
    text: Statement,
    level: Level,
    rows: set[int],
    tracks: Sequence[Track],
    vocabulary: Vocabulary,
    rng: random.Random,
) -> Question | None:
    """Pair one of the clips that fit the text best with one of those that fit it least."""
    tags = {row: ClipTags.of(tracks[row], vocabulary) for row in sorted(rows)}
    fits = {row: fit for row in tags if (fit := tags[row].fit(text.claims)) is not None}
    best, least = max(fits.values(), default=0.0), min(fits.values(), default=0.0)
    if best == least:
        return None
    good, bad = (rng.choice([r for r in fits if fits[r] == wanted]) for wanted in (best, least))
    assumed = tags[good].assumed or tags[bad].assumed
    return Question(text, level, None, (good, bad), (best, least), assumed)


def _balance_sides(questions: Sequence[Question]) -> Iterator[Question]:
    """Swap the sides of every other question of each level."""
    for place, question in enumerate(questions):
        turn, level = divmod(place, len(LEVELS))
        yield question.swapped() if (turn + level) % 2 else question


def _draw_checks(
    tracks: Sequence[Track], vocabulary: Vocabulary, checks: int, seed: int
) -> list[Question]:
    """Draw texts of a single tag that is present in one clip and absent in the other."""
    rng = stream(seed, "checks")
    found: dict[str, Question] = {}
    for _ in range(_TRIES if len(tracks) > 1 else 0):
        if len(found) == checks:
            break
        rows = first, second = rng.sample(range(len(tracks)), 2)
        one, other = (ClipTags.of(tracks[row], vocabulary) for row in rows)
        # Nouns only: an instrument is easier to recognise than a tempo.
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
        raise InputError(
            f"{len(tracks)} clips give {len(found)} attention checks, expected {checks}; "
            "lower --checks or use more clips"
        )
    return list(found.values())


def _repeat_swapped(checks: Sequence[Question]) -> Iterator[Question]:
    for check in checks:
        yield check
        yield check.swapped()
