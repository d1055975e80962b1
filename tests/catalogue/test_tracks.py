import threading

import fsspec
import pytest

from negclap.catalogue.tracks import Reader, list_tracks, within
from negclap.data.manifest import Track, write_manifest
from negclap.errors import InputError
from negclap.search.embed import Windowing
from tests.music import RATE, WINDOW_S

A_MINUTE_S = 60.0  # for what comes at once, on a slow machine, too


def manifest(folder, *names):
    tracks = [Track(str(i), name, 0.0, 2.0, (), (), None, "train") for i, name in enumerate(names)]
    write_manifest(folder / "manifest.jsonl", tracks)
    return folder / "manifest.jsonl"


def test_a_folder_is_listed_with_what_is_passed_over(music):
    tracks = list_tracks(str(music))
    assert tracks.root == str(music)
    assert len(tracks.names) == 13
    (music / "song.mid").touch()
    assert any(".mid 1" in line for line in list_tracks(str(music)).passed_over)


def test_a_manifests_files_are_listed_once(tmp_path):
    path = manifest(tmp_path, "a.wav", "sub/b.mp3", "a.wav")
    assert list_tracks(str(path)) == (str(tmp_path), ["a.wav", "sub/b.mp3"], [])


def test_a_manifest_may_be_behind_a_url(tmp_path):
    text = manifest(tmp_path, "a.wav", "sub/b.mp3").read_bytes()
    fsspec.filesystem("memory").pipe("/music/manifest.jsonl", text)
    root = "memory://music"
    assert list_tracks(f"{root}/manifest.jsonl") == (root, ["a.wav", "sub/b.mp3"], [])
    with pytest.raises(InputError, match=r"memory://music/other\.jsonl"):
        list_tracks(f"{root}/other.jsonl")


def test_a_manifest_of_shards_is_refused(tmp_path):
    path = manifest(tmp_path, "train/000.tar#12")
    with pytest.raises(InputError, match="shards cannot be embedded"):
        list_tracks(str(path))


def test_a_stalled_reader_is_given_up(music, monkeypatch):
    """As when a drive no longer answers."""
    never = threading.Event()

    def parts(path, name, *_):
        yield from ()
        never.wait()

    monkeypatch.setattr("negclap.catalogue.tracks.file_parts", parts)
    reader = Reader(str(music), Windowing(WINDOW_S, WINDOW_S), RATE, patience_s=0.01)
    (part,) = reader.parts("short.ogg")
    assert part.file.problem == f"{music}/short.ogg: nothing could be read for 0.01 s"
    never.set()


def test_items_within_patience_arrive_in_order():
    assert list(within(iter(range(50)), A_MINUTE_S)) == list(range(50))


def test_errors_of_the_iterator_reach_the_caller():
    def failing():
        yield 1
        raise ValueError("broken")

    items = within(failing(), A_MINUTE_S)
    assert next(items) == 1
    with pytest.raises(ValueError, match="broken"):
        next(items)


def test_a_missing_remote_file_is_a_problem():
    reader = Reader("memory://nowhere", Windowing(WINDOW_S, WINDOW_S), RATE, A_MINUTE_S)
    (part,) = reader.parts("a.wav")
    assert part.file.problem == "memory://nowhere/a.wav: FileNotFoundError"
