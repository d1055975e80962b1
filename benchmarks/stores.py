"""Compare the store and search of an index with LanceDB, on the same windows, in one run.

    python benchmarks/stores.py --embeddings INDEX [--windows 1000000 --dim 512]

Needs ``pip install lancedb``. Windows are made as by search.py, ten for each track. Both engines
store them, search exactly and approximately (the ten best windows), add and remove 1,000 tracks,
and are killed while they write. Writes results/stores.json.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from common import write_results
from search import TOP, best, jitter, timed

from negclap.progress import quiet
from negclap.search import Index
from negclap.search.store import IndexedTrack, Stamp, Store
from negclap.search.vectors import build, load_newest, rescore

PER_TRACK, ADDED, AT_ONCE = 10, 1_000, 1_000
STARTS = np.arange(PER_TRACK, dtype=np.float32) * 10


class Negclap:
    """SQLite for tracks and windows, a memory-mapped matrix and FAISS for the search."""

    def __init__(self, folder: Path, dim: int) -> None:
        self.folder = folder
        if not Store.exists(folder):
            Store.create(folder, {"dim": str(dim).encode()}).close()
        self.store = Store(folder)

    def add(self, windows: np.ndarray, first: int) -> None:
        """Store tracks in transactions of `AT_ONCE`."""
        for tracks in _tracks(windows, first):
            self.store.put(
                [IndexedTrack(f"{n}", Stamp(1, 1), 100.0, STARTS, its) for n, its in tracks]
            )

    def remove(self, first: int, count: int) -> None:
        """Remove tracks by path."""
        self.store.remove([f"{n}" for n in range(first, first + count)])

    def make_searchable(self) -> None:
        """Write the matrix."""
        build(self.folder, self.store, None, quiet)

    def make_approximate(self, tuning: np.ndarray) -> None:
        """Cluster the windows."""
        build(self.folder, self.store, lambda: tuning[None], quiet)

    def open(self) -> None:
        """Map the matrix."""
        self.vectors = load_newest(self.folder, self.store)

    def exact(self, query: np.ndarray) -> np.ndarray:
        """Return the rows of the best windows."""
        return best(self.vectors.windows, query)

    def approximate(self, query: np.ndarray) -> np.ndarray:
        """Return the rows of the best windows, found by clusters."""
        ivf = self.vectors._ivf
        return rescore(self.vectors.windows, query, ivf.search(query[None], 4 * TOP)[1][0])[0][:TOP]

    def count(self) -> int:
        """Return the number of windows."""
        return self.store.counts()[1]


class Lance:
    """LanceDB: one table, a row for each window; IVF of 8-bit residuals, the best rescored."""

    def __init__(self, folder: Path, dim: int) -> None:
        import lancedb
        import pyarrow as pa

        self.database = lancedb.connect(str(folder))
        fields = [("path", pa.string()), ("start_s", pa.float32()), ("row", pa.int64())]
        self.schema = pa.schema([*fields, ("vector", pa.list_(pa.float32(), dim))])
        self.table = self.database.create_table("windows", schema=self.schema, exist_ok=True)

    def add(self, windows: np.ndarray, first: int) -> None:
        """Add tracks, a version for each `AT_ONCE`."""
        import pyarrow as pa

        for tracks in _tracks(windows, first):
            numbers = [n for n, _ in tracks]
            vectors = np.concatenate([its for _, its in tracks])
            rows = np.arange(numbers[0] * PER_TRACK, (numbers[-1] + 1) * PER_TRACK)
            columns = [
                pa.array(np.repeat([str(n) for n in numbers], PER_TRACK)),
                pa.array(np.tile(STARTS, len(numbers))),
                pa.array(rows),
                pa.FixedSizeListArray.from_arrays(vectors.ravel(), vectors.shape[1]),
            ]
            self.table.add(pa.table(columns, schema=self.schema))

    def remove(self, first: int, count: int) -> None:
        """Remove tracks by path."""
        names = ", ".join(f"'{n}'" for n in range(first, first + count))
        self.table.delete(f"path IN ({names})")

    def make_searchable(self) -> None:
        """Join the small files of many versions."""
        from datetime import timedelta

        self.table.optimize(cleanup_older_than=timedelta(0), delete_unverified=True)

    def make_approximate(self, tuning: np.ndarray) -> None:
        """Cluster the windows; double the clusters to visit until the recall is ours."""
        rows = self.table.count_rows()
        partitions = max(1, min(round(4 * rows**0.5), rows // 39))
        self.table.create_index(
            metric="dot",
            vector_column_name="vector",
            index_type="IVF_SQ",
            num_partitions=partitions,
        )
        wanted = [set(self.exact(query).tolist()) for query in tuning]
        self.nprobes = 1
        while self.nprobes < partitions:
            found = [set(self.approximate(query).tolist()) for query in tuning]
            if sum(len(a & b) for a, b in zip(wanted, found, strict=True)) >= 0.995 * TOP * len(
                tuning
            ):
                return
            self.nprobes *= 2

    def open(self) -> None:
        """Open the table."""
        self.table = self.database.open_table("windows")

    def _search(self, query: np.ndarray) -> Any:
        return self.table.search(query).distance_type("dot").select(["row", "_distance"]).limit(TOP)

    def exact(self, query: np.ndarray) -> np.ndarray:
        """Return the rows of the best windows."""
        return np.array(self._search(query).bypass_vector_index().to_arrow()["row"])

    def approximate(self, query: np.ndarray) -> np.ndarray:
        """Return the rows of the best windows, found by clusters."""
        search = self._search(query).nprobes(self.nprobes).refine_factor(4)
        return np.array(search.to_arrow()["row"])

    def count(self) -> int:
        """Return the number of windows."""
        return int(self.table.count_rows())


ENGINES = {"negclap": Negclap, "LanceDB": Lance}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--embeddings", type=Path, required=True, help="index of real music")
    parser.add_argument("--windows", type=int, default=1_000_000, help="number of windows")
    parser.add_argument("--dim", type=int, default=512, help="size of the embeddings")
    parser.add_argument("--work", type=Path, default=Path("stores.tmp"), help="working folder")
    parser.add_argument("--child", choices=("open", "write"), help=argparse.SUPPRESS)
    parser.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options)
        return
    index = Index(options.embeddings)
    rng = np.random.default_rng(0)
    embeddings = np.concatenate([part for _, _, part in index.store.tracks()])
    rotation = np.linalg.qr(rng.standard_normal((options.dim, embeddings.shape[1])))[0].T
    rotation = rotation.astype(np.float32)
    windows = jitter(embeddings @ rotation, options.windows + PER_TRACK * ADDED, rng)
    queries = index.typical_queries() @ rotation
    queries = queries[rng.permutation(len(queries))]
    options.work.mkdir()
    np.save(options.work / "query.npy", queries[0])
    rows = {name: measure(name, options, windows, queries) for name in ENGINES}
    title = f"{options.windows:,} windows of {options.dim} dimensions, {len(queries) // 2} queries"
    print(title)
    for measured in next(iter(rows.values())):
        print(f"{measured:>44}" + "".join(f"{row[measured]:>14.5g}" for row in rows.values()))
    write_results("stores", {"of": title, "rows": rows})
    shutil.rmtree(options.work)


def measure(
    name: str, options: argparse.Namespace, windows: np.ndarray, queries: np.ndarray
) -> dict[str, float]:
    """Return all figures of an engine."""
    folder, n = options.work / name, options.windows
    tuning, queries = np.array_split(queries, 2)
    engine = ENGINES[name](folder, options.dim)
    row = {"write, s": seconds(lambda: engine.add(windows[:n], 0))}
    row["make searchable, s"] = seconds(engine.make_searchable)
    row["on disk, MB"] = size_mb(folder)
    opened = run_child("open", name, options).communicate()[0].split()
    row["open and first exact search, new process, s"] = float(opened[0])
    row["import and open, new process, s"] = float(opened[1])
    engine.open()
    truth = [best(windows[:n], query) for query in queries]
    found, row["exact, ms a query"] = timed(engine.exact, queries)
    row["exact, recall@10"] = recall(found, truth)
    row["make approximate, s"] = seconds(lambda: engine.make_approximate(tuning))
    row["on disk with it, MB"] = size_mb(folder)
    engine.open()
    found, row["approximate, ms a query"] = timed(engine.approximate, queries)
    row["approximate, recall@10"] = recall(found, truth)
    first = n // PER_TRACK
    row["add 1,000 tracks, s"] = seconds(lambda: engine.add(windows[n:], first))
    row["make them searchable, s"] = seconds(engine.make_searchable)
    row["remove 1,000 tracks, s"] = seconds(lambda: engine.remove(first, ADDED))
    row["killed writers of 5 that lost or broke tracks"] = killed(name, options)
    return row


def killed(name: str, options: argparse.Namespace) -> float:
    """Kill five writers in the middle; return how many left a store that is not as written.

    A writer prints a line after each batch of tracks. What it has printed must be there, and what
    is there must be whole tracks.
    """
    broken = 0
    for trial in range(5):
        folder = options.work / f"killed {trial}"
        process = run_child("write", name, options, folder)
        lines = [process.stdout.readline() for _ in range(5 + trial)]
        time.sleep(0.01 * trial)  # somewhere within the next batch; nothing depends on where
        process.send_signal(signal.SIGKILL)
        rest, _ = process.communicate()
        said = int((lines + rest.split())[-1])
        count = ENGINES[name](folder, options.dim).count()
        broken += count < said * PER_TRACK or count % PER_TRACK != 0
        shutil.rmtree(folder)
    return float(broken)


def child(options: argparse.Namespace) -> None:
    """Do what is measured in a process of its own."""
    started = time.perf_counter()
    engine = ENGINES[options.engine](options.work, options.dim)
    engine.open()
    opened = time.perf_counter()
    if options.child == "open":
        engine.exact(np.load(options.work.parent / "query.npy"))
        print(time.perf_counter() - started, opened - started)
        return
    batch = np.random.default_rng(0).standard_normal((100 * PER_TRACK, options.dim), np.float32)
    for number in range(10_000):
        engine.add(batch, 100 * number)
        print(100 * (number + 1), flush=True)


def run_child(
    what: str, name: str, options: argparse.Namespace, folder: Path | None = None
) -> "subprocess.Popen[str]":
    """Start this script as a child."""
    command = [sys.executable, __file__, "--child", what, "--engine", name]
    command += ["--embeddings", str(options.embeddings), "--dim", str(options.dim)]
    command += ["--work", str(folder or options.work / name)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _tracks(windows: np.ndarray, first: int) -> Iterator[list[tuple[int, np.ndarray]]]:
    """Yield `AT_ONCE` tracks at a time, numbered from ``first``."""
    tracks = windows.reshape(-1, PER_TRACK, windows.shape[1])
    for begin in range(0, len(tracks), AT_ONCE):
        some = tracks[begin : begin + AT_ONCE]
        yield [(first + begin + place, its) for place, its in enumerate(some)]


def seconds(work: Any) -> float:
    """Return the seconds that a call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def recall(found: list[np.ndarray], truth: list[np.ndarray]) -> float:
    """Return the share of the true rows that was found."""
    hits = [len({*a.tolist()} & {*b.tolist()}) for a, b in zip(found, truth, strict=True)]
    return sum(hits) / (TOP * len(truth))


def size_mb(folder: Path) -> float:
    """Return the size of all files."""
    files = (Path(place, name) for place, _, names in os.walk(folder) for name in names)
    return sum(file.stat().st_size for file in files) / 1e6


if __name__ == "__main__":
    main()
