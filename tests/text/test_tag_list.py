import pytest

from negclap.text.tag_list import TagList, everyday_terms, read_tag_list, surface
from negclap.text.vocabulary import Tag, Vocabulary

LIST = {
    "vocal": 5, "femaleVocal": 3, "female vocalists": 7, "noVocals": 2, "no voice": 1,
    "guitar": 9, "guitars": 1, "electric guitar": 4, "electricguitar": 2, "drums": 3,
    "hip-hop": 2, "hip hop": 6, "hiphop": 1, "rnb": 2, "drum and bass": 2, "bass": 3,
    "no wave": 1, "free jazz": 2, "free improvisation": 1, "jazz": 8, "new wave": 2,
    "blues": 2, "calm": 2, "post punk": 2, "punk": 3, "10s": 1, "no other instruments": 4,
    "no melody": 1, "dance": 3, "???": 1, "barely audible bass": 1, "synthpop": 1, "synth pop": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def tags() -> TagList:
    return read_tag_list(LIST)


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("vocal", "vocals"),
        ("femaleVocal", "female vocals"),
        ("female vocalists", "female vocals"),
        ("guitars", "guitar"),
        ("electricguitar", "electric guitar"),
        ("hip-hop", "hip hop"),
        ("hiphop", "hip hop"),
        ("rnb", "r&b"),
        ("no wave", "no wave"),
        ("free jazz", "free jazz"),
        ("free improvisation", "free improvisation"),
        ("synthpop", "synth pop"),
        ("blues", "blues"),
        ("10s", "10s"),
    ],
)
def test_spelling_variants_are_merged_and_genres_are_not_negations(tags, raw, name):
    assert tags.present[raw] == name


def test_negated_tags_become_the_absence_of_a_tag(tags):
    assert tags.denied == {"noVocals": "vocals", "no voice": "vocals"}
    assert tags.left_out == {
        "no other instruments": "negation, but not of a tag",
        "no melody": "negation, but not of a tag",
        "barely audible bass": "negation, but not of a tag",
        "???": "no word",
    }


def test_a_tag_that_contains_a_denial_is_present_and_denies():
    tags = read_tag_list({"instrumental": 3, "male vocals": 2, "drumless": 1, "drums": 1})
    assert tags.present["instrumental"] == "instrumental"
    assert tags.denied == {"instrumental": "vocals", "drumless": "drums"}
    assert tags.read(["instrumental", "drumless"]) == (("instrumental",), ("vocals", "drums"), ())
    assert tags.read(["instrumental", "male vocals"]) == (
        ("instrumental", "male vocals"),
        (),
        ("vocals",),
    )


def test_broader_tags_come_from_last_words_and_the_table(tags):
    vocabulary = tags.vocabulary
    assert vocabulary["electric guitar"].broader == ("guitar",)
    assert vocabulary["female vocals"].broader == ("vocals",)
    assert "bass" not in vocabulary["drum and bass"].broader
    assert "jazz" in vocabulary["free improvisation"].broader
    assert vocabulary["post punk"].broader == ("punk",)
    assert vocabulary["no wave"].broader == ("punk",)
    assert vocabulary.ancestors("free jazz") == {"jazz"}


def test_find_handles_plurals_hyphens_and_aliases(tags):
    caption = "Hip-hop with female vocals, a singer, drum fills, guitars and R&B; no wave, synthpop"
    assert [mention.tag for mention in tags.vocabulary.find(caption)] == [
        *("hip hop", "female vocals", "vocals", "drums", "guitar", "r&b", "no wave", "synth pop"),
    ]


def test_parts_of_speech_and_categories(tags):
    kinds = {t.name: (t.part_of_speech, t.category) for t in tags.vocabulary.tags}
    assert kinds["calm"] == ("adjective", "mood")
    assert kinds["guitar"] == ("noun", "instrument")
    assert kinds["female vocals"] == ("noun", "vocals")
    assert kinds["no wave"] == ("noun", "genre")
    assert kinds["10s"][1] == "era"


def test_read_resolves_contradictions(tags):
    canonical = tags.read(["guitar", "guitars", "no voice", "calm", "unknown"])
    assert canonical == (("guitar", "calm"), ("vocals",), ())
    assert tags.read(["femaleVocal", "noVocals"]) == (("female vocals",), (), ("vocals",))


def test_rare_tags_are_left_out_and_negated_tags_are_added():
    tags = read_tag_list({"no drums": 1, "piano": 3, "harp": 1}, min_count=2)
    assert set(tags.vocabulary.names) == {"piano", "drums"}
    assert tags.denied == {"no drums": "drums"}
    assert tags.left_out == {"harp": "on fewer than 2 tracks"}


def test_raw_tags_are_mapped_to_an_existing_vocabulary():
    own = Vocabulary((Tag("voice", aliases=("vocals",)), Tag("drums")))
    tags = TagList.of(own, ["Vocals", "no drums", "drum kit", "no rain"])
    assert tags.present == {"Vocals": "voice"}
    assert tags.denied == {"no drums": "drums"}
    assert set(tags.left_out) == {"drum kit", "no rain"}


def test_everyday_terms_include_instruments_voices_and_genres():
    found = [m.tag for m in everyday_terms().find("a jazz piano, female vocals and violins")]
    assert found == ["jazz", "piano", "female vocals", "violin"]


def test_surface_splits_camel_case_and_underscores():
    assert [surface(t) for t in ("noVocals", "newAge", "lo_fi", "IDM", " Big  Band ")] == [
        *("no vocals", "new age", "lo fi", "idm", "big band"),
    ]
