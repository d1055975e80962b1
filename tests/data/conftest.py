"""Small data sets in the real formats, with audio of the built-in data set."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile as sf

from negclap.audio import resample
from negclap.data.manifest import Track
from negclap.data.prepare import PrepareOptions, prepare_manifest
from negclap.data.sources.lp_musiccaps import LpMusicCapsMsd

from ..conftest import silent_progress

GOOD = {
    "track_id": "t1",
    "audio": "t1.wav",
    "start_s": 0.0,
    "duration_s": 5,
    "captions": [{"text": "slow piano", "kind": "human"}],
    "tags": ["piano"],
    "absent_tags": None,
    "split": "train",
}
"""A valid record of a manifest."""

MSD_SCHEMA = pa.schema(
    [
        ("track_id", pa.string()),
        ("title", pa.string()),
        ("artist_name", pa.string()),
        ("release", pa.string()),
        ("year", pa.int64()),
        ("tag", pa.list_(pa.string())),
        ("caption_writing", pa.string()),
        ("caption_summary", pa.string()),
        ("caption_paraphrase", pa.string()),
        ("caption_attribute_prediction", pa.string()),
        ("path", pa.string()),
    ]
)


class DataSet(NamedTuple):
    """The locations of a data set."""

    metadata: Path
    audio: Path


def clip_of(chorales: Path, track: Track, rate: int) -> np.ndarray:
    """Return 10 s: the clip repeated twice."""
    samples, native = sf.read(chorales / track.audio, dtype="float32")
    return np.tile(resample(samples, native, rate), 2)


def write_audio(path: Path, samples: np.ndarray, rate: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, samples)
    else:
        sf.write(path, samples, rate)


def msd_row(number: int, track: Track) -> dict[str, object]:
    """Return a row of LP-MusicCaps-MSD for a clip of the built-in data set."""
    first, second, *_ = [caption.text for caption in track.captions] * 2
    return {
        "track_id": f"TR{chr(65 + number % 26)}{chr(65 + number // 26)}AAA{number:011d}",
        "title": f"Number {number}",
        "artist_name": "A Choir",
        "release": "Chorales",
        "year": 1750,
        "tag": list(track.tags),
        "caption_writing": first,
        "caption_summary": second,
        "caption_paraphrase": "",
        "caption_attribute_prediction": "A song with theremin.",
        "path": f"{number % 3}/{number % 7}/{8_134_000 + number}.clip.mp3",
    }


def write_msd(folder: Path, chorales: Path, tracks: Sequence[Track]) -> DataSet:
    """Write 60 tracks in the format of LP-MusicCaps-MSD, with its three audio layouts."""
    data = DataSet(folder / "metadata", folder / "audio")
    data.metadata.mkdir(parents=True)
    rows = [msd_row(number, track) for number, track in enumerate(tracks)]
    for name, part in (("train", rows[:40]), ("valid", rows[40:50]), ("test", rows[50:])):
        pq.write_table(pa.Table.from_pylist(part, MSD_SCHEMA), data.metadata / f"{name}.parquet")
    for number, (row, track) in enumerate(zip(rows, tracks, strict=True)):
        path, name = str(row["path"]), str(row["track_id"])
        match number % 3:
            case 0:
                write_audio(data.audio / path, clip_of(chorales, track, 22_050), 22_050)
            case 1:
                samples = clip_of(chorales, track, 16_000)
                write_audio((data.audio / path).with_suffix(".npy"), samples, 16_000)
            case 2:
                by_id = data.audio / name[2] / name[3] / name[4] / f"{name}.mp3"
                write_audio(by_id, clip_of(chorales, track, 44_100), 44_100)
    return data


@pytest.fixture(scope="session")
def msd(tmp_path_factory, chorales, tracks) -> DataSet:
    folder = tmp_path_factory.mktemp("msd")
    return write_msd(
        folder, chorales, [track for track in tracks if "twin" not in track.split][:60]
    )


@pytest.fixture(scope="session")
def msd_manifest(msd, tmp_path_factory) -> Path:
    """The manifest of `msd`."""
    out = tmp_path_factory.mktemp("msd-manifest")
    options = PrepareOptions(out, str(msd.audio))
    prepare_manifest(LpMusicCapsMsd(msd.metadata), options, silent_progress)
    return out / "manifest.jsonl"


def read_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]
