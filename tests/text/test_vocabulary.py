import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from negclap.errors import InputError
from negclap.text.vocabulary import Tag, Vocabulary


def found(vocabulary, caption):
    return [(m.tag, caption[m.start : m.end]) for m in vocabulary.find(caption)]


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("", []),
        ("!?", []),
        ("A PIANO piece", [("piano", "PIANO")]),
        ("pianos and pianoforte", []),
        (
            "an electric guitar, a guitar",
            [("electric guitar", "electric guitar"), ("guitar", "guitar")],
        ),
        ("Electric-Guitar", [("electric guitar", "Electric-Guitar")]),
        ("electric, guitar", [("guitar", "guitar")]),
        ("hip-hop and HIP_HOP", [("hip hop", "hip-hop"), ("hip hop", "HIP_HOP")]),
        ("R&B drums", [("r&b", "R&B"), ("drums", "drums")]),
        ("drum beats, percussion", [("drums", "drum"), ("drums", "percussion")]),
        ("piano piano", [("piano", "piano"), ("piano", "piano")]),
        ("no wave", [("no wave", "no wave")]),
        ("piano\u0301", []),  # an accent on the last letter makes another word
        ("\u201cpiano\u201d\u2014drums\u2026", [("piano", "piano"), ("drums", "drums")]),
    ],
)
def test_find_matches_whole_words_and_the_longest_tag(vocabulary, caption, expected):
    assert found(vocabulary, caption) == expected


def test_offsets_are_right_when_case_folding_changes_the_length():
    vocabulary = Vocabulary((Tag("straße"), Tag("piano")))
    caption = "STRASSE İ piano"
    assert found(vocabulary, caption)[-1] == ("piano", "piano")


@given(st.text(max_size=80))
def test_mentions_are_ordered_and_disjoint(text):
    vocabulary = Vocabulary((Tag("a"), Tag("a b"), Tag("b c"), Tag("1")))
    mentions = vocabulary.find(text)
    for one, other in itertools.pairwise(mentions):
        assert one.start < one.end <= other.start


def test_related_tags_are_transitive_in_both_directions():
    vocabulary = Vocabulary(
        (Tag("a"), Tag("b", broader=("a",)), Tag("c", broader=("b",)), Tag("d"))
    )
    assert vocabulary.related("c") == {"a", "b", "c"}
    assert vocabulary.related("a") == {"a", "b", "c"}
    assert vocabulary.related("d") == {"d"}


def test_tags_overlap_with_tags_whose_words_they_contain():
    vocabulary = Vocabulary((Tag("guitar"), Tag("bass guitar"), Tag("bass"), Tag("guitar hero")))
    assert vocabulary.overlapping(["bass guitar"]) == {"bass guitar", "guitar", "bass"}
    assert vocabulary.overlapping(["guitar"]) == {"guitar"}


def test_tags_exclude_others_of_an_exclusive_category_and_related_tags(vocabulary):
    assert vocabulary.excludes("slow", "fast")
    assert vocabulary.excludes("guitar", "electric guitar")
    assert not vocabulary.excludes("piano", "drums")


def test_a_cycle_of_broader_tags_does_not_loop_forever():
    vocabulary = Vocabulary((Tag("a", broader=("b",)), Tag("b", broader=("a",))))
    assert vocabulary.related("a") == {"a", "b"}


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ((Tag("a"), Tag("A")), "is also one of"),
        ((Tag("a", aliases=("b",)), Tag("b")), "is also one of"),
        ((Tag("!"),), "has no words"),
        ((Tag("a", broader=("b",)),), "not in the vocabulary"),
    ],
)
def test_invalid_vocabularies_are_rejected(tags, message):
    with pytest.raises(InputError, match=message):
        Vocabulary(tags)


def test_save_and_load_round_trip(vocabulary, tmp_path):
    vocabulary.save(tmp_path / "v.json")
    assert Vocabulary.load(tmp_path / "v.json") == vocabulary


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "vocabulary file not found"),
        ("{", ":1: not JSON"),
        ("{}", "not a vocabulary"),
        ("[]", "not a vocabulary"),
        (json.dumps({"tags": [{"name": "a", "part_of_speech": "verb"}]}), "part_of_speech"),
        (json.dumps({"tags": [{"name": "a", "aliases": "axe"}]}), "aliases is 'axe', expected a"),
        (json.dumps({"tags": [{"name": "a"}], "exclusive": "tempo"}), "exclusive is 'tempo'"),
    ],
)
def test_load_errors_name_the_problem_in_one_line(tmp_path, content, message):
    path = tmp_path / "v.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=message) as error:
        Vocabulary.load(path)
    assert "\n" not in str(error.value)
