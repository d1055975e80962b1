"""Measure exact retrieval ranks: time and memory, relative to a matrix product and to torchmetrics.

    python benchmarks/retrieval.py [SIZE]

There are SIZE queries and as many items (default 100,000) of 512 dimensions, in float32 on the CPU.
The bare product computes all scores tile by tile with `torch.mm` and discards them; it uses the
tile shape that is fastest on this machine. Memory is the peak beyond the embeddings (Linux).

torchmetrics' RetrievalRecall (top_k=10) gets 2,000 x 2,000 scores, raised above 0, because it drops
targets with negative scores. Its time and that of negclap include the product, whose time is also
given alone, as the lower bound of every exact method. Writes results/retrieval.json. Goals: at most
1.3 times the bare product, less than 1.5 GB, at least 50 times as fast as torchmetrics (which the
product alone rules out at this size).
"""

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from common import reset_peak, resident_mib, write_results
from torch import Tensor
from torchmetrics.retrieval import RetrievalRecall

from negclap.evaluation.metrics.retrieval import rank_targets, recall_at

SIZE, DIM = 100_000, 512
SMALL, TOP_K = 2_000, 10
TILES = ((512, 512), (1024, 1024), (1024, 2048), (2048, 2048), (4096, 4096), (1024, 16_384))
ROUNDS = 3
PARTS = 5  # of the queries


def make_embeddings(count: int) -> tuple[Tensor, Tensor]:
    """Return queries and items; each query resembles its item, so that ranks vary."""
    generator = torch.Generator().manual_seed(0)
    items = F.normalize(torch.randn(count, DIM, generator=generator), dim=1)
    noise = F.normalize(torch.randn(count, DIM, generator=generator), dim=1)
    return F.normalize(items + 8 * noise, dim=1), items


def multiply(queries: Tensor, items: Tensor, rows: int, columns: int) -> None:
    """Compute all scores, each tile in the same memory."""
    sim = torch.empty(rows, columns)
    for block in queries.split(rows):
        for tile in items.split(columns):
            torch.mm(block, tile.T, out=sim[: len(block), : len(tile)])


def seconds(function: Callable[[], Any]) -> float:
    """Return the elapsed time of a call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def fastest_tiles(queries: Tensor, items: Tensor) -> tuple[int, int]:
    """Return the tile shape with which the bare product of a part is fastest."""
    part = 16_384
    return min(
        TILES,
        key=lambda tile: min(
            seconds(lambda: multiply(queries[:4096], items[:part], *tile)) for _ in range(ROUNDS)
        ),
    )


def peak_gb(function: Callable[[], Any]) -> float:
    """Return the peak memory of a call beyond the memory before it."""
    reset_peak()
    before = resident_mib("VmRSS")
    function()
    return (resident_mib("VmHWM") - before) * 2**20 / 1e9


def compare_with_product(count: int) -> dict[str, Any]:
    """Rank all queries in parts, taking turns with the bare product."""
    queries, items = make_embeddings(count)
    tiles = fastest_tiles(queries, items)
    recalls: list[Tensor] = []
    product_s = ranks_s = peak = 0.0
    for rows in torch.arange(count).chunk(PARTS):
        part = queries[rows]

        def rank(rows: Tensor = rows, part: Tensor = part) -> None:
            recalls.append(recall_at(rank_targets(part, items, rows), TOP_K))

        product_s += seconds(lambda part=part: multiply(part, items, *tiles))
        start = time.perf_counter()
        peak = max(peak, peak_gb(rank))
        ranks_s += time.perf_counter() - start
    return {
        "queries": count,
        "ranks_s": round(ranks_s, 2),
        "bare_product_s": round(product_s, 2),
        "bare_tiles": tiles,
        "ratio": round(ranks_s / product_s, 3),
        "peak_gb": round(peak, 3),
        "recall@10": round(float(torch.cat(recalls).mean()), 4),
    }


def compare_with_torchmetrics(count: int) -> dict[str, Any]:
    """Compute Recall@10 of the same queries with torchmetrics and with negclap."""
    queries, items = make_embeddings(count)
    target = torch.arange(count)
    relevant, rows = torch.eye(count, dtype=torch.bool).flatten(), target.repeat_interleave(count)

    def torchmetrics_recall() -> float:
        metric = RetrievalRecall(top_k=TOP_K)
        metric.update((queries @ items.T + 2).flatten(), relevant, indexes=rows)
        return float(metric.compute())

    def negclap_recall() -> float:
        return float(recall_at(rank_targets(queries, items, target), TOP_K).mean())

    assert abs(torchmetrics_recall() - negclap_recall()) < 1e-6
    functions = (torchmetrics_recall, negclap_recall, lambda: queries @ items.T)
    times = [[seconds(function) for function in functions] for _ in range(2 * ROUNDS)]
    torchmetrics_s, ranks_s, product_s = (
        statistics.median(each) for each in zip(*times, strict=True)
    )
    return {
        "queries": count,
        "ranks_s": round(ranks_s, 4),
        "torchmetrics_s": round(torchmetrics_s, 3),
        "bare_product_s": round(product_s, 4),
        "times_as_fast": round(torchmetrics_s / ranks_s, 1),
        "recall@10": round(negclap_recall(), 4),
    }


def main() -> None:
    """Measure, print and write."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else SIZE
    results: dict[str, Any] = {
        "torch_threads": torch.get_num_threads(),
        "dim": DIM,
        "at_size": compare_with_product(count),
        "beside_torchmetrics": compare_with_torchmetrics(SMALL),
    }
    for title, part in (
        ("relative to the bare product", "at_size"),
        ("relative to torchmetrics", "beside_torchmetrics"),
    ):
        print(f"{title}:")
        for name, value in results[part].items():
            print(f"  {name:16s} {value!s:>14s}")
    write_results("retrieval", results)


if __name__ == "__main__":
    main()
