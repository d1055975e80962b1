import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from negclap.errors import InputError
from negclap.text.cues import CUES, INLINE_CUES, TRAINING_CUES
from negclap.text.negate import (
    insert_negation,
    insertion_places,
    is_negated,
    negated_mentions,
    negation_levels,
    read_part,
)
from negclap.text.vocabulary import Tag, Vocabulary

VOCABULARY = Vocabulary(
    (
        Tag("piano"),
        Tag("drums", aliases=("drum",)),
        Tag("guitar"),
        Tag("electric guitar", broader=("guitar",)),
        Tag("vocals"),
        Tag("no wave"),
        Tag("slow", part_of_speech="adjective"),
    )
)
TAG_WORDS = ["slow", "piano", "drum", "guitar", "electric guitar", "VOCALS", "no wave"]
OTHER_WORDS = ["with", "for", "no", "and", "or", "music", "a", "not only", "rock."]
UNICODE_WORDS = ["straße", "naïve", "cafe\u0301"]
WORDS = TAG_WORDS + OTHER_WORDS + UNICODE_WORDS
captions = st.one_of(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=14).flatmap(
        lambda words: st.sampled_from([" ", ", ", ". ", " - ", "; "]).map(
            lambda gap: gap.join(words)
        )
    ),
    st.text(min_size=1, max_size=60).filter(lambda text: bool(text.strip())),
)
tag_sets = st.sets(st.sampled_from(VOCABULARY.names))


def without(text, spans):
    for start, end in sorted(spans, reverse=True):
        text = text[:start] + text[end:]
    return text


@given(captions, st.integers(), tag_sets)
@settings(max_examples=300)
def test_insertion_adds_only_a_phrase_with_an_unrelated_tag(caption, seed, tags):
    result = insert_negation(caption, VOCABULARY, seed, p=1.0, absent_from="tags", tags=tags)
    if result.tag is None:
        assert result.text == caption
        return
    assert without(result.text, [result.span]) == caption
    present = {mention.tag for mention in VOCABULARY.find(caption)} | tags
    assert VOCABULARY.related(result.tag).isdisjoint(present)
    inserted = result.text[slice(*result.span)].casefold()
    cue = next(cue for cue in CUES if cue.name == result.cue)
    assert cue.seen
    assert cue.phrase(result.tag) in inserted
    assert result == insert_negation(
        caption, VOCABULARY, seed, p=1.0, absent_from="tags", tags=tags
    )


@given(captions, st.integers())
def test_insertion_places_are_never_inside_a_word_or_tag(caption, seed):
    mentions = VOCABULARY.find(caption)
    for _, at in insertion_places(caption, mentions):
        assert not any(mention.start < at < mention.end for mention in mentions)
        assert (
            at == 0
            or at == len(caption)
            or not (caption[at - 1].isalnum() and caption[at].isalnum())
        )


@given(captions, st.integers())
@settings(max_examples=300)
def test_levels_are_nested_and_only_add_cues(caption, seed):
    levels = negation_levels(caption, VOCABULARY, seed)
    mentions = VOCABULARY.find(caption)
    denied = negated_mentions(caption, mentions)
    affirmed = {m.tag for m, negated in zip(mentions, denied, strict=True) if not negated}
    assert (levels.fully is None) == (not affirmed)
    assert (levels.half is None) == (len(affirmed) < 2)
    for level in (levels.half, levels.fully):
        if level:
            assert without(level.text, level.spans) == caption
    if levels.half and levels.fully:
        assert set(levels.half.tags) <= set(levels.fully.tags) == affirmed
        assert len(levels.half.tags) == (len(affirmed) + 1) // 2
        half_cues = [levels.half.text[a:b] for a, b in levels.half.spans]
        fully_cues = [levels.fully.text[a:b] for a, b in levels.fully.spans]
        assert set(half_cues) <= set(fully_cues)
    assert levels == negation_levels(caption, VOCABULARY, seed)


@given(captions, st.integers())
def test_all_tags_of_a_fully_negated_caption_are_detected_as_negated(caption, seed):
    fully = negation_levels(caption, VOCABULARY, seed).fully
    if fully is None or "no wave" in caption or "only" in caption:
        return  # a cue before "wave" would be detected as the genre
    mentions = VOCABULARY.find(fully.text)
    assert all(negated_mentions(fully.text, mentions))


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("piano with no drums, guitar or vocals", [False, True, True, True]),
        ("the song does not have any vocals", [True]),
        ("no audible drums", [True]),
        ("piano instead of guitar", [False, True]),
        ("no added drums", [True]),
        ("without any string guitar", [True]),
        ("vocals off-key", [False]),
        ("barely audible drums", [False]),
        ("not only drums", [False]),
    ],
)
def test_negated_mentions_in_human_written_captions(caption, expected):
    assert negated_mentions(caption, VOCABULARY.find(caption)) == expected


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("no drums", [True]),
        ("without any drums", [True]),
        ("no drums or vocals", [True, True]),
        ("no drums, nor vocals", [True, True]),
        ("no drums and vocals", [True, False]),
        ("there is no piano", [True]),
        ("devoid of piano", [True]),
        ("not only piano", [False]),
        ("no wave", [False]),
        ("piano", [False]),
        ("casino piano", [False]),
        ("drum-less piano", [True, False]),
        ("piano missing drums", [False, True]),
        ("piano missing, drums", [True, False]),
    ],
)
def test_is_negated_by_a_cue(caption, expected):
    mentions = VOCABULARY.find(caption)
    assert [is_negated(caption, mentions, i) for i in range(len(mentions))] == expected


def test_levels_skip_negated_mentions():
    levels = negation_levels("piano, no drums", VOCABULARY, 0)
    assert levels.half is None
    assert levels.fully
    assert levels.fully.tags == ("piano",)


def test_all_mentions_of_a_tag_are_negated():
    fully = negation_levels("piano and more piano", VOCABULARY, 0).fully
    assert fully
    assert len(fully.spans) == 2


def test_multi_word_tags_are_negated_as_a_whole():
    fully = negation_levels("an electric guitar", VOCABULARY, 0).fully
    assert fully
    assert fully.text.startswith("an ")
    assert fully.text.endswith(" electric guitar")


@pytest.mark.parametrize("seed", range(20))
def test_adjectives_take_only_cues_for_adjectives(seed):
    fully = negation_levels("a slow song", VOCABULARY, seed).fully
    assert fully
    assert fully.text == "a not slow song"


def test_cues_are_either_seen_or_held_out():
    seen = {cue.name for cue in TRAINING_CUES["noun"]}
    assert seen == {"no", "not", "without", "lacking", "there is no"}
    assert {cue.name for cue in INLINE_CUES["noun"]} == seen - {"there is no"}
    assert {cue.name for cue in CUES} - seen == {"free of", "minus", "devoid of", "-less", "sans"}


def test_only_known_absent_tags_are_drawn():
    drawn = {
        insert_negation(
            "piano",
            VOCABULARY,
            seed,
            p=1.0,
            absent_from="absent_tags",
            absent_tags=["drums", "piano"],
        ).tag
        for seed in range(30)
    }
    assert drawn == {"drums"}


def test_a_tag_contained_in_a_mention_is_never_drawn():
    vocabulary = Vocabulary((Tag("rock"), Tag("alternative rock"), Tag("jazz")))
    drawn = {insert_negation("alternative rock", vocabulary, seed, p=1.0).tag for seed in range(30)}
    assert drawn == {"jazz"}


def test_caption_is_unchanged_if_no_tag_is_left_to_draw():
    vocabulary = Vocabulary((Tag("piano"),))
    assert insert_negation("piano", vocabulary, 0, p=1.0).text == "piano"


def test_p_is_the_share_of_insertions():
    inserted = [insert_negation("piano", VOCABULARY, seed, p=0.6).tag for seed in range(3000)]
    share = sum(tag is not None for tag in inserted) / 3000
    assert abs(share - 0.6) < 0.03


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_p_out_of_range_is_rejected(p):
    with pytest.raises(InputError, match="p is"):
        insert_negation("piano", VOCABULARY, 0, p=p)


@pytest.mark.parametrize("caption", ["", "  \n"])
def test_captions_without_words_are_rejected(caption):
    with pytest.raises(InputError, match="no words"):
        insert_negation(caption, VOCABULARY, 0, p=1.0)
    with pytest.raises(InputError, match="no words"):
        negation_levels(caption, VOCABULARY, 0)


def test_unknown_absent_tags_are_rejected():
    with pytest.raises(InputError, match="unknown"):
        insert_negation("piano", VOCABULARY, 0, p=1.0, absent_from="absent_tags")


def test_inserted_phrases_read_naturally():
    caption = "A slow piece for piano. It has drums."
    texts = {insert_negation(caption, VOCABULARY, seed, p=1.0, absent_from="absent_tags",
                             absent_tags=["vocals"]).text for seed in range(200)}  # fmt: skip
    assert "A slow piece for piano. It has drums, no vocals." in texts
    assert "A slow piece for piano. Without vocals. It has drums." in texts
    assert "A slow piece lacking vocals for piano. It has drums." in texts
    assert "there is no vocals, A slow piece for piano. It has drums." in texts


@pytest.mark.parametrize("limit", [20, 31, 40, 200])
def test_phrases_are_inserted_where_they_are_read(limit):
    caption = "Soft piano, in a room with strings, that plays on and on, with a cello at the end."

    def unread(text):
        return text[limit:]

    free, bound = (
        [insert_negation(caption, VOCABULARY, seed, p=1.0, unread=way) for seed in range(40)]
        for way in (None, unread)
    )
    for one, other in zip(free, bound, strict=True):
        assert other.tag is None or other.span[1] <= limit
        if one.span[1] <= limit:
            assert one == other  # the draws are the same where nothing is cut
        elif other.tag:
            assert (other.tag, other.cue) == (one.tag, one.cue)
    assert sum(one.tag is not None for one in bound) > (35 if limit > 20 else 20)


def test_what_is_read_of_a_caption_ends_with_a_word():
    def first(n):
        return lambda text: text[n:]

    caption = "soft piano and drums"
    assert read_part(caption, first(99)) == caption
    assert read_part(caption, first(10)) == "soft piano"
    assert read_part(caption, first(12)) == "soft piano"
    assert read_part(caption, first(2)) == "so"
