"""An index finds what a naive search finds, and follows its folder."""

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
from negclap.search.listen import Cut
from negclap.search.query import NOT_WEIGHT
from tests.music import RATE, WINDOW_S, tone


@pytest.fixture
def index(tmp_path, music, tone_model):
    made = Index.create(tmp_path / "index", music, tone_model)
    made.update()
    return made


def naive(index, vector):
    """Every track by its best window, read and embedded alone."""
    best = []
    for path in index.store.paths() - index.store.problems().keys():
        duration_s = sf.info(os.fsencode(index.root / path)).duration
        for start in index.cut.starts(duration_s):
            seconds = min(WINDOW_S, duration_s)
            try:
                heard = read_excerpt(index.root / path, start, seconds, RATE)
            except InputError:  # silent
                continue
            embedded = index.model.encode_audio(np.resize(heard, round(WINDOW_S * RATE))[None])[0]
            best.append((float(embedded @ vector), path, float(start)))
    best.sort(reverse=True)
    seen = set()
    return [one for one in best if not (one[1] in seen or seen.add(one[1]))]


@pytest.mark.parametrize("text", ["6", "1 and 4", "nothing"])
def test_search_is_what_a_naive_search_gives(index, text):
    vector = index.model.encode_text([text])[0]
    expected = naive(index, vector)
    hits = index.search(text, top=50)
    assert len(hits) == len(expected) == 11
    np.testing.assert_allclose([hit.score for hit in hits], [one[0] for one in expected], atol=1e-5)
    scores = {path: (score, start) for score, path, start in expected}
    for hit in hits:
        assert hit.score == pytest.approx(scores[hit.path][0], abs=1e-5)
    few = [hit.score for hit in index.search(text, top=3)]
    np.testing.assert_allclose(few, [hit.score for hit in hits[:3]], atol=1e-6)


def test_the_best_window_of_a_long_track_is_shown(index):
    (hit,) = [hit for hit in index.search("6", top=3) if hit.path == "three parts.flac"]
    assert (hit.start_s, hit.end_s - hit.start_s) in ((8.0, 2.0), (9.0, 2.0))
    assert hit.duration_s == 11.0
    assert index.search("6", top=1)[0].score > 0.99
    (hit,) = [hit for hit in index.search("1", top=3) if hit.path == "three parts.flac"]
    assert hit.start_s in (0.0, 2.0)


def test_what_cannot_be_heard_is_named(index):
    problems = index.store.problems()
    assert sorted(problems) == ["broken.mp3", "silent.wav"]
    assert "cannot be read as audio" in problems["broken.mp3"]
    assert "silent" in problems["silent.wav"]


def test_windows_cover_a_track():
    cut = Cut(10.0, 10.0)
    assert cut.starts(30.0).tolist() == [0, 10, 20]
    assert cut.starts(37.0).tolist() == [0, 10, 20, 27]
    assert cut.starts(33.0).tolist() == [0, 10, 20]  # less than half a window is left
    assert cut.starts(3.0).tolist() == [0]
    assert Cut(10.0, 4.0).starts(20.0).tolist() == [0, 4, 8, 10]


def test_pieces_of_a_long_track_are_one_track(tmp_path, tone_model):
    """More windows than are decoded at once, and more than are embedded at once."""
    (tmp_path / "long").mkdir()
    bands = [i % 8 for i in range(90)]
    sf.write(tmp_path / "long" / "a.wav", np.concatenate([tone(b, 2.0) for b in bands]), RATE)
    index = Index.create(tmp_path / "index", tmp_path / "long", tone_model)
    index.update()
    ((_, starts, embeddings),) = index.store.tracks()
    assert starts.tolist() == [2.0 * i for i in range(90)]
    assert embeddings.argmax(axis=1).tolist() == bands


def test_excluding_by_name_takes_off_its_similarity(index):
    text, without = index.model.encode_text(["1 2", "2"])
    plain = {hit.path: hit.score for hit in index.search("1 2", top=50)}
    hits = index.search("1 2", top=50, without=["2"])
    expected = naive(index, text - NOT_WEIGHT * without)
    np.testing.assert_allclose([hit.score for hit in hits], [one[0] for one in expected], atol=1e-5)
    places = [hit.path for hit in hits]
    assert plain["album/band1.wav"] == pytest.approx(plain["album/band2.wav"], abs=0.01)
    assert places.index("album/band1.wav") < places.index("album/band2.wav")


def test_like_a_file(index, music):
    hits = index.search(like=[music / "album" / "band5.wav"], top=2)
    assert hits[0].path == "album/band5.wav"
    assert hits[0].score == pytest.approx(1.0, abs=1e-5)
    both = index.search("2", like=[music / "album" / "band5.wav"], top=3)
    assert {hit.path for hit in both} >= {"album/band5.wav", "album/band2.wav"}


def test_an_update_hears_only_what_is_new_or_changed(index, music, monkeypatch):
    heard = []
    encode = index.model.encode_audio
    monkeypatch.setattr(index.model, "encode_audio", lambda x: heard.append(len(x)) or encode(x))
    before = index.store.generation
    update = index.update()
    assert (update.heard, update.kept, update.removed) == (2, 11, 0)  # what failed is tried again
    assert heard == []
    assert index.store.generation == before
    sf.write(music / "new.wav", tone(7, 2.0), RATE)
    sf.write(music / "album" / "band0.wav", tone(3, 2.5), RATE)
    (music / "short.ogg").unlink()
    (music / "broken.mp3").unlink()
    update = index.update()
    assert (update.heard, update.kept, update.removed) == (3, 9, 2)
    assert sum(heard) == 2
    assert sorted(update.problems) == ["silent.wav"]
    found = {hit.path: hit.score for hit in index.search("3", top=50)}
    assert found["album/band0.wav"] > 0.99
    assert "short.ogg" not in found
    assert index.search("7", top=2)[1].score > 0.99


def test_an_index_is_opened_again_with_its_model(index, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path / "music")
    again = Index(tmp_path / "index")
    assert again.search("5", top=1)[0].path == "album/band5.wav"


def test_another_model_is_refused_with_the_way_out(index, tmp_path, music, tone_model, capsys):
    other = tone_model.replace(":Pitch", ":Other")
    with pytest.raises(InputError, match=r"made by the model .*adapter\.py:Pitch, which this one"):
        Index(tmp_path / "index", negclap.load(other))
    arguments = ["index", str(music), "--out", str(tmp_path / "index"), "--model", other]
    assert main(arguments) == 2
    assert f"negclap index {music} --out NEW --model MODEL" in capsys.readouterr().err
    file = tmp_path / "adapter.py"
    file.write_text(file.read_text().replace("+ 1e-3", "+ np.arange(8)"))
    with pytest.raises(InputError, match="made by the model"):
        Index(tmp_path / "index")  # trained anew, as it were


def test_an_index_of_another_folder_is_not_overwritten(index, tmp_path, tone_model):
    (tmp_path / "other").mkdir()
    with pytest.raises(InputError, match=r"an index of music .*music, not .*other"):
        Index.create(tmp_path / "index", tmp_path / "other", tone_model)
    with pytest.raises(InputError, match=r"windows every 2\.0, not 1\.0"):
        Index.create(tmp_path / "index", tmp_path / "music", tone_model, 1.0)


def test_a_folder_that_is_away_forgets_nothing(index, music, tmp_path):
    music.rename(tmp_path / "unplugged")
    with pytest.raises(InputError, match="no folder there"):
        index.update()
    assert len(index.search("3", top=50)) == 11


def test_an_empty_mount_point_forgets_nothing(index, music, tmp_path):
    music.rename(tmp_path / "unplugged")
    music.mkdir()
    with pytest.raises(InputError, match="nothing was forgotten"):
        index.update()
    assert len(index.search("3", top=50)) == 11


def test_an_index_may_lie_in_the_music_or_around_it(music, tone_model):
    for out in (music, music.parent):
        assert Index.create(out, music, tone_model).update().heard == 13
        again = Index(out).update()
        assert (again.kept, again.removed, again.heard) == (11, 0, len(again.problems))


def test_what_another_process_made_is_kept(index, music, tmp_path):
    earlier = Index(index.folder)
    index.update(approximate=True)
    (music / "new.wav").write_bytes(next(music.rglob("*.wav")).read_bytes())
    index.update()
    (made,) = (path.name for path in (index.folder / "vectors").iterdir())
    assert made.endswith("-near")
    earlier.search("3")
    assert [path.name for path in (index.folder / "vectors").iterdir()] == [made]


def test_what_a_killed_writer_left_is_removed_when_it_is_old(index, music):
    old, young = (index.folder / "vectors" / name for name in (".old", ".young"))
    for folder in (old, young):
        folder.mkdir()
    os.utime(old, (0, 0))
    index.update(approximate=True)
    assert (old.exists(), young.exists()) == (False, True)


def test_so_many_are_at_least_one(index):
    with pytest.raises(InputError, match="top is 0"):
        index.search("3", top=0)


def test_an_empty_folder_finds_nothing(tmp_path, tone_model):
    (tmp_path / "empty").mkdir()
    index = Index.create(tmp_path / "index", tmp_path / "empty", tone_model)
    index.update(approximate=True)
    assert index.search("3") == []


def test_the_command_line_from_folder_to_playlist(tmp_path, music, tone_model, capsys):
    out = tmp_path / "index"
    assert main(["index", str(music), "--out", str(out), "--model", tone_model, "--jobs", "3"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "11 tracks" in printed
    assert "2 files are not in the index, they cannot be heard" in printed
    playlist = tmp_path / "found.m3u"
    arguments = ["search", str(out), "2", "--top", "2", "--json", "--m3u", str(playlist)]
    assert main(arguments) == 0
    hits = json.loads(capsys.readouterr().out)
    assert [hit["rank"] for hit in hits] == [1, 2]
    assert {os.fsencode(hit["path"]) for hit in hits} == {b"album/band2.wav", b"caf\xe9.wav"}
    lines = playlist.read_bytes().splitlines()
    assert lines[0] == b"#EXTM3U"
    assert lines[1].startswith(b"#EXTINF:3,")
    assert all(os.path.exists(line) for line in lines[3::3])  # noqa: PTH110  # a path as bytes
    assert main(["search", str(out), "high", "--not", "2", "--like", str(music / "short.ogg")]) == 0
    assert "short.ogg" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to search for"),
        ([" "], "a text without words"),
        (["x", "--not", ""], "a text without words"),
        (["\udcff"], "is no UTF-8 text"),
        (["x", "--like", "nothing.wav"], "nothing.wav"),
        (["x", "--model", "nothing.py:M"], "nothing.py: no file there"),
    ],
)
def test_mistakes_of_a_search_are_one_line(index, tmp_path, capsys, arguments, message):
    assert main(["search", str(tmp_path / "index"), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_no_index_is_one_line(tmp_path, capsys):
    assert main(["search", str(tmp_path), "x"]) == 2
    assert "no index there; make one with negclap index" in capsys.readouterr().err
    (tmp_path / "index.sqlite").write_bytes(b"not a database, but long enough to look like one" * 9)
    assert main(["search", str(tmp_path), "x"]) == 2
    assert "not a database" in capsys.readouterr().err


def test_searching_does_without_lightning_and_transformers(tiny_run, chorales, tmp_path):
    """They would take the second that is to spare."""
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
    ours = index.search("piano without drums")
    assert isinstance(ours[0], Hit)
    assert [hit["path"] for hit in json.loads(hits)] == [hit.path for hit in ours]


def test_odd_names_are_names(tmp_path, tone_model, capsys):
    """Not the syntax of locations, not markup, not text at all; problems name them as they are."""
    music = tmp_path / os.fsdecode(b"m\xff")
    music.mkdir()
    names = [
        "Prelude #1+2.wav",
        "pipe:touch x.wav",
        "a:smile: [red]b.wav",
        os.fsdecode(b"\xe9.wav"),
    ]
    for name in names:
        sf.write(os.fsencode(music / name), tone(3, 2.0), RATE, format="WAV")
    (music / os.fsdecode(b"b\xff.wav")).write_bytes(b"no music")
    out = tmp_path / os.fsdecode(b"i\xff")
    given = ["index", str(music), "--out", str(out), "--model", tone_model, "--approximate"]
    assert main(given) == 0
    assert "4 tracks" in capsys.readouterr().out
    assert main(["search", str(out), "3", "--json"]) == 0
    assert sorted(hit["path"] for hit in json.loads(capsys.readouterr().out)) == sorted(names)
    index = Index(out)
    assert list(index.store.problems()) == [os.fsdecode(b"b\xff.wav")]
    heard = index.model.encode_audio([music / names[1]])  # a file, no command to run
    assert heard.shape == (1, 8)
    with pytest.raises(InputError, match="nothing there"):
        index.model.encode_audio(["pipe:touch was-here"])


def test_an_index_within_the_music_does_not_hear_itself(tmp_path, music, tone_model):
    for _ in range(2):
        index = Index.create(music / "index", music, tone_model)
        update = index.update(approximate=True)
    assert sorted(update.problems) == ["broken.mp3", "silent.wav"]
    assert index.store.counts()[0] == 11


def test_a_link_to_nothing_is_named(index, music):
    (music / "gone.wav").symlink_to("nowhere.wav")
    update = index.update()
    assert "gone.wav" in update.problems
    assert update.kept == 11


def test_a_file_that_does_not_know_its_length_is_named(index, music):
    data = bytearray((music / "three parts.flac").read_bytes())
    at = data.index(b"fLaC") + 8 + 13  # the last 36 bits before the checksum: samples in all
    data[at] &= 0xF0
    data[at + 1 : at + 5] = bytes(4)
    (music / "stream.flac").write_bytes(data)
    update = index.update()
    assert "stream.flac" in update.problems
    assert len(index.search("3", top=50)) == 11


def test_a_model_that_makes_nan_is_refused_and_so_is_what_it_makes_of_a_file(
    index, music, tmp_path
):
    file = tmp_path / "adapter.py"
    text = file.read_text()
    file.write_text(text + "\nclass Nan(Pitch):\n    def encode_text(self, texts):\n"
                    "        return super().encode_text(texts) * float('nan')\n")  # fmt: skip
    with pytest.raises(InputError, match="hold NaN"):
        Index.create(tmp_path / "nan", music, f"{file}:Nan")
    assert not (tmp_path / "nan").exists()
    sf.write(music / "huge.wav", tone(1, 2.0) * 1e30, RATE, subtype="FLOAT")
    update = index.update()
    assert "NaN or infinite" in update.problems["huge.wav"]


def test_a_moved_model_is_said_and_learnt(index, music, tmp_path, capsys):
    (tmp_path / "adapter.py").rename(tmp_path / "moved.py")
    assert main(["search", str(tmp_path / "index"), "3"]) == 2
    assert "was made by it: say --model MODEL" in capsys.readouterr().err
    moved = f"{tmp_path / 'moved.py'}:Pitch"
    assert main(["search", str(tmp_path / "index"), "3", "--model", moved]) == 0
    Index.create(tmp_path / "index", f"{music}/album/..", moved).update()
    assert Index(tmp_path / "index").source == moved


def test_a_number_is_never_given_twice(index, music):
    numbers = {hit.track for hit in index.search("3", top=50)}
    last = max(index.search("3", top=50), key=lambda hit: hit.track)
    (music / last.path).unlink()
    index.update()
    sf.write(music / "new.wav", tone(3, 2.0), RATE)
    index.update()
    (new,) = [hit for hit in index.search("3", top=50) if hit.path == "new.wav"]
    assert new.track not in numbers


@pytest.mark.parametrize("hop", [0.0, 1e-9, float("nan"), float("inf")])
def test_a_hop_that_is_none_is_refused(tmp_path, music, tone_model, hop):
    with pytest.raises(InputError, match="expected at least"):
        Index.create(tmp_path / "index", music, tone_model, hop)
    assert not (tmp_path / "index").exists()
