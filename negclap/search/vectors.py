"""The windows of an index as one matrix to search in: exactly, or nearly by FAISS.

A matrix is made from the store and can always be made again. It lies in a folder named by the
store's generation, which appears when it is whole; so a search sees one state of the index, and
a matrix of an older state is never taken for the newest.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from negclap.errors import InputError
from negclap.progress import Progress
from negclap.search.store import Store

_FOLDER = "vectors"
_MATRIX, _TRACKS, _STARTS = "windows.npy", "tracks.npy", "starts.npy"
_NEAR, _PROBES = "near.npy", "near.json"
_NEAR_MARK = "-near"
_DAY_S = 86_400
_TRAINED_ON = 100_000  # windows that the clusters are made of
RECALL = 0.995
"""Share of the ten best windows that the approximate search must find; it is measured."""

Floats = NDArray[np.float32]


class Ranked(NamedTuple):
    """Tracks by score, the best first: their ids, scores, and where the best window begins."""

    tracks: NDArray[np.int64]
    scores: Floats
    starts: Floats


class Vectors:
    """The matrix of one generation.

    Args:
        folder: Where it lies.
    """

    def __init__(self, folder: Path) -> None:
        self.windows: Floats = np.load(folder / _MATRIX, mmap_mode="r")
        self.tracks: NDArray[np.int64] = np.load(folder / _TRACKS)
        self.starts: Floats = np.load(folder / _STARTS)
        if not len(self.windows) == len(self.tracks) == len(self.starts):
            raise ValueError("files of different states")
        self._first = np.flatnonzero(np.diff(self.tracks, prepend=-1))
        self._near = _Near(folder) if (folder / _NEAR).is_file() else None

    @property
    def is_approximate(self) -> bool:
        """Whether it can be searched by a part of its windows."""
        return self._near is not None

    def rank(self, query: Floats, top: int, exact: bool) -> Ranked:
        """The best tracks, each by its best window.

        Args:
            query: ``(dim,)``; products with it are the scores.
            top: How many tracks.
            exact: Whether every window is looked at, also where an approximate search is there.
        """
        if not len(self.windows):
            return Ranked(self.tracks[:0], self.starts[:0], self.starts[:0])
        if exact or self._near is None:
            return self._rank_all(query, top)
        return self._rank_near(query, top)

    def _rank_all(self, query: Floats, top: int) -> Ranked:
        scores = self.windows @ query
        best = np.maximum.reduceat(scores, self._first)
        top = min(top, len(best))
        chosen = np.argpartition(-best, top - 1)[:top]
        ends = np.append(self._first[1:], len(scores))
        rows = [
            self._first[i] + int(scores[self._first[i] : ends[i]].argmax()) for i in chosen.tolist()
        ]
        return self._ranked(np.array(rows), scores[rows])

    def _rank_near(self, query: Floats, top: int) -> Ranked:
        """Windows until there are tracks enough; their scores are exact."""
        assert self._near is not None
        wanted = 4 * top
        while True:
            rows = self._near.search(query, min(wanted, len(self.windows)))
            rows, scores = rescored(self.windows, query, rows)
            _, firsts = np.unique(self.tracks[rows], return_index=True)
            if len(firsts) >= top:
                firsts = np.sort(firsts)[:top]  # by score: a track's first window is its best
                return self._ranked(rows[firsts], scores[firsts])
            if len(rows) < wanted:  # the clusters that are visited have no more
                return self._rank_all(query, top)
            wanted = 4 * wanted

    def _ranked(self, rows: NDArray[np.int64], scores: Floats) -> Ranked:
        order = np.lexsort((rows, -scores))  # equal scores in the order of the index
        rows, scores = rows[order], scores[order]
        return Ranked(self.tracks[rows], scores, self.starts[rows])


class _Near:
    """Clusters of windows, of which a query visits the nearest (FAISS's IVF)."""

    def __init__(self, folder: Path) -> None:
        import faiss

        index: Any = faiss.deserialize_index(np.load(folder / _NEAR))
        index.nprobe = json.loads((folder / _PROBES).read_text())["nprobe"]
        self.index = index

    def search(self, query: Floats, wanted: int) -> NDArray[np.int64]:
        """Rows of so many windows, or fewer, in no exact order."""
        return _search(self.index, query, wanted)


def rescored(
    windows: Floats, query: Floats, rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], Floats]:
    """Rows by their exact scores, the best first, and these."""
    scores = windows[np.sort(rows)] @ query  # in order, as they lie in the file
    order = np.argsort(-scores, kind="stable")
    return np.sort(rows)[order], scores[order]


def _search(index: Any, query: Floats, wanted: int) -> NDArray[np.int64]:
    _, rows = index.search(np.ascontiguousarray(query[None]), wanted)
    found: NDArray[np.int64] = rows[0][rows[0] >= 0]
    return found


def is_matrix(path: Path) -> bool:
    """Whether a file is a part of an index that lies in the music, and no audio."""
    home = path.parent.parent
    return home.name == _FOLDER and Store.is_in(home.parent)


def current(folder: Path, store: Store) -> Vectors | None:
    """The matrix of the store's newest state, if it has been made."""
    home, generation = folder / _FOLDER, store.generation
    for name in (f"{generation}{_NEAR_MARK}", str(generation)):
        try:
            return Vectors(home / name)
        except (OSError, ValueError, EOFError, RuntimeError, KeyError):
            continue  # there is none, a writer has just put a newer one there, or it is damaged
    return None


def make(
    folder: Path, store: Store, queries: Callable[[], Floats] | None, progress: Progress
) -> Vectors:
    """Make the matrix of the store's state, and remove older or damaged ones.

    Args:
        folder: The index.
        store: Its store.
        queries: ``(q, dim)`` embeddings of texts like those that will be asked, to tune an
            approximate search on; None makes none.
        progress: Shows it.
    """
    home = folder / _FOLDER
    partial = home / f".{uuid4().hex}"
    try:
        partial.mkdir(parents=True)
        with store.snapshot() as generation:
            _write_matrix(partial, store, progress)
        if queries is not None:
            _write_near(partial, queries(), progress)
        target = home / f"{generation}{_NEAR_MARK if queries else ''}"
        made = Vectors(partial)  # mapped files stay, whatever becomes of their names
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
        for old in home.iterdir():
            if old != target and (_generation(old) <= generation or _is_abandoned(old)):
                shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{home}: {reason}; the index itself is whole") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return made


def _generation(folder: Path) -> float:
    """Of a finished matrix; what others are making has none."""
    number = folder.name.removesuffix(_NEAR_MARK)
    return int(number) if number.isdigit() else float("inf")


def _is_abandoned(folder: Path) -> bool:
    """Whether who made it was killed: nothing was put into it for a day."""
    return folder.name.startswith(".") and time.time() - folder.stat().st_mtime > _DAY_S


def _write_matrix(target: Path, store: Store, progress: Progress) -> None:
    tracks, windows = store.counts()
    shape = (windows, int(store.about["dim"]))
    with (target / _MATRIX).open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f4", "fortran_order": False, "shape": shape}
        )
        numbers, starts = [], []
        for number, begins, embeddings in progress("gathering", tracks, store.tracks()):
            file.write(embeddings.tobytes())
            numbers.append(np.full(len(begins), number))
            starts.append(begins)
    np.save(target / _TRACKS, np.concatenate([np.empty(0, np.int64), *numbers]))
    np.save(target / _STARTS, np.concatenate([np.empty(0, np.float32), *starts]))


def _write_near(target: Path, queries: Floats, progress: Progress) -> None:
    import faiss

    windows: Floats = np.load(target / _MATRIX, mmap_mode="r")
    if not len(windows):
        return
    index = near_index(windows, progress)
    nprobe = tuned(index, windows, queries)
    np.save(target / _NEAR, faiss.serialize_index(index))  # FAISS takes no path that is no text
    (target / _PROBES).write_text(json.dumps({"nprobe": nprobe}))


def near_index(windows: Floats, progress: Progress) -> Any:
    """FAISS's IVF over 8-bit windows: about 4 sqrt(n) clusters."""
    import faiss

    n, dim = windows.shape
    lists = max(1, min(round(4 * n**0.5), n // 39))  # k-means wants 39 points a cluster
    index: Any = faiss.index_factory(dim, f"IVF{lists},SQ8", faiss.METRIC_INNER_PRODUCT)
    index.cp.min_points_per_centroid = 1  # of few windows there are few a cluster
    chosen = np.random.default_rng(0).choice(n, min(n, _TRAINED_ON), replace=False)
    index.train(np.ascontiguousarray(windows[np.sort(chosen)]))
    chunks = range(0, n, _TRAINED_ON)
    for first in progress("clustering", len(chunks), chunks):
        index.add(np.ascontiguousarray(windows[first : first + _TRAINED_ON]))
    return index


def tuned(index: Any, windows: Floats, queries: Floats, at: int = 10) -> int:
    """The fewest clusters to visit with which `RECALL` of the best windows are found."""
    at = min(at, len(windows))
    best = [set(np.argpartition(-scores, at - 1)[:at].tolist()) for scores in queries @ windows.T]
    for nprobe in _doubling(index.nlist):
        index.nprobe = nprobe
        found = [
            rescored(windows, query, _search(index, query, 4 * at))[0][:at] for query in queries
        ]
        hits = sum(len(wanted & set(got.tolist())) for wanted, got in zip(best, found, strict=True))
        if hits >= RECALL * at * len(queries):
            return nprobe
    return int(index.nlist)


def _doubling(most: int) -> Iterator[int]:
    n = 1
    while n < most:
        yield n
        n *= 2
    yield most
