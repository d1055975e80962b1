import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from negclap.data.sources.chorales.arrangement import VOCABULARY
from negclap.text.compose import FALSEHOODS, MANY, SEEN, compose, draw_exclusion
from negclap.text.cues import CUES, MORE_CUES
from tests.reading import claims_by_cue

HELD_OUT = [cue for cue in CUES if not cue.seen]


@st.composite
def claims(draw):
    tags = draw(st.lists(st.sampled_from(VOCABULARY.names), min_size=1, max_size=5, unique=True))
    return [(tag, draw(st.booleans())) for tag in tags]


def read(text):
    """Return the claims of a text, with the lexicalised negation spelt out."""
    return claims_by_cue(text.replace("instrumental", "no vocals,"), VOCABULARY)


@settings(max_examples=400)
@given(claims=claims(), seed=st.integers(0, 10**6), lexicon=st.sampled_from([SEEN, MANY]))
def test_composed_text_makes_the_claims(claims, seed, lexicon):
    assert read(compose(claims, VOCABULARY, seed, lexicon=lexicon)) == dict(claims)


@settings(max_examples=200)
@given(claims=claims(), seed=st.integers(0, 10**6), cue=st.sampled_from((*CUES, *MORE_CUES)))
def test_compose_with_any_given_cue(claims, seed, cue):
    text = compose(claims, VOCABULARY, seed, cue)
    assert read(text) == dict(claims)
    nouns = [t for t, has in claims if not has and VOCABULARY[t].part_of_speech == "noun"]
    assert (cue.template.replace("{}", "").strip() in text) or not nouns


@settings(max_examples=200)
@given(claims=claims(), seed=st.integers(0, 10**6), lexicon=st.sampled_from([SEEN, MANY]))
def test_lexicons_have_no_held_out_cue(claims, seed, lexicon):
    text = compose(claims, VOCABULARY, seed, lexicon=lexicon)
    for cue in HELD_OUT:
        assert cue.template.replace("{}", "").strip() not in text


def test_wording_depends_only_on_the_seed_and_the_tags():
    one = compose([("piano", True), ("drums", False)], VOCABULARY, 3)
    assert one == compose([("piano", True), ("drums", False)], VOCABULARY, 3)
    texts = {compose([("piano", True), ("drums", False)], VOCABULARY, seed) for seed in range(60)}
    assert len(texts) > 25
    assert any(text.startswith(("no", "without", "lacking", "there is no")) for text in texts)


@settings(max_examples=300)
@given(tags=st.sets(st.sampled_from(VOCABULARY.names)), seed=st.integers(0, 10**6))
def test_exclusions_are_true_and_their_false_variants_false(tags, seed):
    absent = [name for name in VOCABULARY.names if name not in tags]
    exclusion = draw_exclusion(sorted(tags), absent, VOCABULARY, seed)
    if exclusion is None:
        return
    assert read(exclusion.text) == dict(exclusion.claims)
    assert all(has == (tag in tags) for tag, has in exclusion.claims)
    assert set(exclusion.false) == set(FALSEHOODS)
    for kind, text in exclusion.false.items():
        wrong = {tag for tag, has in read(text).items() if has != (tag in tags)}
        assert len(wrong) == (2 if kind == "swapped" else 1)
        assert all((tag in tags) for tag in wrong) == (kind == "denied")
    mentioned = [tag for tag, _ in exclusion.claims]
    for i, one in enumerate(mentioned):
        assert not any(VOCABULARY.excludes(one, other) for other in mentioned[:i])


@settings(max_examples=300)
@given(tags=st.sets(st.sampled_from(VOCABULARY.names)), seed=st.integers(0, 10**6))
def test_claims_that_are_not_flipped_keep_their_words(tags, seed):
    """True and false texts are minimal pairs with the large lexicon, too."""
    absent = [name for name in VOCABULARY.names if name not in tags]
    exclusion = draw_exclusion(sorted(tags), absent, VOCABULARY, seed, MANY)
    for text in exclusion.false.values() if exclusion else ():
        false_claims = read(text)
        for tag, has in exclusion.claims:
            if false_claims[tag] == has:
                assert suffixes(tag, text) == suffixes(tag, exclusion.text)


def suffixes(tag, text):
    """Return the affirming suffixes of the tag in the text."""
    ends = [mention.end for mention in VOCABULARY.find(text) if mention.tag == tag]
    return {suffix for suffix in MANY.suffixes for end in ends if text.startswith(suffix, end)}


def test_more_cues_share_no_words_with_held_out_cues():
    words = {word for cue in HELD_OUT for word in re.findall(r"\w+", cue.name)} - {"of"}
    for cue in MORE_CUES:
        assert not words & set(re.findall(r"\w+", cue.name))


@pytest.mark.parametrize(("tags", "absent"), [((), ("drums",)), (("drums",), ()), ((), ())])
def test_no_exclusion_without_present_and_absent_tags(tags, absent):
    assert draw_exclusion(tags, absent, VOCABULARY, 0) is None
