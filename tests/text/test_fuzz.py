"""Captions and tags as no one expects them: any Unicode, cues and tags wherever they fall."""

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
any_text = st.text(st.characters(), max_size=12)  # surrogates, too: Python's strings hold them
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
    """Of those names that can be tags together."""
    vocabulary = Vocabulary(())
    for name in names:
        with suppress(InputError):
            vocabulary = Vocabulary((*vocabulary.tags, Tag(name)))
    return vocabulary


def disjoint(spans: list[tuple[int, int]], length: int) -> bool:
    edges = [edge for span in spans for edge in span]
    return edges == sorted(edges) and all(0 <= edge <= length for edge in edges)


@given(captions, tags)
@settings(max_examples=100, deadline=None)
def test_mentions_are_whole_names_in_order(caption, names):
    vocabulary = vocabulary_of(names)
    mentions = vocabulary.find(caption)
    assert disjoint([(start, end) for _, start, end in mentions], len(caption))
    for tag, start, end in mentions:
        assert len(words(caption[start:end])) == len(words(tag))
        assert vocabulary.find(caption[start:end]) == [(tag, 0, end - start)]


@given(captions, st.none() | tags.map(vocabulary_of))
@settings(max_examples=100, deadline=None)
def test_negations_say_where_they_stand(caption, vocabulary):
    found = find_negations(caption, vocabulary)
    assert disjoint([one.span for one in found], len(caption))
    for one in found:
        assert one.cue == caption[slice(*one.span)] != ""
        assert one.phrase == caption[slice(*one.phrase_span)]
        assert disjoint([one.phrase_span], len(caption))
        assert one.kind in get_args(Kind)
        assert vocabulary is None or one.tag is None or one.tag in vocabulary


@given(captions, tags, st.integers(), st.sampled_from(["caption", "tags", "absent_tags"]))
@settings(max_examples=100, deadline=None)
def test_what_is_put_into_a_caption_is_all_that_changes(caption, names, seed, absent_from):
    vocabulary = vocabulary_of(names)
    held = set(vocabulary.names[::2])
    try:
        inserted = insert_negation(
            caption, vocabulary, seed, p=1.0, absent_from=absent_from, tags=held, absent_tags=names
        )
        levels = negation_levels(caption, vocabulary, seed)
    except InputError:
        assert not caption.strip()
        return
    start, end = inserted.span or (0, 0)
    assert inserted.text[:start] + inserted.text[end:] == caption
    mentions = vocabulary.find(caption)
    assert inserted.tag not in {mention.tag for mention in mentions}
    assert absent_from != "tags" or inserted.tag not in held
    denied = negated_mentions(caption, mentions)
    affirmed = {m.tag for m, negated in zip(mentions, denied, strict=True) if not negated}
    assert set(levels.fully.tags if levels.fully else ()) == affirmed
    for level in filter(None, (levels.half, levels.fully)):
        text = level.text
        for first, last in reversed(level.spans):
            text = text[:first] + text[last:]
        assert text == caption


def test_a_long_chain_of_alternatives_is_read_to_its_cue():
    caption = "no " + " or ".join(["drums"] * 1200)
    mentions = vocabulary_of(["drums"]).find(caption)
    assert is_negated(caption, mentions, len(mentions) - 1)
    assert not is_negated(caption[3:], vocabulary_of(["drums"]).find(caption[3:]), 1199)


@given(st.dictionaries(st.one_of(pieces, any_text), st.integers(1, 9), max_size=8))
@settings(max_examples=100, deadline=None)
def test_every_raw_tag_is_a_tag_or_left_out_for_a_reason(counts):
    read = read_tag_list(counts)
    read_as = [raw in read.present for raw in counts], [raw in read.denied for raw in counts]
    left = [raw in read.left_out for raw in counts]
    assert all(sum(ways) == 1 for ways in zip(*read_as, left, strict=True))
    assert {*read.present.values(), *read.denied.values()} <= set(read.vocabulary.names)
