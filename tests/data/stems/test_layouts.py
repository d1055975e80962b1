import pytest

from negclap.data.stems.layouts import LAYOUTS, FoundSong
from negclap.data.stems.names import ABBREVIATIONS, StemNames
from negclap.data.stems.songs import Contents
from negclap.errors import InputError
from tests.data.stems import sets


def read(layout, root, **mapping):
    found = list(LAYOUTS[layout](root, StemNames(**mapping)))
    songs = [one for one in found if isinstance(one, FoundSong)]
    return songs, [one for one in found if not isinstance(one, FoundSong)]


def contents(song):
    return {stem.name: stem.contents for stem in song.stems}


def test_folders_are_songs_of_artists(tmp_path):
    songs, rejected = read("folder", sets.folder(tmp_path))
    assert [song.song_id for song in songs[:3]] == ["a/one", "a/two", "b/one"]
    assert [song.group for song in songs[:3]] == ["a", "a", "b"]
    assert contents(songs[0]) == {
        "BGVOX 1": Contents(("backing vocals",)),
        "BS": Contents(("bass",)),
        "GTR-L": Contents(("guitar",)),
        "KICK": Contents(("drums",)),
        "VOX": Contents(("vocals",)),
    }
    assert not rejected


def test_musdb_hides_what_is_in_other(tmp_path):
    songs, rejected = read("musdb", sets.musdb(tmp_path))
    assert [(s.song_id, s.group, s.split) for s in songs] == [
        ("train/A - One", "A", "train"),
        ("train/B - Two", "B", "train"),
        ("test/C - Three", "C", "test"),
    ]
    assert contents(songs[0])["other"] == Contents((), ("*",), ("drums", "bass", "vocals"))
    assert contents(songs[0])["vocals"] == Contents(("vocals",))
    assert not rejected


def test_a_missing_stem_of_musdb_is_named(tmp_path):
    missing = sets.musdb(tmp_path) / "test" / "C - Three" / "bass.wav"
    missing.unlink()
    songs, rejected = read("musdb", tmp_path)
    assert {*contents(songs[2])} == {"drums", "other", "vocals"}
    assert [(one.place, one.reason) for one in rejected] == [(str(missing), "no stem")]


def test_streams_of_musdb_files_are_stems(tmp_path):
    path = tmp_path / "train" / "A - One.stem.mp4"
    path.parent.mkdir()
    path.touch()
    (song,), _ = read("musdb", tmp_path)
    assert [(stem.name, stem.stream) for stem in song.stems] == [
        ("drums", 1), ("bass", 2), ("other", 3), ("vocals", 4),
    ]  # fmt: skip


@pytest.mark.parametrize(("bleeds", "hides"), [("no", ()), ("yes", ("*",))])
def test_medleydb_stems_with_bleed_may_contain_anything(tmp_path, bleeds, hides):
    (song,), rejected = read("medleydb", sets.medleydb(tmp_path, bleeds))
    assert (song.song_id, song.group) == ("Band_Song", "Band")
    tags = [stem.contents for stem in song.stems]
    assert tags == [
        Contents((tag,), hides) for tag in ("female vocals", "drums", "distorted guitar")
    ]
    assert not rejected


def test_medleydb_metadata_that_contradict_the_files_are_named(tmp_path):
    root = sets.medleydb(tmp_path)
    folder = root / "Audio" / "Band_Song" / "Band_Song_STEMS"
    (folder / "Band_Song_STEM_01.wav").rename(folder / "Band_Song_STEM_09.wav")
    (song,), rejected = read("medleydb", root)
    assert len(song.stems) == 2
    assert [(one.place, one.reason) for one in rejected] == [
        (str(folder / "Band_Song_STEM_01.wav"), "no stem"),
        (str(folder / "Band_Song_STEM_09.wav"), "unknown stem"),
    ]


def test_moisesdb(tmp_path):
    (song,), rejected = read("moisesdb", sets.moisesdb(tmp_path))
    assert (song.song_id, song.group) == ("0a1b", "Singer")
    assert [*contents(song).values()] == [
        Contents(("male vocals",)),
        Contents(("acoustic guitar",), ("*",)),
    ]
    assert not rejected


def test_slakh_uses_the_rendered_stems(tmp_path):
    (song,), rejected = read("slakh", sets.slakh(tmp_path))
    assert (song.song_id, song.split) == ("Track00001", "validation")
    assert contents(song) == {
        "S00": Contents(("drums",)),
        "S01": Contents(("electric guitar",)),
    }
    assert not rejected


def test_frets_on_fire_hides_what_has_no_file(tmp_path):
    root = sets.fretsonfire(tmp_path)
    (song,), _ = read("fretsonfire", root)
    assert song.group == "Y"
    assert contents(song) == {
        "guitar": Contents(("guitar",)),
        "rhythm": Contents((), ("bass", "guitar")),
        "song": Contents((), ("*",)),
    }
    (song,), _ = read("fretsonfire", root, stems={"guitar": ("distorted guitar",)})
    assert contents(song)["guitar"] == Contents(("distorted guitar",))


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ("folder", "no audio, expected SONG/STEM.wav"),
        ("musdb", "no folders train and test"),
        ("medleydb", "expected MedleyDB's metadata"),
        ("moisesdb", "expected MoisesDB's metadata"),
        ("slakh", "expected Slakh2100's metadata"),
        ("fretsonfire", "expected songs of Frets on Fire"),
    ],
)
def test_a_folder_of_another_form_is_refused(tmp_path, layout, message):
    with pytest.raises(InputError, match=message):
        read(layout, tmp_path)


@pytest.mark.parametrize(
    ("layout", "name", "text"),
    [
        ("medleydb", "X_METADATA.yaml", "artist: [1"),
        ("medleydb", "X_METADATA.yaml", "artist: Band"),
        ("moisesdb", "song/data.json", "{"),
        ("moisesdb", "song/data.json", '{"artist": "x"}'),
        ("slakh", "Track01/metadata.yaml", "stems: 3"),
        ("fretsonfire", "song/song.ini", "no section"),
    ],
)
def test_malformed_metadata_reject_the_song(tmp_path, layout, name, text):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    songs, rejected = read(layout, tmp_path)
    assert not songs
    assert [(one.place, one.reason) for one in rejected] == [(str(path), "malformed metadata")]


@pytest.mark.parametrize(
    ("name", "tags"),
    [
        ("02_BGVox", ("backing vocals",)),
        ("Lead Vocals", ("lead vocals",)),
        ("Kick In", ("drums",)),
        ("SY BASS", ("synth bass",)),
        ("synth lead 2", ("synth lead",)),
        ("Synth", ("synthesizer",)),
        ("Distorted Electric Guitar", ("distorted guitar",)),
        ("AcGtr2", ("acoustic guitar",)),
        ("OH_L", ("drums",)),
        ("Hi-Hat", ("drums",)),
        ("808", ("synth bass",)),
        ("Violin 1", ("violin",)),
        ("PAD INTRO", ("synth pad",)),
    ],
)
def test_usual_names(name, tags):
    assert StemNames().usual_tags(name) == tags


def test_abbreviations_name_tags_of_the_vocabulary():
    assert {*ABBREVIATIONS.values()} <= {*StemNames().vocabulary.names}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("TEXTURE", "no rule names the stem 'TEXTURE'"),
        ("PAD + BASS", "two rules fit the stem 'PAD + BASS': synth pad and bass"),
    ],
)
def test_unclear_names_are_rejected(tmp_path, name, message):
    with pytest.raises(InputError) as caught:
        StemNames().usual_tags(name)
    assert message in str(caught.value)
    file = sets.write(tmp_path / "song" / f"{name}.wav")
    _, rejected = read("folder", tmp_path)
    assert [(one.place, one.reason) for one in rejected] == [(str(file), "unknown stem")]


def test_a_mapping_names_stems_and_groups(tmp_path):
    sets.folder(tmp_path / "set")
    path = tmp_path / "map.yaml"
    path.write_text(
        "stems: {KICK: handclaps, GTR*: [piano, organ]}\n"
        "hides: {VOX: '*'}\ngroups: {'a/*': ab, 'b/*': ab}\n"
    )
    songs = list(LAYOUTS["folder"](tmp_path / "set", StemNames.read(path)))
    assert {song.group for song in songs} == {"ab", "c", "d"}
    assert contents(songs[0]) == {
        "BGVOX 1": Contents(("backing vocals",)),
        "BS": Contents(("bass",)),
        "GTR-L": Contents(("piano", "organ")),
        "KICK": Contents(("handclaps",)),
        "VOX": Contents(("vocals",), ("*",)),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stems: {KICK: kazoos}", "'KICK': 'kazoos' is no tag of the music vocabulary"),
        ("stem: {}", "not a mapping of stems"),
        ("stems: [", "not a mapping of stems"),
        ("- stems", "not a mapping of stems"),
    ],
)
def test_bad_mappings_are_named(tmp_path, text, message):
    path = tmp_path / "map.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        StemNames.read(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_two_rules_of_a_mapping_that_fit_one_name_are_named(tmp_path):
    sets.write(tmp_path / "song" / "FAT KICK.wav")
    rules = {"FAT*": ("drums",), "*KICK": ("percussion",)}
    _, (rejected,) = read("folder", tmp_path, stems=rules)
    assert rejected.detail == "two rules fit 'FAT KICK': 'FAT*' and '*KICK'"
