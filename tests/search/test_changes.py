"""Libraries move: files with another place, drives that are not there, closed folders."""

import os
import shutil
import sqlite3

import numpy as np
import pytest
import soundfile as sf

from negclap.cli import main
from negclap.data.walk import walk_audio
from negclap.search import Index
from negclap.search.changes import find_changes
from negclap.search.store import Stamp
from tests.music import RATE, tone

HOUR = 3_600_000_000_000


def write(path, pitch, seconds=3.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, tone(pitch, seconds), RATE)


@pytest.fixture
def library(tmp_path):
    """Two albums of three songs, of different lengths."""
    root = tmp_path / "music"
    for number in range(6):
        write(root / "AB"[number // 3] / f"{number}.wav", number + 1, 3.0 + 0.1 * number)
    return root


@pytest.fixture
def index(library, tmp_path, tone_model):
    made = Index.create(tmp_path / "index", library, tone_model)
    made.update()
    return made


@pytest.fixture
def encoded(index, monkeypatch):
    """The numbers of windows that the model encodes from now on."""
    counts = []
    encode = index.model.encode_audio
    monkeypatch.setattr(index.model, "encode_audio", lambda x: counts.append(len(x)) or encode(x))
    return counts


def paths(index):
    return {hit.path for hit in index.search("3", top=50)}


def test_a_renamed_album_is_not_encoded_again(index, library, encoded):
    (library / "A").rename(library / "C")
    update = index.update()
    assert (update.processed, update.moved, update.removed, update.unchanged) == (0, 3, 0, 3)
    assert encoded == []
    assert paths(index) == {"C/0.wav", "C/1.wav", "C/2.wav", "B/3.wav", "B/4.wav", "B/5.wav"}
    assert index.search("2", top=1)[0].path == "C/1.wav"


def test_another_clock_does_not_change_files(index, library, encoded):
    for path in library.rglob("*.wav"):
        stat = path.stat()
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns - HOUR + 1_500_000_000))
    update = index.update()
    assert (update.processed, update.moved) == (0, 6)
    assert (index.update().unchanged, encoded) == (6, [])


def test_a_drive_that_is_not_there_is_not_forgotten(index, library, tmp_path, encoded, capsys):
    shutil.move(library / "B", tmp_path / "away")
    (library / "B").mkdir()  # an empty mount point
    update = index.update()
    assert (update.removed, update.missing) == (0, ["B/3.wav", "B/4.wav", "B/5.wav"])
    assert paths(index) == {"A/0.wav", "A/1.wav", "A/2.wav"}
    assert len(index.search("5", top=2)) == 2
    assert main(["index", str(library), "--out", str(index.folder)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "3 tracks are missing with their folder and are kept (--forget removes them): B" in told
    (library / "B").rmdir()
    shutil.move(tmp_path / "away", library / "B")
    update = index.update()
    assert (update.processed, update.unchanged, update.missing) == (0, 6, [])
    assert encoded == []
    assert len(paths(index)) == 6
    shutil.rmtree(library / "B")
    assert index.update(forget=True).removed == 3
    assert index.store.counts()[0] == 3


def test_single_files_that_are_gone_are_removed(index, library):
    (library / "A" / "0.wav").unlink()
    update = index.update()
    assert (update.removed, update.missing) == (1, [])
    assert "A/0.wav" not in paths(index)


def test_files_without_sound_are_not_decoded_again(index, library, monkeypatch):
    sf.write(library / "A" / "silent.wav", np.zeros(3 * RATE), RATE)
    (library / "A" / "broken.wav").write_bytes(b"nonsense")
    update = index.update()
    assert (update.processed, update.failed, len(update.problems)) == (2, 2, 2)
    monkeypatch.setattr("negclap.search.embed.AudioStream", pytest.fail)
    update = index.update()
    assert (update.processed, update.failed, len(update.problems)) == (0, 0, 2)
    monkeypatch.undo()
    index.store.set_metadata("negclap", b"0.0.1")  # another version may read more
    assert index.update().processed == 2
    write(library / "A" / "silent.wav", 3)
    assert index.update().processed == 1
    assert list(index.store.problems()) == ["A/broken.wav"]


def test_a_file_that_still_cannot_be_opened_changes_nothing(index, library):
    (library / "A" / "gone.wav").symlink_to("nowhere.wav")
    assert index.update().failed == 1
    generation = index.store.generation
    assert index.update().failed == 1
    assert index.store.generation == generation


def test_a_folder_that_cannot_be_opened_is_named_and_its_tracks_are_kept(
    index, library, monkeypatch, capsys
):
    walk = os.walk

    def refused(root, onerror, followlinks):
        for place, folders, files in walk(root, followlinks=followlinks):
            if place == str(library / "B"):
                onerror(PermissionError(13, "Permission denied", place))
            else:
                yield place, folders, files

    monkeypatch.setattr("negclap.data.walk.os.walk", refused)
    write(library / "new.wav", 6)
    update = index.update(forget=True)
    assert (update.processed, update.removed, update.missing) == (1, 0, [])
    assert update.passed_over == ["B: Permission denied"]
    assert {"B/3.wav", "new.wav"} < paths(index)
    where = ["--audio", str(library), "--out", str(index.folder.parent / "prepared")]
    assert main(["prepare", "folder", *where, "--min_duration_s", "1"]) == 0
    assert "unreadable folder" in capsys.readouterr().out


def test_what_is_passed_over_is_counted(tmp_path):
    for name in ("a.wav", "b.FLAC", "c.mid", "d.mid", "e.m4p", "._a.wav", "f.jpg", "x.m4a"):
        (tmp_path / name).touch()
    for name in (".Trash-1000", "#recycle", ".AppleDouble"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "old.wav").touch()
    (tmp_path / "Kasia").symlink_to(tmp_path.parent, target_is_directory=True)
    walk = walk_audio(tmp_path)
    assert walk.files == ["a.wav", "b.FLAC", "x.m4a"]
    assert list(walk.passed_over()) == [
        "3 files are of kinds that cannot be read: .mid 2, .m4p 1",
        "1 links to folders are not followed: Kasia",
        "3 hidden folders are not searched: #recycle, .AppleDouble, .Trash-1000",
    ]


def test_files_of_the_same_stamp_are_paired_by_name_or_not_at_all():
    same = Stamp(100, 5)
    before = {"A/x": same, "A/y": same, "A/z": Stamp(7, 7), "B/k": Stamp(1, 1)}
    changes = find_changes(before, {"C/y": same, "C/x": same, "B/k": Stamp(1, 1)}, ())
    assert changes.moved == {"A/x": "C/x", "A/y": "C/y"}
    assert (changes.new, changes.gone, changes.missing) == ([], [], ["A/z"])
    changes = find_changes(before, {"C/p": same, "C/q": same, "A/z": Stamp(7, 7)}, ())
    assert (changes.moved, changes.new) == ({}, ["C/p", "C/q"])
    assert (changes.gone, changes.missing) == (["A/x", "A/y"], ["B/k"])


def test_one_recording_is_one_hit_with_its_paths(tmp_path, tone_model):
    root = tmp_path / "music"
    for name in ("album/hit.flac", "single/hit.flac", "hit.wav", "other.wav", "longer.wav"):
        seconds = 4.0 if name == "longer.wav" else 3.0
        write(root / name, 5 if name == "other.wav" else 3, seconds)
    index = Index.create(tmp_path / "index", root, tone_model)
    index.update()
    hits = index.search("3", top=3)
    by_path = {hit.path: hit for hit in hits}
    assert len(hits) == 3
    (best,) = [hit for hit in hits if hit.copies]
    assert {best.path, *best.copies} == {"album/hit.flac", "single/hit.flac", "hit.wav"}
    assert {"other.wav", "longer.wav"} < {*by_path}


def test_a_lock_of_another_process_is_waited_for_with_a_word(index, library, monkeypatch):
    write(library / "new.wav", 6)
    other = sqlite3.connect(index.folder / "index.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert len(paths(index)) == 6  # searches go on
    told = []

    def warn(message, **_):
        told.append(message)
        other.execute("ROLLBACK")  # the other process finishes

    monkeypatch.setattr("negclap.search.store.warnings.warn", warn)
    index.update()
    assert len(told) == 1
    assert "waiting for another process that writes to the index" in told[0]
    assert "new.wav" in paths(index)
