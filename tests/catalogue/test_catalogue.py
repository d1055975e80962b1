"""A catalogue finds what an index of the same music finds, and has each track once."""

import json
import os
import signal
import subprocess
import sys

import fsspec
import numpy as np
import pytest
import soundfile as sf

import negclap
from negclap.app.server import find_audio, open_columns
from negclap.catalogue import Catalogue, open_searchable
from negclap.catalogue import embed as embed_module
from negclap.catalogue.embed import embed_tracks
from negclap.catalogue.table import track_number
from negclap.catalogue.tracks import list_tracks
from negclap.cli import main
from negclap.errors import InputError
from negclap.search import Index
from tests.music import RATE, tone

TEXTS = ["6", "1 and 4", "nothing"]


def write(source, out, model, **options):
    """Embed the tracks of a source, and return the catalogue."""
    tracks = list_tracks(str(source))
    catalogue = Catalogue.create(str(out), tracks.root, model)
    return catalogue, embed_tracks(catalogue, tracks, **options)


@pytest.fixture
def catalogue(tmp_path, music, tone_model):
    """A catalogue of the tones."""
    return write(music, tmp_path / "catalogue", tone_model)[0]


def hits(found, text):
    return [
        (hit.path, hit.start_s, hit.end_s, hit.duration_s)
        for hit in found.search(text, top=50, every_file=True)
    ]


def rows(catalogue):
    """Return all rows but vectors, sorted: a track that was written twice is in it twice."""
    columns = catalogue.table.to_arrow().drop_columns(["vector"]).to_pylist()
    return sorted(map(str, columns))


@pytest.mark.parametrize("text", TEXTS)
def test_a_catalogue_finds_what_an_index_finds(catalogue, index, text):
    ours, theirs = (found.search(text, top=50, every_file=True) for found in (catalogue, index))
    np.testing.assert_allclose([h.score for h in ours], [h.score for h in theirs], atol=1e-6)
    assert sorted(hits(catalogue, text)) == sorted(hits(index, text))
    few = catalogue.search(text, top=3, every_file=True)
    np.testing.assert_allclose([h.score for h in few], [h.score for h in ours[:3]], atol=1e-6)
    assert catalogue.counts() == index.store.counts()


def test_what_cannot_be_read_has_a_reason_and_is_not_tried_again(catalogue, music, tone_model):
    problems = catalogue.problems()
    assert problems.keys() == {"broken.mp3", "silent.wav"}
    assert problems["silent.wav"] == f"{music / 'silent.wav'}: silent throughout"
    before = rows(catalogue)
    again, written = write(music, catalogue.location, tone_model)
    assert written == (0, 0, 13, {})
    assert rows(again) == before


def test_new_files_are_added(catalogue, music, tone_model):
    sf.write(music / "new.wav", tone(3, 5.0), RATE)
    again, written = write(music, catalogue.location, tone_model)
    assert written == (1, 3, 13, {})
    assert "new.wav" in {hit.path for hit in again.search("3", top=3, every_file=True)}


@pytest.fixture
def mixes(tmp_path, tone_model, monkeypatch):
    """A catalogue of random mixes in many small commits."""
    monkeypatch.setattr(embed_module, "_WINDOWS_PER_COMMIT", 40)
    rng = np.random.default_rng(0)
    (tmp_path / "mixes").mkdir()
    for number in range(60):
        parts = [sum(rng.uniform(0, 1) * tone(b, 2.0) for b in range(8)) / 8 for _ in range(4)]
        sf.write(tmp_path / "mixes" / f"{number:02d}.wav", np.concatenate(parts), RATE)
    return write(tmp_path / "mixes", tmp_path / "catalogue", tone_model)[0]


def test_tidying_changes_no_result(mixes):
    before, rows_before = [hits(mixes, text) for text in TEXTS], rows(mixes)
    mixes.tidy(approximate=False)
    again = open_searchable(mixes.location)
    assert [hits(again, text) for text in TEXTS] == before
    assert rows(again) == rows_before


def test_the_approximate_search_finds_what_a_naive_search_finds(mixes):
    mixes.tidy(approximate=True)
    assert {config.index_type for config in mixes.table.list_indices()} == {"IvfSq", "BTree"}
    vectors = np.stack(mixes.table.to_arrow()["vector"].to_numpy(zero_copy_only=False))
    found = expected = 0
    for query in mixes.typical_queries():
        tenth = np.sort(vectors @ query)[-10]
        _, scores = mixes._nearest(query, 10, mixes._visited)
        found += int((scores >= tenth - 1e-6).sum())
        expected += 10
    assert found >= 0.99 * expected
    for text in TEXTS:  # scores are exact
        exact = {hit.path: hit.score for hit in mixes.search(text, top=60, exact=True)}
        for hit in mixes.search(text, top=5):
            assert hit.score <= exact[hit.path] + 1e-6


def test_a_killed_writer_loses_no_track_and_writes_none_twice(tmp_path, music, tone_model):
    whole, _ = write(music, tmp_path / "whole", tone_model)
    killed = f"""
import os, signal
from negclap.catalogue import embed, table
embed._WINDOWS_PER_COMMIT = 4
add, commits = table.Catalogue.add, []
def killing(self, tracks):
    commits.append(tracks)
    if len(commits) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    add(self, tracks)
table.Catalogue.add = killing
from negclap.cli import main
main(["embed", {str(music)!r}, "--out", {str(tmp_path / "out")!r}, "--model", {tone_model!r}])
"""
    for _ in range(2):
        ended = subprocess.run([sys.executable, "-c", killed], capture_output=True, check=False)
        assert ended.returncode == -signal.SIGKILL
    again, written = write(music, tmp_path / "out", tone_model)
    assert written.before > 0
    assert written.tracks > 0
    assert rows(again) == rows(whole)


def test_what_cannot_be_written_is_one_line(tmp_path, music, tone_model):
    """A limit on the size of files, as a full disk."""
    out = tmp_path / "out"
    limited = f"""
import resource
from negclap.catalogue import table
add = table.Catalogue.add
def limiting(self, tracks):
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))
    add(self, tracks)
table.Catalogue.add = limiting
from negclap.cli import main
raise SystemExit(main(["embed", {str(music)!r}, "--out", {str(out)!r}, "--model", {tone_model!r}]))
"""
    ended = subprocess.run(
        [sys.executable, "-c", limited], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    (line,) = (line for line in ended.stderr.splitlines() if "error" in line)
    assert str(out) in line
    assert "Traceback" not in ended.stderr
    again, written = write(music, out, tone_model)
    assert written.before == 0
    assert len(rows(again)) > 0


def test_commands_embed_search_and_write_a_playlist(tmp_path, music, tone_model, capsys):
    out, playlist = str(tmp_path / "catalogue"), tmp_path / "found.m3u"
    arguments = ["embed", str(music), "--out", out, "--model", tone_model, "--approximate"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    tracks, windows = Catalogue(out).counts()
    assert tracks == 11
    assert f"{out}: 11 tracks, {windows} windows embedded now; 0 tracks were there" in printed
    assert "2 tracks have problems:" in printed
    assert f"{music}/silent.wav: silent throughout" in printed
    assert main(["search", out, "6", "--top", "1", "--json", "--m3u", str(playlist)]) == 0
    (hit,) = json.loads(capsys.readouterr().out)
    assert hit["path"] in ("album/band6.wav", "three parts.flac")
    assert os.fsencode(music / hit["path"]) in playlist.read_bytes()


def test_the_page_plays_tracks_of_a_catalogue(catalogue, music):
    (column,) = open_columns([catalogue.location]).values()
    assert isinstance(column, Catalogue)
    track = track_number("album/band1.wav")
    assert find_audio(column, track) == music / "album" / "band1.wav"
    assert column.audio(track + 1) is None
    (music / "album" / "band1.wav").unlink()
    with pytest.raises(FileNotFoundError):
        column.audio(track)


def test_another_model_with_the_same_audio_encoder_searches(catalogue, tone_model):
    other = negclap.load(tone_model.replace(":Pitch", ":Other"))
    found = Catalogue(catalogue.location, other)
    assert found.search("0", top=1)[0].path != catalogue.search("0", top=1)[0].path


def test_music_and_catalogue_may_be_in_an_object_store(tmp_path, music, tone_model, s3, index):
    bucket = s3.rpartition("/")[0]
    system = fsspec.filesystem("s3")
    for name in ("album/band1.wav", "album/band6.wav", "three parts.flac", "broken.mp3"):
        system.put_file(str(music / name), f"{bucket}/songs/{name}")
    made, written = write(f"{bucket}/songs", f"{bucket}/catalogue", tone_model)
    assert written.tracks == 3
    assert written.problems["broken.mp3"].startswith(f"{bucket}/songs/broken.mp3: ")
    made.tidy(approximate=True)
    assert main(["search", f"{bucket}/catalogue", "6", "--top", "1"]) == 0
    found = open_searchable(f"{bucket}/catalogue")
    expected = {hit.path: hit.score for hit in index.search("6", top=50, every_file=True)}
    for hit in found.search("6", top=50, every_file=True):
        assert hit.score == pytest.approx(expected[hit.path], abs=1e-6)
    copy = found.audio(track_number("album/band1.wav"))
    assert copy.read_bytes() == (music / "album" / "band1.wav").read_bytes()
    system.rm_file(f"{bucket}/songs/album/band1.wav")
    with pytest.raises(FileNotFoundError, match=r"band1\.wav"):
        found.audio(track_number("album/band1.wav"))


def test_mistakes_are_one_line(tmp_path, catalogue, index, music, tone_model, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "retrained.py").write_text(
        (tmp_path / "adapter.py").read_text().replace("** 2", "** 4")
    )
    retrained = f"{tmp_path / 'retrained.py'}:Pitch"
    out, model = catalogue.location, f"--model={tone_model}"
    for arguments, message in (
        (["embed", str(tmp_path / "none"), "--out", out], "none: no such folder"),
        (["embed", str(tmp_path / "empty"), "--out", out], "empty: no audio found"),
        (["embed", str(music / "album"), "--out", out], "the music folder of this catalogue is"),
        (["embed", str(music), f"--out={tmp_path}/n", model, "--hop=0"], "the hop is 0.0 s"),
        (["embed", str(music), "--out", out, "--hop=1"], "the hop in seconds of this catalogue is"),
        (["embed", str(music), "--out", out, "--model", retrained], "negclap embed"),
        (["search", str(tmp_path / "empty"), "x"], "not an index"),
        (["embed", str(music), f"--out={tmp_path}/n", model, "--ray=127.0.0.1:1"], "no cluster"),
    ):
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    with pytest.raises(InputError, match="no catalogue; create one with negclap embed"):
        Catalogue(str(tmp_path / "empty"))
    assert isinstance(open_searchable(str(index.folder)), Index)
