"""Exact ranks at size: seconds and memory, beside the bare product and beside torchmetrics.

    python benchmarks/retrieval.py [SIZE]

SIZE queries and as many items (100,000 unless told) of 512 numbers, float32, on the CPU. The bare
product is a loop of `torch.mm` over tiles, of the tile shape that is quickest here, whose scores
nobody looks at. Memory is the peak beyond what the embeddings already hold (Linux). RetrievalRecall
of torchmetrics (top_k=10) gets 2,000 x 2,000, its scores moved above 0, since it drops targets that
score less; the product is part of both times, and given alone: nobody can be quicker than it.
Writes results/retrieval.json beside this file. Goals: at most 1.3 times the bare product, less than
1.5 GB, at least 50 times as fast as torchmetrics (which the product alone forbids at this size).
"""

import json
import re
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.retrieval import RetrievalRecall

from negclap.evaluation.metrics.retrieval import rank_targets, recall_at

SIZE, DIM = 100_000, 512
SMALL, TOP_K = 2_000, 10
TILES = ((512, 512), (1024, 1024), (1024, 2048), (2048, 2048), (4096, 4096), (1024, 16_384))
ROUNDS = 3
PARTS = 5  # of the queries


def embeddings(count: int) -> tuple[Tensor, Tensor]:
    """Queries and items; each query lies near its item, so that ranks are neither 1 nor random."""
    generator = torch.Generator().manual_seed(0)
    items = F.normalize(torch.randn(count, DIM, generator=generator), dim=1)
    noise = F.normalize(torch.randn(count, DIM, generator=generator), dim=1)
    return F.normalize(items + 8 * noise, dim=1), items


def multiply(queries: Tensor, items: Tensor, rows: int, columns: int) -> None:
    """All scores, tile by tile into the same memory."""
    sim = torch.empty(rows, columns)
    for block in queries.split(rows):
        for tile in items.split(columns):
            torch.mm(block, tile.T, out=sim[: len(block), : len(tile)])


def seconds(work: Callable[[], Any]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def quickest_tiles(queries: Tensor, items: Tensor) -> tuple[int, int]:
    """Of the bare product, on a part of the items and queries."""
    part = 16_384
    return min(
        TILES,
        key=lambda tile: min(
            seconds(lambda: multiply(queries[:4096], items[:part], *tile)) for _ in range(ROUNDS)
        ),
    )


def memory_gb(key: str) -> float:
    """Memory of this process, as the kernel counts it under that key."""
    (found,) = re.findall(rf"{key}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found) / 1e6


def peak_gb(work: Callable[[], Any]) -> float:
    """Memory at the peak of the work, beyond what was held before."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = memory_gb("VmRSS")
    work()
    return memory_gb("VmHWM") - before


def at_size(count: int) -> dict[str, Any]:
    """All queries, in parts, between which ranks and bare product take turns."""
    queries, items = embeddings(count)
    tiles = quickest_tiles(queries, items)
    found: list[Tensor] = []
    bare = ranked = peak = 0.0
    for rows in torch.arange(count).chunk(PARTS):
        asked = queries[rows]

        def rank(rows: Tensor = rows, asked: Tensor = asked) -> None:
            found.append(recall_at(rank_targets(asked, items, rows), TOP_K))

        bare += seconds(lambda asked=asked: multiply(asked, items, *tiles))
        start = time.perf_counter()
        peak = max(peak, peak_gb(rank))
        ranked += time.perf_counter() - start
    return {
        "queries": count,
        "ranks_s": round(ranked, 2),
        "bare_product_s": round(bare, 2),
        "bare_tiles": tiles,
        "ratio": round(ranked / bare, 3),
        "peak_gb": round(peak, 3),
        "recall@10": round(float(torch.cat(found).mean()), 4),
    }


def beside_torchmetrics(count: int) -> dict[str, Any]:
    """Recall@10 of the same queries by both."""
    queries, items = embeddings(count)
    target = torch.arange(count)
    wanted, rows = torch.eye(count, dtype=torch.bool).flatten(), target.repeat_interleave(count)

    def theirs() -> float:
        metric = RetrievalRecall(top_k=TOP_K)
        metric.update((queries @ items.T + 2).flatten(), wanted, indexes=rows)
        return float(metric.compute())

    def ours() -> float:
        return float(recall_at(rank_targets(queries, items, target), TOP_K).mean())

    assert abs(theirs() - ours()) < 1e-6
    works = (theirs, ours, lambda: queries @ items.T)
    times = [[seconds(work) for work in works] for _ in range(2 * ROUNDS)]
    slow, fast, bare = (statistics.median(each) for each in zip(*times, strict=True))
    return {
        "queries": count,
        "ranks_s": round(fast, 4),
        "torchmetrics_s": round(slow, 3),
        "bare_product_s": round(bare, 4),
        "times_as_fast": round(slow / fast, 1),
        "recall@10": round(ours(), 4),
    }


def main() -> None:
    """Measure, print and write."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else SIZE
    results: dict[str, Any] = {
        "torch_threads": torch.get_num_threads(),
        "dim": DIM,
        "at_size": at_size(count),
        "beside_torchmetrics": beside_torchmetrics(SMALL),
    }
    for part in ("at_size", "beside_torchmetrics"):
        print(f"{part}:")
        for name, value in results[part].items():
            print(f"  {name:16s} {value!s:>14s}")
    target = Path(__file__).parent / "results" / "retrieval.json"
    target.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
