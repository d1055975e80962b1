"""The SQLite file of an index: tracks, windows and embeddings.

Each change is one SQLite transaction, so a killed process, a full disk, or two processes at once
cannot corrupt the index: a track is stored with all its windows, or not at all.
"""

import os
import sqlite3
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from negclap.errors import InputError

_FILE = "index.sqlite"
_WAIT_S = 60.0  # for another process's transaction
_SCHEMA = """
CREATE TABLE about (key TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE tracks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never reused
    path BLOB NOT NULL UNIQUE,  -- relative to the music folder, the file system's bytes
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    duration_s REAL,
    problem BLOB,               -- why it has no windows, or not all
    starts BLOB NOT NULL,       -- (n,) float32, seconds
    embeddings BLOB NOT NULL    -- (n, dim) float32
);
"""
_HAS_WINDOWS = "length(starts) > 0"


class Stamp(NamedTuple):
    """Size and modification time of a file, to detect changes."""

    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> "Stamp":
        """Return the stamp of a file."""
        stat = path.stat()
        return cls(stat.st_size, stat.st_mtime_ns)


class IndexedTrack(NamedTuple):
    """A track as it is stored.

    Attributes:
        path: Path relative to the music folder.
        stamp: Stamp of the file that was embedded.
        duration_s: Duration in seconds; None if the file cannot be read.
        starts: ``(n,)`` start of each window in seconds.
        embeddings: ``(n, dim)``.
        problem: Why the track has no windows, or lacks some, else None.
    """

    path: str
    stamp: Stamp
    duration_s: float | None
    starts: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    problem: str | None = None


class Store:
    """The SQLite file of an index.

    Args:
        folder: Folder of the index.

    Raises:
        InputError: If the folder contains no index.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / _FILE
        if not self.path.is_file():
            raise InputError(f"{folder}: not an index; create one with negclap index")
        self._db = _connect(self.path)

    @classmethod
    def create(cls, folder: Path, metadata: dict[str, bytes]) -> "Store":
        """Create an empty store, or open the one that exists and keep its metadata."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / _FILE
        with _sqlite_errors(path):
            database = _connect(path)
            with database:
                database.execute("BEGIN IMMEDIATE")
                if not database.execute("SELECT 1 FROM sqlite_master").fetchone():
                    for statement in _SCHEMA.split(";"):
                        database.execute(statement)
                    rows = {**metadata, "generation": b"0"}.items()
                    database.executemany("INSERT INTO about VALUES (?, ?)", rows)
            database.close()
        return cls(folder)

    @staticmethod
    def exists(folder: Path) -> bool:
        """Whether the folder contains an index."""
        return (folder / _FILE).is_file()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @property
    def metadata(self) -> dict[str, bytes]:
        """Metadata of the index, read again each time: another process may have changed it."""
        with _sqlite_errors(self.path):
            rows: dict[str, bytes] = dict(self._db.execute("SELECT key, value FROM about"))
        return rows

    def set_metadata(self, key: str, value: bytes) -> None:
        """Set one entry of the metadata, unless it has this value."""
        if self.metadata.get(key) == value:
            return
        with _sqlite_errors(self.path), self._db:
            self._begin()
            self._db.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (key, value))

    @property
    def generation(self) -> int:
        """Number of transactions that have changed the tracks."""
        with _sqlite_errors(self.path):
            query = "SELECT value FROM about WHERE key = 'generation'"
            return int(self._db.execute(query).fetchone()[0])

    def stamps(self) -> dict[str, Stamp]:
        """Return the stamps of all tracks by path, including those with a problem."""
        query = "SELECT path, size, mtime_ns FROM tracks"
        with _sqlite_errors(self.path):
            return {os.fsdecode(path): Stamp(*rest) for path, *rest in self._db.execute(query)}

    def ids(self, paths: Collection[str]) -> dict[str, int]:
        """Return the numbers of tracks by path."""
        query = "SELECT path, id FROM tracks"
        with _sqlite_errors(self.path):
            numbers = {os.fsdecode(path): number for path, number in self._db.execute(query)}
        return {path: numbers[path] for path in paths if path in numbers}

    def put(self, tracks: Sequence[IndexedTrack]) -> None:
        """Add tracks, or replace their earlier versions, in one transaction."""
        rows = [
            (
                os.fsencode(track.path),
                *track.stamp,
                track.duration_s,
                track.problem and os.fsencode(track.problem),
                track.starts.astype("<f4").tobytes(),
                track.embeddings.astype("<f4").tobytes(),
            )
            for track in tracks
        ]
        columns = "path, size, mtime_ns, duration_s, problem, starts, embeddings"
        with self._transaction() as database:
            database.executemany(
                f"INSERT OR REPLACE INTO tracks ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", rows
            )

    def move(self, moves: Sequence[tuple[str, str, Stamp]]) -> None:
        """Give tracks (old path, new path, new stamp), in one transaction; windows are kept."""
        rows = [(os.fsencode(new), *stamp, os.fsencode(old)) for old, new, stamp in moves]
        query = "UPDATE tracks SET path = ?, size = ?, mtime_ns = ? WHERE path = ?"
        with self._transaction() as database:
            database.executemany(query, rows)

    def remove(self, paths: Sequence[str]) -> None:
        """Remove tracks by path, in one transaction."""
        with self._transaction() as database:
            names = [(os.fsencode(path),) for path in paths]
            database.executemany("DELETE FROM tracks WHERE path = ?", names)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with _sqlite_errors(self.path), self._db:
            self._begin()
            yield self._db
            self._db.execute(
                "UPDATE about SET value = CAST(value AS INTEGER) + 1 WHERE key = 'generation'"
            )

    def _begin(self) -> None:
        """Begin a transaction; say so if it has to wait for another process."""
        self._db.execute("PRAGMA busy_timeout = 1000")
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            message = f"{self.path}: waiting for another process that writes to the index"
            warnings.warn(message, stacklevel=2)
        finally:
            self._db.execute(f"PRAGMA busy_timeout = {round(1000 * _WAIT_S)}")
        if not self._db.in_transaction:
            self._db.execute("BEGIN IMMEDIATE")

    def tracks(self) -> Iterator[tuple[int, NDArray[np.float32], NDArray[np.float32]]]:
        """Yield number, window starts and embeddings of every track with windows, by number."""
        dim = int(self.metadata["dim"])
        query = f"SELECT id, starts, embeddings FROM tracks WHERE {_HAS_WINDOWS} ORDER BY id"
        with _sqlite_errors(self.path):
            for number, starts, embeddings in self._db.execute(query):
                vectors = np.frombuffer(embeddings, "<f4").reshape(-1, dim)
                yield number, np.frombuffer(starts, "<f4"), vectors

    @contextmanager
    def snapshot(self) -> Iterator[int]:
        """Hide other processes' changes within the block; gives the generation."""
        with _sqlite_errors(self.path):
            self._db.execute("BEGIN")
            try:
                yield self.generation
            finally:
                self._db.execute("COMMIT")

    def counts(self) -> tuple[int, int]:
        """Return the number of tracks with windows, and the number of windows."""
        query = f"SELECT count(*), sum(length(starts) / 4) FROM tracks WHERE {_HAS_WINDOWS}"
        with _sqlite_errors(self.path):
            tracks, windows = self._db.execute(query).fetchone()
        return int(tracks), int(windows or 0)

    def problems(self) -> dict[str, str]:
        """Return why tracks have no windows, by path."""
        return self._problems(f"NOT {_HAS_WINDOWS}")

    def damaged(self) -> dict[str, str]:
        """Return what tracks with windows lack, by path."""
        return self._problems(_HAS_WINDOWS)

    def _problems(self, condition: str) -> dict[str, str]:
        query = f"SELECT path, problem FROM tracks WHERE problem IS NOT NULL AND {condition}"
        with _sqlite_errors(self.path):
            rows = self._db.execute(query + " ORDER BY path")
            return {os.fsdecode(path): os.fsdecode(why) for path, why in rows}

    def file_of(self, number: int) -> tuple[str, Stamp, float] | None:
        """Return path, stamp and duration in seconds of a track with windows, by number."""
        query = "SELECT path, size, mtime_ns, duration_s FROM tracks WHERE id = ?"
        with _sqlite_errors(self.path):
            row = self._db.execute(f"{query} AND {_HAS_WINDOWS}", (number,)).fetchone()
        return row and (os.fsdecode(row[0]), Stamp(row[1], row[2]), float(row[3]))


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False
    )  # the app's threads take turns


@contextmanager
def _sqlite_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into one line that names the file."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        why = str(error)
        if "locked" in why:
            why += (
                " (does another process write to it? On a network drive without locks, put the "
                "index on a local disk)"
            )
        raise InputError(f"{path}: {why}; earlier content of the index is unchanged") from None
