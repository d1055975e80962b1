"""Retrieval: ranks with shared credit for ties, Recall@K, AP@K, median rank; random galleries.

Definitions: for a query with G items above its target and E others tied with it, expected
R@K = clip((K - G) / (E + 1), 0, 1); AP@K = mean of 1[r <= K] / r over the places r = G+1 .. G+E+1
that the target may take; expected rank = G + 1 + E/2.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from negclap.metrics.scores import TIE

_CHUNK = 1024  # queries at once; the N x N matrix never exists


class Ranks(NamedTuple):
    """Where targets stand, each ``(q,)`` int64: items above, others tied with the target."""

    above: Tensor
    tied: Tensor


def rank_targets(queries: Tensor, items: Tensor, target: Tensor) -> Ranks:
    """Rank each query's target among the items by cosine.

    Args:
        queries: ``(q, d)`` unit embeddings.
        items: ``(n, d)`` unit embeddings.
        target: ``(q,)`` int64, the item that belongs to each query.
    """
    above, tied = [], []
    for rows, wanted in zip(queries.split(_CHUNK), target.split(_CHUNK), strict=True):
        sim = rows.float() @ items.float().T
        own = sim.gather(1, wanted.unsqueeze(1))  # from the same product as its rivals
        above.append((sim > own + TIE).sum(dim=1))
        tied.append(((sim - own).abs() <= TIE).sum(dim=1) - 1)
    return Ranks(torch.cat(above), torch.cat(tied))


def recall_at(ranks: Ranks, k: int) -> Tensor:
    """Expected Recall@k per query, ``(q,)`` float32."""
    return ((k - ranks.above).float() / (ranks.tied + 1).float()).clamp(0.0, 1.0)


def average_precision_at(ranks: Ranks, k: int) -> Tensor:
    """Expected AP@k per query, one relevant item each, ``(q,)`` float32."""
    places = torch.arange(1, k + 1, device=ranks.above.device)
    first, last = (ranks.above + 1).unsqueeze(1), (ranks.above + ranks.tied + 1).unsqueeze(1)
    possible = (places >= first) & (places <= last)
    return (possible.float() / places).sum(dim=1) / (ranks.tied + 1).float()


def expected_rank(ranks: Ranks) -> Tensor:
    """Expected rank per query, counted from 1, ``(q,)`` float32."""
    return ranks.above.float() + 1 + ranks.tied.float() / 2


def draw_galleries(n_items: int, size: int, count: int, seed: int) -> list[Tensor]:
    """``count`` random galleries of ``size`` of the items; one of all items if they are no more."""
    if size >= n_items:
        return [torch.arange(n_items)]
    generator = torch.Generator().manual_seed(seed)
    return [torch.randperm(n_items, generator=generator)[:size] for _ in range(count)]
