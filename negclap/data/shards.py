"""Pack a manifest into tar shards that any WebDataset reader can read.

A shard has ``00000012.flac`` and ``00000012.json`` for each track. Its sidecar
(``000003.tar.json``) lists the tracks with their byte offsets, and the shard's checksum; it is
written last, so a shard with a sidecar is complete. When all shards are complete, the sidecars are
merged into a ``manifest.jsonl`` whose tracks are windows of the shards.
"""

import hashlib
import io
import json
import re
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple

import numpy as np
import soundfile as sf

from negclap import storage
from negclap.audio import AudioError, Window, probe, read_excerpt
from negclap.data.manifest import Track, parse_record
from negclap.data.tables import Rejection, parse_json
from negclap.data.tracks import Tracks, read_manifest, read_vocabulary
from negclap.errors import InputError
from negclap.progress import Progress

Format = Literal["original", "flac", "s16"]
_VERSION = 1
_EXTENSION = re.compile(r"\w+")
_WAV_HEADER = 44  # bytes before the samples of a plain PCM file


@dataclass(frozen=True)
class ShardOptions:
    """Pack a manifest into tar shards, for object storage and clusters.

    Input: a manifest from another `negclap prepare` command. Complete shards are kept, so the
    command can be run again after a crash. With --part I/N, N machines each write a disjoint part;
    the last one to finish writes the shards' manifest.jsonl, which is the input for training.

    Attributes:
        manifest: Path or URL of the manifest.
        out: Folder or URL of the shards (s3://bucket/folder needs negclap[s3]).
        format: "original" keeps the files' bytes; "flac" is 16-bit mono; "s16" is raw 16-bit mono
            PCM, of which training reads only the excerpts.
        sample_rate: Sample rate of flac and s16 in Hz, preferably the model's; 0 keeps the rate of
            each file.
        tracks_per_shard: Tracks per shard.
        part: I/N writes the I-th of N parts.
        jobs: Number of processes.
    """

    manifest: str
    out: str
    format: Format = "flac"
    sample_rate: int = 0
    tracks_per_shard: int = 512
    part: str = "1/1"
    jobs: int = 4

    def __post_init__(self) -> None:
        """Check the values."""
        match = re.fullmatch(r"(\d+)/(\d+)", self.part)
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise InputError(f"part is {self.part!r}, expected I/N with I from 1 to N")
        if self.tracks_per_shard < 1 or self.sample_rate < 0 or self.jobs < 1:
            raise InputError(
                f"tracks_per_shard is {self.tracks_per_shard}, jobs is {self.jobs} and sample_rate "
                f"is {self.sample_rate}, expected at least 1, 1 and 0"
            )


class ShardStatus(NamedTuple):
    """Complete shards and all shards of all parts; when all are complete, the counts of tracks."""

    done: int
    shards: int
    tracks: int = 0
    rejected: int = 0


@dataclass(frozen=True)
class _Shard:
    name: str  # "train/000003.tar"
    first: int  # index of its first track in the split
    tracks: Tracks


def write_shards(options: ShardOptions, progress: Progress) -> ShardStatus:
    """Write the missing shards of this part, and the manifest if all parts are complete.

    Raises:
        InputError: If the manifest cannot be read or the shards cannot be written.
    """
    tracks = read_manifest(options.manifest)
    vocabulary = storage.read(_near(options.manifest, "vocabulary.json"))
    read_vocabulary(options.manifest)  # validates it before any work
    shards = list(_cut(tracks, options.tracks_per_shard))
    index, count = map(int, options.part.split("/"))
    part = shards[index - 1 :: count]
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        work = pool.map(partial(_ensure, options), part)
        for _ in progress(f"part {options.part}", len(part), work):
            pass
    done = sum(_sidecar(options, shard) is not None for shard in shards)
    if done < len(shards):
        return ShardStatus(done, len(shards))
    counts = _merge(options, shards, vocabulary)
    return ShardStatus(done, len(shards), counts["manifest.jsonl"], counts["rejected.jsonl"])


_SHARD_FIELDS = ("shard", "bytes", "sha256")


def _merge(options: ShardOptions, shards: Sequence[_Shard], vocabulary: bytes) -> Counter[str]:
    """Merge the sidecars into three lists, the manifest last; return the lengths of the lists."""
    names = ("shards.jsonl", "rejected.jsonl", "manifest.jsonl")
    counts: Counter[str] = Counter()
    storage.write(storage.join(options.out, "vocabulary.json"), vocabulary)
    with tempfile.TemporaryDirectory(prefix="negclap-") as folder, ExitStack() as files:
        paths = [Path(folder) / name for name in names]
        opened = [files.enter_context(path.open("w", encoding="utf-8")) for path in paths]
        for shard in shards:
            sidecar = _sidecar(options, shard) or {}
            checksum = {key: sidecar[key] for key in _SHARD_FIELDS}
            lists = ([checksum], sidecar["rejected"], sidecar["tracks"])
            for name, file, records in zip(names, opened, lists, strict=True):
                counts[name] += len(records)
                file.writelines(f"{json.dumps(each, ensure_ascii=False)}\n" for each in records)
        files.close()
        for path in paths:
            storage.put(path, storage.join(options.out, path.name))
    return counts


def _near(manifest: str, location: str) -> str:
    return storage.join(storage.folder_of(manifest), location)


def _cut(tracks: Tracks, size: int) -> Iterator[_Shard]:
    for split in tracks.splits():
        part = tracks.split(split)
        for number, first in enumerate(range(0, len(part), size)):
            yield _Shard(f"{split}/{number:06d}.tar", first, part[first : first + size])


def _fingerprint(options: ShardOptions, shard: _Shard) -> str:
    """Return a digest of everything that the shard's bytes depend on."""
    parts = [_VERSION, options.format, options.sample_rate, shard.first]
    lines = (json.dumps(each) for each in (parts, *map(asdict, shard.tracks)))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _sidecar(options: ShardOptions, shard: _Shard) -> dict[str, Any] | None:
    """Return the sidecar of a complete shard; None if the shard must be written."""
    location = storage.join(options.out, f"{shard.name}.json")
    if not storage.exists(location):
        return None
    sidecar = parse_json(storage.read(location))
    made_of = sidecar.get("made_of") if isinstance(sidecar, dict) else None
    return sidecar if made_of == _fingerprint(options, shard) else None


def _ensure(options: ShardOptions, shard: _Shard) -> None:
    """Write the shard and its sidecar unless it is complete."""
    if _sidecar(options, shard):
        return
    location = storage.join(options.out, shard.name)
    with tempfile.TemporaryDirectory(prefix="negclap-shard-") as folder:
        path = Path(folder) / "shard.tar"
        rejected = _pack(path, options, shard)
        storage.put(path, location)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        sidecar = {
            "made_of": _fingerprint(options, shard),
            "shard": shard.name,
            "bytes": path.stat().st_size,
            "sha256": digest,
            "tracks": [asdict(track) for track in _windows(path, options, shard)],
            "rejected": [rejection._asdict() for rejection in rejected],
        }
    storage.write(f"{location}.json", json.dumps(sidecar, ensure_ascii=False).encode())


def _pack(path: Path, options: ShardOptions, shard: _Shard) -> list[Rejection]:
    """Write the tar; return the tracks that cannot be read."""
    rejected: list[Rejection] = []
    with tarfile.open(path, "w") as tar:
        for number, track in enumerate(shard.tracks, start=shard.first):
            try:
                extension, data, packed = _audio(track, options)
            except (AudioError, storage.StorageError) as error:
                reason = "unreadable audio"
                rejected.append(Rejection(options.manifest, track.track_id, reason, str(error)))
                continue
            texts = [caption.text for caption in track.captions]
            record = asdict(packed) | {"text": texts, "tag": track.tags}
            _add(tar, f"{number:08d}.{extension}", data)
            _add(tar, f"{number:08d}.json", json.dumps(record, ensure_ascii=False).encode())
    return rejected


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def _audio(track: Track, options: ShardOptions) -> tuple[str, bytes, Track]:
    """Return extension and bytes of the audio, and the track with its offset in them."""
    location = _near(options.manifest, track.audio)
    if options.format == "original":
        window = Window.parse(location)
        extension = window.form if window else PurePosixPath(location).suffix[1:].lower()
        if extension.startswith("s16"):
            raise AudioError(f"{location}: raw PCM has no file format; pack it as flac or s16")
        if not _EXTENSION.fullmatch(extension):
            raise AudioError(f"{location}: no file name extension; pack it as flac or s16")
        data = storage.read_range(*window[:3]) if window else storage.read(location)
        probe(location)
        return extension, data, track
    rate = options.sample_rate or probe(location).sample_rate
    samples = read_excerpt(location, track.start_s, track.duration_s, rate)
    wave = np.round(np.clip(samples, -1.0, 1.0) * 32767).astype("<i2")
    packed = replace(track, start_s=0.0, duration_s=len(wave) / rate)
    kind = {"flac": "flac", "s16": "wav"}[options.format]
    buffer = io.BytesIO()
    sf.write(buffer, wave, rate, format=kind.upper(), subtype="PCM_16")
    return kind, buffer.getvalue(), packed


def _windows(path: Path, options: ShardOptions, shard: _Shard) -> Iterator[Track]:
    """Yield the tracks of a tar, with their audio as windows of it."""
    audio: tarfile.TarInfo | None = None
    with tarfile.open(path) as tar:
        for info in tar:
            if not info.name.endswith(".json"):
                audio = info
                continue
            file = tar.extractfile(info)
            if audio is None or file is None:
                raise InputError(f"{path}: {info.name} is before its audio")
            values = json.loads(file.read())
            record = {name: values[name] for name in Track.__dataclass_fields__}
            track = parse_record(record, f"{path}:{info.name}")
            yield replace(track, audio=str(_window(shard.name, audio, options, track)))


def _window(name: str, info: tarfile.TarInfo, options: ShardOptions, track: Track) -> Window:
    if options.format != "s16":
        return Window(name, info.offset_data, info.size, info.name.rpartition(".")[2])
    size = info.size - _WAV_HEADER
    rate = round(size / 2 / track.duration_s)
    return Window(name, info.offset_data + _WAV_HEADER, size, f"s16@{rate}")


class ShardCheck(NamedTuple):
    """The result of checking a shard; ``problem`` is "" if its bytes match the checksum."""

    shard: str
    problem: str


def verify_shards(root: str, progress: Progress) -> list[ShardCheck]:
    """Read all shards of a finished set and compare them with their checksums.

    Raises:
        InputError: If there is no list of shards.
    """
    lines = storage.read(storage.join(root, "shards.jsonl")).splitlines()
    listed: Sequence[Any] = [parse_json(line) for line in lines]
    return [_check(root, entry) for entry in progress("checking shards", len(listed), listed)]


def _check(root: str, entry: Any) -> ShardCheck:
    if not isinstance(entry, dict) or not all(name in entry for name in _SHARD_FIELDS):
        raise InputError(f"{root}: invalid line in shards.jsonl, expected {list(_SHARD_FIELDS)}")
    name = entry["shard"]
    try:
        data = storage.read(storage.join(root, name))
    except storage.StorageError as error:
        return ShardCheck(name, str(error))
    if len(data) != entry["bytes"]:
        return ShardCheck(name, f"{len(data)} bytes, expected {entry['bytes']}")
    same = hashlib.sha256(data).hexdigest() == entry["sha256"]
    return ShardCheck(name, "" if same else "checksum differs from when it was written")
