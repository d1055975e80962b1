"""How long a search takes among a million windows, and what the approximate one finds of it.

    python benchmarks/search.py --embeddings INDEX [--windows 1000000 --dim 512]

The windows of an index (real embeddings) are jittered to size: each is a real one, embedded into
``dim`` dimensions by a fixed rotation, plus noise. Queries are texts that its model embeds, moved
along; half of them tune the approximate search, the other half measure it. Writes
results/search.json beside this file. Goal: under 50 ms a query at recall@10 of 0.99 or more.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from negclap.progress import quiet
from negclap.search import Index
from negclap.search.vectors import near_index, rescored, tuned

NOISE = 0.3  # its length beside a window's 1: neighbours of one window are 0.92 alike
TOP = 10


def main() -> None:
    """Print the table and write results/search.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--embeddings", type=Path, required=True, help="an index of real music")
    parser.add_argument("--windows", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=512)
    options = parser.parse_args()
    index = Index(options.embeddings)
    draw = np.random.default_rng(0)
    real = np.concatenate([embeddings for _, _, embeddings in index.store.tracks()])
    rotation = np.linalg.qr(draw.standard_normal((options.dim, real.shape[1])))[0].T
    rotation = rotation.astype(np.float32)
    windows = jittered(real @ rotation, options.windows, draw)
    queries = index.likely_queries() @ rotation
    tuning, asked = np.array_split(queries[draw.permutation(len(queries))], 2)

    started = time.perf_counter()
    near = near_index(windows, quiet)
    near.nprobe = tuned(near, windows, tuning)
    made_s = time.perf_counter() - started
    exact, exact_ms = timed(lambda query: best(windows, query), asked)
    found, near_ms = timed(
        lambda query: rescored(windows, query, near.search(query[None], 4 * TOP)[1][0])[0][:TOP],
        asked,
    )
    hits = [len(set(a.tolist()) & set(b.tolist())) for a, b in zip(exact, found, strict=True)]
    rows = [
        {"search": "exact", "ms a query": exact_ms, "recall@10": 1.0, "made in s": 0.0},
        {
            "search": f"approximate, {near.nprobe} of {near.nlist} clusters",
            "ms a query": near_ms,
            "recall@10": sum(hits) / (TOP * len(hits)),
            "made in s": made_s,
        },
    ]
    title = f"{len(windows):,} windows of {options.dim} dimensions, {len(asked)} queries"
    print(title)
    for row in rows:
        print(f"{row['search']:>36}  {row['ms a query']:8.2f} ms a query  "
              f"recall@10 {row['recall@10']:.4f}  made in {row['made in s']:.0f} s")  # fmt: skip
    target = Path(__file__).parent / "results" / "search.json"
    target.write_text(json.dumps({"of": title, "rows": rows}, indent=1) + "\n")


def jittered(real: np.ndarray, n: int, draw: np.random.Generator) -> np.ndarray:
    """``(n, d)`` unit vectors around real ones."""
    windows = np.empty((n, real.shape[1]), np.float32)
    for first in range(0, n, 50_000):
        rows = draw.integers(len(real), size=min(50_000, n - first))
        noise = draw.standard_normal((len(rows), real.shape[1]), dtype=np.float32)
        noise *= NOISE / np.linalg.norm(noise, axis=1, keepdims=True)
        moved = real[rows] + noise
        windows[first : first + len(rows)] = moved / np.linalg.norm(moved, axis=1, keepdims=True)
    return windows


def best(windows: np.ndarray, query: np.ndarray) -> np.ndarray:
    """The exact search."""
    scores = windows @ query
    chosen = np.argpartition(-scores, TOP - 1)[:TOP]
    return chosen[np.argsort(-scores[chosen])]


def timed(
    search: Callable[[np.ndarray], np.ndarray], queries: Sequence[np.ndarray]
) -> tuple[list[np.ndarray], float]:
    """What it finds, and the median milliseconds of a query."""
    found, times = [], []
    for query in queries:
        started = time.perf_counter()
        found.append(search(query))
        times.append(1_000 * (time.perf_counter() - started))
    return found, float(np.median(times))


if __name__ == "__main__":
    main()
