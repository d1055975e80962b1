"""The table of a catalogue: a row for each window, in LanceDB, on a disk or an object store.

Rows are added in commits: a commit's tracks are in the table with all their windows, or not at all,
whatever is killed. Rows can be searched at once; `Catalogue.tidy` joins the files of many commits.
"""

import base64
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
from numpy.typing import NDArray

from negclap import load
from negclap.errors import InputError, reason
from negclap.models.encoder import Encoder
from negclap.models.pretrained import BUILT_IN
from negclap.search.embed import Windowing
from negclap.search.fingerprint import embed_sounds
from negclap.search.index import Index, absolute
from negclap.search.query import Hit
from negclap.search.searchable import Rows, Searchable
from negclap.search.store import IndexedTrack
from negclap.storage import StorageError, is_remote, join, local_copy, local_path, read, write

_TABLE, _SEARCH = "windows", "search.json"
_ABOUT = "negclap"  # key of the schema's metadata
_TOP, _RECALL = 10, 0.99
_S3 = {"endpoint_url": "endpoint", "key": "access_key_id", "secret": "secret_access_key"}
_COLUMNS = ("track", "path", "duration_s", "start_s", "problem")  # and the vector
_SHOWN = ["track", "path", "start_s", "duration_s", "vector", "_distance"]


def track_number(name: str) -> int:
    """Return the number of a track: 63 bits of a hash of its name."""
    digest = blake2b(os.fsencode(name), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def open_searchable(location: Path | str, model: str | None = None) -> Searchable:
    """Open an index or a catalogue.

    Args:
        location: Its folder, or the URL of a catalogue.
        model: Another model to search with, as for `negclap.load`.

    Raises:
        InputError: If there is neither, or the model cannot be used.
    """
    encoder, place = load(model) if model else None, str(location)
    if is_remote(place) or (local_path(place) / f"{_TABLE}.lance").is_dir():
        return Catalogue(place, encoder)
    return Index(place, encoder)


class Catalogue(Searchable):
    """Windows of tracks in a table.

    Args:
        location: Folder or URL of the catalogue.
        model: The model to search with; None loads the catalogue's own one.

    Raises:
        InputError: If there is no catalogue, or the model has another audio encoder.
    """

    def __init__(self, location: str, model: Encoder | None = None) -> None:
        self.location = location
        self.table = _open(location)
        if self.table is None:
            raise InputError(f"{location}: no catalogue; create one with negclap embed")
        self._about = json.loads((self.table.schema.metadata or {}).get(_ABOUT.encode(), b"null"))
        if self._about is None:
            raise InputError(f"{location}: a table that negclap embed did not write")
        self.root: str = self._about["root"]
        windowing = Windowing(self._about["window_s"], self._about["hop_s"])
        super().__init__(location, windowing, self._sounds, model)

    @classmethod
    def create(
        cls, location: str, root: str, model: str | None = None, hop_s: float | None = None
    ) -> "Catalogue":
        """Create an empty catalogue, or open the one that exists.

        Args:
            location: Folder or URL.
            root: Folder of the music, or its URL.
            model: A model, as for `negclap.load`; by default that of the existing catalogue, or the
                built-in one.
            hop_s: Seconds from one window to the next; None is the window length (no overlap).

        Raises:
            InputError: If the existing catalogue has another root, audio encoder or hop.
        """
        if _open(location) is not None:
            catalogue = cls(location, load(model) if model else None)
            catalogue.check_sounds(
                catalogue._sounds, embed_sounds(catalogue.model, catalogue.windowing.window_s)
            )
            for what, stored, given in (
                ("music folder", catalogue.root, root),
                ("hop in seconds", catalogue.windowing.hop_s, hop_s),
            ):
                if given is not None and stored != given:
                    raise InputError(
                        f"{location}: the {what} of this catalogue is {stored}, not {given}; "
                        "create a new one elsewhere"
                    )
            return catalogue
        encoder = load(model or BUILT_IN)
        windowing = Windowing.of(encoder, hop_s)
        sounds = embed_sounds(encoder, windowing.window_s).astype("<f4")
        about = {
            "root": root,
            "model": absolute(model or BUILT_IN),
            **windowing._asdict(),
            "dim": encoder.dim,
            "sounds": base64.b64encode(sounds.tobytes()).decode(),
        }
        metadata = {_ABOUT: json.dumps(about)}
        with _named(location):
            _database(location).create_table(_TABLE, schema=_schema(encoder.dim, metadata))
        return cls(location, encoder)

    @property
    def source(self) -> str:
        """The catalogue's own model, as for `negclap.load`."""
        return str(self._about["model"])

    @property
    def anew(self) -> str:
        """The command that embeds the same tracks."""
        return f"negclap embed {self.root}"

    @property
    def _sounds(self) -> NDArray[np.float32]:
        stored = base64.b64decode(self._about["sounds"])
        return np.frombuffer(stored, "<f4").reshape(-1, int(self._about["dim"]))

    def finished(self) -> NDArray[np.int64]:
        """Return the numbers of all tracks in the table, sorted, also of those without windows."""
        return self._tracks("track IS NOT NULL")

    def counts(self) -> tuple[int, int]:
        """Return the number of tracks with windows, and the number of windows."""
        has_window = "start_s IS NOT NULL"
        return len(self._tracks(has_window)), int(self.table.count_rows(has_window))

    def _tracks(self, condition: str) -> NDArray[np.int64]:
        """Return the numbers of the tracks of some rows, sorted, each once."""
        rows = self.table.search().where(condition).select(["track"]).limit(None).to_batches()
        parts = [np.unique(batch["track"].to_numpy()) for batch in rows]
        return np.unique(np.concatenate([np.empty(0, np.int64), *parts]))

    def problems(self) -> dict[str, str]:
        """Return what is wrong with tracks, by name."""
        found = self.table.search().where("problem IS NOT NULL").limit(None)
        rows = found.select(["path", "problem"]).to_arrow().to_pylist()
        return {os.fsdecode(row["path"]): os.fsdecode(row["problem"]) for row in rows}

    def add(self, tracks: Sequence[IndexedTrack]) -> None:
        """Add tracks in one commit. A track without windows is a row without a vector.

        Raises:
            InputError: If they cannot be written; then none of them is in the table.
        """
        import pyarrow as pa

        rows: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
        vectors = []
        for track in tracks:
            starts = [*track.starts.tolist()] or [None]
            rows["track"] += [track_number(track.path)] * len(starts)
            rows["path"] += [os.fsencode(track.path)] * len(starts)
            rows["duration_s"] += [track.duration_s] * len(starts)
            rows["start_s"] += starts
            problem = None if track.problem is None else os.fsencode(track.problem)
            rows["problem"] += [problem] + [None] * (len(starts) - 1)
            empty = np.zeros((1, self.model.dim), np.float32)
            vectors.append(track.embeddings if len(track.starts) else empty)
        schema = self.table.schema
        columns = [pa.array(rows[name], schema.field(name).type) for name in _COLUMNS]
        missing = pa.array([start_s is None for start_s in rows["start_s"]])
        flat = pa.array(np.concatenate(vectors).ravel())
        columns.append(pa.FixedSizeListArray.from_arrays(flat, self.model.dim, mask=missing))
        with _named(self.location):
            self.table.add(pa.Table.from_arrays(columns, schema=schema))

    def tidy(self, approximate: bool) -> None:
        """Join the files of many commits; with ``approximate``, cluster the windows.

        The number of clusters to visit is doubled until the approximate search finds 99 % of the
        ten best windows of typical queries.

        Raises:
            InputError: If the files cannot be written; the catalogue stays as it was.
        """
        with _named(self.location):
            self._tidy(approximate)

    def _tidy(self, approximate: bool) -> None:
        self.table.optimize(cleanup_older_than=timedelta(hours=1))
        if not approximate:
            return
        from lancedb.index import BTree, IvfSq

        windows = self.table.count_rows("start_s IS NOT NULL")
        clusters = max(1, min(round(4 * windows**0.5), windows // 39))
        self.table.create_index(
            "vector", config=IvfSq(distance_type="dot", num_partitions=clusters)
        )
        self.table.create_index("track", config=BTree())
        queries = self.typical_queries()
        tenth = [self._nearest(query, _TOP, None)[1].min() for query in queries]
        visited = 1
        while visited < clusters and self._recall(queries, tenth, visited) < _RECALL:
            visited = min(2 * visited, clusters)
        write(join(self.location, _SEARCH), json.dumps({"visited": visited}).encode())
        self._visited = visited

    def _recall(
        self, queries: NDArray[np.float32], tenth: Sequence[np.float32], visited: int
    ) -> float:
        """Return the share of the ten best windows that is found, up to windows of equal score."""
        hits = 0
        for query, score in zip(queries, tenth, strict=True):
            hits += int((self._nearest(query, _TOP, visited)[1] >= score - 1e-6).sum())
        return hits / (_TOP * len(queries))

    @cached_property
    def _visited(self) -> int | None:
        """The number of clusters that a search visits; None without clusters."""
        try:
            return int(json.loads(read(join(self.location, _SEARCH)))["visited"])
        except StorageError:  # not written: no clusters
            return None

    def _nearest(
        self, query: NDArray[np.float32], count: int, visited: int | None
    ) -> tuple[Any, NDArray[np.float32]]:
        """Return the best windows as an Arrow table, and their exact scores, which descend.

        Args:
            query: ``(dim,)``.
            count: Number of windows.
            visited: Number of clusters to visit; None scores every window.
        """
        search = self.table.search(query).distance_type("dot").limit(count).select(_SHOWN)
        if visited is None:
            search = search.bypass_vector_index()
        else:
            search = search.nprobes(visited).refine_factor(4)
        found = search.to_arrow()
        vectors = _vectors(found, self.model.dim)
        scores = vectors @ query
        order = np.argsort(-scores, kind="stable")
        return found.take(order), scores[order]

    def best(self, vector: NDArray[np.float32], top: int, exact: bool) -> tuple[Rows, bool]:
        """Return the best tracks, and whether there are more tracks.

        Windows are fetched until they belong to enough tracks.
        """
        wanted = 4 * top
        while True:
            found, scores = self._nearest(vector, wanted, None if exact else self._visited)
            _, firsts = np.unique(found["track"].to_numpy(), return_index=True)
            if len(firsts) >= top or len(scores) < wanted:
                break
            wanted *= 4
        places = np.sort(firsts)[:top]  # rows are by score: a track's first is its best
        chosen = found.take(places)
        vectors = _vectors(chosen, self.model.dim)
        rows = chosen.drop_columns(["vector"]).to_pylist()
        hits = map(self._hit, rows, scores[places].tolist())
        return list(zip(hits, vectors, strict=True)), len(firsts) >= top

    def _hit(self, row: dict[str, Any], score: float) -> Hit:
        start_s, duration_s = row["start_s"], row["duration_s"]
        end_s = min(start_s + self.windowing.window_s, duration_s)
        return Hit(row["track"], os.fsdecode(row["path"]), score, start_s, end_s, duration_s)

    def audio(self, track: int) -> Path | None:
        """Return the file of a track; of a URL, a copy in the cache."""
        found = self.table.search().where(f"track = {track}").select(["path"]).limit(1)
        rows = found.to_arrow().to_pylist()
        if not rows:
            return None
        location = join(self.root, os.fsdecode(rows[0]["path"]))
        if not is_remote(location):
            return local_path(location).resolve(strict=True)
        try:
            return local_copy(location)
        except StorageError as error:
            raise FileNotFoundError(str(error)) from None


def _vectors(found: Any, dim: int) -> NDArray[np.float32]:
    column = found["vector"].combine_chunks()
    vectors: NDArray[np.float32] = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, dim)
    return vectors


def _schema(dim: int, metadata: dict[str, str]) -> Any:
    import pyarrow as pa

    types = (pa.int64(), pa.binary(), pa.float64(), pa.float32(), pa.binary())
    fields = list(zip(_COLUMNS, types, strict=True))
    return pa.schema([*fields, ("vector", pa.list_(pa.float32(), dim))], metadata=metadata)


def _database(location: str) -> Any:
    try:
        import lancedb
    except ImportError:
        raise InputError("a catalogue needs lancedb: pip install 'negclap[catalogue]'") from None
    return lancedb.connect(location, storage_options=_credentials(location))


def _credentials(location: str) -> dict[str, str] | None:
    """Return fsspec's settings of S3 in LanceDB's words; it reads AWS's environment by itself."""
    given = fsspec.config.conf.get("s3", {}) if location.startswith("s3://") else {}
    found = {ours: str(given[theirs]) for theirs, ours in _S3.items() if theirs in given}
    if found.get("endpoint", "").startswith("http://"):
        found["allow_http"] = "true"
    return found or None


def _open(location: str) -> Any:
    """Return the table of a location, or None."""
    with _named(location):
        database = _database(location)
        return database.open_table(_TABLE) if _TABLE in database.table_names() else None


@contextmanager
def _named(location: str) -> Iterator[None]:
    """Make an `InputError` with the location of an error of LanceDB."""
    try:
        yield
    except InputError:
        raise
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"{location}: {reason(error)}") from None
