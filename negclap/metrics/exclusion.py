"""Exclusion retrieval "A without B", choices between two texts, and counterfactual twins.

All take unit embeddings. Ties share credit, as everywhere: a place in the top K that several tied
items may take counts as the share of them that is good.
"""

import torch
from torch import Tensor

from negclap.metrics.scores import TIE, Scores, beats


def share_of_top(sim: Tensor, good: Tensor, k: int) -> Tensor:
    """Expected share of good items among the top k.

    Args:
        sim: ``(q, n)`` scores of the items.
        good: ``(q, n)`` bool.
        k: At most n.

    Returns:
        ``(q,)`` float32.
    """
    last = sim.topk(k, dim=1).values[:, -1:]
    above = sim > last + TIE
    tied = (sim - last).abs() <= TIE
    places = k - above.sum(dim=1)
    tied_good = (good & tied).sum(dim=1) / tied.sum(dim=1)
    return ((good & above).sum(dim=1) + places * tied_good) / k


def auc(sim: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """How often a positive item beats a negative one, per query.

    Args:
        sim: ``(q, n)`` scores of the items.
        positive: ``(q, n)`` bool, at least one a query.
        negative: ``(q, n)`` bool, at least one a query.

    Returns:
        ``(q,)`` float32.
    """
    rows = [
        beats(scores[ups].unsqueeze(1), scores[downs]).mean()
        for scores, ups, downs in zip(sim, positive, negative, strict=True)
    ]
    return torch.stack(rows)


def exclusion_scores(
    audio: Tensor,
    texts: Tensor,
    wanted: Tensor,
    unwanted: Tensor,
    galleries: list[Tensor],
    k: int,
) -> dict[str, Scores]:
    """Exclusion retrieval over random galleries.

    A query is asked of a gallery if at least k of its clips have A and B, and k have A and not B.

    Args:
        audio: ``(n, d)`` clips.
        texts: ``(q, d)`` the queries "A without B".
        wanted: ``(q, n)`` bool, the clip has A.
        unwanted: ``(q, n)`` bool, it has B.
        galleries: Rows of the clips of each gallery.
        k: Depth.

    Returns:
        By name (``joint@k``: A and not B; ``violation@k``: B; ``precision@k``: A; ``auc``: A and
        not B above A and B) one score per query and gallery; the items are the queries.
    """
    found: dict[str, list[Tensor]] = {}
    asked_of: list[Tensor] = []
    for gallery in galleries:
        members = gallery.to(audio.device)
        a, b = wanted[:, members], unwanted[:, members]
        asked = ((a & b).sum(dim=1) >= k) & ((a & ~b).sum(dim=1) >= k)
        if not asked.any():
            continue
        a, b = a[asked], b[asked]
        sim = texts[asked].float() @ audio[members].float().T
        for name, values in (
            (f"joint@{k}", share_of_top(sim, a & ~b, k)),
            (f"violation@{k}", share_of_top(sim, b, k)),
            (f"precision@{k}", share_of_top(sim, a, k)),
            ("auc", auc(sim, a & ~b, a & b)),
        ):
            found.setdefault(name, []).append(values)
        asked_of.append(asked.nonzero().flatten())
    return {name: Scores(torch.cat(values), torch.cat(asked_of)) for name, values in found.items()}


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
