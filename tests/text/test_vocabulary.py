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
        ("piano\u0301", []),  # an accented last letter is another word
        ("\u201cpiano\u201d\u2014drums\u2026", [("piano", "piano"), ("drums", "drums")]),
    ],
)
def test_finds_whole_words_longest_first(vocabulary, caption, expected):
    assert found(vocabulary, caption) == expected


def test_casefold_that_changes_length_keeps_offsets():
    vocabulary = Vocabulary((Tag("straße"), Tag("piano")))
    caption = "STRASSE İ piano"
    assert found(vocabulary, caption)[-1] == ("piano", "piano")


@given(st.text(max_size=80))
def test_mentions_are_ordered_and_disjoint(text):
    vocabulary = Vocabulary((Tag("a"), Tag("a b"), Tag("b c"), Tag("1")))
    mentions = vocabulary.find(text)
    for one, other in itertools.pairwise(mentions):
        assert one.start < one.end <= other.start


def test_relations_close_upwards_and_downwards():
    vocabulary = Vocabulary(
        (Tag("a"), Tag("b", broader=("a",)), Tag("c", broader=("b",)), Tag("d"))
    )
    assert vocabulary.related("c") == {"a", "b", "c"}
    assert vocabulary.related("a") == {"a", "b", "c"}
    assert vocabulary.related("d") == {"d"}


def test_a_text_holds_the_tags_whose_words_it_holds():
    vocabulary = Vocabulary((Tag("guitar"), Tag("bass guitar"), Tag("bass"), Tag("guitar hero")))
    assert vocabulary.held_by(["bass guitar"]) == {"bass guitar", "guitar", "bass"}
    assert vocabulary.held_by(["guitar"]) == {"guitar"}


def test_excludes_within_exclusive_categories_and_relations(vocabulary):
    assert vocabulary.excludes("slow", "fast")
    assert vocabulary.excludes("guitar", "electric guitar")
    assert not vocabulary.excludes("piano", "drums")


def test_a_cycle_of_broader_tags_ends():
    vocabulary = Vocabulary((Tag("a", broader=("b",)), Tag("b", broader=("a",))))
    assert vocabulary.related("a") == {"a", "b"}


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ((Tag("a"), Tag("A")), "already names"),
        ((Tag("a", aliases=("b",)), Tag("b")), "already names"),
        ((Tag("!"),), "holds no word"),
        ((Tag("a", broader=("b",)),), "not in the vocabulary"),
    ],
)
def test_bad_vocabularies_are_refused(tags, message):
    with pytest.raises(InputError, match=message):
        Vocabulary(tags)


def test_saved_and_loaded_again(vocabulary, tmp_path):
    vocabulary.save(tmp_path / "v.json")
    assert Vocabulary.load(tmp_path / "v.json") == vocabulary


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no vocabulary there"),
        ("{", ":1: not JSON"),
        ("{}", "not a vocabulary"),
        ("[]", "not a vocabulary"),
        (json.dumps({"tags": [{"name": "a", "part_of_speech": "verb"}]}), "part_of_speech"),
        (json.dumps({"tags": [{"name": "a", "aliases": "axe"}]}), "aliases is 'axe', expected a"),
        (json.dumps({"tags": [{"name": "a"}], "exclusive": "tempo"}), "exclusive is 'tempo'"),
    ],
)
def test_bad_files_are_named(tmp_path, content, message):
    path = tmp_path / "v.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=message) as error:
        Vocabulary.load(path)
    assert "\n" not in str(error.value)
