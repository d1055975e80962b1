"""Tar shards of a manifest, for object storage and for clusters.

A shard is a tar that any WebDataset reader takes: ``00000012.flac`` and ``00000012.json`` for each
track. Its sidecar (``000003.tar.json``) lists the tracks with their byte offsets and the shard's
checksum, and is written last: a shard with a sidecar is whole. When all sidecars are there, they
become the shards' own ``manifest.jsonl``, whose tracks are windows of the shards, and which trains
like any other manifest: by one sampling plan, each track by one read of a range.
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
from negclap.data.entries import Rejection
from negclap.data.manifest import Track, parse_record
from negclap.data.tables import parse_json
from negclap.data.tracks import Tracks, read_manifest, read_vocabulary
from negclap.errors import InputError
from negclap.progress import Progress

Format = Literal["original", "flac", "s16"]
_VERSION = 1
_EXTENSION = re.compile(r"\w+")
_WAV_HEADER = 44  # bytes before the samples of a plain PCM file


@dataclass(frozen=True)
class Sharding:
    """A manifest as tar shards, for object storage and for clusters.

    Bring: a manifest that another `negclap prepare` made. Every shard that is there already is left
    alone, so the command may be run again; with --part I/N, N machines write a disjoint part each,
    and the one that ends last writes the shards' manifest.jsonl, which training is given.

    Attributes:
        manifest: Path or URL of the manifest.
        out: Folder or URL of the shards (s3://bucket/folder needs negclap[s3]).
        format: "original" bytes; "flac" (16 bit, mono); or "s16", plain samples (16 bit, mono) of
            which training reads no more than the excerpt.
        sample_rate: Hz of flac and s16, best the model's; 0 keeps each file's own.
        tracks_per_shard: Tracks of a shard.
        part: I/N writes the I-th of N parts.
        jobs: Processes.
    """

    manifest: str
    out: str
    format: Format = "flac"
    sample_rate: int = 0
    tracks_per_shard: int = 512
    part: str = "1/1"
    jobs: int = 4

    def __post_init__(self) -> None:
        """Refuse what is no part and no size."""
        index, slash, count = self.part.partition("/")
        if not (slash and index.isdigit() and count.isdigit() and 1 <= int(index) <= int(count)):
            raise InputError(f"part is {self.part!r}, expected I/N with I from 1 to N")
        if self.tracks_per_shard < 1 or self.sample_rate < 0 or self.jobs < 1:
            raise InputError("tracks_per_shard and jobs are at least 1, sample_rate at least 0")

    @property
    def own(self) -> tuple[int, int]:
        """Index of the part, from 0, and the number of parts."""
        index, _, count = self.part.partition("/")
        return int(index) - 1, int(count)


class Progressed(NamedTuple):
    """How far all parts together are; when all are done, the tracks, and what is none."""

    done: int
    shards: int
    tracks: int = 0
    rejected: int = 0


@dataclass(frozen=True)
class _Shard:
    """What one shard is to hold."""

    name: str  # "train/000003.tar"
    first: int  # number of its first track in the split
    tracks: Tracks


def write_shards(plan: Sharding, progress: Progress) -> Progressed:
    """Write the shards of this part that are not there yet; the manifest when all parts are.

    Raises:
        InputError: If the manifest cannot be read or the shards cannot be written.
    """
    tracks = read_manifest(plan.manifest)
    vocabulary = storage.read(_vocabulary_of(plan.manifest))
    read_vocabulary(plan.manifest)  # says what is wrong with it, now
    shards = list(_cut(tracks, plan.tracks_per_shard))
    index, count = plan.own
    mine = shards[index::count]
    with ProcessPoolExecutor(plan.jobs, mp_context=get_context("spawn")) as pool:
        work = pool.map(partial(_ensure, plan), mine)
        for _ in progress(f"part {plan.part}", len(mine), work):
            pass
    whole = sum(_sidecar(plan, shard) is not None for shard in shards)
    if whole < len(shards):
        return Progressed(whole, len(shards))
    counts = _merge(plan, shards, vocabulary)
    return Progressed(whole, len(shards), counts["manifest.jsonl"], counts["rejected.jsonl"])


_ABOUT = ("shard", "bytes", "sha256")


def _merge(plan: Sharding, shards: Sequence[_Shard], vocabulary: bytes) -> Counter[str]:
    """What the sidecars say as one list each; how long these are. The manifest comes last."""
    names = ("shards.jsonl", "rejected.jsonl", "manifest.jsonl")
    counts: Counter[str] = Counter()
    storage.write(storage.join(plan.out, "vocabulary.json"), vocabulary)
    with tempfile.TemporaryDirectory(prefix="negclap-") as folder, ExitStack() as files:
        paths = [Path(folder) / name for name in names]
        opened = [files.enter_context(path.open("w", encoding="utf-8")) for path in paths]
        for shard in shards:
            sidecar = _sidecar(plan, shard) or {}
            about = {key: sidecar[key] for key in _ABOUT}
            lists = ([about], sidecar["rejected"], sidecar["tracks"])
            for name, file, records in zip(names, opened, lists, strict=True):
                counts[name] += len(records)
                file.writelines(f"{json.dumps(one, ensure_ascii=False)}\n" for one in records)
        files.close()
        for path in paths:
            storage.put(path, storage.join(plan.out, path.name))
    return counts


def _vocabulary_of(manifest: str) -> str:
    return storage.join(storage.folder_of(manifest), "vocabulary.json")


def _cut(tracks: Tracks, size: int) -> Iterator[_Shard]:
    for split in tracks.splits():
        part = tracks.split(split)
        for number, first in enumerate(range(0, len(part), size)):
            yield _Shard(f"{split}/{number:06d}.tar", first, part[first : first + size])


def _fingerprint(plan: Sharding, shard: _Shard) -> str:
    """Changes with everything that the shard's bytes depend on."""
    parts: list[object] = [_VERSION, plan.format, plan.sample_rate, shard.first]
    digest = hashlib.sha256(json.dumps(parts).encode())
    for track in shard.tracks:
        digest.update(json.dumps(asdict(track)).encode())
    return digest.hexdigest()


def _sidecar(plan: Sharding, shard: _Shard) -> dict[str, Any] | None:
    """What is known of a shard that is whole."""
    location = storage.join(plan.out, f"{shard.name}.json")
    if not storage.exists(location):
        return None
    sidecar = parse_json(storage.read(location))
    current = isinstance(sidecar, dict) and sidecar.get("made_of") == _fingerprint(plan, shard)
    return sidecar if current else None


def _ensure(plan: Sharding, shard: _Shard) -> None:
    if _sidecar(plan, shard):
        return
    location = storage.join(plan.out, shard.name)
    with tempfile.TemporaryDirectory(prefix="negclap-shard-") as folder:
        path = Path(folder) / "shard.tar"
        rejected = _pack(path, plan, shard)
        storage.put(path, location)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        sidecar = {
            "made_of": _fingerprint(plan, shard),
            "shard": shard.name,
            "bytes": path.stat().st_size,
            "sha256": digest,
            "tracks": [asdict(track) for track in _windows(path, plan, shard)],
            "rejected": [one._asdict() for one in rejected],
        }
    storage.write(f"{location}.json", json.dumps(sidecar, ensure_ascii=False).encode())


def _pack(path: Path, plan: Sharding, shard: _Shard) -> list[Rejection]:
    """Write the tar; what cannot be read is told."""
    rejected: list[Rejection] = []
    root = storage.folder_of(plan.manifest)
    with tarfile.open(path, "w") as tar:
        for number, track in enumerate(shard.tracks, start=shard.first):
            location = storage.join(root, track.audio)
            try:
                extension, data, packed = _audio(track, location, plan)
            except (AudioError, storage.StorageError) as error:
                reason = "unreadable audio"
                rejected.append(Rejection(plan.manifest, track.track_id, reason, str(error)))
                continue
            about = asdict(packed) | {
                "text": [caption.text for caption in track.captions],
                "tag": track.tags,
            }
            _add(tar, f"{number:08d}.{extension}", data)
            _add(tar, f"{number:08d}.json", json.dumps(about, ensure_ascii=False).encode())
    return rejected


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def _audio(track: Track, location: str, plan: Sharding) -> tuple[str, bytes, Track]:
    """Extension and bytes of a track's audio, and where in them the track is."""
    if plan.format == "original":
        window = Window.parse(location)
        extension = window.form if window else PurePosixPath(location).suffix[1:].lower()
        if extension.startswith("s16"):
            raise AudioError(f"{location}: bare samples are no file; pack them as flac or s16")
        if not _EXTENSION.fullmatch(extension):
            raise AudioError(f"{location}: no file name's ending; pack it as flac or s16")
        data = storage.read_range(*window[:3]) if window else storage.read(location)
        probe(location)
        return extension, data, track
    rate = plan.sample_rate or probe(location).sample_rate
    samples = read_excerpt(location, track.start_s, track.duration_s, rate)
    wave = np.round(np.clip(samples, -1.0, 1.0) * 32767).astype("<i2")
    packed = replace(track, start_s=0.0, duration_s=len(wave) / rate)
    kind = {"flac": "flac", "s16": "wav"}[plan.format]
    buffer = io.BytesIO()
    sf.write(buffer, wave, rate, format=kind.upper(), subtype="PCM_16")
    return kind, buffer.getvalue(), packed


def _windows(path: Path, plan: Sharding, shard: _Shard) -> Iterator[Track]:
    """The tracks of a tar, each with its bytes' place."""
    audio: tarfile.TarInfo | None = None
    with tarfile.open(path) as tar:
        for info in tar:
            if not info.name.endswith(".json"):
                audio = info
                continue
            file = tar.extractfile(info)
            if audio is None or file is None:
                raise InputError(f"{path}: {info.name} stands before its audio")
            about = json.loads(file.read())
            record = {name: about[name] for name in Track.__dataclass_fields__}
            track = parse_record(record, f"{path}:{info.name}")
            yield replace(track, audio=str(_window(shard.name, audio, plan, track)))


def _window(name: str, info: tarfile.TarInfo, plan: Sharding, track: Track) -> Window:
    if plan.format != "s16":
        return Window(name, info.offset_data, info.size, info.name.rpartition(".")[2])
    size = info.size - _WAV_HEADER
    rate = round(size / 2 / track.duration_s)
    return Window(name, info.offset_data + _WAV_HEADER, size, f"s16@{rate}")


class Verdict(NamedTuple):
    """Of one shard: "" where its bytes are what its sidecar says, else what is wrong."""

    shard: str
    problem: str


def verify_shards(root: str, progress: Progress) -> list[Verdict]:
    """Compare every shard of a finished set with its checksum; reads all of them.

    Raises:
        InputError: If there is no list of shards.
    """
    lines = storage.read(storage.join(root, "shards.jsonl")).splitlines()
    listed: Sequence[Any] = [parse_json(line) for line in lines]
    return [_verdict(root, about) for about in progress("checking shards", len(listed), listed)]


def _verdict(root: str, about: Any) -> Verdict:
    if not isinstance(about, dict) or not all(name in about for name in _ABOUT):
        raise InputError(f"{root}: shards.jsonl holds a line that is none")
    location = storage.join(root, about["shard"])
    try:
        data = storage.read(location)
    except storage.StorageError as error:
        return Verdict(about["shard"], str(error))
    if len(data) != about["bytes"]:
        return Verdict(about["shard"], f"{len(data)} bytes, expected {about['bytes']}")
    same = hashlib.sha256(data).hexdigest() == about["sha256"]
    return Verdict(about["shard"], "" if same else "another checksum than when it was written")
