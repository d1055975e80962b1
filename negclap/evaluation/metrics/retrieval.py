"""Retrieval: ranks with shared credit for ties, Recall@K, AP@K, median rank; random galleries.

Definitions: for a query with G items above its target and E others tied with it, expected
R@K = clip((K - G) / (E + 1), 0, 1); AP@K = mean of 1[r <= K] / r over the places r = G+1 .. G+E+1
that the target may take; expected rank = G + 1 + E/2.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from negclap import distributed
from negclap.evaluation.metrics.scores import TIE

_TILE = 1024  # queries by items at once; their scores stay in the cache while they are compared
_TILE_ON_DEVICE = 4096  # on a GPU it is the launches that cost


class Ranks(NamedTuple):
    """Where targets stand, each ``(q,)`` int64: items above, others tied with the target."""

    above: Tensor
    tied: Tensor


@torch.no_grad()
def rank_targets(queries: Tensor, items: Tensor, target: Tensor) -> Ranks:
    """Rank each query's target among the items by cosine, scored in float32.

    The ranks of a query do not depend on what else is asked with it. Memory beside the embeddings
    is constant, but for items that are not float32, which are converted.

    Args:
        queries: ``(q, d)`` unit embeddings.
        items: ``(n, d)`` unit embeddings.
        target: ``(q,)`` int64, the item that belongs to each query.
    """
    size = min(len(items), _TILE if items.device.type == "cpu" else _TILE_ON_DEVICE)
    items = items.float()
    tiles = [_filled(tile, size) for tile in items.split(size)]
    space = items.new_empty(2, size, size)
    blocks = [
        _rank_block(
            _filled(rows.float(), size), _filled(items[wanted], size), tiles, len(items), space
        )
        for rows, wanted in zip(queries.split(size), target.split(size), strict=True)
    ]
    above, tied = torch.cat(blocks, dim=1)[:, : len(queries)]
    return Ranks(above, tied)


def rank_targets_together(queries: Tensor, items: Tensor, target: Tensor) -> Ranks:
    """`rank_targets` by all processes: each ranks its share of the queries, all get all ranks.

    All must call it, with the same arguments.
    """
    share = slice(*distributed.share(len(queries)))
    mine = rank_targets(queries[share], items, target[share])
    above, tied = distributed.gather_uneven(torch.stack(mine, dim=1)).unbind(dim=1)
    return Ranks(above, tied)


def _filled(rows: Tensor, size: int) -> Tensor:
    """``(size, d)``: the rows, and zeros below where they are fewer."""
    return F.pad(rows, (0, 0, 0, size - len(rows))) if len(rows) < size else rows


def _rank_block(
    queries: Tensor, targets: Tensor, tiles: list[Tensor], n: int, space: Tensor
) -> Tensor:
    """``(2, size)``: items above, others tied; all that is multiplied is ``(size, d)``."""
    size, (sim, copy) = len(queries), space
    # Ties ask that equal items get equal scores. A narrow product sums over d in another order, so
    # all are of one shape: the targets' too, and the last tile is filled. What the place in a tile
    # may still change (nothing with MKL) is rounding, of 1e-7 at most, a tenth of TIE.
    own = torch.mm(queries, targets.T, out=sim).diagonal().unsqueeze(1)
    above_from, tied_from = own + TIE, own - TIE
    above, at_least = torch.zeros(2, size, dtype=torch.int64, device=queries.device)
    for tile, start in zip(tiles, range(0, n, size), strict=True):
        scores = torch.mm(queries, tile.T, out=sim)[:, : n - start]
        # In place, where floats replace floats, comparisons are vectorised; to booleans they take
        # ten times as long, copy included. The ones are fewer than float32 counts exactly.
        above += copy[:, : n - start].copy_(scores).gt_(above_from).sum(dim=1).long()
        at_least += scores.ge_(tied_from).sum(dim=1).long()
    return torch.stack((above, at_least - above - 1))


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
