"""An index finds what a naive search finds, and follows changes of its folder."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile as sf

import negclap
from negclap.audio import read_excerpt
from negclap.cli import main
from negclap.errors import InputError
from negclap.search import Hit, Index
from negclap.search.embed import Windowing
from negclap.search.query import NOT_WEIGHT
from tests.music import RATE, WINDOW_S, tone

UNEVEN = """
class Uneven(Pitch):
    def encode_audio(self, waveforms):
        return super().encode_audio(waveforms) * np.arange(8)
"""


def naive(index, vector):
    """Score every track by its best window, each read and embedded on its own."""
    best = []
    for path in index.store.stamps().keys() - index.store.problems().keys():
        duration_s = sf.info(os.fsencode(index.root / path)).duration
        for start in index.windowing.starts(duration_s):
            seconds = min(WINDOW_S, duration_s)
            try:
                excerpt = read_excerpt(index.root / path, start, seconds, RATE)
            except InputError:  # silent
                continue
            embedded = index.model.encode_audio(np.resize(excerpt, round(WINDOW_S * RATE))[None])[0]
            best.append((float(embedded @ vector), path, float(start)))
    best.sort(reverse=True)
    seen = set()
    return [one for one in best if not (one[1] in seen or seen.add(one[1]))]


@pytest.mark.parametrize("text", ["6", "1 and 4", "nothing"])
def test_search_agrees_with_a_naive_search(index, text):
    vector = index.model.encode_text([text])[0]
    expected = naive(index, vector)
    hits = index.search(text, top=50, every_file=True)
    assert len(hits) == len(expected) == 11
    np.testing.assert_allclose([hit.score for hit in hits], [one[0] for one in expected], atol=1e-5)
    scores = {path: (score, start) for score, path, start in expected}
    for hit in hits:
        assert hit.score == pytest.approx(scores[hit.path][0], abs=1e-5)
    few = [hit.score for hit in index.search(text, top=3, every_file=True)]
    np.testing.assert_allclose(few, [hit.score for hit in hits[:3]], atol=1e-6)


def test_a_hit_gives_the_best_window_of_a_long_track(index):
    (hit,) = [
        hit for hit in index.search("6", top=3, every_file=True) if hit.path == "three parts.flac"
    ]
    assert (hit.start_s, hit.end_s - hit.start_s) in ((8.0, 2.0), (9.0, 2.0))
    assert hit.duration_s == 11.0
    assert index.search("6", top=1, every_file=True)[0].score > 0.99
    (hit,) = [
        hit for hit in index.search("1", top=3, every_file=True) if hit.path == "three parts.flac"
    ]
    assert hit.start_s in (0.0, 2.0)


def test_unusable_files_are_reported(index):
    problems = index.store.problems()
    assert sorted(problems) == ["broken.mp3", "silent.wav"]
    assert "cannot be read as audio" in problems["broken.mp3"]
    assert "silent" in problems["silent.wav"]


def test_windows_cover_a_track():
    windowing = Windowing(10.0, 10.0)
    assert windowing.starts(30.0).tolist() == [0, 10, 20]
    assert windowing.starts(37.0).tolist() == [0, 10, 20, 27]
    assert windowing.starts(33.0).tolist() == [0, 10, 20]  # less than half a window is uncovered
    assert windowing.starts(3.0).tolist() == [0]
    assert Windowing(10.0, 4.0).starts(20.0).tolist() == [0, 4, 8, 10]


def test_a_track_of_many_segments_is_joined(tmp_path, tone_model):
    """It has more windows than a segment, and more than a batch."""
    (tmp_path / "long").mkdir()
    bands = [i % 8 for i in range(90)]
    sf.write(tmp_path / "long" / "a.wav", np.concatenate([tone(b, 2.0) for b in bands]), RATE)
    index = Index.create(tmp_path / "index", tmp_path / "long", tone_model)
    index.update()
    ((_, starts, embeddings),) = index.store.tracks()
    assert starts.tolist() == [2.0 * i for i in range(90)]
    assert embeddings.argmax(axis=1).tolist() == bands


def test_an_excluded_name_lowers_scores_by_its_similarity(index):
    text, without = index.model.encode_text(["1 2", "2"])
    plain = {hit.path: hit.score for hit in index.search("1 2", top=50, every_file=True)}
    hits = index.search("1 2", top=50, without=["2"], every_file=True)
    expected = naive(index, text - NOT_WEIGHT * without)
    np.testing.assert_allclose([hit.score for hit in hits], [one[0] for one in expected], atol=1e-5)
    places = [hit.path for hit in hits]
    assert plain["album/band1.wav"] == pytest.approx(plain["album/band2.wav"], abs=0.01)
    assert places.index("album/band1.wav") < places.index("album/band2.wav")


def test_search_by_example_file(index, music):
    hits = index.search(like=[music / "album" / "band5.wav"], top=2)
    assert hits[0].path == "album/band5.wav"
    assert hits[0].score == pytest.approx(1.0, abs=1e-5)
    both = index.search("2", like=[music / "album" / "band5.wav"], top=3)
    assert {hit.path for hit in both} >= {"album/band5.wav", "album/band2.wav"}


def test_an_update_embeds_only_new_and_changed_files(index, music, monkeypatch):
    embedded = []
    encode = index.model.encode_audio
    monkeypatch.setattr(index.model, "encode_audio", lambda x: embedded.append(len(x)) or encode(x))
    before = index.store.generation
    update = index.update()
    assert (update.processed, update.unchanged, update.removed) == (0, 13, 0)
    assert len(update.problems) == 2
    assert embedded == []
    assert index.store.generation == before
    sf.write(music / "new.wav", tone(7, 2.0), RATE)
    sf.write(music / "album" / "band0.wav", tone(3, 2.5), RATE)
    (music / "short.ogg").unlink()
    (music / "broken.mp3").unlink()
    update = index.update()
    assert (update.processed, update.unchanged, update.removed) == (2, 10, 2)
    assert sum(embedded) == 2
    assert sorted(update.problems) == ["silent.wav"]
    found = {hit.path: hit.score for hit in index.search("3", top=50, every_file=True)}
    assert found["album/band0.wav"] > 0.99
    assert "short.ogg" not in found
    assert index.search("7", top=2, every_file=True)[1].score > 0.99


def test_an_index_loads_its_model_from_any_working_directory(index, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path / "music")
    again = Index(tmp_path / "index")
    assert again.search("5", top=1)[0].path == "album/band5.wav"


def test_another_audio_encoder_is_rejected_with_advice(index, tmp_path, music, tone_model, capsys):
    other = tone_model.replace(":Pitch", ":Uneven")
    file = tmp_path / "adapter.py"
    file.write_text(file.read_text() + UNEVEN)
    expected = (
        r"built with the model .*adapter\.py:Pitch, and the audio encoder of this one differs"
    )
    with pytest.raises(InputError, match=expected):
        Index(tmp_path / "index", negclap.load(other))
    arguments = ["index", str(music), "--out", str(tmp_path / "index"), "--model", other]
    assert main(arguments) == 2
    assert f"negclap index {music} --out NEW --model MODEL" in capsys.readouterr().err
    file.write_text(file.read_text().replace("rfft(waveforms", "rfft(waveforms[:, ::2]"))
    with pytest.raises(InputError, match="built with the model"):
        Index(tmp_path / "index")  # as if it was retrained


def test_an_index_of_another_folder_or_hop_is_not_overwritten(index, tmp_path, tone_model):
    (tmp_path / "other").mkdir()
    with pytest.raises(InputError, match=r"music folder of this index is .*music, not .*other"):
        Index.create(tmp_path / "index", tmp_path / "other", tone_model)
    with pytest.raises(InputError, match=r"hop in seconds of this index is 2\.0, not 1\.0"):
        Index.create(tmp_path / "index", tmp_path / "music", tone_model, 1.0)


def test_a_missing_folder_removes_no_tracks(index, music, tmp_path):
    music.rename(tmp_path / "unplugged")
    with pytest.raises(InputError, match="no such folder"):
        index.update()
    assert len(index.search("3", top=50, every_file=True)) == 11


def test_an_empty_mount_point_removes_no_tracks(index, music, tmp_path):
    music.rename(tmp_path / "unplugged")
    music.mkdir()
    with pytest.raises(InputError, match="nothing was removed"):
        index.update()
    assert len(index.search("3", top=50, every_file=True)) == 11


def test_an_index_may_be_in_the_music_folder_or_above_it(music, tone_model):
    for out in (music, music.parent):
        assert Index.create(out, music, tone_model).update().processed == 13
        again = Index(out).update()
        assert (again.unchanged, again.removed, again.processed) == (13, 0, 0)


def test_the_matrix_of_another_process_is_kept(index, music, tmp_path):
    earlier = Index(index.folder)
    index.update(approximate=True)
    (music / "new.wav").write_bytes(next(music.rglob("*.wav")).read_bytes())
    index.update()
    (newest,) = (path.name for path in (index.folder / "vectors").iterdir())
    assert newest.endswith("-near")
    earlier.search("3")
    assert [path.name for path in (index.folder / "vectors").iterdir()] == [newest]


def test_an_abandoned_matrix_is_removed_after_a_day(index, music):
    old, young = (index.folder / "vectors" / name for name in (".old", ".young"))
    for folder in (old, young):
        folder.mkdir()
    os.utime(old, (0, 0))
    index.update(approximate=True)
    assert (old.exists(), young.exists()) == (False, True)


def test_top_is_at_least_one(index):
    with pytest.raises(InputError, match="top is 0"):
        index.search("3", top=0, every_file=True)


def test_an_index_of_an_empty_folder_finds_nothing(tmp_path, tone_model):
    (tmp_path / "empty").mkdir()
    index = Index.create(tmp_path / "index", tmp_path / "empty", tone_model)
    index.update(approximate=True)
    assert index.search("3", every_file=True) == []


def test_commands_index_and_search_a_folder_and_write_a_playlist(
    tmp_path, music, tone_model, capsys
):
    out = tmp_path / "index"
    assert main(["index", str(music), "--out", str(out), "--model", tone_model, "--jobs", "3"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "11 tracks" in printed
    assert "2 files are not in the index" in printed
    playlist = tmp_path / "found.m3u"
    arguments = ["search", str(out), "2", "--top", "2", "--json", "--m3u", str(playlist)]
    assert main(arguments) == 0
    hits = json.loads(capsys.readouterr().out)
    assert [hit["rank"] for hit in hits] == [1, 2]
    assert {hits[0]["path"], *hits[0]["copies"]} == {"album/band2.wav", os.fsdecode(b"caf\xe9.wav")}
    lines = playlist.read_bytes().splitlines()
    assert lines[0] == b"#EXTM3U"
    assert lines[1].startswith(b"#EXTINF:3,")
    assert all(os.path.exists(line) for line in lines[3::3])  # noqa: PTH110  # a path as bytes
    assert main(["search", str(out), "high", "--not", "2", "--like", str(music / "short.ogg")]) == 0
    assert "short.ogg" in capsys.readouterr().out


def test_a_playlist_leaves_out_names_that_it_cannot_contain(tmp_path, tone_model, capsys):
    music, out = tmp_path / "music", tmp_path / "index"
    music.mkdir()
    for pitch, name in enumerate(("good.wav", "two\nlines.wav", os.fsdecode(b"caf\xe9.wav"))):
        sf.write(os.fsencode(music / name), tone(pitch, 3.0), RATE)
    assert main(["index", str(music), "--out", str(out), "--model", tone_model]) == 0
    for suffix, count in ((".m3u", 2), (".m3u8", 1)):
        playlist = tmp_path / f"found{suffix}"
        capsys.readouterr()
        assert main(["search", str(out), "1", "--m3u", str(playlist)]) == 0
        assert playlist.read_bytes().count(b"#EXTINF") == count
        told = capsys.readouterr().err
        assert "lines.wav' (the name has a line break)" in told
        assert ("(the name is not UTF-8" in told) == (suffix == ".m3u8")
        assert len(told.splitlines()) == 3 - count
    assert main(["search", str(out), "1", "--m3u", str(tmp_path / "no" / "x.m3u")]) == 2
    assert "x.m3u: No such file or directory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to search for"),
        ([" "], "the text ' ' is empty"),
        (["x", "--not", ""], "the text '' is empty"),
        (["\udcff"], "is not valid UTF-8"),
        (["x", "--like", "nothing.wav"], "nothing.wav"),
        (["x", "--model", "nothing.py:M"], "nothing.py: no such file"),
    ],
)
def test_user_errors_of_a_search_are_one_line(index, tmp_path, capsys, arguments, message):
    assert main(["search", str(tmp_path / "index"), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_missing_or_damaged_index_is_one_line(tmp_path, capsys):
    assert main(["search", str(tmp_path), "x"]) == 2
    assert "not an index; create one with negclap index" in capsys.readouterr().err
    (tmp_path / "index.sqlite").write_bytes(b"not a database, but long enough to look like one" * 9)
    assert main(["search", str(tmp_path), "x"]) == 2
    assert "not a database" in capsys.readouterr().err


def test_searching_imports_neither_lightning_nor_transformers(tiny_run, chorales, tmp_path):
    """They would add a second to every search."""
    index = Index.create(tmp_path / "index", chorales / "audio", str(tiny_run))
    index.update()
    code = (
        "import sys; from negclap.cli import main; "
        f"main(['search', {str(tmp_path / 'index')!r}, 'piano without drums', '--json']); "
        "print(sorted({'lightning', 'transformers', 'faiss'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    hits, _, loaded = done.stdout.strip().rpartition("\n")
    assert loaded == "[]"
    assert len(json.loads(hits)) == 10
    expected = index.search("piano without drums", every_file=True)
    assert isinstance(expected[0], Hit)
    assert [hit["path"] for hit in json.loads(hits)] == [hit.path for hit in expected]


def test_unusual_file_names_are_taken_literally(tmp_path, tone_model, capsys):
    """Names that look like locations, commands or markup, or are not UTF-8."""
    music = tmp_path / os.fsdecode(b"m\xff")
    music.mkdir()
    names = [
        "Prelude #1+2.wav",
        "pipe:touch x.wav",
        "a:smile: [red]b.wav",
        os.fsdecode(b"\xe9.wav"),
    ]
    for name in names:
        pitch = 2 * names.index(name)
        sf.write(os.fsencode(music / name), tone(pitch, 2.0), RATE, format="WAV")
    (music / os.fsdecode(b"b\xff.wav")).write_bytes(b"no music")
    out = tmp_path / os.fsdecode(b"i\xff")
    given = ["index", str(music), "--out", str(out), "--model", tone_model, "--approximate"]
    assert main(given) == 0
    assert "4 tracks" in capsys.readouterr().out
    assert main(["search", str(out), "3", "--json"]) == 0
    assert sorted(hit["path"] for hit in json.loads(capsys.readouterr().out)) == sorted(names)
    index = Index(out)
    assert list(index.store.problems()) == [os.fsdecode(b"b\xff.wav")]
    embedding = index.model.encode_audio([music / names[1]])  # a file, not a command
    assert embedding.shape == (1, 8)
    with pytest.raises(InputError, match="pipe:touch was-here: "):
        index.model.encode_audio(["pipe:touch was-here"])


def test_an_index_in_the_music_folder_does_not_index_itself(tmp_path, music, tone_model):
    for _ in range(2):
        index = Index.create(music / "index", music, tone_model)
        update = index.update(approximate=True)
    assert sorted(update.problems) == ["broken.mp3", "silent.wav"]
    assert index.store.counts()[0] == 11


def test_a_broken_link_is_reported(index, music):
    (music / "gone.wav").symlink_to("nowhere.wav")
    update = index.update()
    assert "gone.wav" in update.problems
    assert update.unchanged == 13


def test_a_file_of_unknown_length_is_indexed(index, music):
    data = bytearray((music / "three parts.flac").read_bytes())
    at = data.index(b"fLaC") + 8 + 13  # the 36 bits before the checksum: number of samples
    data[at] &= 0xF0
    data[at + 1 : at + 5] = bytes(4)
    (music / "stream.flac").write_bytes(data)
    update = index.update()
    assert "stream.flac" not in update.problems
    lengths = {hit.path: hit.duration_s for hit in index.search("3", top=50, every_file=True)}
    assert lengths["stream.flac"] == lengths["three parts.flac"] == 11.0


def test_nan_embeddings_of_texts_and_files_are_rejected(index, music, tmp_path):
    file = tmp_path / "adapter.py"
    text = file.read_text()
    for kind in ("text", "audio"):
        text += (f"\nclass {kind.title()}(Pitch):\n    def encode_{kind}(self, inputs):\n"
                 f"        return super().encode_{kind}(inputs) * float('nan')\n")  # fmt: skip
    file.write_text(text)
    with pytest.raises(InputError, match="returns NaN or infinite embeddings of the query"):
        Index(index.folder, negclap.load(f"{file}:Text")).search("3")
    with pytest.raises(InputError, match="returns NaN or infinite embeddings of audio"):
        Index.create(tmp_path / "nan", music, f"{file}:Audio")
    assert not (tmp_path / "nan").exists()
    sf.write(music / "huge.wav", tone(1, 2.0) * 1e30, RATE, subtype="FLOAT")
    update = index.update()
    assert "NaN or infinite" in update.problems["huge.wav"]


def test_a_moved_model_is_reported_and_its_new_location_stored(index, music, tmp_path, capsys):
    (tmp_path / "adapter.py").rename(tmp_path / "moved.py")
    assert main(["search", str(tmp_path / "index"), "3"]) == 2
    assert "if it was moved, give its new location" in capsys.readouterr().err
    moved = f"{tmp_path / 'moved.py'}:Pitch"
    assert main(["search", str(tmp_path / "index"), "3", "--model", moved]) == 0
    Index.create(tmp_path / "index", f"{music}/album/..", moved).update()
    assert Index(tmp_path / "index").source == moved


def test_track_numbers_are_never_reused(index, music):
    numbers = {hit.track for hit in index.search("3", top=50, every_file=True)}
    last = max(index.search("3", top=50, every_file=True), key=lambda hit: hit.track)
    (music / last.path).unlink()
    index.update()
    sf.write(music / "new.wav", tone(3, 2.0), RATE)
    index.update()
    (new,) = [hit for hit in index.search("3", top=50, every_file=True) if hit.path == "new.wav"]
    assert new.track not in numbers


@pytest.mark.parametrize("hop", [0.0, 1e-9, float("nan"), float("inf")])
def test_an_invalid_hop_is_rejected(tmp_path, music, tone_model, hop):
    with pytest.raises(InputError, match="expected at least"):
        Index.create(tmp_path / "index", music, tone_model, hop)
    assert not (tmp_path / "index").exists()
