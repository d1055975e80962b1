"""A manifest of any size, opened in milliseconds and shared by all loader workers.

JSONL and Parquet are what people write. What is opened is an Arrow IPC file beside it, which is
made once, with every record checked, and mapped into memory: half a million tracks cost a process
next to nothing, and nothing is copied when workers start.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, overload
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from negclap import storage
from negclap.data.manifest import Caption, Track, parse_manifest
from negclap.errors import InputError
from negclap.text.vocabulary import Vocabulary

_SCHEMA = pa.schema(
    [
        ("track_id", pa.string()),
        ("audio", pa.string()),
        ("start_s", pa.float64()),
        ("duration_s", pa.float64()),
        ("captions", pa.list_(pa.struct([("text", pa.string()), ("kind", pa.string())]))),
        ("tags", pa.list_(pa.string())),
        ("absent_tags", pa.list_(pa.string())),
        ("split", pa.string()),
        ("meta", pa.string()),
    ]
)
_MADE_OF = b"made of"
_VERSION = 1
_ROWS_AT_ONCE = 65_536


class Tracks(Sequence[Track]):
    """Tracks of an Arrow table, made when they are asked for.

    Args:
        table: Columns of the manifest's fields.
        rows: Which of its rows, in which order; None takes all.
        path: The file that the table is mapped from; another process opens it anew.
    """

    def __init__(
        self, table: pa.Table, rows: NDArray[np.int64] | None = None, path: Path | None = None
    ) -> None:
        self._table = table
        self._columns = table.columns
        self._rows = np.arange(len(table)) if rows is None else rows
        self._path = path

    @classmethod
    def of(cls, tracks: Iterable[Track]) -> "Tracks":
        """Tracks that are in memory already."""
        return cls(pa.Table.from_batches(_batches(tracks), _SCHEMA))

    def __reduce__(self) -> tuple[Any, ...]:
        """Workers that are started anew map the file, too."""
        if self._path:
            return _open_rows, (self._path, self._rows)
        return Tracks, (self._table, self._rows)

    def __len__(self) -> int:
        """Number of tracks."""
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Track: ...
    @overload
    def __getitem__(self, index: slice) -> "Tracks": ...
    def __getitem__(self, index: int | slice) -> "Track | Tracks":
        """A track, or the tracks of a slice."""
        if isinstance(index, slice):
            return Tracks(self._table, self._rows[index], self._path)
        row = int(self._rows[index])
        track_id, audio, start_s, duration_s, captions, tags, absent, split, meta = (
            column[row].as_py() for column in self._columns
        )
        return Track(
            track_id,
            audio,
            start_s,
            duration_s,
            tuple(Caption(caption["text"], caption["kind"]) for caption in captions),
            tuple(tags),
            None if absent is None else tuple(absent),
            split,
            json.loads(meta),
        )

    def __iter__(self) -> Iterator[Track]:
        """One after the other."""
        return (self[index] for index in range(len(self)))

    def column(self, name: str) -> pa.ChunkedArray:
        """A field of all tracks."""
        return self._table[name].take(pa.array(self._rows))

    def split(self, name: str) -> "Tracks":
        """The tracks of a split; may be none."""
        return self._where(pc.equal(self.column("split"), name))

    def splits(self) -> list[str]:
        """Names of the splits, in order of appearance."""
        names: list[str] = pc.unique(self.column("split")).to_pylist()
        return names

    def shorter_than(self, duration_s: float) -> "Tracks":
        """Those that last less than so many seconds."""
        return self._where(pc.less(self.column("duration_s"), duration_s))

    def without_caption(self) -> "Tracks":
        """Those without any."""
        return self._where(pc.equal(pc.list_value_length(self.column("captions")), 0))

    def with_caption_of(self, kind: str) -> "Tracks":
        """Those that have a caption of a kind."""
        captions = self.column("captions").combine_chunks()
        kinds = pc.struct_field(pc.list_flatten(captions), "kind")
        rows = pc.filter(pc.list_parent_indices(captions), pc.equal(kinds, kind))
        return Tracks(self._table, self._rows[np.unique(rows.to_numpy())], self._path)

    def of_unknown_absence(self) -> "Tracks":
        """Those that do not say what they lack."""
        return self._where(pc.is_null(self.column("absent_tags")))

    def _where(self, chosen: Any) -> "Tracks":
        mask = np.asarray(chosen.to_numpy(), dtype=bool)
        return Tracks(self._table, self._rows[mask], self._path)


def read_manifest(location: Path | str) -> Tracks:
    """Open a JSONL or Parquet manifest through its Arrow file, which is made where it is missing.

    The Arrow file lies beside the manifest, or in the user's cache where that cannot be written;
    it is made anew when the manifest has changed. A manifest at a URL is copied into that cache.

    Raises:
        InputError: If the manifest is missing, empty, or a record is wrong; names ``file:line``.
    """
    path = storage.local_copy(str(location))
    if not path.is_file():
        raise InputError(f"{path}: no manifest there")
    stat = path.stat()
    made_of = json.dumps([_VERSION, stat.st_size, stat.st_mtime_ns]).encode()
    targets = (path.with_name(path.name + ".arrow"), _in_cache(path))
    for target in targets:
        if _is_current(target, made_of):
            return _open(target)
    path.open("rb").close()  # what cannot be read is not taken for what cannot be written below
    for target in targets:
        partial = target.with_name(f"{target.name}.{uuid4().hex}.partial")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _write(partial, parse_manifest(path), made_of)
            partial.replace(target)
        except OSError:  # a folder that may not be written
            continue
        finally:
            partial.unlink(missing_ok=True)
        return _open(target)
    raise InputError(f"{path}: neither its folder nor {targets[1].parent} can be written")


def read_vocabulary(manifest: Path | str) -> Vocabulary:
    """The vocabulary beside a manifest."""
    beside = storage.join(storage.folder_of(str(manifest)), "vocabulary.json")
    return Vocabulary.load(storage.local_copy(beside))


def _in_cache(path: Path) -> Path:
    key = hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:32]
    return storage.cache_folder() / "manifests" / f"{key}.arrow"


def _is_current(target: Path, made_of: bytes) -> bool:
    try:
        with pa.memory_map(str(target)) as source:
            metadata = pa.ipc.open_file(source).schema.metadata or {}
    except (OSError, pa.ArrowException):
        return False
    return bool(metadata.get(_MADE_OF) == made_of)


def _open(path: Path) -> Tracks:
    return Tracks(pa.ipc.open_file(pa.memory_map(str(path))).read_all(), None, path)


def _open_rows(path: Path, rows: NDArray[np.int64]) -> Tracks:
    return Tracks(_open(path)._table, rows, path)


def _write(path: Path, tracks: Iterable[Track], made_of: bytes) -> None:
    schema = _SCHEMA.with_metadata({_MADE_OF: made_of})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for batch in _batches(tracks):
            writer.write_batch(batch)


def _batches(tracks: Iterable[Track]) -> Iterator[pa.RecordBatch]:
    left = iter(tracks)
    while some := list(islice(left, _ROWS_AT_ONCE)):
        records = [
            asdict(track) | {"meta": json.dumps(dict(track.meta), ensure_ascii=False)}
            for track in some
        ]
        yield pa.RecordBatch.from_pylist(records, _SCHEMA)
