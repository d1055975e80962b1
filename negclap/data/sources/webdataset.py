"""WebDataset tar shards in the format of LAION-Audio: `key.flac` and `key.json`."""

import io
import tarfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, ClassVar

from negclap.audio import Window
from negclap.data.entries import Candidate, Entry
from negclap.data.manifest import Caption
from negclap.data.tables import Rejection, parse_json
from negclap.errors import InputError
from negclap.storage import StorageError, join, list_files, open_binary

_AUDIO = ("flac", "wav", "mp3", "ogg", "opus", "m4a")
_TEXT = ("json", "txt")
_SPLITS = {"train": "train", "valid": "validation", "validation": "validation", "test": "test"}


def _scan(location: str) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """Yield the files of a shard in order, with the contents of text files only."""
    with open_binary(location) as file, tarfile.open(fileobj=file, mode="r:") as tar:
        for info in tar:
            if info.isfile():
                text = tar.extractfile(info) if info.name.lower().endswith(_TEXT) else None
                yield info, text.read() if text else b""
        file.seek(0, io.SEEK_END)
        if file.tell() < tar.offset:
            raise tarfile.ReadError("unexpected end of data")


@dataclass
class _Sample:
    audio: list[Candidate] = field(default_factory=list)
    captions: list[Caption] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    broken: str = ""


@dataclass(frozen=True)
class WebDataset:
    """Existing WebDataset tar shards (LAION-Audio and similar), without an index.

    Input: the folder or URL of the shards as --audio (`s3://` and `http://` are read in place).
    Each sample has one of .flac .wav .mp3 .ogg .opus .m4a, and either .json with `text` (a string
    or a list) and optionally `tag` (a list), or .txt. The headers are read once; training then
    reads ranges of the shards in any order. A folder train, valid(ation) or test in a shard's path
    is its split; otherwise splits are drawn by sample. Licence: that of the shards. Format: Wu et
    al., Large-Scale Contrastive Language-Audio Pretraining, ICASSP 2023.

    Args:
        shards: Names of the shards below --audio: a glob, or a number range ("{000..012}.tar").
    """

    shards: str = "**/*.tar"

    name: ClassVar[str] = "webdataset"
    writes_captions: ClassVar[bool] = False

    def entries(self, audio: str) -> Iterator[Entry | Rejection]:
        """Yield the samples, shard by shard."""
        shards = list_files(audio, self.shards)
        if not shards:
            raise InputError(f"{join(audio, self.shards)}: no shards found")
        for shard in shards:
            yield from _samples(audio, shard)


def _samples(root: str, shard: str) -> Iterator[Entry | Rejection]:
    location = join(root, shard)
    failure = ""
    files: list[tuple[tarfile.TarInfo, bytes]] = []
    try:
        files += _scan(location)
    except (StorageError, tarfile.TarError, OSError, EOFError) as error:
        failure = f"{type(error).__name__}: {error}"
    samples: dict[str, _Sample] = {}
    keys = {_key(info.name) for info, _ in files if _extension(info.name) in _AUDIO}
    for info, text in files:
        _add(samples.setdefault(_key(info.name, keys), _Sample()), shard, info, text)
    split = next((_SPLITS[p] for p in PurePosixPath(shard).parts if p in _SPLITS), "")
    for key, sample in samples.items():
        place, track_id = f"{location}:{key}", f"{shard.removesuffix('.tar')}/{key}"
        if sample.broken:
            yield Rejection(place, track_id, "malformed row", sample.broken)
        else:
            audio, captions = tuple(sample.audio), tuple(sample.captions)
            yield Entry(place, track_id, audio, captions, tuple(sample.tags), split)
    if failure:
        yield Rejection(location, "", "broken shard", f"{failure}; {len(samples)} samples before")


def _key(name: str, audio: Collection[str] = ()) -> str:
    """Return what the files of a sample share: the name without its extension.

    Names may have dots ("01. Rain.flac"), and extensions may, too ("a.meta.json"): then the key is
    the longest one that belongs to an ``audio`` file.
    """
    folder, _, file = name.rpartition("/")
    parts = file.split(".")
    shorter = [".".join(parts[:n]) for n in range(max(1, len(parts) - 1), 0, -1)]
    possible = [f"{folder}/{stem}" if folder else stem for stem in shorter]
    return next((key for key in possible if key in audio), possible[0])


def _extension(name: str) -> str:
    return name.rpartition("/")[2].partition(".")[2].lower().rpartition(".")[2]


def _add(sample: _Sample, shard: str, info: tarfile.TarInfo, data: bytes) -> None:
    extension = _extension(info.name)
    if extension in _AUDIO:
        if sample.audio:
            sample.broken = f"{info.name} is another audio file of the same key"
        window = Window(shard, info.offset_data, info.size, extension)
        sample.audio.append(Candidate(str(window)))
    elif extension == "txt":
        sample.captions.append(Caption(data.decode(errors="surrogateescape"), "text"))
    elif extension == "json":
        values = parse_json(data)
        if isinstance(values, dict):
            sample.captions += [Caption(text, "text") for text in _texts(values.get("text"))]
            sample.tags += _texts(values.get("tag"))
        else:
            sample.broken = f"{info.name} is not a JSON object"


def _texts(value: Any) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    return [text for text in listed if isinstance(text, str)]
