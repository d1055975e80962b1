"""Corrupt and unusual audio files: every problem is reported and counted."""

import io
import json
import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from negclap.audio import AudioError, read_excerpt
from negclap.data.dataset import ClipDataset, Excerpts
from negclap.data.prepare import PrepareOptions, prepare_manifest
from negclap.data.shards import ShardOptions, write_shards
from negclap.data.sources.folder import Folder
from negclap.data.tracks import read_manifest

from ..conftest import silent_progress
from .conftest import read_lines

RATE = 16_000
LENGTH_S = 4.0


def noise(seconds: float = LENGTH_S, rate: int = RATE, channels: int = 1) -> np.ndarray:
    generator = np.random.default_rng(0)
    return generator.uniform(-0.5, 0.5, (round(seconds * rate), channels)).astype(np.float32)


def encoded(form: str, subtype: str | None = None, samples: np.ndarray | None = None, rate=RATE):
    buffer = io.BytesIO()
    sf.write(buffer, noise() if samples is None else samples, rate, format=form, subtype=subtype)
    return buffer.getvalue()


def with_value(value: float) -> np.ndarray:
    samples = noise()
    samples[1000] = value
    return samples


def as_npy(array: np.ndarray, allow_pickle: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=allow_pickle)
    return buffer.getvalue()


def patched(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


WAV, FLAC, OGG, MP3 = (encoded(form) for form in ("WAV", "FLAC", "OGG", "MP3"))
SIX = noise(channels=6)
GOOD: dict[str, bytes] = {
    "plain.wav": WAV,
    "plain.flac": FLAC,
    "plain.ogg": OGG,
    "plain.mp3": MP3,
    "plain.aiff": encoded("AIFF"),
    "8 bit.wav": encoded("WAV", "PCM_U8"),
    "24 bit.wav": encoded("WAV", "PCM_24"),
    "24 bit.flac": encoded("FLAC", "PCM_24"),
    "float.wav": encoded("WAV", "FLOAT"),
    "double.wav": encoded("WAV", "DOUBLE"),
    "96 kHz.wav": encoded("WAV", samples=noise(rate=96_000), rate=96_000),
    "surround.wav": encoded("WAV", samples=SIX),
    "wav in truth.mp3": WAV,
    "flac in truth.wav": FLAC,
    "too loud.wav": encoded("WAV", "FLOAT", 20 * noise()),
    "garbage in its ID3.mp3": b"ID3\x04\x00\x00\x00\x00\x07\x76" + os.urandom(1014) + MP3,
    "endless by its header.wav": patched(patched(WAV, 4, b"\xff" * 4), 40, b"\xff" * 4),
    "samples.npy": as_npy(noise()[:, 0]),
    "samples of one channel.npy": as_npy(noise().T),
    "half floats.npy": as_npy(noise()[:, 0].astype(np.float16)),
    'quotes " and commas, in one.wav': WAV,
    "new\nline.wav": WAV,
    "日本.wav": WAV,
}
LATE: dict[str, bytes] = {  # valid headers; the problems are found when reading
    "NaN.wav": encoded("WAV", "FLOAT", with_value(np.nan)),
    "infinite.wav": encoded("WAV", "FLOAT", with_value(np.inf)),
    "silent.wav": encoded("WAV", samples=np.zeros((4 * RATE, 1), np.float32)),
    "silent.flac": encoded("FLAC", samples=np.zeros((4 * RATE, 1), np.float32)),
    "NaN.npy": as_npy(with_value(np.nan)[:, 0]),
    "header.flac": FLAC[:42],
    "truncated.mp3": MP3[: len(MP3) // 4],  # its header has the full length
    "truncated.flac": FLAC[: len(FLAC) // 2],
    "torn.flac": patched(FLAC, len(FLAC) // 2, os.urandom(4000)),
}
BAD: dict[str, bytes] = {
    "zero bytes.wav": b"",
    "zero bytes.mp3": b"",
    "zero bytes.flac": b"",
    "zero bytes.npy": b"",
    "header.wav": WAV[:20],
    "header without samples.wav": WAV[:44],
    "header.ogg": OGG[:60],
    "header.mp3": MP3[:4],
    "truncated.wav": WAV[: len(WAV) // 4],
    "truncated.ogg": OGG[: len(OGG) // 4],
    "words.flac": b"not audio at all",
    "error page.mp3": b"<html><body>404 Not Found</body></html>" * 50,
    "random.ogg": np.random.default_rng(1).bytes(5000),
    "random.mp3": np.random.default_rng(2).bytes(5000),
    "no rate.wav": patched(WAV, 24, bytes(4)),
    "no channels.wav": patched(WAV, 22, bytes(2)),
    "brief.wav": encoded("WAV", samples=noise(0.05)),
    "one sample.wav": encoded("WAV", samples=noise()[:1]),
    "integers.npy": as_npy(np.arange(4 * RATE)),
    "stereo.npy": as_npy(noise(channels=2)),
    "pickle.npy": as_npy(np.array([{}], dtype=object), allow_pickle=True),
    "truncated.npy": as_npy(noise()[:, 0])[:500],
    "ID3 without music.mp3": b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + bytes(500),
}
ODD = os.fsdecode(b"caf\xe9.wav")  # not UTF-8, so a manifest cannot contain it
SPECIAL: dict[str, Callable[[Path], object]] = {  # no regular files, or special names
    "folder.mp3": Path.mkdir,
    "dangling.wav": lambda path: path.symlink_to(path.with_name("nowhere.wav")),
    "loop.wav": lambda path: path.symlink_to(path),
    "loop of folders": lambda path: path.symlink_to(path.parent, target_is_directory=True),
    "pipe.wav": os.mkfifo,
    "shard.tar#0+8.flac": lambda path: path.write_bytes(FLAC),
    ODD: lambda path: path.write_bytes(WAV),
}
LINKED = {"loop of folders"}
WALKED = {*GOOD, *LATE, *BAD, *SPECIAL} - {"folder.mp3"} - LINKED


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("faults")
    for name, data in (GOOD | LATE | BAD).items():
        (folder / name).write_bytes(data)
    for name, make in SPECIAL.items():
        make(folder / name)
    assert len(BAD) + len(LATE) + len(SPECIAL) >= 30
    return folder


@pytest.fixture(scope="module")
def prepared(corpus, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("prepared")
    table = out / "captions.jsonl"
    names = sorted(name for name in WALKED if name.isprintable() or name == "new\nline.wav")
    lines = [json.dumps({"file": name, "caption": "A piece", "split": "train"}) for name in names]
    table.write_text("\n".join(lines))
    options = PrepareOptions(out, str(corpus), min_duration_s=LENGTH_S)
    summary = prepare_manifest(Folder(table), options, silent_progress)
    assert summary.read == len(WALKED | LINKED)
    assert summary.tracks.total() + summary.rejected.total() == summary.read
    return out


def test_prepare_keeps_usable_files_and_reports_all_others(prepared):
    kept = {track.track_id for track in read_manifest(prepared / "manifest.jsonl")}
    reasons = {line["track_id"]: line["reason"] for line in read_lines(prepared / "rejected.jsonl")}
    assert kept | reasons.keys() == WALKED | LINKED
    assert not kept & reasons.keys()
    assert set(GOOD) <= kept
    assert kept <= {*GOOD, *LATE}
    assert reasons["brief.wav"] == "too short"
    assert reasons["words.flac"] == reasons["pipe.wav"] == "unreadable audio"
    assert reasons["dangling.wav"] == reasons["loop.wav"] == "no audio"
    assert reasons["shard.tar#0+8.flac"] == "file name like a shard window"
    assert reasons[ODD] == "not in the table"


def test_shards_contain_good_files_and_report_all_others(prepared, tmp_path):
    manifest = str(prepared / "manifest.jsonl")
    options = ShardOptions(manifest, str(tmp_path), tracks_per_shard=8, jobs=1)
    status = write_shards(options, silent_progress)
    before = {track.track_id for track in read_manifest(prepared / "manifest.jsonl")}
    packed = {track.track_id for track in read_manifest(tmp_path / "manifest.jsonl")}
    rejected = {line["track_id"] for line in read_lines(tmp_path / "rejected.jsonl")}
    assert packed == set(GOOD)
    assert packed | rejected == before
    assert (status.tracks, status.rejected) == (len(packed), len(rejected))


def test_dataset_reads_good_files_and_reports_all_others(prepared):
    tracks = read_manifest(prepared / "manifest.jsonl")
    excerpts = Excerpts(RATE, LENGTH_S, seed=None)
    dataset = ClipDataset(tracks, str(prepared), excerpts, lambda *_: {}, "skip")
    for index, track in enumerate(tracks):
        clip = dataset[0, index]
        assert np.isfinite(clip.waveform).all()
        assert clip.waveform.shape == (round(RATE * LENGTH_S),)
        assert bool(clip.unreadable) == (track.track_id in LATE)
        if clip.unreadable:
            assert track.track_id in clip.unreadable[0]


@pytest.mark.parametrize("name", sorted({*GOOD, *LATE, *BAD, *SPECIAL}))
def test_read_excerpt_returns_samples_or_raises_an_audio_error(corpus, name):
    path = corpus / name
    expected = nullcontext() if name in {*GOOD, ODD} else pytest.raises(AudioError)
    with expected as caught:
        samples = read_excerpt(str(path), 0.0, LENGTH_S, RATE)
        assert np.isfinite(samples).all()
    if caught:
        assert "\n" not in str(caught.value).replace(str(path), "")
