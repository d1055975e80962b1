"""Shards on disk, in an object store and on a web server, and how faults are handled."""

import http.server
import json
import tarfile
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path

import fsspec.config
import numpy as np
import pytest

from negclap import storage
from negclap.audio import AudioError, as_waveform, read_excerpt
from negclap.cli import main
from negclap.data.dataset import ClipDataset, Excerpts
from negclap.data.loading import PlanSampler
from negclap.data.shards import ShardOptions, verify_shards, write_shards
from negclap.data.tracks import read_manifest
from negclap.storage import StorageError, folder_of, join

from ..conftest import silent_progress
from .conftest import read_lines

RATE = 22_050


def pack(manifest, out, **options):
    defaults = {"tracks_per_shard": 16, "jobs": 1}
    return write_shards(
        ShardOptions(str(manifest), str(out), **(defaults | options)), silent_progress
    )


@pytest.fixture(scope="module")
def shards(msd_manifest, tmp_path_factory) -> Path:
    """Shards of raw PCM."""
    out = tmp_path_factory.mktemp("shards")
    assert pack(msd_manifest, out, format="s16", sample_rate=RATE) == (5, 5, 60, 0)
    return out


def excerpts(manifest, start_s=2.5, length_s=3.0):
    root = folder_of(str(manifest))
    return {
        track.track_id: read_excerpt(join(root, track.audio), start_s, length_s, RATE)
        for track in read_manifest(manifest)
    }


@pytest.mark.parametrize("form", ["original", "flac", "s16"])
def test_audio_is_the_same_after_packing(msd_manifest, tmp_path, form):
    assert pack(msd_manifest, tmp_path, format=form) == (5, 5, 60, 0)
    before, after = excerpts(msd_manifest), excerpts(tmp_path / "manifest.jsonl")
    assert before.keys() == after.keys()
    for track_id, samples in before.items():
        error = np.abs(samples - after[track_id]).max()
        assert error <= (0 if form == "original" else 2e-3)  # packed at the rate of the file


def test_packing_changes_only_the_location_of_tracks(msd_manifest, shards):
    packed = {track.track_id: track for track in read_manifest(shards / "manifest.jsonl")}
    for track in read_manifest(msd_manifest):
        other = packed[track.track_id]
        assert (other.captions, other.tags, other.split, other.meta) == (
            track.captions,
            track.tags,
            track.split,
            track.meta,
        )
        assert other.audio.startswith(f"{track.split}/")


def test_shards_are_webdataset_tars(shards):
    with tarfile.open(shards / "train" / "000001.tar") as tar:
        names = tar.getnames()
        first = json.loads(tar.extractfile("00000016.json").read())
    assert names[:2] == ["00000016.wav", "00000016.json"]
    assert first["text"]
    assert first["tag"]


def test_parts_are_complementary_and_the_last_one_writes_the_manifest(
    msd_manifest, shards, tmp_path
):
    options = {"format": "s16", "sample_rate": RATE}
    first = pack(msd_manifest, tmp_path, part="2/2", **options)
    assert first == (2, 5, 0, 0)
    assert not (tmp_path / "manifest.jsonl").exists()
    assert pack(msd_manifest, tmp_path, part="1/2", **options) == (5, 5, 60, 0)
    for path in sorted(shards.rglob("*")):
        if path.is_file() and path.suffix != ".arrow":
            assert (tmp_path / path.relative_to(shards)).read_bytes() == path.read_bytes()


def test_complete_shards_are_kept_and_others_are_rewritten(msd_manifest, tmp_path):
    pack(msd_manifest, tmp_path)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.tar")}
    torn = tmp_path / "train" / "000001.tar"
    torn.write_bytes(b"")  # a crash before the sidecar was written
    torn.with_name("000001.tar.json").unlink()
    assert pack(msd_manifest, tmp_path)[0] == 5
    changed = {p.name for p, t in times.items() if p.stat().st_mtime_ns != t}
    assert changed == {"000001.tar"}
    assert not any(check.problem for check in verify_shards(str(tmp_path), silent_progress))
    assert pack(msd_manifest, tmp_path, format="s16")[0] == 5  # other options rewrite all shards
    assert all(p.stat().st_mtime_ns != t for p, t in times.items())


def test_inspect_finds_broken_shards(msd_manifest, tmp_path, capfd):
    pack(msd_manifest, tmp_path)
    one, two, three = sorted(tmp_path.rglob("*.tar"))[:3]
    data = bytearray(one.read_bytes())
    data[5000] ^= 1
    one.write_bytes(data)
    two.write_bytes(two.read_bytes()[:-512])
    three.unlink()
    assert main(["inspect", "shards", str(tmp_path)]) == 2
    captured = capfd.readouterr()
    assert "checksum differs" in captured.out
    assert "bytes, expected" in captured.out
    assert "No such file" in captured.out
    assert "3 of 5 shards are broken" in captured.err


def test_unreadable_audio_is_rejected(msd_manifest, tmp_path):
    lines = read_lines(msd_manifest)
    (tmp_path / "broken.flac").write_bytes(b"fLaC" + bytes(100))
    lines[3]["audio"] = "broken.flac"
    lines[4]["audio"] = "nowhere.flac"
    whole = msd_manifest.parent / lines[5]["audio"]
    (tmp_path / "TRAAA").write_bytes(whole.read_bytes())
    lines[5]["audio"] = "TRAAA"  # valid audio without a file name extension
    (tmp_path / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "vocabulary.json").write_bytes(
        (msd_manifest.parent / "vocabulary.json").read_bytes()
    )
    assert pack(tmp_path / "manifest.jsonl", tmp_path / "s") == (5, 5, 57, 3)
    rejected = read_lines(tmp_path / "s" / "rejected.jsonl")
    assert {entry["track_id"] for entry in rejected} == {line["track_id"] for line in lines[3:6]}


def dataset_of(manifest) -> ClipDataset:
    tracks = read_manifest(manifest).split("train")
    return ClipDataset(
        tracks, folder_of(str(manifest)), Excerpts(RATE, 4.0, seed=1), lambda *_: {}, "error"
    )


def test_ranks_read_disjoint_items_in_the_same_order_as_from_a_folder(msd_manifest, tmp_path):
    pack(msd_manifest, tmp_path)  # at the files' own rates, so that excerpts are equal
    folder, packed = dataset_of(msd_manifest), dataset_of(tmp_path / "manifest.jsonl")
    assert [t.track_id for t in folder.tracks] == [t.track_id for t in packed.tracks]
    orders = []
    for epoch in (0, 1):
        keys = []
        for rank in range(3):
            sampler = PlanSampler(len(packed), 4, rank, 3, seed=7)
            sampler.set_epoch(epoch)
            keys.append(list(sampler))
        assert len(set(map(len, keys))) == 1  # no rank waits for another at the end
        flat = [key for rank_keys in keys for key in rank_keys]
        assert len(set(flat)) == len(flat) == 36
        orders.append([index for _, index in flat])
    assert orders[0] != orders[1]
    for key in flat[:6]:
        ours, theirs = (as_waveform(each[key].waveform) for each in (packed, folder))
        assert np.allclose(ours, theirs, atol=2e-3)


def test_shards_in_an_object_store(msd_manifest, shards, s3):
    assert pack(msd_manifest, s3, format="s16", sample_rate=RATE) == (5, 5, 60, 0)
    here, there = excerpts(shards / "manifest.jsonl"), excerpts(f"{s3}/manifest.jsonl")
    assert here.keys() == there.keys()
    assert all(np.array_equal(here[name], there[name]) for name in here)
    assert not any(check.problem for check in verify_shards(s3, silent_progress))
    fsspec.filesystem("s3").rm(f"{s3}/train/000000.tar")
    with pytest.raises(AudioError, match=r"train/000000.tar.*FileNotFoundError"):
        excerpts(f"{s3}/manifest.jsonl")


class Faulty(http.server.SimpleHTTPRequestHandler):
    """Answer the first two requests for a file with 503, slowly, and ignore ranges."""

    seen: dict[str, int]
    answering: threading.Event

    def do_GET(self):
        self.seen[self.path] = self.seen.get(self.path, 0) + 1
        if self.seen[self.path] <= 2:
            self.send_error(503)
            return
        self.answering.wait()
        super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def server(shards, monkeypatch):
    monkeypatch.setattr(storage, "_FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(Faulty, "seen", {}, raising=False)
    monkeypatch.setattr(Faulty, "answering", threading.Event(), raising=False)
    Faulty.answering.set()
    handler = partial(Faulty, directory=str(shards))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as http_server:
        threading.Thread(target=http_server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http_server.server_port}"
        http_server.shutdown()


def test_busy_servers_are_retried(shards, server):
    here = excerpts(shards / "manifest.jsonl")
    there = excerpts(f"{server}/manifest.jsonl")
    assert all(np.array_equal(here[name], there[name]) for name in here)


def test_a_server_that_does_not_answer_is_an_error(server, monkeypatch):
    monkeypatch.setattr(storage, "_TIMEOUT_S", 0.1)
    Faulty.answering.clear()
    with pytest.raises(StorageError, match=r"vocabulary.json: .*\(4 tries\)"):
        storage.read(f"{server}/vocabulary.json")
    Faulty.answering.set()


def test_missing_files_are_not_retried(server, monkeypatch):
    monkeypatch.setattr(Faulty, "seen", {"/none.tar": 2})
    with pytest.raises(StorageError, match=r"none\.tar: FileNotFoundError"):
        storage.read_range(f"{server}/none.tar", 0, 10)
    assert Faulty.seen["/none.tar"] == 3


def test_truncated_shards_are_reported(shards, tmp_path):
    track = read_manifest(shards / "manifest.jsonl")[0]
    whole = (shards / track.audio.partition("#")[0]).read_bytes()
    (tmp_path / track.split).mkdir()
    (tmp_path / track.audio.partition("#")[0]).write_bytes(whole[:100_000])
    with pytest.raises(AudioError, match=r"000000.tar: got \d+ bytes from byte \d+, expected"):
        read_excerpt(join(str(tmp_path), track.audio), 5.0, 3.0, RATE)


def test_commands_are_not_run(tmp_path):
    command = f"pipe:touch {tmp_path / 'ran'}"
    for location in (command, f"{command}#0+8.flac", f"{command}.wav"):
        with pytest.raises(AudioError, match="commands are not run; save the output to a file"):
            read_excerpt(join(str(tmp_path), location), 0.0, 1.0, RATE)
    for action in (storage.read, storage.open_binary, storage.local_copy, read_manifest):
        with pytest.raises(StorageError, match="commands are not run"):
            action(command)
    assert not storage.exists(command)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("mode", "old", "new"), [("w", "old", "n\u00e9w"), ("wb", b"old", b"\xff")]
)
def test_atomic_write_keeps_the_old_file_until_the_new_one_is_complete(tmp_path, mode, old, new):
    path = tmp_path / "file"
    write, read = (
        (path.write_text, path.read_text) if mode == "w" else (path.write_bytes, path.read_bytes)
    )
    write(old)
    with suppress(KeyboardInterrupt), storage.atomic_write(path, mode) as file:
        file.write(new)
        raise KeyboardInterrupt
    assert read() == old
    with storage.atomic_write(path, mode) as file:
        file.write(new)
        file.flush()
        assert read() == old
    assert read() == new
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("option", "value"),
    [("part", "0/2"), ("part", "3/2"), ("part", "x"), ("tracks_per_shard", 0), ("jobs", 0)],
)
def test_invalid_options_are_rejected(capfd, tmp_path, option, value):
    flag = f"--{option}"
    arguments = ["prepare", "shards", "--manifest", "m", "--out", str(tmp_path), flag, str(value)]
    assert main(arguments) == 2
    assert option in capfd.readouterr().err
