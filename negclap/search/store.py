"""What an index knows: tracks, windows and their embeddings, in SQLite.

SQLite is what makes an index safe: a writer that is killed, a full disk, or two writers at once
leave whole transactions and nothing else. A track is there with all its windows, or not at all.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from negclap.errors import InputError

_FILE = "index.sqlite"
_WAIT_S = 60.0  # for another writer's transaction
_SCHEMA = """
CREATE TABLE about (key TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE tracks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never of two files
    path BLOB NOT NULL UNIQUE,  -- relative to the folder, as the file system has it
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    duration_s REAL,
    problem BLOB,               -- why it has no windows
    starts BLOB NOT NULL,       -- (n,) float32, seconds
    embeddings BLOB NOT NULL    -- (n, dim) float32
);
"""


class Stamp(NamedTuple):
    """What tells a file from its later versions."""

    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> "Stamp":
        """The file's own."""
        stat = path.stat()
        return cls(stat.st_size, stat.st_mtime_ns)


class Indexed(NamedTuple):
    """A track as it is kept.

    Attributes:
        path: Relative to the folder.
        stamp: Of the file that was heard.
        duration_s: Of the track; None where it cannot be read.
        starts: ``(n,)`` seconds, where its windows begin.
        embeddings: ``(n, dim)``.
        problem: Why it has no windows, else None.
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
        folder: The index.

    Raises:
        InputError: If there is none.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / _FILE
        if not self.path.is_file():
            raise InputError(f"{folder}: no index there; make one with negclap index")
        self._db = _connected(self.path)

    @classmethod
    def create(cls, folder: Path, about: dict[str, bytes]) -> "Store":
        """A new one with these facts about it; one that another has just made is taken."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / _FILE
        with _reported(path):
            database = _connected(path)
            with database:
                database.execute("BEGIN IMMEDIATE")
                if not database.execute("SELECT 1 FROM sqlite_master").fetchone():
                    for statement in _SCHEMA.split(";"):
                        database.execute(statement)
                    rows = {**about, "generation": b"0"}.items()
                    database.executemany("INSERT INTO about VALUES (?, ?)", rows)
            database.close()
        return cls(folder)

    @staticmethod
    def is_in(folder: Path) -> bool:
        """Whether the folder holds one."""
        return (folder / _FILE).is_file()

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    @property
    def about(self) -> dict[str, bytes]:
        """What is kept about the index, as it is now: another process may have noted more."""
        with _reported(self.path):
            rows: dict[str, bytes] = dict(self._db.execute("SELECT key, value FROM about"))
        return rows

    @property
    def generation(self) -> int:
        """Counts the transactions that changed the tracks."""
        with _reported(self.path):
            query = "SELECT value FROM about WHERE key = 'generation'"
            return int(self._db.execute(query).fetchone()[0])

    def note(self, key: str, value: bytes) -> None:
        """Keep a fact about the index."""
        with _reported(self.path), self._db:
            self._db.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (key, value))

    def stamps(self) -> dict[str, Stamp]:
        """By path, of all tracks that could be read."""
        query = "SELECT path, size, mtime_ns FROM tracks WHERE problem IS NULL"
        with _reported(self.path):
            return {os.fsdecode(path): Stamp(*rest) for path, *rest in self._db.execute(query)}

    def paths(self) -> set[str]:
        """Of all tracks."""
        with _reported(self.path):
            return {os.fsdecode(path) for (path,) in self._db.execute("SELECT path FROM tracks")}

    def put(self, tracks: Sequence[Indexed]) -> None:
        """Add tracks, or put them in the place of their earlier versions, all at once."""
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
        with self._changing() as database:
            database.executemany(
                f"INSERT OR REPLACE INTO tracks ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", rows
            )

    def drop(self, paths: Sequence[str]) -> None:
        """Forget tracks whose files are gone."""
        with self._changing() as database:
            names = [(os.fsencode(path),) for path in paths]
            database.executemany("DELETE FROM tracks WHERE path = ?", names)

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with _reported(self.path), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            yield self._db
            self._db.execute(
                "UPDATE about SET value = CAST(value AS INTEGER) + 1 WHERE key = 'generation'"
            )

    def tracks(self) -> Iterator[tuple[int, NDArray[np.float32], NDArray[np.float32]]]:
        """Id, starts and embeddings of every track that has windows, by id."""
        dim = int(self.about["dim"])
        query = "SELECT id, starts, embeddings FROM tracks WHERE problem IS NULL ORDER BY id"
        with _reported(self.path):
            for number, starts, embeddings in self._db.execute(query):
                vectors = np.frombuffer(embeddings, "<f4").reshape(-1, dim)
                yield number, np.frombuffer(starts, "<f4"), vectors

    @contextmanager
    def snapshot(self) -> Iterator[int]:
        """The generation; until the end of the block, other writers' changes are not seen."""
        with _reported(self.path):
            self._db.execute("BEGIN")
            try:
                yield self.generation
            finally:
                self._db.execute("COMMIT")

    def counts(self) -> tuple[int, int]:
        """Tracks with windows, and their windows."""
        query = "SELECT count(*), coalesce(sum(length(starts) / 4), 0) FROM tracks"
        with _reported(self.path):
            tracks, windows = self._db.execute(query + " WHERE problem IS NULL").fetchone()
        return int(tracks), int(windows)

    def problems(self) -> dict[str, str]:
        """By path, why a track has no windows."""
        query = "SELECT path, problem FROM tracks WHERE problem IS NOT NULL ORDER BY path"
        with _reported(self.path):
            return {os.fsdecode(path): os.fsdecode(why) for path, why in self._db.execute(query)}

    def file_of(self, number: int) -> tuple[str, Stamp, float] | None:
        """Path, stamp and duration in seconds of a track that has windows."""
        query = "SELECT path, size, mtime_ns, duration_s FROM tracks WHERE id = ?"
        with _reported(self.path):
            row = self._db.execute(query + " AND problem IS NULL", (number,)).fetchone()
        return row and (os.fsdecode(row[0]), Stamp(row[1], row[2]), float(row[3]))


def _connected(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False
    )  # a server's threads take turns


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    """What SQLite says, in one line that names the file."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise InputError(f"{path}: {error}; what was in the index before is still there") from None
