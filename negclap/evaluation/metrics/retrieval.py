"""Retrieval over random galleries: ranks, Recall@K, AP@K, median rank.

Ties share credit. For a query with G items above its target and E others tied with it, the expected
R@K = clip((K - G) / (E + 1), 0, 1); AP@K = mean of 1[r <= K] / r over the possible ranks
r = G+1 .. G+E+1; expected rank = G + 1 + E/2.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from negclap import distributed
from negclap.evaluation.metrics.scores import TIE, Scores
from negclap.text.probes import Level

RECALL_AT = (1, 5, 10)
MAP_AT = 10
_TILE = 1024  # queries by items at once; their scores fit into the CPU cache
_TILE_ON_DEVICE = 4096  # on a GPU, kernel launches cost more than memory


class Ranks(NamedTuple):
    """Ranks of targets, each ``(q,)`` int64: items above the target, others tied with it."""

    above: Tensor
    tied: Tensor


@torch.no_grad()
def rank_targets(queries: Tensor, items: Tensor, target: Tensor) -> Ranks:
    """Rank each query's target among the items by cosine, scored in float32.

    Queries are ``(q, d)``, items ``(n, d)`` unit embeddings; ``target`` has the ``(q,)`` int64 rows
    of the targets. The rank of a query does not depend on the other queries. Memory besides the
    embeddings is constant, except for a copy of items that are not float32.
    """
    size = min(len(items), _TILE if items.device.type == "cpu" else _TILE_ON_DEVICE)
    items = items.float()
    tiles = [_padded(tile, size) for tile in items.split(size)]
    buffer = items.new_empty(2, size, size)
    blocks = [
        _rank_block(
            _padded(rows.float(), size), _padded(items[own], size), tiles, len(items), buffer
        )
        for rows, own in zip(queries.split(size), target.split(size), strict=True)
    ]
    return Ranks(*torch.cat(blocks, dim=1)[:, : len(queries)])


def rank_targets_distributed(queries: Tensor, items: Tensor, target: Tensor) -> Ranks:
    """Do `rank_targets` with all processes: each ranks its share of the queries.

    All processes must call it with the same arguments; all get all ranks.
    """
    share = slice(*distributed.share(len(queries)))
    mine = rank_targets(queries[share], items, target[share])
    above, tied = distributed.gather_uneven(torch.stack(mine, dim=1)).unbind(dim=1)
    return Ranks(above, tied)


def _padded(rows: Tensor, size: int) -> Tensor:
    """Pad rows with zeros to ``(size, d)``."""
    return F.pad(rows, (0, 0, 0, size - len(rows))) if len(rows) < size else rows


def _rank_block(
    queries: Tensor, targets: Tensor, tiles: list[Tensor], n: int, buffer: Tensor
) -> Tensor:
    """Return ``(2, size)`` counts: items above the target, others tied with it."""
    size, (sim, copy) = len(queries), buffer
    # Ties require equal scores for equal items. The order of summation over d depends on the shape
    # of the operands, so all of them are (size, d): the targets, and the padded last tile. The
    # position in a tile may still change the rounding by up to 1e-7 (not with MKL), a tenth of TIE.
    own = torch.mm(queries, targets.T, out=sim).diagonal().unsqueeze(1)
    above_from, tied_from = own + TIE, own - TIE
    above, at_least = torch.zeros(2, size, dtype=torch.int64, device=queries.device)
    for tile, start in zip(tiles, range(0, n, size), strict=True):
        scores = torch.mm(queries, tile.T, out=sim)[:, : n - start]
        # In-place comparisons of floats are vectorised; those that return booleans take ten times
        # as long, even with the copy. float32 counts exactly up to 2^24, more than a tile's size.
        above += copy[:, : n - start].copy_(scores).gt_(above_from).sum(dim=1).long()
        at_least += scores.ge_(tied_from).sum(dim=1).long()
    return torch.stack((above, at_least - above - 1))


def recall_at(ranks: Ranks, k: int) -> Tensor:
    """Return the expected Recall@k per query, ``(q,)`` float32."""
    return ((k - ranks.above).float() / (ranks.tied + 1).float()).clamp(0.0, 1.0)


def average_precision_at(ranks: Ranks, k: int) -> Tensor:
    """Return the expected AP@k per query with one relevant item, ``(q,)`` float32."""
    rank = torch.arange(1, k + 1, device=ranks.above.device)
    first, last = (ranks.above + 1).unsqueeze(1), (ranks.above + ranks.tied + 1).unsqueeze(1)
    possible = (rank >= first) & (rank <= last)
    return (possible.float() / rank).sum(dim=1) / (ranks.tied + 1).float()


def expected_rank(ranks: Ranks) -> Tensor:
    """Return the expected rank per query, counted from 1, ``(q,)`` float32."""
    return ranks.above.float() + 1 + ranks.tied.float() / 2


def draw_galleries(n_items: int, size: int, count: int, seed: int) -> list[Tensor]:
    """Draw ``count`` random galleries of ``size`` items; one gallery if it contains all items."""
    if size >= n_items:
        return [torch.arange(n_items)]
    generator = torch.Generator().manual_seed(seed)
    return [torch.randperm(n_items, generator=generator)[:size] for _ in range(count)]


def retrieval_scores(
    audio: Tensor,
    levels: Mapping[Level, tuple[Tensor, Tensor]],
    galleries: Sequence[Tensor],
    rank: Callable[[Tensor, Tensor, Tensor], Ranks] = rank_targets,
) -> dict[str, Scores]:
    """Score captions at the negation levels as queries for their clips, and the reverse.

    Args:
        audio: ``(n, d)`` unit embeddings of clips.
        levels: By level, ``(n, d)`` embeddings of captions, and ``(n,)`` bool, whether the clip has
            the caption.
        galleries: Rows of the clips of each gallery.
        rank: `rank_targets_distributed` if all processes call this with the same arguments.

    Returns:
        One value per query and gallery, by key (``recall@10/half``, ``a2t/map@10/original``, ...).
    """
    parts: dict[str, list[Scores]] = {}

    def add(suffix: str, prefix: str, ranks: Ranks, tracks: Tensor) -> None:
        values = {f"recall@{k}": recall_at(ranks, k) for k in RECALL_AT}
        values[f"map@{MAP_AT}"] = average_precision_at(ranks, MAP_AT)
        values["median_rank"] = expected_rank(ranks)
        for name, each in values.items():
            parts.setdefault(f"{prefix}{name}/{suffix}", []).append(Scores(each, tracks))

    for gallery in galleries:
        members = gallery.to(audio.device)
        clips = audio[members]
        for level, (texts, mask) in levels.items():
            queries = mask[members].nonzero().flatten()
            if len(queries):
                ranks = rank(texts[members][queries], clips, queries)
                add(level, "", ranks, members[queries])
        originals, _ = levels["original"]
        ranks = rank(clips, originals[members], torch.arange(len(members), device=audio.device))
        add("original", "a2t/", ranks, members)
    return {key: Scores.pooled(each) for key, each in parts.items()}
