"""The embedding matrix of all windows, searched exactly, or approximately by FAISS.

The matrix is derived from the store and can always be rebuilt. Its folder is named by the store's
generation and gets that name only when it is complete, so a search reads one state of the index
and never takes an older matrix for the newest.
"""

import errno
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
_WINDOWS, _TRACKS, _STARTS = "windows.npy", "tracks.npy", "starts.npy"
_IVF, _NPROBE, _QUERIES = "near.npy", "near.json", "queries.npy"
_APPROXIMATE = "-near"  # suffix of the folder's name
_DAY_S = 86_400
_CHUNK = 100_000  # windows that the clusters are trained on, and that are added at a time
_AT, _TIE = 10, 1e-6
RECALL = 0.995
"""Share of the ten best windows that the approximate search must find on the tuning queries."""

Floats = NDArray[np.float32]


class Ranking(NamedTuple):
    """Tracks by descending score: their numbers, scores, starts and embeddings of best windows."""

    tracks: NDArray[np.int64]
    scores: Floats
    starts: Floats
    windows: Floats


class Vectors:
    """The embedding matrix of one generation.

    Args:
        folder: Folder with the matrix.

    Attributes:
        queries: ``(g, q, dim)`` queries that the approximate search is tuned with, and for which
            alone its recall is known; None if there is no approximate search.

    Raises:
        ValueError: If the files do not belong together.
    """

    def __init__(self, folder: Path) -> None:
        self.windows: Floats = np.load(folder / _WINDOWS, mmap_mode="r")
        self.tracks: NDArray[np.int64] = np.load(folder / _TRACKS)
        self.starts: Floats = np.load(folder / _STARTS)
        if not len(self.windows) == len(self.tracks) == len(self.starts):
            raise ValueError("files of different lengths")
        self._first = np.flatnonzero(np.diff(self.tracks, prepend=-1))
        self._ivf = _load_ivf(folder) if (folder / _IVF).is_file() else None
        self.queries: Floats | None = np.load(folder / _QUERIES) if self.is_approximate else None

    @property
    def is_approximate(self) -> bool:
        """Whether there is an approximate search."""
        return self._ivf is not None

    def rank(self, query: Floats, top: int, exact: bool) -> Ranking:
        """Return the best tracks, ranked by their best window.

        Args:
            query: ``(dim,)``; the scores are dot products with it.
            top: Number of tracks.
            exact: Whether to score every window even if there is an approximate search.
        """
        if not len(self.windows):
            return Ranking(self.tracks[:0], self.starts[:0], self.starts[:0], self.windows[:0])
        if exact or self._ivf is None or not self._ivf.nprobe:
            return self._rank_all(query, top)
        return self._rank_nearest(self._ivf, query, top)

    def _rank_all(self, query: Floats, top: int) -> Ranking:
        scores = self.windows @ query
        best = np.maximum.reduceat(scores, self._first)
        top = min(top, len(best))
        chosen = np.argpartition(-best, top - 1)[:top]
        ends = np.append(self._first[1:], len(scores))
        rows = [
            self._first[i] + int(scores[self._first[i] : ends[i]].argmax()) for i in chosen.tolist()
        ]
        return self._ranking(np.array(rows), scores[rows])

    def _rank_nearest(self, ivf: Any, query: Floats, top: int) -> Ranking:
        """Fetch more windows until they belong to enough tracks; their scores are exact."""
        wanted = 4 * top
        while True:
            rows = _nearest(ivf, query, min(wanted, len(self.windows)))
            rows, scores = rescore(self.windows, query, rows)
            _, firsts = np.unique(self.tracks[rows], return_index=True)
            if len(firsts) >= top:
                firsts = np.sort(firsts)[:top]  # rows are by score: a track's first is its best
                return self._ranking(rows[firsts], scores[firsts])
            if len(rows) < wanted:  # the visited clusters contain no more
                return self._rank_all(query, top)
            wanted = 4 * wanted

    def _ranking(self, rows: NDArray[np.int64], scores: Floats) -> Ranking:
        order = np.lexsort((rows, -scores))  # equal scores in the order of the index
        rows, scores = rows[order], scores[order]
        return Ranking(self.tracks[rows], scores, self.starts[rows], self.windows[rows])


def _load_ivf(folder: Path) -> Any:
    import faiss

    index: Any = faiss.deserialize_index(np.load(folder / _IVF))
    index.nprobe = json.loads((folder / _NPROBE).read_text())["nprobe"]
    return index


def _nearest(ivf: Any, query: Floats, wanted: int) -> NDArray[np.int64]:
    """Return at most ``wanted`` rows of windows near the query, by approximate score."""
    _, rows = ivf.search(np.ascontiguousarray(query[None]), wanted)
    found: NDArray[np.int64] = rows[0][rows[0] >= 0]
    return found


def rescore(
    windows: Floats, query: Floats, rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], Floats]:
    """Return the rows by descending exact score, and the scores."""
    rows = np.sort(rows)  # the order of the file
    scores = windows[rows] @ query
    order = np.argsort(-scores, kind="stable")
    return rows[order], scores[order]


def is_vectors_file(path: Path) -> bool:
    """Whether a file is part of an index, and so no audio although its name ends in ``.npy``."""
    home = path.parent.parent
    return home.name == _FOLDER and Store.exists(home.parent)


def load_newest(folder: Path, store: Store) -> Vectors | None:
    """Load the matrix of the store's state; None if it is not built yet, or damaged."""
    home, generation = folder / _FOLDER, store.generation
    for name in (f"{generation}{_APPROXIMATE}", str(generation)):
        try:
            return Vectors(home / name)
        except (OSError, ValueError, EOFError, RuntimeError, KeyError):
            continue  # missing, damaged, or just replaced by another process
    return None


def build(
    folder: Path, store: Store, queries: Callable[[], Floats] | None, progress: Progress
) -> Vectors:
    """Build the matrix of the store's state, and remove older or damaged ones.

    Args:
        folder: Folder of the index.
        store: Its store.
        queries: Returns ``(g, q, dim)`` typical queries, to tune an approximate search: each of
            the g groups gets `RECALL`. None builds none.
        progress: Progress display.

    Raises:
        InputError: If the matrix cannot be written.
    """
    home = folder / _FOLDER
    partial = home / f".{uuid4().hex}"
    try:
        partial.mkdir(parents=True)
        with store.snapshot() as generation:
            _write_matrix(partial, store, progress)
        if queries is not None:
            _write_ivf(partial, queries(), progress)
        target = home / f"{generation}{_APPROXIMATE if queries else ''}"
        vectors = Vectors(partial)  # memory-mapped files survive renaming and removal
        _publish(partial, target)
        for old in home.iterdir():
            if old != target and (_generation(old) <= generation or _is_abandoned(old)):
                shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{home}: {reason}; the index itself is intact") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return vectors


def _publish(partial: Path, target: Path) -> None:
    """Give a complete matrix its name."""
    shutil.rmtree(target, ignore_errors=True)
    try:
        partial.rename(target)
    except OSError as error:  # another process has just published the same matrix
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise


def _generation(folder: Path) -> float:
    """Return the generation of a complete matrix; infinity for one in progress."""
    number = folder.name.removesuffix(_APPROXIMATE)
    return int(number) if number.isdigit() else float("inf")


def _is_abandoned(folder: Path) -> bool:
    """Whether a matrix in progress was last written to more than a day ago."""
    try:
        return folder.name.startswith(".") and time.time() - folder.stat().st_mtime > _DAY_S
    except FileNotFoundError:  # another process has just published it
        return False


def _write_matrix(target: Path, store: Store, progress: Progress) -> None:
    tracks, windows = store.counts()
    shape = (windows, int(store.metadata["dim"]))
    with (target / _WINDOWS).open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f4", "fortran_order": False, "shape": shape}
        )
        numbers, starts = [], []
        for number, begins, embeddings in progress("collecting", tracks, store.tracks()):
            file.write(embeddings.tobytes())
            numbers.append(np.full(len(begins), number))
            starts.append(begins)
    np.save(target / _TRACKS, np.concatenate([np.empty(0, np.int64), *numbers]))
    np.save(target / _STARTS, np.concatenate([np.empty(0, np.float32), *starts]))


def _write_ivf(target: Path, queries: Floats, progress: Progress) -> None:
    import faiss

    windows: Floats = np.load(target / _WINDOWS, mmap_mode="r")
    if not len(windows):
        return
    ivf = build_ivf(windows, progress)
    np.save(target / _IVF, faiss.serialize_index(ivf))  # FAISS rejects paths that are not UTF-8
    nprobe = tune_nprobe(ivf, windows, *queries)
    (target / _NPROBE).write_text(json.dumps({"nprobe": nprobe}))
    np.save(target / _QUERIES, queries)


def build_ivf(windows: Floats, progress: Progress) -> Any:
    """Build FAISS's IVF index of 8-bit windows, with about 4 sqrt(n) clusters."""
    import faiss

    n, dim = windows.shape
    clusters = max(1, min(round(4 * n**0.5), n // 39))  # k-means expects 39 points per cluster
    ivf: Any = faiss.index_factory(dim, f"IVF{clusters},SQ8", faiss.METRIC_INNER_PRODUCT)
    ivf.cp.min_points_per_centroid = 1  # no warning for small indices
    sample = np.random.default_rng(0).choice(n, min(n, _CHUNK), replace=False)
    ivf.train(np.ascontiguousarray(windows[np.sort(sample)]))
    chunks = range(0, n, _CHUNK)
    for first in progress("clustering", len(chunks), chunks):
        ivf.add(np.ascontiguousarray(windows[first : first + _CHUNK]))
    return ivf


def tune_nprobe(ivf: Any, windows: Floats, *groups: Floats) -> int:
    """Return how many clusters to visit, so that each group of queries gets `RECALL`.

    The number is doubled until then. It is 0, for an exact search, if even visiting all clusters
    is not enough: the approximate scores of 8-bit windows then differ too much from the exact ones.
    """
    tenth = [_tenth_best(windows, queries) for queries in groups]
    for nprobe in _doubling(ivf.nlist):
        ivf.nprobe = nprobe
        recalls = (_recall(ivf, windows, *group) for group in zip(groups, tenth, strict=True))
        if all(recall >= RECALL for recall in recalls):
            return nprobe
    return 0


def _tenth_best(windows: Floats, queries: Floats) -> Floats:
    """Return the score of the tenth best window of each query."""
    at = min(_AT, len(windows))
    return np.array([np.partition(scores, -at)[-at] for scores in queries @ windows.T])


def _recall(ivf: Any, windows: Floats, queries: Floats, tenth: Floats) -> float:
    """Return the share of the ten best windows that is found, up to windows of equal score."""
    at = min(_AT, len(windows))
    hits = 0
    for query, score in zip(queries, tenth, strict=True):
        found = rescore(windows, query, _nearest(ivf, query, 4 * at))[1][:at]
        hits += int((found >= score - _TIE).sum())
    return hits / (at * len(queries))


def _doubling(most: int) -> Iterator[int]:
    n = 1
    while n < most:
        yield n
        n *= 2
    yield most
