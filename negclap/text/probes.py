"""Texts that probe a model's understanding of negation, with the claims that they make.

There is one probe per track: its caption at the three negation levels and, if its absent tags are
known, a true-absence pair shared with a partner clip. Validation, test and benchmark use them.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal, NamedTuple, Protocol

from negclap.rng import stream
from negclap.text.compose import compose, draw_unrelated
from negclap.text.cues import TRAINING_CUES, Cue
from negclap.text.negate import (
    Negated,
    add_negated,
    insertion_places,
    negated_mentions,
    negation_levels,
)
from negclap.text.vocabulary import Vocabulary

Level = Literal["original", "half", "fully"]
LEVELS: tuple[Level, ...] = ("original", "half", "fully")

_MATCHING_ROUNDS = 4
_CONTEXT_TAGS = 2

TextKind = Literal["levels", "absence", "exclusion", "falsehoods"]
"""Kinds of texts that losses can request in training, besides the captions."""


class Statement(NamedTuple):
    """A text, and its claims about tags (True: the clip has the tag)."""

    text: str
    claims: tuple[tuple[str, bool], ...]


class AbsenceProbe(NamedTuple):
    """Texts about a clip that has tag w and lacks tag v of the same kind.

    ``true`` is a caption with "no v", ``false`` the same caption with "no w", and ``present`` and
    ``absent`` are the bare tags w and v.
    """

    true: Statement
    false: Statement
    present: Statement
    absent: Statement


@dataclass(frozen=True, slots=True)
class Probe:
    """The texts that probe one clip: its caption at the negation levels, and a true absence.

    ``half`` is None if the caption has fewer than two tags, ``fully`` without tags, and ``absence``
    without a partner clip (`Couple`).
    """

    original: Statement
    half: Statement | None = None
    fully: Statement | None = None
    absence: AbsenceProbe | None = None

    def level(self, level: Level) -> Statement | None:
        """Return the caption at a negation level."""
        return {"original": self.original, "half": self.half, "fully": self.fully}[level]

    def statements(self) -> list[Statement]:
        """Return all texts of the probe."""
        return [*filter(None, map(self.level, LEVELS)), *(self.absence or ())]


class Subject(Protocol):
    """The fields of a track that probes need; matches `Track` of the manifest."""

    @property
    def track_id(self) -> str:
        """The id of the track."""

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags that it has."""

    @property
    def absent_tags(self) -> tuple[str, ...] | None:
        """The tags that it lacks; None if unknown."""


def statement(text: str, vocabulary: Vocabulary) -> Statement:
    """Return a human-written caption with its claims; negated tags are claimed to be absent."""
    mentions = vocabulary.find(text)
    denied = negated_mentions(text, mentions)
    claims = {m.tag: not negated for m, negated in zip(mentions, denied, strict=True)}
    return Statement(text, tuple(claims.items()))


class Couple(NamedTuple):
    """Two clips with complementary tags, and a caption that is true of both.

    The same text about x and y is true of one clip and false of the other, so that the text alone
    gives no hint of the answer.

    Attributes:
        first: Row of a clip with tag ``x`` and without ``y``.
        second: Row of a clip with tag ``y`` and without ``x``.
        x: A tag of the same part of speech as ``y``; neither implies or excludes the other.
        y: The other tag.
        context: A caption of shared tags that is unrelated to x and y.
    """

    first: int
    second: int
    x: str
    y: str
    context: Statement


def match_couples(tracks: Sequence[Subject], vocabulary: Vocabulary, seed: int) -> list[Couple]:
    """Match tracks with known absent tags to couples at random; each track is in at most one."""
    rng = stream(seed, "couples")
    waiting = [i for i, track in enumerate(tracks) if track.absent_tags is not None]
    couples: list[Couple] = []
    for _ in range(_MATCHING_ROUNDS):  # tracks without a match get another partner
        waiting = rng.sample(waiting, len(waiting))
        left: list[int] = waiting[len(waiting) // 2 * 2 :]
        for first, second in zip(waiting[::2], waiting[1::2], strict=False):
            found = list(_differences(tracks[first], tracks[second], vocabulary))
            if not found:
                left += (first, second)
                continue
            x, y = rng.choice(found)
            key = f"{seed}/context/{tracks[first].track_id}"
            common = [tag for tag in tracks[first].tags if tag in tracks[second].tags]
            shared = context(common, (x, y), _CONTEXT_TAGS, vocabulary, key)
            couples.append(Couple(first, second, x, y, shared))
        waiting = left
    return couples


def _differences(one: Subject, other: Subject, vocabulary: Vocabulary) -> Iterator[tuple[str, str]]:
    """Yield pairs of a tag that only the first track has and one that only the second has."""
    xs, ys = (
        [tag for tag in has.tags if tag in (lacks.absent_tags or ())]
        for has, lacks in ((one, other), (other, one))
    )
    return comparable_pairs(xs, ys, vocabulary)


def comparable_pairs(
    some: Iterable[str], others: Iterable[str], vocabulary: Vocabulary
) -> Iterator[tuple[str, str]]:
    """Yield pairs of unrelated tags with the same part of speech, which fit in the same text."""
    for x, y in product(*([n for n in names if n in vocabulary] for names in (some, others))):
        same_kind = vocabulary[x].part_of_speech == vocabulary[y].part_of_speech
        if same_kind and not vocabulary.excludes(x, y):
            yield x, y


def context(
    tags: Collection[str], probed: tuple[str, str], most: int, vocabulary: Vocabulary, key: str
) -> Statement:
    """Return a caption of up to ``most`` of the tags, all unrelated to the two ``probed`` tags."""
    chosen = draw_unrelated(tags, most, vocabulary, stream(key), besides=probed)
    claims = tuple((tag, True) for tag in chosen)
    return Statement(compose(claims, vocabulary, key) if claims else "music", claims)


def build_probes(
    tracks: Sequence[Subject],
    captions: Sequence[str],
    couples: Sequence[Couple],
    vocabulary: Vocabulary,
    seed: int,
) -> list[Probe]:
    """Return a probe for each track, from its caption and the result of `match_couples`."""
    probes = [
        _level_probe(track, caption, vocabulary, seed)
        for track, caption in zip(tracks, captions, strict=True)
    ]
    for number, couple in enumerate(couples):
        no_x, no_y = denials(couple, vocabulary, f"{seed}/absence/{number}")
        x, y = (Statement(tag, ((tag, True),)) for tag in (couple.x, couple.y))
        for row, absence in (
            (couple.first, AbsenceProbe(no_y, no_x, x, y)),
            (couple.second, AbsenceProbe(no_x, no_y, y, x)),
        ):
            probes[row] = replace(probes[row], absence=absence)
    return probes


def denials(
    couple: Couple, vocabulary: Vocabulary, seed: str, cue: Cue | None = None
) -> tuple[Statement, Statement]:
    """Return the couple's caption with "no x" and with "no y", with the same cue and position."""
    texts = absence_texts(couple.context.text, couple.y, couple.x, vocabulary, seed, cue)
    no_x, no_y = (
        Statement(text, (*couple.context.claims, (tag, False)))
        for text, tag in zip(texts, (couple.x, couple.y), strict=True)
    )
    return no_x, no_y


def _level_probe(track: Subject, caption: str, vocabulary: Vocabulary, seed: int) -> Probe:
    levels = negation_levels(caption, vocabulary, f"{seed}/levels/{track.track_id}")
    original = statement(caption, vocabulary)

    def negated(level: Negated | None) -> Statement | None:
        claims = dict(original.claims) | dict.fromkeys(level.tags if level else (), False)
        return Statement(level.text, tuple(claims.items())) if level else None

    return Probe(original, negated(levels.half), negated(levels.fully))


def absence_texts(
    caption: str,
    present: str,
    absent: str,
    vocabulary: Vocabulary,
    seed: int | str,
    cue: Cue | None = None,
) -> tuple[str, str]:
    """Return a caption that mentions neither tag with "no ``absent``" and with "no ``present``".

    Both have the same cue at the same position, so the tags need the same part of speech. The cue
    must fit it; None draws a seen cue.
    """
    rng = stream(seed)
    drawn = rng.choice(TRAINING_CUES[vocabulary[absent].part_of_speech])
    place = rng.choice(insertion_places(caption, vocabulary.find(caption)))
    true, false = (add_negated(caption, cue or drawn, tag, place) for tag in (absent, present))
    return true, false


def assumed_absent(tags: Iterable[str], vocabulary: Vocabulary) -> tuple[str, ...]:
    """Return the tags assumed to be absent from a track: all that do not overlap with its tags."""
    overlapping = vocabulary.overlapping(tags)
    return tuple(name for name in vocabulary.names if name not in overlapping)
