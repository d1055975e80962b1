"""The exam: what a model is asked in a test, beyond the negation levels of `probes`.

Choices cannot be answered from the text alone: the same two texts are asked of two clips (a
`Couple`), and each is right for one and wrong for the other.

- Choices between two texts about a clip: true absence with each cue; scope ("no x, with y" against
  "with x, no y"; "no x or y" against "no x, with y"); double negation ("not without x");
  lexicalised ("instrumental") and pseudo negation ("not only x but also y").
- Exclusion queries "A without B", with mixed seen cues and with each cue, beside "A" alone.
- Twins: two clips that differ in one tag alone, and a text with and one without it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from negclap.errors import InputError
from negclap.rng import derive_seed, stream
from negclap.text.compose import compose
from negclap.text.cues import CUES, LEXICALISED
from negclap.text.detect import find_negations
from negclap.text.probes import (
    Couple,
    Probe,
    Statement,
    Subject,
    assumed_absent,
    build_probes,
    denials,
    match_couples,
    statement,
)
from negclap.text.rewrite import affirm
from negclap.text.vocabulary import Vocabulary

MIXED = "mixed seen cues"
"""The wording of an exclusion query with mixed seen cues; other wordings are cue names."""
PLAIN = "plain"
"""The query "A" alone."""
_MOST_COUPLES = 256  # that are asked about; texts are what it costs
_MOST_QUERIES = 600


class Choice(NamedTuple):
    """Which of two texts is closer to the clip in row ``clip``? ``part`` is the figure's key."""

    part: str
    clip: int
    true: Statement
    false: Statement


@dataclass(frozen=True)
class ExclusionQuery:
    """The query "A without B".

    Attributes:
        wanted: A.
        unwanted: B.
        texts: By wording: `MIXED`, `PLAIN`, and where B is a noun each cue's name.
    """

    wanted: str
    unwanted: str
    texts: dict[str, Statement]


class TwinQuestion(NamedTuple):
    """A text with the tag that two clips differ in, and the same text without it.

    Attributes:
        has: (True, row of the test clip) or (False, row of the twin): the clip that has the tag.
        lacks: The other one.
        affirmed: True of the first.
        negated: True of the second.
    """

    has: tuple[bool, int]
    lacks: tuple[bool, int]
    affirmed: Statement
    negated: Statement


class TwinClip(NamedTuple):
    """A counterfactual twin of the test clip ``of`` (its row), with the tag ``toggled``.

    Nothing is asked about a twin whose clip is not there (None).
    """

    track: Subject
    of: int | None
    toggled: str


@dataclass(frozen=True)
class Exam:
    """All questions about one split.

    Attributes:
        tracks: The tracks; what they lack is known or assumed.
        vocabulary: The tags.
        assumed: Whether what the tracks lack is only assumed (see `probes.assumed_absent`).
        probes: One per track: the negation levels and true absence.
        choices: Choices between two texts.
        queries: Exclusion queries.
        twin_tracks: The counterfactual twins.
        twins: Questions about them.
    """

    tracks: tuple[Subject, ...]
    vocabulary: Vocabulary
    assumed: bool
    probes: tuple[Probe, ...]
    choices: tuple[Choice, ...]
    queries: tuple[ExclusionQuery, ...]
    twin_tracks: tuple[Subject, ...]
    twins: tuple[TwinQuestion, ...]

    @property
    def fingerprint(self) -> str:
        """Equal for exams that ask the same of the same tracks."""
        tracks = (track.track_id for track in self.tracks)
        return f"{derive_seed(*tracks, *self.statements()):016x}"

    def statements(self) -> dict[str, Statement]:
        """Every statement of the exam by its text."""
        asked = [one for probe in self.probes for one in probe.values()]
        asked += [side for choice in self.choices for side in (choice.true, choice.false)]
        asked += [text for query in self.queries for text in query.texts.values()]
        asked += [side for twin in self.twins for side in (twin.affirmed, twin.negated)]
        return {one.text: one for one in asked}


@dataclass(frozen=True)
class _Assumed:
    """A track that is taken to lack what nothing says that it has."""

    track_id: str
    tags: tuple[str, ...]
    absent_tags: tuple[str, ...]


def build_exam(
    tracks: Sequence[Subject],
    captions: Sequence[str],
    vocabulary: Vocabulary,
    seed: int,
    *,
    at: int = 10,
    twins: Sequence[TwinClip] = (),
    by_cue: bool = True,
) -> Exam:
    """The exam of a split.

    Args:
        tracks: Its tracks. Unless all say what they lack, it is assumed for all.
        captions: One each.
        vocabulary: The tags.
        seed: All randomness.
        at: Least number of clips with A and B, and of clips with A and not B.
        twins: The rows of the twins' split, in its order.
        by_cue: Whether true absence and the queries are also asked with each cue.
    """
    assumed = any(track.absent_tags is None for track in tracks)
    if assumed:
        tracks = [
            _Assumed(track.track_id, track.tags, assumed_absent(track.tags, vocabulary))
            for track in tracks
        ]
    couples = match_couples(tracks, vocabulary, seed)
    nouns = [c for c in couples if vocabulary[c.x].part_of_speech == "noun"]
    asked = stream(seed, "asked").sample(nouns, min(len(nouns), _MOST_COUPLES))
    choices = [
        choice
        for couple in sorted(asked)
        for choice in _choices(couple, tracks, vocabulary, seed, by_cue)
    ]
    choices += _lexicalised(nouns, vocabulary)
    choices += _natural(captions, vocabulary)
    return Exam(
        tuple(tracks),
        vocabulary,
        assumed,
        tuple(build_probes(tracks, captions, couples, vocabulary, seed)),
        tuple(choices),
        tuple(_queries(tracks, vocabulary, seed, at, by_cue)),
        tuple(twin.track for twin in twins),
        tuple(_twin_questions(tracks, twins, vocabulary, seed)),
    )


def _choices(
    couple: Couple, tracks: Sequence[Subject], vocabulary: Vocabulary, seed: int, by_cue: bool
) -> Iterator[Choice]:
    """What both clips of a couple are asked in the same words."""
    first, second = tracks[couple.first], tracks[couple.second]
    key = f"{seed}/choices/{first.track_id}"
    for cue in CUES if by_cue else ():
        no_x, no_y = denials(couple, vocabulary, key, cue)
        yield from _of_both(f"cue/{cue.name}/true_absence", couple, no_y, no_x)
    x, y = couple.x, couple.y
    cue_first = stream(key, "swap").random() < 0.5
    yield from _of_both(
        "scope/swap",
        couple,
        Statement(
            f"no {y}, with {x}" if cue_first else f"with {x}, no {y}", ((x, True), (y, False))
        ),
        Statement(
            f"with {y}, no {x}" if cue_first else f"no {x}, with {y}", ((y, True), (x, False))
        ),
    )
    lacked = [tag for tag in first.absent_tags or () if tag in (second.absent_tags or ())]
    rest = _another(lacked, (x, y), vocabulary, f"{key}/absent")
    if rest:
        one = Statement(f"no {rest}, with {x}", ((rest, False), (x, True)))
        neither = Statement(f"no {rest} or {x}", ((rest, False), (x, False)))
        yield from _of_both("scope/or", couple, one, neither)
    twice = Statement(f"music not without {x}", ((x, True),))
    once = Statement(f"music without {x}", ((x, False),))
    yield from _of_both("double_negation", couple, twice, once)
    common = [tag for tag in first.tags if tag in second.tags]
    rest = _another(common, (x, y), vocabulary, f"{key}/present")
    if rest:
        pseudo = Statement(f"not only {x} but also {rest}", ((x, True), (rest, True)))
        real = Statement(f"no {x} but {rest}", ((x, False), (rest, True)))
        yield from _of_both("pseudo/not_only", couple, pseudo, real)


def _of_both(part: str, couple: Couple, one: Statement, other: Statement) -> Iterator[Choice]:
    """``one`` is true of the first clip of the couple, ``other`` of the second."""
    yield Choice(part, couple.first, one, other)
    yield Choice(part, couple.second, other, one)


def _another(
    names: Iterable[str], taken: tuple[str, ...], vocabulary: Vocabulary, key: str
) -> str | None:
    """A noun of ``names`` that none of ``taken`` excludes or implies."""
    free = [
        name
        for name in names
        if name in vocabulary
        and vocabulary[name].part_of_speech == "noun"
        and not any(vocabulary.excludes(name, other) for other in taken)
    ]
    return stream(key).choice(free) if free else None


def _lexicalised(couples: Sequence[Couple], vocabulary: Vocabulary) -> Iterator[Choice]:
    """Ask "..., instrumental" against "..., no y": like true absence, the negation in one word."""
    words = {
        tag: word
        for word, tag in LEXICALISED.items()
        if tag in vocabulary and word not in vocabulary
    }
    for couple in couples:
        context, claims = couple.context
        for tag, other in ((couple.x, couple.y), (couple.y, couple.x)):
            if tag in words:
                word = Statement(f"{context}, {words[tag]}", (*claims, (tag, False)))
                plain = Statement(f"{context}, no {other}", (*claims, (other, False)))
                one, two = (plain, word) if tag == couple.x else (word, plain)
                yield from _of_both(f"lexicalised/{words[tag]}", couple, one, two)


def _natural(captions: Sequence[str], vocabulary: Vocabulary) -> Iterator[Choice]:
    """A caption that denies something, as a person wrote it, against the same made affirmative.

    Not balanced: the person is always right. Beside it stands the text-only test of `mining`.
    """
    for index, caption in enumerate(captions):
        for negation in find_negations(caption, vocabulary):
            affirmed = affirm(caption, negation)
            if affirmed is not None:
                yield Choice(
                    "natural/absence",
                    index,
                    statement(caption, vocabulary),
                    statement(affirmed, vocabulary),
                )


def _queries(
    tracks: Sequence[Subject], vocabulary: Vocabulary, seed: int, at: int, by_cue: bool
) -> Iterator[ExclusionQuery]:
    both: Counter[tuple[str, str]] = Counter()
    wanted_only: Counter[tuple[str, str]] = Counter()
    for track in tracks:
        present = [tag for tag in track.tags if tag in vocabulary]
        both.update((a, b) for a in present for b in present)
        wanted_only.update((a, b) for a in present for b in track.absent_tags or ())
    enough = [
        pair
        for pair in sorted(both)
        if min(both[pair], wanted_only[pair]) >= at and not vocabulary.excludes(*pair)
    ]
    for a, b in sorted(stream(seed, "queries").sample(enough, min(len(enough), _MOST_QUERIES))):
        key = f"{seed}/query/{a}/{b}"
        claims = ((a, True), (b, False))
        texts = {
            MIXED: Statement(compose(claims, vocabulary, key), claims),
            PLAIN: Statement(compose(claims[:1], vocabulary, key), claims[:1]),
        }
        if by_cue and vocabulary[b].part_of_speech == "noun":
            texts |= {
                cue.name: Statement(compose(claims, vocabulary, key, cue), claims) for cue in CUES
            }
        yield ExclusionQuery(a, b, texts)


def _twin_questions(
    tracks: Sequence[Subject], twins: Sequence[TwinClip], vocabulary: Vocabulary, seed: int
) -> Iterator[TwinQuestion]:
    for row, (_, of, toggled) in enumerate(twins):
        if of is None:
            continue
        track = tracks[of]
        if toggled not in vocabulary:
            raise InputError(f"twin of {track.track_id!r}: no tag {toggled!r} in the vocabulary")
        common = [
            tag for tag in track.tags if tag in vocabulary and not vocabulary.excludes(tag, toggled)
        ]
        key = f"{seed}/twin/{track.track_id}"
        context = [(stream(key).choice(common), True)] if common else []
        affirmed, negated = (
            Statement(compose(claims, vocabulary, key), tuple(claims))
            for claims in ([*context, (toggled, True)], [*context, (toggled, False)])
        )
        clip, twin = (True, of), (False, row)
        has, lacks = (clip, twin) if toggled in track.tags else (twin, clip)
        yield TwinQuestion(has, lacks, affirmed, negated)
