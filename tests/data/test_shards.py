"""Shards: what is packed is what is read, from a disk, an object store or a server, with faults."""

import http.server
import json
import tarfile
import threading
import time
from functools import partial
from pathlib import Path

import fsspec.config
import numpy as np
import pytest
from moto.server import ThreadedMotoServer

from negclap import storage
from negclap.audio import AudioError, as_waveform, read_excerpt
from negclap.cli import main
from negclap.data.dataset import ClipDataset, Excerpts, PlanSampler
from negclap.data.shards import Sharding, verify_shards, write_shards
from negclap.data.tracks import read_manifest
from negclap.storage import StorageError, folder_of, join

from ..conftest import silent_progress
from .conftest import read_lines

RATE = 22_050


def pack(manifest, out, **options):
    plan = Sharding(str(manifest), str(out), **{"tracks_per_shard": 16, "jobs": 1, **options})
    return write_shards(plan, silent_progress)


@pytest.fixture(scope="module")
def shards(msd_manifest, tmp_path_factory) -> Path:
    """Shards of plain samples."""
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
def test_what_is_packed_is_what_is_read(msd_manifest, tmp_path, form):
    assert pack(msd_manifest, tmp_path, format=form) == (5, 5, 60, 0)
    before, after = excerpts(msd_manifest), excerpts(tmp_path / "manifest.jsonl")
    assert before.keys() == after.keys()
    for track_id, samples in before.items():
        error = np.abs(samples - after[track_id]).max()
        assert error <= (0 if form == "original" else 2e-3)  # packed at the file's own rate


def test_tracks_stay_as_they_are_but_for_where_they_lie(msd_manifest, shards):
    moved = {track.track_id: track for track in read_manifest(shards / "manifest.jsonl")}
    for track in read_manifest(msd_manifest):
        other = moved[track.track_id]
        assert (other.captions, other.tags, other.split, other.meta) == (
            track.captions,
            track.tags,
            track.split,
            track.meta,
        )
        assert other.audio.startswith(f"{track.split}/")


def test_a_shard_is_a_tar_that_others_read(shards):
    with tarfile.open(shards / "train" / "000001.tar") as tar:
        names = tar.getnames()
        first = json.loads(tar.extractfile("00000016.json").read())
    assert names[:2] == ["00000016.wav", "00000016.json"]
    assert first["text"]
    assert first["tag"]


def test_parts_together_are_the_whole_and_the_last_one_lists_it(msd_manifest, shards, tmp_path):
    options = {"format": "s16", "sample_rate": RATE}
    first = pack(msd_manifest, tmp_path, part="2/2", **options)
    assert first == (2, 5, 0, 0)
    assert not (tmp_path / "manifest.jsonl").exists()
    assert pack(msd_manifest, tmp_path, part="1/2", **options) == (5, 5, 60, 0)
    for path in sorted(shards.rglob("*")):
        if path.is_file() and path.suffix != ".arrow":
            assert (tmp_path / path.relative_to(shards)).read_bytes() == path.read_bytes()


def test_what_is_there_stays_and_what_is_not_whole_is_made_again(msd_manifest, tmp_path):
    pack(msd_manifest, tmp_path)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.tar")}
    torn = tmp_path / "train" / "000001.tar"
    torn.write_bytes(b"")  # a machine died before it wrote the sidecar
    torn.with_name("000001.tar.json").unlink()
    assert pack(msd_manifest, tmp_path)[0] == 5
    changed = {p.name for p, t in times.items() if p.stat().st_mtime_ns != t}
    assert changed == {"000001.tar"}
    assert not any(verdict.problem for verdict in verify_shards(str(tmp_path), silent_progress))
    assert pack(msd_manifest, tmp_path, format="s16")[0] == 5  # another recipe is made anew
    assert all(p.stat().st_mtime_ns != t for p, t in times.items())


def test_broken_shards_are_found(msd_manifest, tmp_path, capfd):
    pack(msd_manifest, tmp_path)
    one, two, three = sorted(tmp_path.rglob("*.tar"))[:3]
    data = bytearray(one.read_bytes())
    data[5000] ^= 1
    one.write_bytes(data)
    two.write_bytes(two.read_bytes()[:-512])
    three.unlink()
    assert main(["inspect", "shards", str(tmp_path)]) == 2
    captured = capfd.readouterr()
    assert "another checksum" in captured.out
    assert "bytes, expected" in captured.out
    assert "No such file" in captured.out
    assert "3 of 5 shards are broken" in captured.err


def test_audio_that_cannot_be_packed_is_told(msd_manifest, tmp_path):
    lines = read_lines(msd_manifest)
    (tmp_path / "broken.flac").write_bytes(b"fLaC" + bytes(100))
    lines[3]["audio"] = "broken.flac"
    lines[4]["audio"] = "nowhere.flac"
    whole = msd_manifest.parent / lines[5]["audio"]
    (tmp_path / "TRAAA").write_bytes(whole.read_bytes())
    lines[5]["audio"] = "TRAAA"  # audio, but of what kind no name in a tar would say
    (tmp_path / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "vocabulary.json").write_bytes(
        (msd_manifest.parent / "vocabulary.json").read_bytes()
    )
    assert pack(tmp_path / "manifest.jsonl", tmp_path / "s") == (5, 5, 57, 3)
    rejected = read_lines(tmp_path / "s" / "rejected.jsonl")
    assert {one["track_id"] for one in rejected} == {line["track_id"] for line in lines[3:6]}


def dataset_of(manifest) -> ClipDataset:
    tracks = read_manifest(manifest).split("train")
    return ClipDataset(
        tracks, folder_of(str(manifest)), Excerpts(RATE, 4.0, seed=1), lambda *_: {}, "error"
    )


def test_ranks_have_disjoint_samples_in_the_order_of_the_folder(msd_manifest, tmp_path):
    pack(msd_manifest, tmp_path)  # at the files' own rates, so that samples stay where they are
    folder, packed = dataset_of(msd_manifest), dataset_of(tmp_path / "manifest.jsonl")
    assert [t.track_id for t in folder.tracks] == [t.track_id for t in packed.tracks]
    orders = []
    for epoch in (0, 1):
        keys = []
        for rank in range(3):
            sampler = PlanSampler(len(packed), 4, rank, 3, seed=7)
            sampler.set_epoch(epoch)
            keys.append(list(sampler))
        assert len({len(one) for one in keys}) == 1  # no rank waits for another at the end
        flat = [key for one in keys for key in one]
        assert len(set(flat)) == len(flat) == 36
        orders.append([index for _, index in flat])
    assert orders[0] != orders[1]
    for key in flat[:6]:
        ours, theirs = (as_waveform(each[key].waveform) for each in (packed, folder))
        assert np.allclose(ours, theirs, atol=2e-3)


@pytest.fixture
def s3(monkeypatch):
    """An S3-compatible server with an empty bucket; its URL."""
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    conf = {"endpoint_url": f"http://{host}:{port}", "key": "key", "secret": "secret"}
    for name, value in conf.items():  # for loader workers and packing processes
        monkeypatch.setenv(f"FSSPEC_S3_{name.upper()}", value)
    monkeypatch.setitem(fsspec.config.conf, "s3", conf)
    fsspec.filesystem("s3", skip_instance_cache=True).mkdir("music")
    yield "s3://music/shards"
    server.stop()
    fsspec.filesystem("s3").clear_instance_cache()


def test_shards_in_an_object_store(msd_manifest, shards, s3):
    assert pack(msd_manifest, s3, format="s16", sample_rate=RATE) == (5, 5, 60, 0)
    here, there = excerpts(shards / "manifest.jsonl"), excerpts(f"{s3}/manifest.jsonl")
    assert here.keys() == there.keys()
    assert all(np.array_equal(here[name], there[name]) for name in here)
    assert not any(verdict.problem for verdict in verify_shards(s3, silent_progress))
    fsspec.filesystem("s3").rm(f"{s3}/train/000000.tar")
    with pytest.raises(AudioError, match=r"train/000000.tar.*FileNotFoundError"):
        excerpts(f"{s3}/manifest.jsonl")


class Faulty(http.server.SimpleHTTPRequestHandler):
    """Answers every file's first two requests with 503, and is slow; ignores ranges, as it may."""

    seen: dict[str, int]
    wait_s = 0.0

    def do_GET(self):
        self.seen[self.path] = self.seen.get(self.path, 0) + 1
        if self.seen[self.path] <= 2:
            self.send_error(503)
            return
        time.sleep(self.wait_s)
        super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def server(shards, monkeypatch):
    monkeypatch.setattr(storage, "_FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(Faulty, "seen", {}, raising=False)
    handler = partial(Faulty, directory=str(shards))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as http_server:
        threading.Thread(target=http_server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http_server.server_port}"
        http_server.shutdown()


def test_a_server_that_is_busy_twice_is_asked_again(shards, server):
    here = excerpts(shards / "manifest.jsonl")
    there = excerpts(f"{server}/manifest.jsonl")
    assert all(np.array_equal(here[name], there[name]) for name in here)


def test_a_server_that_is_slow_is_waited_for_and_one_that_hangs_is_not(server, monkeypatch):
    monkeypatch.setattr(Faulty, "wait_s", 0.3)
    assert storage.read(f"{server}/vocabulary.json")
    monkeypatch.setattr(storage, "_TIMEOUT_S", 0.1)
    with pytest.raises(StorageError, match=r"vocabulary.json: .*\(4 tries\)"):
        storage.read(f"{server}/vocabulary.json")


def test_what_is_not_there_is_said_at_once(server, monkeypatch):
    monkeypatch.setattr(Faulty, "seen", {"/none.tar": 2})
    start = time.monotonic()
    with pytest.raises(StorageError, match=r"none\.tar: FileNotFoundError"):
        storage.read_range(f"{server}/none.tar", 0, 10)
    assert time.monotonic() - start < 5


def test_a_shard_that_ends_too_early_is_named(shards, tmp_path):
    track = read_manifest(shards / "manifest.jsonl")[0]
    whole = (shards / track.audio.partition("#")[0]).read_bytes()
    (tmp_path / track.split).mkdir()
    (tmp_path / track.audio.partition("#")[0]).write_bytes(whole[:100_000])
    with pytest.raises(AudioError, match=r"000000.tar: \d+ bytes from byte \d+ on, expected"):
        read_excerpt(join(str(tmp_path), track.audio), 5.0, 3.0, RATE)


def test_a_pipe_is_spooled_once(shards, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    track = read_manifest(shards / "manifest.jsonl")[0]
    file, _, window = track.audio.partition("#")
    piped = f"pipe:cat {shards / file}#{window}"
    here = read_excerpt(join(str(shards), track.audio), 1.0, 2.0, RATE)
    assert np.array_equal(read_excerpt(piped, 1.0, 2.0, RATE), here)
    (spooled,) = (tmp_path / "negclap" / "pipes").iterdir()
    before = spooled.stat().st_mtime_ns
    read_excerpt(piped, 2.0, 2.0, RATE)
    assert spooled.stat().st_mtime_ns == before
    with pytest.raises(AudioError, match="exit status is 1"):
        read_excerpt(f"pipe:cat /nowhere/x.tar#{window}", 0.0, 1.0, RATE)


@pytest.mark.parametrize(
    ("option", "value"),
    [("part", "0/2"), ("part", "3/2"), ("part", "x"), ("tracks_per_shard", 0), ("jobs", 0)],
)
def test_a_part_that_is_none_is_refused(capfd, tmp_path, option, value):
    flag = "--" + option.replace("_", "-")
    arguments = ["prepare", "shards", "--manifest", "m", "--out", str(tmp_path), flag, str(value)]
    assert main(arguments) == 2
    assert option in capfd.readouterr().err
