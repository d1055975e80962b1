"""Exclusion retrieval "A without B", choices between two texts, and counterfactual twins.

All take unit embeddings. Ties share credit, as everywhere: a place in the top K that several tied
items may take counts as the share of them that is good.
"""

import torch
from torch import Tensor

from negclap.evaluation.metrics.scores import TIE, Scores, beats


def places_in_top(sim: Tensor, k: int) -> Tensor:
    """How much of a place in the top k each item has: 1, 0, or a share where it is tied.

    Args:
        sim: ``(q, n)`` scores of the items.
        k: At most n.

    Returns:
        ``(q, n)`` float32, rows sum to k.
    """
    last = sim.topk(k, dim=1).values[:, -1:]
    above = sim > last + TIE
    tied = (sim - last).abs() <= TIE
    share = (k - above.sum(dim=1)) / tied.sum(dim=1)
    return above.float() + tied.float() * share.unsqueeze(1)


def exclusion_scores(
    audio: Tensor,
    texts: Tensor,
    wanted: Tensor,
    unwanted: Tensor,
    lacked: Tensor,
    galleries: list[Tensor],
    k: int,
    with_auc: bool = True,
) -> dict[str, Scores]:
    """Exclusion retrieval over random galleries.

    A query is asked of the clips of a gallery that are known to have or to lack B, if at least k
    of them have A and B, and k have A and lack B.

    Args:
        audio: ``(n, d)`` clips.
        texts: ``(q, d)`` the queries "A without B".
        wanted: ``(q, n)`` bool, the clip has A.
        unwanted: ``(q, n)`` bool, it has B.
        lacked: ``(q, n)`` bool, it lacks B.
        galleries: Rows of the clips of each gallery.
        k: Depth.
        with_auc: Whether the AUC is wanted, which takes longest.

    Returns:
        By name: ``joint@k`` (has A and lacks B), ``violation@k`` (has B), ``precision@k`` (has A):
        one value per clip in a top k, weighted by its share of the place; ``auc``: one value per
        clip with A and not B, how many with A and B it beats. Every query weighs the same; the
        items are the clips, so that intervals resample tracks.
    """
    found: dict[str, list[Scores]] = {}
    for gallery in galleries:
        members = gallery.to(audio.device)
        a, b, no_b = wanted[:, members], unwanted[:, members], lacked[:, members]
        asked = ((a & b).sum(dim=1) >= k) & ((a & no_b).sum(dim=1) >= k)
        if not asked.any():
            continue
        a, b, no_b = a[asked], b[asked], no_b[asked]
        sim = texts[asked].float() @ audio[members].float().T
        places = places_in_top(sim.masked_fill(~(b | no_b), float("-inf")), k)
        rows, columns = places.nonzero(as_tuple=True)
        shares, items = places[rows, columns] / k, members[columns]
        for name, truth in (("joint", a & no_b), ("violation", b), ("precision", a)):
            values = truth[rows, columns].float()
            found.setdefault(f"{name}@{k}", []).append(Scores(values, items, shares))
        for row, good, bad in zip(sim, a & no_b, a & b, strict=True) if with_auc else ():
            wins = beats(row[good].unsqueeze(1), row[bad]).mean(dim=1)
            weights = torch.full_like(wins, 1 / len(wins))
            found.setdefault("auc", []).append(Scores(wins, members[good], weights))
    return {name: Scores.pooled(parts) for name, parts in found.items()}


def choice_scores(audio: Tensor, true: Tensor, false: Tensor, items: Tensor) -> Scores:
    """How often the true text is closer to the clip, all ``(n, d)``; items ``(n,)`` are tracks."""
    return Scores(beats((audio * true).sum(dim=-1), (audio * false).sum(dim=-1)), items)


def paired_scores(
    has: Tensor, lacks: Tensor, affirmed: Tensor, negated: Tensor
) -> dict[str, Scores]:
    """Counterfactual twins, all ``(n, d)``: each text must be closer to its own twin.

    Returns:
        ``paired`` (both right, chance 1/4), ``paired/with`` and ``paired/without`` (chance 1/2).
    """
    with_it = beats((affirmed * has).sum(dim=-1), (affirmed * lacks).sum(dim=-1))
    without = beats((negated * lacks).sum(dim=-1), (negated * has).sum(dim=-1))
    items = torch.arange(len(has))
    return {
        "paired": Scores(with_it * without, items),
        "paired/with": Scores(with_it, items),
        "paired/without": Scores(without, items),
    }


def effective_rank(embeddings: Tensor) -> float:
    """Exp of the entropy of the normalised singular values (Roy and Vetterli 2007)."""
    values = torch.linalg.svdvals(embeddings.double())
    share = values / values.sum().clamp(min=1e-12)
    return float(torch.exp(-(share * share.clamp(min=1e-12).log()).sum()))
