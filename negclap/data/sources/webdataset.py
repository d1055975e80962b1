"""WebDataset tar shards in the form of LAION's audio sets: `key.flac` and `key.json`."""

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, ClassVar, NamedTuple

from negclap.audio import Window
from negclap.data.entries import Candidate, Entry, Rejection
from negclap.data.manifest import Caption
from negclap.data.tables import parse_json
from negclap.errors import InputError
from negclap.storage import StorageError, join, list_files, open_binary

_AUDIO = ("flac", "wav", "mp3", "ogg", "opus")
_TEXT = ("json", "txt")
_SPLITS = {"train": "train", "valid": "validation", "validation": "validation", "test": "test"}


class Member(NamedTuple):
    """A file in a tar: its bytes are ``[start, start + size)`` of the shard."""

    name: str
    start: int
    size: int


def scan(location: str) -> Iterator[tuple[Member, bytes | None]]:
    """The files of a shard in order, headers alone; of texts also what they hold.

    Raises:
        StorageError: If the shard cannot be had.
        tarfile.TarError: If it is no tar, or ends before its end.
    """
    with open_binary(location) as file, tarfile.open(fileobj=file, mode="r:") as tar:
        for info in tar:
            if info.isfile():
                read = tar.extractfile(info) if info.name.lower().endswith(_TEXT) else None
                yield (
                    Member(info.name, info.offset_data, info.size),
                    (read or io.BytesIO()).read() if read else None,
                )
        file.seek(0, io.SEEK_END)
        if file.tell() < tar.offset:
            raise tarfile.ReadError("unexpected end of data")


@dataclass
class _Sample:
    audio: list[Member] = field(default_factory=list)
    captions: list[Caption] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    broken: str = ""


@dataclass(frozen=True)
class WebDataset:
    """Tar shards of anybody (LAION-Audio and the like): audio and texts side by side, no index.

    Bring: the folder or URL of the shards as --audio (`s3://`, `http://`, `pipe:` need no copy).
    Of each sample: one of .flac .wav .mp3 .ogg .opus, and .json with `text` (a text or a list of
    them) and perhaps `tag` (a list), or .txt. Their headers are read once; training then reads
    ranges of the shards, each file once, in any order. A folder train, valid(ation) or test in
    a shard's path is its split; else splits are drawn by sample. Licence: the shards'. Source of
    the form: Wu et al., Large-Scale Contrastive Language-Audio Pretraining, ICASSP 2023.

    Args:
        shards: Their names below --audio: a glob, or numbers in braces ("{000..012}.tar").
    """

    shards: str = "**/*.tar"

    name: ClassVar[str] = "webdataset"
    writes_captions: ClassVar[bool] = False

    def entries(self, audio: str) -> Iterator[Entry | Rejection]:
        """The samples, shard by shard."""
        shards = list_files(audio, self.shards)
        if not shards:
            raise InputError(f"{join(audio, self.shards)}: no shards there")
        for shard in shards:
            yield from _samples(audio, shard)


def _samples(root: str, shard: str) -> Iterator[Entry | Rejection]:
    samples: dict[str, _Sample] = {}
    location = join(root, shard)
    failure = ""
    try:
        for member, text in scan(location):
            folder, _, file = member.name.rpartition("/")
            stem, _, extension = file.partition(".")
            key = f"{folder}/{stem}" if folder else stem
            sample = samples.setdefault(key, _Sample())
            _add(sample, member, extension.lower(), text)
    except (StorageError, tarfile.TarError, OSError, EOFError) as error:
        failure = f"{type(error).__name__}: {error}"
    split = next((_SPLITS[p] for p in PurePosixPath(shard).parts if p in _SPLITS), "")
    for key, sample in samples.items():
        place, track_id = f"{location}:{key}", f"{shard.removesuffix('.tar')}/{key}"
        if sample.broken:
            yield Rejection(place, track_id, "malformed row", sample.broken)
        else:
            yield Entry(
                place,
                track_id,
                tuple(Candidate(_window(shard, member)) for member in sample.audio),
                tuple(sample.captions),
                tuple(sample.tags),
                split,
            )
    if failure:
        yield Rejection(location, "", "broken shard", f"{failure}; {len(samples)} samples before")


def _add(sample: _Sample, member: Member, extension: str, text: bytes | None) -> None:
    last = extension.rpartition(".")[2]
    if last in _AUDIO:
        sample.audio.append(member)
    elif last == "txt":
        sample.captions.append(Caption((text or b"").decode(errors="surrogateescape"), "text"))
    elif last == "json":
        values = parse_json(text or b"")
        if isinstance(values, dict):
            sample.captions += [Caption(one, "text") for one in _texts(values.get("text"))]
            sample.tags += _texts(values.get("tag"))
        else:
            sample.broken = f"{member.name} is no JSON object"


def _texts(value: Any) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    return [one for one in listed if isinstance(one, str)]


def _window(shard: str, member: Member) -> str:
    return str(Window(shard, member.start, member.size, member.name.rpartition(".")[2].lower()))
