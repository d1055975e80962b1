"""Exclusion retrieval "A without B", choices between two texts, and counterfactual twins.

All functions take unit embeddings.
"""

import torch
from torch import Tensor

from negclap.evaluation.metrics.scores import TIE, Scores, beats


def top_k_credit(sim: Tensor, k: int) -> Tensor:
    """Return the credit of each item for being in the top k: 1, 0, or a fraction among ties.

    ``sim`` and the credit are ``(q, n)``; each row of credit sums to k, which is at most n.
    """
    last = sim.topk(k, dim=1).values[:, -1:]
    above = sim > last + TIE
    tied = (sim - last).abs() <= TIE
    share = (k - above.sum(dim=1)) / tied.sum(dim=1)
    return above.float() + tied.float() * share.unsqueeze(1)


def share_below(sim: Tensor, others: Tensor) -> Tensor:
    """Return the share of a row's ``others`` that are below each item; ties count half.

    ``sim`` is ``(q, n)``, ``others`` bool ``(q, n)`` with at least one item per row. The others are
    sorted once per row, so that each item finds its place among them by bisection.
    """
    ordered = sim.masked_fill(~others, float("inf")).sort(dim=1).values
    below = torch.searchsorted(ordered, sim - TIE)
    not_above = torch.searchsorted(ordered, sim + TIE, right=True)
    return (below + not_above) / (2 * others.sum(dim=1, keepdim=True))


def exclusion_scores(
    audio: Tensor,
    texts: Tensor,
    wanted: Tensor,
    unwanted: Tensor,
    absent: Tensor,
    galleries: list[Tensor],
    k: int,
    with_auc: bool = True,
) -> dict[str, Scores]:
    """Score exclusion queries over random galleries.

    A query ranks the clips of a gallery for which it is known whether they have B. It counts in a
    gallery if at least k clips have A and B, and at least k have A and not B.

    Args:
        audio: ``(n, d)`` embeddings of clips.
        texts: ``(q, d)`` embeddings of the queries.
        wanted: ``(q, n)`` bool, whether the clip has A.
        unwanted: ``(q, n)`` bool, whether the clip has B.
        absent: ``(q, n)`` bool, whether B is known to be absent.
        galleries: Rows of the clips of each gallery.
        k: Depth.
        with_auc: Whether to compute the AUC, which takes longest.

    Returns:
        ``joint@k`` (A and not B), ``violation@k`` (B) and ``precision@k`` (A), with one value per
        clip in a top k, weighted by its credit; ``auc``, with one value per clip with A and not B,
        the fraction of clips with A and B that rank below it. Queries have equal weights.
    """
    parts: dict[str, list[Scores]] = {}
    for gallery in galleries:
        members = gallery.to(audio.device)
        a, b, no_b = wanted[:, members], unwanted[:, members], absent[:, members]
        valid = ((a & b).sum(dim=1) >= k) & ((a & no_b).sum(dim=1) >= k)
        if not valid.any():
            continue
        a, b, no_b = a[valid], b[valid], no_b[valid]
        sim = texts[valid].float() @ audio[members].float().T
        credit = top_k_credit(sim.masked_fill(~(b | no_b), float("-inf")), k)
        rows, columns = credit.nonzero(as_tuple=True)
        weights, items = credit[rows, columns] / k, members[columns]
        for name, truth in (("joint", a & no_b), ("violation", b), ("precision", a)):
            values = truth[rows, columns].float()
            parts.setdefault(f"{name}@{k}", []).append(Scores(values, items, weights))
        if with_auc:
            good = a & no_b
            rows, columns = good.nonzero(as_tuple=True)
            wins = share_below(sim, a & b)[rows, columns]
            equal = 1 / good.sum(dim=1)
            parts.setdefault("auc", []).append(Scores(wins, members[columns], equal[rows]))
    return {name: Scores.pooled(each) for name, each in parts.items()}


def choice_scores(audio: Tensor, true: Tensor, false: Tensor, items: Tensor) -> Scores:
    """Score choices: 1 where the true text is closer to the clip than the false one.

    All embeddings are ``(n, d)``; ``items`` has the rows of the clips' tracks.
    """
    return Scores(beats((audio * true).sum(dim=-1), (audio * false).sum(dim=-1)), items)


def paired_scores(
    has: Tensor, lacks: Tensor, affirmed: Tensor, negated: Tensor
) -> dict[str, Scores]:
    """Score counterfactual twins: each of two texts must be closer to its own clip.

    All embeddings are ``(n, d)``: clips with and without a tag, texts that affirm and negate it.
    Keys are ``paired`` (both right, chance 1/4), ``paired/with`` and ``paired/without`` (1/2).
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
    """Return exp of the entropy of the normalised singular values (Roy and Vetterli 2007)."""
    values = torch.linalg.svdvals(embeddings.double())
    share = values / values.sum().clamp(min=1e-12)
    return float(torch.exp(-(share * share.clamp(min=1e-12).log()).sum()))
