"""Open a manifest of any size in milliseconds and share it between loader workers.

On first use, all records are validated and cached in an Arrow IPC file, which is memory-mapped:
half a million tracks take almost no memory per process, and starting workers copies nothing.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import IO, Any, overload

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
    """A sequence of tracks in an Arrow table; tracks are created on access.

    ``rows`` are those to use, in order; None uses all. ``path`` is the file that the table is
    mapped from; other processes reopen it.
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
        """Create from tracks in memory."""
        return cls(pa.Table.from_batches(_batches(tracks), _SCHEMA))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as path and rows, so that spawned workers map the file too."""
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
        """Return a track, or the tracks of a slice."""
        if isinstance(index, slice):
            return Tracks(self._table, self._rows[index], self._path)
        row = int(self._rows[index])
        track_id, audio, start_s, duration_s, captions, tags, absent, split, meta = (
            column[row].as_py() for column in self._columns
        )
        texts = tuple(Caption(caption["text"], caption["kind"]) for caption in captions)
        absent = None if absent is None else tuple(absent)
        meta = json.loads(meta)
        return Track(track_id, audio, start_s, duration_s, texts, tuple(tags), absent, split, meta)

    def __iter__(self) -> Iterator[Track]:
        """Iterate over the tracks."""
        return (self[index] for index in range(len(self)))

    def column(self, name: str) -> pa.ChunkedArray:
        """Return one field of all tracks."""
        return self._table[name].take(pa.array(self._rows))

    def split(self, name: str) -> "Tracks":
        """Return the tracks of a split; may be empty."""
        return self._where(pc.equal(self.column("split"), name))

    def splits(self) -> list[str]:
        """Return the names of the splits, in order of appearance."""
        return list(pc.unique(self.column("split")).to_pylist())

    def shorter_than(self, duration_s: float) -> "Tracks":
        """Return the tracks shorter than ``duration_s``, in seconds."""
        return self._where(pc.less(self.column("duration_s"), duration_s))

    def without_caption(self) -> "Tracks":
        """Return the tracks without captions."""
        return self._where(pc.equal(pc.list_value_length(self.column("captions")), 0))

    def with_caption_kind(self, kind: str) -> "Tracks":
        """Return the tracks with a caption of this kind."""
        captions = self.column("captions").combine_chunks()
        kinds = pc.struct_field(pc.list_flatten(captions), "kind")
        rows = pc.filter(pc.list_parent_indices(captions), pc.equal(kinds, kind))
        return Tracks(self._table, self._rows[np.unique(rows.to_numpy())], self._path)

    def with_unknown_absence(self) -> "Tracks":
        """Return the tracks whose absent tags are unknown."""
        return self._where(pc.is_null(self.column("absent_tags")))

    def _where(self, chosen: Any) -> "Tracks":
        mask = np.asarray(chosen.to_numpy(), dtype=bool)
        return Tracks(self._table, self._rows[mask], self._path)


def read_manifest(location: Path | str) -> Tracks:
    """Open a JSON Lines or Parquet manifest through its Arrow file.

    The Arrow file is next to the manifest, or in the user's cache if that folder is read-only. It
    is created on first use and whenever the manifest has changed. A manifest at a URL is downloaded
    into the cache. Raises the `InputError` of `parse_manifest`.
    """
    path = storage.local_copy(str(location))
    if not path.is_file():
        raise InputError(f"{path}: manifest not found")
    stat = path.stat()
    made_of = json.dumps([_VERSION, stat.st_size, stat.st_mtime_ns]).encode()
    targets = (path.with_name(path.name + ".arrow"), _in_cache(path))
    for target in targets:
        if _is_current(target, made_of):
            return _open(target)
    path.open("rb").close()  # so that an OSError below comes from writing
    for target in targets:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with storage.atomic_write(target, "wb") as file:
                _write(file, parse_manifest(path), made_of)
        except OSError:  # the folder is read-only
            continue
        return _open(target)
    raise InputError(f"{path}: neither its folder nor {targets[1].parent} can be written")


def read_vocabulary(manifest: Path | str) -> Vocabulary:
    """Read the vocabulary next to a manifest."""
    location = storage.join(storage.folder_of(str(manifest)), "vocabulary.json")
    return Vocabulary.load(storage.local_copy(location))


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


def _write(file: IO[bytes], tracks: Iterable[Track], made_of: bytes) -> None:
    schema = _SCHEMA.with_metadata({_MADE_OF: made_of})
    with pa.ipc.new_file(file, schema) as writer:
        for batch in _batches(tracks):
            writer.write_batch(batch)


def _batches(tracks: Iterable[Track]) -> Iterator[pa.RecordBatch]:
    records = (
        asdict(track) | {"meta": json.dumps(dict(track.meta), ensure_ascii=False)}
        for track in tracks
    )
    while batch := list(islice(records, _ROWS_AT_ONCE)):
        yield pa.RecordBatch.from_pylist(batch, _SCHEMA)
