"""Measure a search among a million windows: time per query, recall of the approximate search.

    python benchmarks/search.py --embeddings INDEX [--windows 1000000 --dim 512]

Windows are made from an index of real music: random windows of it, rotated into ``dim`` dimensions,
plus noise. Queries are texts, embedded by the model of the index and rotated likewise; one half
tunes the approximate search, the other half measures it. Writes results/search.json. Goal: less
than 50 ms per query at a recall@10 of at least 0.99.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from common import write_results

from negclap.progress import quiet
from negclap.search import Index
from negclap.search.vectors import build_ivf, rescore, tune_nprobe

NOISE = 0.3  # norm; the cosine of two copies of a window is 0.92
TOP = 10


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--embeddings", type=Path, required=True, help="index of real music")
    parser.add_argument("--windows", type=int, default=1_000_000, help="number of windows")
    parser.add_argument("--dim", type=int, default=512, help="size of the embeddings")
    options = parser.parse_args()
    index = Index(options.embeddings)
    rng = np.random.default_rng(0)
    embeddings = np.concatenate([part for _, _, part in index.store.tracks()])
    rotation = np.linalg.qr(rng.standard_normal((options.dim, embeddings.shape[1])))[0].T
    rotation = rotation.astype(np.float32)
    windows = jitter(embeddings @ rotation, options.windows, rng)
    queries = index.typical_queries() @ rotation
    tuning, queries = np.array_split(queries[rng.permutation(len(queries))], 2)

    started = time.perf_counter()
    ivf = build_ivf(windows, quiet)
    ivf.nprobe = tune_nprobe(ivf, windows, tuning)
    build_s = time.perf_counter() - started
    exact, exact_ms = timed(lambda query: best(windows, query), queries)
    found, approximate_ms = timed(
        lambda query: rescore(windows, query, ivf.search(query[None], 4 * TOP)[1][0])[0][:TOP],
        queries,
    )
    hits = [len(set(a.tolist()) & set(b.tolist())) for a, b in zip(exact, found, strict=True)]
    rows = [
        {"search": "exact", "ms a query": exact_ms, "recall@10": 1.0, "made in s": 0.0},
        {
            "search": f"approximate, {ivf.nprobe} of {ivf.nlist} clusters",
            "ms a query": approximate_ms,
            "recall@10": sum(hits) / (TOP * len(hits)),
            "made in s": build_s,
        },
    ]
    title = f"{len(windows):,} windows of {options.dim} dimensions, {len(queries)} queries"
    print(title)
    for row in rows:
        print(f"{row['search']:>36}  {row['ms a query']:8.2f} ms per query  "
              f"recall@10 {row['recall@10']:.4f}  built in {row['made in s']:.0f} s")  # fmt: skip
    write_results("search", {"of": title, "rows": rows})


def jitter(embeddings: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return ``(n, d)`` unit vectors: random rows of the embeddings plus noise."""
    windows = np.empty((n, embeddings.shape[1]), np.float32)
    for first in range(0, n, 50_000):
        rows = rng.integers(len(embeddings), size=min(50_000, n - first))
        noise = rng.standard_normal((len(rows), embeddings.shape[1]), dtype=np.float32)
        noise *= NOISE / np.linalg.norm(noise, axis=1, keepdims=True)
        moved = embeddings[rows] + noise
        windows[first : first + len(rows)] = moved / np.linalg.norm(moved, axis=1, keepdims=True)
    return windows


def best(windows: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Return the rows of the best windows by an exact search."""
    scores = windows @ query
    chosen = np.argpartition(-scores, TOP - 1)[:TOP]
    return chosen[np.argsort(-scores[chosen])]


def timed(
    search: Callable[[np.ndarray], np.ndarray], queries: Sequence[np.ndarray]
) -> tuple[list[np.ndarray], float]:
    """Return the results of all queries, and the median milliseconds of a query."""
    found, times = [], []
    for query in queries:
        started = time.perf_counter()
        found.append(search(query))
        times.append(1_000 * (time.perf_counter() - started))
    return found, float(np.median(times))


if __name__ == "__main__":
    main()
