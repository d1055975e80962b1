"""The texts that a model is probed with, each with the claims that it makes.

One probe per track: its caption at the three negation levels, and, where it is known what the track
lacks, a true-absence pair asked of a couple of clips. Used by validation, test and the suite
alike.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import Literal, NamedTuple, Protocol

from negclap.rng import stream
from negclap.text.compose import compose
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

Role = Literal[
    "original", "half", "fully", "absence_true", "absence_false", "heard_present", "heard_absent"
]

_MATCHING_ROUNDS = 4
_CONTEXT_TAGS = 2

TextKind = Literal["levels", "absence", "exclusion", "falsehoods"]
"""Kinds of texts that training needs on demand, besides the captions."""


class Statement(NamedTuple):
    """A text and the polarity it claims for each tag that it mentions (True: the clip has it)."""

    text: str
    claims: tuple[tuple[str, bool], ...]


Probe = dict[Role, Statement]


class Subject(Protocol):
    """What probes need to know of a track; a manifest's `Track` fits."""

    @property
    def track_id(self) -> str: ...  # noqa: D102  # a field of a protocol
    @property
    def tags(self) -> tuple[str, ...]: ...  # noqa: D102  # a field of a protocol
    @property
    def absent_tags(self) -> tuple[str, ...] | None: ...  # noqa: D102  # a field of a protocol


def statement(text: str, vocabulary: Vocabulary) -> Statement:
    """A caption as people write it with what it claims; what it denies is claimed absent."""
    mentions = vocabulary.find(text)
    denied = negated_mentions(text, mentions)
    claims = {m.tag: not negated for m, negated in zip(mentions, denied, strict=True)}
    return Statement(text, tuple(claims.items()))


class Couple(NamedTuple):
    """Two clips that each have what the other lacks, and a caption that is true of both.

    Whatever is asked of both in the same words is right for one and wrong for the other, so the
    text alone says nothing.

    Attributes:
        first: Row of a clip that has ``x`` and lacks ``y``.
        second: Row of a clip that has ``y`` and lacks ``x``.
        x: A tag.
        y: A tag of the same part of speech; neither follows from the other.
        context: Tags that both have; hints at neither x nor y.
    """

    first: int
    second: int
    x: str
    y: str
    context: "Statement"


def match_couples(tracks: Sequence[Subject], vocabulary: Vocabulary, seed: int) -> list[Couple]:
    """Couples of tracks, each track in one at most; the tracks are matched at random.

    Args:
        tracks: Tracks of one split; those of unknown absence are in no couple.
        vocabulary: The tags.
        seed: All randomness.
    """
    rng = stream(seed, "couples")
    waiting = [i for i, track in enumerate(tracks) if track.absent_tags is not None]
    couples: list[Couple] = []
    for _ in range(_MATCHING_ROUNDS):  # who finds no partner tries another one
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
            told = context(common, (x, y), _CONTEXT_TAGS, vocabulary, key)
            couples.append(Couple(first, second, x, y, told))
        waiting = left
    return couples


def _differences(one: Subject, other: Subject, vocabulary: Vocabulary) -> Iterator[tuple[str, str]]:
    """What one has and the other lacks, with what the other has and the one lacks."""
    xs, ys = (
        [tag for tag in has.tags if tag in (lacks.absent_tags or ())]
        for has, lacks in ((one, other), (other, one))
    )
    return comparable_pairs(xs, ys, vocabulary)


def comparable_pairs(
    some: Iterable[str], others: Iterable[str], vocabulary: Vocabulary
) -> Iterator[tuple[str, str]]:
    """Pairs that may stand in the same words: of one part of speech, neither follows."""
    for x, y in product(*([n for n in names if n in vocabulary] for names in (some, others))):
        same_kind = vocabulary[x].part_of_speech == vocabulary[y].part_of_speech
        if same_kind and not vocabulary.excludes(x, y):
            yield x, y


def context(
    tags: Iterable[str], asked: tuple[str, str], most: int, vocabulary: Vocabulary, key: str
) -> Statement:
    """A caption of up to ``most`` of the tags that hints at none of what is ``asked``."""
    rng = stream(key)
    known = [tag for tag in tags if tag in vocabulary]
    told: list[str] = []
    for tag in rng.sample(known, len(known)):
        if len(told) < most and not any(vocabulary.excludes(tag, t) for t in (*told, *asked)):
            told.append(tag)
    if not told:
        return Statement("music", ())
    claims = tuple((tag, True) for tag in told)
    return Statement(compose(claims, vocabulary, key), claims)


def build_probes(
    tracks: Sequence[Subject],
    captions: Sequence[str],
    couples: Sequence[Couple],
    vocabulary: Vocabulary,
    seed: int,
) -> list[Probe]:
    """A probe for each track.

    Roles that a track cannot have are missing: "half" needs two tags in the caption, "fully" one,
    and the absence roles a place in a couple.

    Args:
        tracks: The tracks of one split.
        captions: Their captions, one each.
        couples: What `match_couples` gave.
        vocabulary: The tags.
        seed: All randomness.
    """
    probes = [
        _level_probe(track, caption, vocabulary, seed)
        for track, caption in zip(tracks, captions, strict=True)
    ]
    for number, couple in enumerate(couples):
        no_x, no_y = denials(couple, vocabulary, f"{seed}/absence/{number}")
        x, y = (Statement(tag, ((tag, True),)) for tag in (couple.x, couple.y))
        probes[couple.first] |= {
            "absence_true": no_y,
            "absence_false": no_x,
            "heard_present": x,
            "heard_absent": y,
        }
        probes[couple.second] |= {
            "absence_true": no_x,
            "absence_false": no_y,
            "heard_present": y,
            "heard_absent": x,
        }
    return probes


def denials(
    couple: Couple, vocabulary: Vocabulary, seed: str, cue: Cue | None = None
) -> tuple[Statement, Statement]:
    """The couple's caption with "no x" and with "no y": same cue, same place."""
    texts = absence_texts(couple.context.text, couple.y, couple.x, vocabulary, seed, cue)
    no_x, no_y = (
        Statement(text, (*couple.context.claims, (tag, False)))
        for text, tag in zip(texts, (couple.x, couple.y), strict=True)
    )
    return no_x, no_y


def _level_probe(track: Subject, caption: str, vocabulary: Vocabulary, seed: int) -> Probe:
    levels = negation_levels(caption, vocabulary, f"{seed}/levels/{track.track_id}")
    original = statement(caption, vocabulary)
    probe: Probe = {"original": original}
    if levels.half:
        probe["half"] = _negated(original, levels.half)
    if levels.fully:
        probe["fully"] = _negated(original, levels.fully)
    return probe


def _negated(original: Statement, negated: Negated) -> Statement:
    claims = dict(original.claims) | dict.fromkeys(negated.tags, False)
    return Statement(negated.text, tuple(claims.items()))


def absence_texts(
    caption: str,
    present: str,
    absent: str,
    vocabulary: Vocabulary,
    seed: int | str,
    cue: Cue | None = None,
) -> tuple[str, str]:
    """The caption with "no v" (v absent) and with "no w" (w present): same cue, same place.

    Args:
        caption: Mentions neither tag.
        present: w.
        absent: v, of the same part of speech.
        vocabulary: The tags.
        seed: Draws the place, and the cue unless one is given.
        cue: Fits the tags' part of speech; None draws a seen one.
    """
    rng = stream(seed)
    drawn = rng.choice(TRAINING_CUES[vocabulary[absent].part_of_speech])
    place = rng.choice(insertion_places(caption, vocabulary.find(caption)))
    used = cue or drawn
    true = add_negated(caption, used, absent, place)
    return true, add_negated(caption, used, present, place)


def assumed_absent(tags: Iterable[str], vocabulary: Vocabulary) -> tuple[str, ...]:
    """What a track may be taken to lack where it is not known: nothing related to its tags."""
    held = vocabulary.held_by(tags)
    return tuple(name for name in vocabulary.names if name not in held)
