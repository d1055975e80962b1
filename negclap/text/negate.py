"""Negate captions: Negation insert, and half and fully negated captions (arXiv 2601.13931).

The paper does not publish its exact procedure. Choices made here: phrases are inserted where a
clause can stand, the cue fits the tag's part of speech, all mentions of a tag are negated, and
mentions that are already negated are left unchanged.
"""

import random
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from negclap.errors import InputError
from negclap.rng import stream
from negclap.text.cooccurrence import Cooccurrence
from negclap.text.cues import AFTER_NEGATED, BEFORE_NEGATED, INLINE_CUES, PSEUDO, TRAINING_CUES, Cue
from negclap.text.detect import Span, denied_spans
from negclap.text.vocabulary import Mention, Vocabulary

AbsentFrom = Literal["caption", "tags", "absent_tags"]
Position = Literal["start", "clause", "phrase", "end"]

# A negated phrase can stand before these words; "and" and "or" would change its scope.
_OPENERS = "with|for|featuring|in|over|on|at|while|where|played|by|that|which"
_GAP = re.compile(rf"(?P<punct>[,;:.!?\u2026])\s+(?=\S)|\s(?=(?i:{_OPENERS})\s)")
_CLOSING = " \t\r\n.!?\u2026"
Unread = Callable[[str], str]
"""Returns the end of a text that a model does not read, because the text is too long."""

_ALTERNATIVE = re.compile(r"\s*,?\s+n?or\s+(?:an?\s+|the\s+|any\s+)?", re.IGNORECASE)
_PSEUDO_BEFORE = re.compile(
    r"(?<!\w)(?:" + "|".join(map(re.escape, PSEUDO)) + r")\s+(?:an?\s+|the\s+)?$", re.IGNORECASE
)
_CONTEXT = 40  # characters before a mention that are searched for its cue


class Insertion(NamedTuple):
    """The result of Negation insert.

    ``text[span[0]:span[1]]`` is the inserted phrase; removing it gives the caption back. All fields
    but ``text`` are None if nothing was inserted.
    """

    text: str
    tag: str | None = None
    cue: str | None = None
    position: Position | None = None
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Negated:
    """A caption with a cue before some of its tags.

    ``tags`` are in the order of their first mention; ``spans`` are the character offsets of the
    cues in ``text``, including the space after them.
    """

    text: str
    tags: tuple[str, ...]
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Levels:
    """Negation levels of a caption; ``half`` is None below two tags, ``fully`` without tags."""

    half: Negated | None
    fully: Negated | None


def _check_words(caption: str) -> None:
    if not caption or caption.isspace():
        raise InputError(f"caption {caption!r} has no words")


def is_negated(caption: str, mentions: list[Mention], index: int) -> bool:
    """Whether mention ``index`` is in the scope of a negation cue.

    True for "no drums", "without any drums", "drums-less", and the second tag of "no drums or
    vocals"; False for pseudo cues ("not only drums").
    """
    for at in range(index, -1, -1):
        mention = mentions[at]
        before = caption[max(0, mention.start - _CONTEXT) : mention.start]
        if _PSEUDO_BEFORE.search(before):
            return False
        if BEFORE_NEGATED.search(before) or _has_suffix_cue(caption, mentions, at):
            return True
        between = caption[mentions[at - 1].end : mention.start] if at else ""
        if not _ALTERNATIVE.fullmatch(between):
            return False
    return False


def _has_suffix_cue(caption: str, mentions: list[Mention], at: int) -> bool:
    """Whether a cue follows the mention and does not negate the next ("harp missing piano")."""
    cue = AFTER_NEGATED.match(caption, mentions[at].end)
    if cue is None or at + 1 == len(mentions):
        return cue is not None
    following = mentions[at + 1].start
    adjoins = caption[cue.end() : following].isspace()
    return not (adjoins and BEFORE_NEGATED.search(caption[cue.start() : following]))


def negated_mentions(caption: str, mentions: list[Mention]) -> list[bool]:
    """Return for each mention whether `is_negated` or the detector finds that it is negated."""
    spans = denied_spans(caption)
    return [is_negated(caption, mentions, i) or is_within(m, spans) for i, m in enumerate(mentions)]


def is_within(mention: Mention, spans: Iterable[Span]) -> bool:
    """Whether a mention is inside one of the spans."""
    return any(start <= mention.start and mention.end <= end for start, end in spans)


def insert_negation(
    caption: str,
    vocabulary: Vocabulary,
    seed: int | str,
    *,
    p: float,
    absent_from: AbsentFrom = "caption",
    tags: Collection[str] = (),
    absent_tags: Collection[str] | None = None,
    cooccurrence: Cooccurrence | None = None,
    unread: Unread | None = None,
) -> Insertion:
    """Apply Negation insert: with probability ``p``, insert one negated tag into the caption.

    The tag never overlaps with a tag that the caption mentions (`Vocabulary.overlapping`).

    Args:
        caption: The caption, at least one word.
        vocabulary: The tags to draw from.
        seed: Determines all draws.
        p: Probability of an insertion, 0 to 1.
        absent_from: What the tag must be absent from: "caption" (as in the paper; the clip may
            still have the tag), "tags" (also from the track's ``tags``), or "absent_tags" (it must
            be one of ``absent_tags``).
        tags: The track's tags, for "tags".
        absent_tags: The track's absent tags, for "absent_tags".
        cooccurrence: Makes tags rarer that often occur with those of the track and the caption;
            ignored for "absent_tags".
        unread: What a model does not read; the phrase is inserted where it is read.

    Raises:
        InputError: If the caption has no words, ``p`` is out of range, or "absent_tags" is chosen
            and the track's absent tags are unknown.
    """
    _check_words(caption)
    if not 0.0 <= p <= 1.0:
        raise InputError(f"p is {p}, expected a probability from 0 to 1")
    rng = stream(seed)
    if rng.random() >= p:
        return Insertion(caption)
    mentions = vocabulary.find(caption)
    mentioned = {mention.tag for mention in mentions}
    candidates = _candidates(vocabulary, absent_from, absent_tags)
    if cooccurrence and absent_from != "absent_tags":
        candidates = cooccurrence.thin(candidates, {*tags, *mentioned}, str(seed))
    named = {*tags, *mentioned} if absent_from == "tags" else mentioned
    tag = _draw_tag(candidates, vocabulary.overlapping(named), rng)
    if tag is None:
        return Insertion(caption)
    cue = rng.choice(TRAINING_CUES[vocabulary[tag].part_of_speech])
    places = insertion_places(caption, mentions)
    insertion = _insert_at(caption, cue, tag, *rng.choice(places))
    if unread and not _is_read(insertion, unread):
        others = (_insert_at(caption, cue, tag, *place) for place in places)
        read = [each for each in others if _is_read(each, unread)]
        return rng.choice(read) if read else Insertion(caption)
    return insertion


def read_part(caption: str, unread: Unread) -> str:
    """Return the words of a caption that are read as a whole."""
    end = unread(caption)
    if not end:
        return caption
    start = caption[: len(caption) - len(end)]
    whole = start if not end[0].isalnum() else start[: start.rfind(" ") + 1]
    return whole.rstrip() or start


def _is_read(insertion: Insertion, unread: Unread) -> bool:
    end = len(insertion.text) - len(unread(insertion.text))
    return insertion.span is None or insertion.span[1] <= end


def _candidates(
    vocabulary: Vocabulary, absent_from: AbsentFrom, absent_tags: Collection[str] | None
) -> tuple[str, ...]:
    if absent_from != "absent_tags":
        return vocabulary.names
    if absent_tags is None:
        raise InputError("absent_from is 'absent_tags', but the track's absent tags are unknown")
    return tuple(tag for tag in absent_tags if tag in vocabulary)


def _draw_tag(candidates: tuple[str, ...], excluded: set[str], rng: random.Random) -> str | None:
    for _ in range(8 if candidates else 0):  # mostly enough, and faster than filtering all tags
        tag = candidates[int(rng.random() * len(candidates))]
        if tag not in excluded:
            return tag
    left = [tag for tag in candidates if tag not in excluded]
    return rng.choice(left) if left else None


def insertion_places(caption: str, mentions: list[Mention]) -> list[tuple[Position, int]]:
    """Return where a negated phrase can be inserted, as (kind, offset); at least two places.

    These are the start, the end (before closing punctuation), after clause punctuation, and before
    a word that starts a phrase ("with", "for", ...); never inside a word or a multi-word tag.
    """
    inside = {at for _, start, end in mentions for at in range(start + 1, end)}
    gaps: list[tuple[Position, int]] = [
        ("clause" if gap["punct"] else "phrase", gap.end())
        for gap in _GAP.finditer(caption)
        if gap.end() not in inside
    ]
    return [("start", 0), *gaps, ("end", len(caption.rstrip(_CLOSING)))]


def _insert_at(caption: str, cue: Cue, tag: str, position: Position, at: int) -> Insertion:
    phrase = cue.phrase(tag)
    match position:
        case "end" if at == 0:  # a caption that is only punctuation
            text = phrase
        case "end":
            text = f", {phrase}"
        case "phrase":
            text = f"{phrase} "
        case "clause" if caption[:at].rstrip()[-1] in ".!?\u2026":
            text = f"{phrase[0].upper()}{phrase[1:]}. "
        case _:
            text = f"{phrase}, "
    span = (at, at + len(text))
    return Insertion(caption[:at] + text + caption[at:], tag, cue.name, position, span)


def add_negated(caption: str, cue: Cue, tag: str, place: tuple[Position, int]) -> str:
    """Return the caption with a negated phrase at one of its `insertion_places`."""
    return _insert_at(caption, cue, tag, *place).text


def negation_levels(caption: str, vocabulary: Vocabulary, seed: int | str) -> Levels:
    """Return the half and fully negated versions of a caption of at least one word.

    Of the n distinct tags that the caption affirms, the half negated version negates ceil(n/2) and
    the fully negated one all n, with a cue before every mention. The half negated tags are a subset
    of the fully negated ones and have the same cues.
    """
    _check_words(caption)
    mentions = vocabulary.find(caption)
    denied = negated_mentions(caption, mentions)
    affirmed = [m for m, negated in zip(mentions, denied, strict=True) if not negated]
    names = list(dict.fromkeys(mention.tag for mention in affirmed))
    if not names:
        return Levels(None, None)
    rng = stream(seed)
    cues = {name: rng.choice(INLINE_CUES[vocabulary[name].part_of_speech]) for name in names}
    chosen = frozenset(rng.sample(names, (len(names) + 1) // 2))
    half = _put_cues(caption, affirmed, cues, chosen) if len(names) > 1 else None
    return Levels(half, _put_cues(caption, affirmed, cues, frozenset(names)))


def _put_cues(
    caption: str, mentions: list[Mention], cues: dict[str, Cue], chosen: frozenset[str]
) -> Negated:
    text = ""
    spans: list[Span] = []
    done = 0
    negated = [mention for mention in mentions if mention.tag in chosen]
    for mention in negated:
        text += caption[done : mention.start]
        done, start = mention.start, len(text)
        text += cues[mention.tag].prefix
        spans.append((start, len(text)))
    tags = tuple(dict.fromkeys(mention.tag for mention in negated))
    return Negated(text + caption[done:], tags, tuple(spans))
