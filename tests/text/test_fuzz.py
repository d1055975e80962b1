"""Fuzz tests of the text engine: any Unicode, with cues and tags in any order."""

from contextlib import suppress
from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from negclap.errors import InputError
from negclap.text.cues import CUES, MORE_CUES, PSEUDO
from negclap.text.detect import Kind, find_negations
from negclap.text.negate import insert_negation, is_negated, negated_mentions, negation_levels
from negclap.text.tag_list import read_tag_list
from negclap.text.vocabulary import Tag, Vocabulary, words

NAMES = ("drums", "electric guitar", "guitar", "r&b", "straße", "ﬁddle", "İstanbul", "no wave")
any_text = st.text(
    st.characters(), max_size=12
)  # includes surrogates, which Python strings may contain
pieces = st.one_of(
    st.sampled_from([*NAMES, *PSEUDO, "neither", "nor", "or", "isn't any", "instead of", "none"]),
    st.sampled_from([cue.template for cue in (*CUES, *MORE_CUES)]),
    any_text,
)
gaps = st.sampled_from([" ", "", "-", ", ", ".\n", "\u00a0", "\u2028", "\u0301", "\x00", "'"])
captions = st.lists(st.tuples(pieces, st.sampled_from(NAMES), gaps), max_size=8).map(
    lambda parts: "".join(piece.replace("{}", name) + gap for piece, name, gap in parts)
)
tags = st.lists(st.one_of(st.sampled_from(NAMES), any_text), max_size=6, unique=True)


def vocabulary_of(names: list[str]) -> Vocabulary:
    """Return a vocabulary of the names that do not conflict."""
    vocabulary = Vocabulary(())
    for name in names:
        with suppress(InputError):
            vocabulary = Vocabulary((*vocabulary.tags, Tag(name)))
    return vocabulary


def disjoint(spans: list[tuple[int, int]], length: int) -> bool:
    edges = [edge for span in spans for edge in span]
    return edges == sorted(edges) and all(0 <= edge <= length for edge in edges)


@given(captions, tags)
@settings(max_examples=100)
def test_mentions_are_whole_tags_in_order(caption, names):
    vocabulary = vocabulary_of(names)
    mentions = vocabulary.find(caption)
    assert disjoint([(start, end) for _, start, end in mentions], len(caption))
    for tag, start, end in mentions:
        assert len(words(caption[start:end])) == len(words(tag))
        assert vocabulary.find(caption[start:end]) == [(tag, 0, end - start)]


@given(captions, st.none() | tags.map(vocabulary_of))
@settings(max_examples=100)
def test_negation_spans_match_the_caption(caption, vocabulary):
    found = find_negations(caption, vocabulary)
    assert disjoint([negation.span for negation in found], len(caption))
    for negation in found:
        assert negation.cue == caption[slice(*negation.span)] != ""
        assert negation.phrase == caption[slice(*negation.phrase_span)]
        assert disjoint([negation.phrase_span], len(caption))
        assert negation.kind in get_args(Kind)
        assert vocabulary is None or negation.tag is None or negation.tag in vocabulary


@given(captions, tags, st.integers(), st.sampled_from(["caption", "tags", "absent_tags"]))
@settings(max_examples=100)
def test_insertions_and_levels_change_nothing_else(caption, names, seed, absent_from):
    vocabulary = vocabulary_of(names)
    present = set(vocabulary.names[::2])
    try:
        inserted = insert_negation(
            caption,
            vocabulary,
            seed,
            p=1.0,
            absent_from=absent_from,
            tags=present,
            absent_tags=names,
        )
        levels = negation_levels(caption, vocabulary, seed)
    except InputError:
        assert not caption.strip()
        return
    start, end = inserted.span or (0, 0)
    assert inserted.text[:start] + inserted.text[end:] == caption
    mentions = vocabulary.find(caption)
    assert inserted.tag not in {mention.tag for mention in mentions}
    assert absent_from != "tags" or inserted.tag not in present
    denied = negated_mentions(caption, mentions)
    affirmed = {m.tag for m, negated in zip(mentions, denied, strict=True) if not negated}
    assert set(levels.fully.tags if levels.fully else ()) == affirmed
    for level in filter(None, (levels.half, levels.fully)):
        text = level.text
        for first, last in reversed(level.spans):
            text = text[:first] + text[last:]
        assert text == caption


def test_a_long_chain_of_alternatives_is_followed_to_its_cue():
    caption = "no " + " or ".join(["drums"] * 1200)
    mentions = vocabulary_of(["drums"]).find(caption)
    assert is_negated(caption, mentions, len(mentions) - 1)
    assert not is_negated(caption[3:], vocabulary_of(["drums"]).find(caption[3:]), 1199)


@given(st.dictionaries(st.one_of(pieces, any_text), st.integers(1, 9), max_size=8))
@settings(max_examples=100)
def test_every_raw_tag_is_mapped_or_left_out_with_a_reason(counts):
    read = read_tag_list(counts)
    read_as = [raw in read.present for raw in counts], [raw in read.denied for raw in counts]
    left = [raw in read.left_out for raw in counts]
    assert all(sum(ways) == 1 for ways in zip(*read_as, left, strict=True))
    assert {*read.present.values(), *read.denied.values()} <= set(read.vocabulary.names)
