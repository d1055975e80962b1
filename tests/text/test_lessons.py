"""Lessons say what they affirm and deny, and use nothing that is held out."""

import re
from collections import Counter, defaultdict

import pytest

from negclap.errors import InputError
from negclap.text.detect import find_negations
from negclap.text.lessons import SHARES, LessonPlan
from negclap.text.vocabulary import Tag, Vocabulary, music_vocabulary
from negclap.text.wordings import (
    AFFIRMED_TWICE,
    HELD_OUT,
    NO_DENIALS,
    content_words,
    families,
    sentences,
    without_words_of,
)

N = 600
CAPTIONS = ("A slow piano ballad.", "drums without vocals", "nothing of the sort", "Fast guitar")


def drawn(plan, n=N):
    return [plan(number) for number in range(n)]


@pytest.fixture(scope="module")
def lessons():
    return drawn(LessonPlan(music_vocabulary()))


def test_families_share_no_content_words():
    owners = defaultdict(set)
    for name, family in families().items():
        assert {denial.family for denial in family.all} == {name}
        for word in content_words(name):
            owners[word].add(name)
    assert {word: names for word, names in owners.items() if len(names) > 1} == {}
    assert {*HELD_OUT} < families().keys()
    assert content_words("zero") == {"zero", "0"}


def test_every_denial_has_one_place_and_is_listed_once():
    denials = [denial.cue for family in families().values() for denial in family.all]
    assert all(cue.template.count("{}") == 1 for cue in denials)
    counts = Counter((cue.template, cue.clause) for cue in denials)
    assert max(counts.values()) == 1


def test_texts_that_deny_nothing_keep_their_embedding(lessons):
    affirming = [one for one in lessons if one.kind == "affirmed"]
    assert all(one.text == one.affirmed and not one.denied for one in affirming)
    assert not any(one.family for one in affirming)


def test_kinds_have_their_shares(lessons):
    counts = Counter(one.kind for one in lessons)
    assert counts.keys() == SHARES.keys()
    assert sum(SHARES.values()) == pytest.approx(1)
    for kind, share in SHARES.items():  # a kind that finds no tags becomes an affirmation
        assert counts[kind] / N <= share + 0.06
        assert counts[kind] / N >= 0.5 * share


def test_denied_and_affirmed_tags_do_not_overlap(lessons):
    vocabulary = music_vocabulary()
    for one in lessons:
        affirmed = {mention.tag for mention in vocabulary.find(one.affirmed)}
        assert not {*one.denied} & vocabulary.overlapping(affirmed), one
        assert {*one.denied} <= {*one.tags}
        assert one.degree == 1 or one.kind == "limited"


def test_the_detector_finds_what_composed_lessons_deny(vocabulary):
    composed = [
        one for one in drawn(LessonPlan(vocabulary, words="seen")) if one.kind == "composed"
    ]
    found = 0
    for one in composed:
        names = {name for negation in find_negations(one.text) for name in negation.names}
        mentioned = {m.tag for name in names for m in vocabulary.find(name)}
        found += {*one.denied} <= mentioned
    assert found / len(composed) > 0.9


def test_lessons_are_a_function_of_the_seed():
    tags = music_vocabulary()
    assert drawn(LessonPlan(tags, seed=1), 20) == drawn(LessonPlan(tags, seed=1), 20)
    assert drawn(LessonPlan(tags, seed=1), 20) != drawn(LessonPlan(tags, seed=2), 20)


@pytest.mark.parametrize("held_out", [("no", "lack", "skip"), ("not", "nothing"), HELD_OUT])
def test_held_out_families_are_in_no_lesson(vocabulary, held_out):
    held = frozenset().union(*map(content_words, held_out))
    tags = Vocabulary(tuple(tag for tag in vocabulary.tags if tag.name != "no wave"))
    for one in drawn(LessonPlan(tags, held_out=held_out)):
        assert one.family not in held_out
        assert not {*re.findall(r"[\w'/]+", one.text.lower())} & held, one.text


def test_held_out_tags_are_affirmed_and_never_denied(vocabulary):
    held = ("piano", "slow")
    lessons = drawn(LessonPlan(vocabulary, held_out_tags=held))
    assert not any({*one.denied} & {*held} for one in lessons)
    assert any("piano" in one.tags for one in lessons)


def test_captions_that_deny_are_left_out(vocabulary):
    texts = {one.affirmed for one in drawn(LessonPlan(vocabulary, CAPTIONS))}
    assert {"A slow piano ballad.", "Fast guitar"} <= texts
    assert not {"drums without vocals", "nothing of the sort"} & texts


def test_double_negations_affirm(vocabulary):
    for one in drawn(LessonPlan(vocabulary)):
        if one.kind in ("affirmed twice", "no denial"):
            assert not one.denied
            assert set(one.tags) <= {m.tag for m in vocabulary.find(one.affirmed)}


def test_phrases_with_words_that_are_held_out_are_left_out():
    assert "don't skip the {}" not in without_words_of(("skip",), AFFIRMED_TWICE)
    assert "not without {}" in without_words_of(("skip",), AFFIRMED_TWICE)
    assert "not only {0} but also {1}" in without_words_of(("zero",), NO_DENIALS)


def test_sentences_have_their_slots_and_captions_deny_nothing():
    denies, affirms, captions, words = sentences()
    for template in (*denies, *affirms):
        assert template.format(x="drums", y="piano") != template
        assert "{x}" in template
    for template in captions:
        text = template.format("drums", "piano", "violin")
        assert not [negation for negation in find_negations(text) if not negation.doubt]
    for group in (denies, affirms, captions):
        assert len(set(group)) == len(group) > 250
    assert not {*denies} & {*affirms}
    assert len(words) > 2_000
    taught = without_words_of((*HELD_OUT, "zero", "skip", "nothing", "refuse"), denies)
    assert len(taught) > 0.98 * len(denies)


def test_sentences_deny_x_and_affirm_y(vocabulary):
    lessons = drawn(LessonPlan(vocabulary))
    for one in lessons:
        if one.kind == "denying sentence":
            assert len(one.denied) == 1
            assert not {m.tag for m in vocabulary.find(one.affirmed)} & {*one.denied}
        if one.kind == "affirming sentence":
            assert not one.denied
            assert {m.tag for m in vocabulary.find(one.affirmed)} >= {*one.tags}


def test_cues_alone_deny_if_the_words_are_those_of_cues(vocabulary):
    others = {"contrast", "limited", "denying sentence"}
    for words in ("seen", "many"):
        assert not {one.kind for one in drawn(LessonPlan(vocabulary, words=words))} & others


def test_lessons_of_two_related_tags_are_drawn():
    tags = Vocabulary((Tag("guitar"), Tag("electric guitar", broader=("guitar",))))
    lessons = drawn(LessonPlan(tags))
    assert {one.denied for one in lessons} == {(), ("guitar",), ("electric guitar",)}


def test_a_general_vocabulary_of_music_is_there():
    tags = music_vocabulary()
    assert len(tags.tags) >= 1_000
    assert sum(bool(tag.aliases) for tag in tags.tags) > 500
    assert sum(bool(tag.broader) for tag in tags.tags) > 500
    assert {"instrument", "genre", "mood", "tempo"} <= {tag.category for tag in tags.tags}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda tags: {"vocabulary": Vocabulary((Tag("slow", "tempo", "adjective"),))},
         "the vocabulary has 0 nouns that can be denied, expected at least 2"),
        (lambda tags: {"vocabulary": tags, "held_out": ("nope",)}, "held_out: 'nope' is no family"),
        (lambda tags: {"vocabulary": tags, "captions": ("a kazoo", "no piano")},
         "none of the 2 captions affirms a tag of the vocabulary"),
        (lambda tags: {"vocabulary": tags, "held_out_tags": ("kazoo",)},
         "held_out_tags: 'kazoo' is no tag of the vocabulary"),
    ],
)  # fmt: skip
def test_words_that_cannot_be_taught_are_reported(vocabulary, make, message):
    with pytest.raises(InputError, match=message):
        LessonPlan(**make(vocabulary))
