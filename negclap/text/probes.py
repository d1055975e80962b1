"""The texts that a model is probed with, each with the claims that it makes.

One probe per track: its caption at the three negation levels, and, where it is known what the track
lacks, a balanced true-absence pair. Used by validation, test and the suite alike.
"""

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import Literal, NamedTuple, Protocol

from negclap.rng import stream
from negclap.text.cues import TRAINING_CUES, Cue
from negclap.text.negate import (
    add_negated,
    insertion_places,
    is_negated,
    negation_levels,
)
from negclap.text.vocabulary import Vocabulary

Level = Literal["original", "half", "fully"]
LEVELS: tuple[Level, ...] = ("original", "half", "fully")

Role = Literal[
    "original", "half", "fully", "absence_true", "absence_false", "heard_present", "heard_absent"
]

TextKind = Literal["levels", "absence", "exclusion"]
"""Kinds of texts that training needs on demand, besides the captions."""


class Statement(NamedTuple):
    """A text and the polarity it claims for each tag that it mentions (True: the clip has it)."""

    text: str
    claims: tuple[tuple[str, bool], ...]


Probe = dict[Role, Statement]


class Subject(Protocol):
    """What probes need to know of a track; a manifest's `Track` fits."""

    @property
    def track_id(self) -> str: ...  # noqa: D102
    @property
    def tags(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def absent_tags(self) -> tuple[str, ...] | None: ...  # noqa: D102


def statement(text: str, vocabulary: Vocabulary) -> Statement:
    """The text with what it claims; a tag under a negation cue is claimed absent."""
    mentions = vocabulary.find(text)
    claims = {m.tag: not is_negated(text, mentions, i) for i, m in enumerate(mentions)}
    return Statement(text, tuple(claims.items()))


def build_probes(
    tracks: Sequence[Subject],
    captions: Sequence[str],
    pairs: Sequence["AbsencePair | None"],
    vocabulary: Vocabulary,
    seed: int,
) -> list[Probe]:
    """A probe for each track.

    Roles that a track cannot have are missing: "half" needs two tags in the caption, "fully" one,
    and the absence roles a pair.

    Args:
        tracks: The tracks of one split.
        captions: Their captions, one each.
        pairs: What `assign_absence_pairs` gave each track.
        vocabulary: The tags.
        seed: All randomness.
    """
    return [
        _level_probe(track, caption, vocabulary, seed)
        | (_absence_probe(track, caption, pair, vocabulary, seed) if pair else {})
        for track, caption, pair in zip(tracks, captions, pairs, strict=True)
    ]


def _level_probe(track: Subject, caption: str, vocabulary: Vocabulary, seed: int) -> Probe:
    levels = negation_levels(caption, vocabulary, f"{seed}/levels/{track.track_id}")
    probe: Probe = {"original": statement(caption, vocabulary)}
    if levels.half:
        probe["half"] = statement(levels.half.text, vocabulary)
    if levels.fully:
        probe["fully"] = statement(levels.fully.text, vocabulary)
    return probe


class AbsencePair(NamedTuple):
    """A tag that the clip has and one that it lacks; the caption hints at neither."""

    present: str
    absent: str


def absence_texts(
    caption: str, pair: AbsencePair, vocabulary: Vocabulary, seed: int | str, cue: Cue | None = None
) -> tuple[str, str]:
    """The caption with "no v" (v absent) and with "no w" (w present): same cue, same place.

    Args:
        caption: Mentions neither tag.
        pair: v and w, of one part of speech.
        vocabulary: The tags.
        seed: Draws the place, and the cue unless one is given.
        cue: Fits the tags' part of speech; None draws a seen one.
    """
    rng = stream(seed)
    drawn = rng.choice(TRAINING_CUES[vocabulary[pair.absent].part_of_speech])
    place = rng.choice(insertion_places(caption, vocabulary.find(caption)))
    used = cue or drawn
    true = add_negated(caption, used, pair.absent, place)
    return true, add_negated(caption, used, pair.present, place)


def _absence_probe(
    track: Subject, caption: str, pair: AbsencePair, vocabulary: Vocabulary, seed: int
) -> Probe:
    """The pair "c, no v" and "c, no w", and both tags alone."""
    key = f"{seed}/absence/{track.track_id}"
    true, false = absence_texts(caption, pair, vocabulary, key)
    claims = statement(caption, vocabulary).claims
    return {
        "absence_true": Statement(true, (*claims, (pair.absent, False))),
        "absence_false": Statement(false, (*claims, (pair.present, False))),
        "heard_present": Statement(pair.present, ((pair.present, True),)),
        "heard_absent": Statement(pair.absent, ((pair.absent, True),)),
    }


def assumed_absent(tags: Iterable[str], vocabulary: Vocabulary) -> tuple[str, ...]:
    """What a track may be taken to lack where it is not known: nothing related to its tags."""
    held = vocabulary.held_by(tags)
    return tuple(name for name in vocabulary.names if name not in held)


def assign_absence_pairs(
    tracks: Sequence[Subject], captions: Sequence[str], vocabulary: Vocabulary, seed: int
) -> list[AbsencePair | None]:
    """At most one pair per track, balanced so that the tags alone say nothing.

    For each unordered pair {x, y} as many tracks have x and lack y as the reverse. x and y do not
    exclude each other, are of one part of speech, and neither follows from the caption. Tracks of
    unknown absence, and those that balance leaves over, get None.
    """
    rng = stream(seed, "absence pairs")
    waiting: dict[AbsencePair, list[int]] = defaultdict(list)
    for index in rng.sample(range(len(tracks)), len(tracks)):
        track = tracks[index]
        if track.absent_tags is None:
            continue
        for pair in eligible_pairs(track.tags, track.absent_tags, captions[index], vocabulary):
            waiting[pair].append(index)
    assigned: list[AbsencePair | None] = [None] * len(tracks)
    pairs = sorted(pair for pair in waiting if pair.present < pair.absent)
    while pairs:
        rng.shuffle(pairs)
        pairs = [pair for pair in pairs if _assign_one_each_way(pair, waiting, assigned, rng)]
    return assigned


def eligible_pairs(
    tags: Iterable[str], absent_tags: Iterable[str], caption: str, vocabulary: Vocabulary
) -> Iterator[AbsencePair]:
    """Every pair of a tag that the clip has and one that it lacks that can be asked about.

    The caption hints at neither; they are of one part of speech and do not exclude each other.
    """
    mentioned = {mention.tag for mention in vocabulary.find(caption)}

    def open_to_question(names: Iterable[str]) -> list[str]:
        return [
            name
            for name in names
            if name in vocabulary and not any(vocabulary.excludes(name, m) for m in mentioned)
        ]

    for x, y in product(open_to_question(tags), open_to_question(absent_tags)):
        same_kind = vocabulary[x].part_of_speech == vocabulary[y].part_of_speech
        if same_kind and not vocabulary.excludes(x, y):
            yield AbsencePair(x, y)


def _assign_one_each_way(
    pair: AbsencePair,
    waiting: dict[AbsencePair, list[int]],
    assigned: list[AbsencePair | None],
    rng: random.Random,
) -> bool:
    """Give one free track to the pair and one to its reverse; False if either has none left."""
    both = (pair, AbsencePair(pair.absent, pair.present))
    for one in both:
        waiting[one] = [index for index in waiting.get(one, ()) if assigned[index] is None]
    if not all(waiting[one] for one in both):
        return False
    for one in both:
        assigned[waiting[one].pop()] = one
    return True
