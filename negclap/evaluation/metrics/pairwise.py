"""Compare texts of the same clip: pairwise accuracy, chain, and the similarity threshold."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from negclap.evaluation.metrics.scores import TIE, Scores, beats
from negclap.text.probes import LEVELS, Level

_PAIRS: tuple[tuple[Level, Level], ...] = (
    ("original", "fully"),
    ("original", "half"),
    ("half", "fully"),
)


def pairwise_scores(levels: Mapping[Level, tuple[Tensor, Tensor]]) -> dict[str, Scores]:
    """Return one value per clip for ``pairwise/a_vs_b``, ``margin/a_vs_b`` and ``chain``.

    ``levels`` has ``(n,)`` cosines of clips with their captions, and ``(n,)`` bool, whether the
    clip has the caption. Keys without any value are left out.
    """
    scores: dict[str, Scores] = {}
    for one, other in _PAIRS:
        (a, has_a), (b, has_b) = levels[one], levels[other]
        clips = (has_a & has_b).nonzero().flatten()
        scores[f"pairwise/{one}_vs_{other}"] = Scores(beats(a[clips], b[clips]), clips)
        scores[f"margin/{one}_vs_{other}"] = Scores(a[clips] - b[clips], clips)
    has_all = torch.stack([has for _, has in levels.values()]).all(dim=0)
    clips = has_all.nonzero().flatten()
    scores["chain"] = Scores(chain(*(levels[level][0][clips] for level in LEVELS)), clips)
    return {key: each for key, each in scores.items() if each.n}


def chain(original: Tensor, half: Tensor, fully: Tensor) -> Tensor:
    """Return 1 where original > half > fully, else 0; ties share credit among possible orders.

    The arguments are ``(n,)`` cosines of clips with their captions; the result is float32.
    """
    first, second = original.float() - half.float(), half.float() - fully.float()
    ordered = (first >= -TIE) & (second >= -TIE)
    ties = (first.abs() <= TIE).long() + (second.abs() <= TIE).long()
    orders = torch.tensor([1.0, 2.0, 6.0], device=original.device)[ties]
    return ordered.float() / orders


class Threshold(NamedTuple):
    """A similarity threshold, and its F1 on the data that it was chosen on."""

    value: float
    f1: float


def f1_at(threshold: float, true: Tensor, false: Tensor) -> float:
    """Return the F1 score of classifying texts as true from a threshold on.

    ``true`` has the cosines of texts that are true of their clip, ``false`` those of false ones.
    """
    hits, false_alarms = int((true >= threshold).sum()), int((false >= threshold).sum())
    return 2 * hits / max(1, hits + false_alarms + len(true))


def choose_threshold(true: Tensor, false: Tensor) -> Threshold:
    """Return the threshold with the best F1 score; the arguments are as for `f1_at`."""
    candidates, _ = true.sort()  # the best threshold is one of these
    false_alarms = len(false) - torch.searchsorted(false.sort().values, candidates)
    hits = len(true) - torch.searchsorted(candidates, candidates)
    f1 = 2 * hits / (hits + false_alarms + len(true))
    best = int(f1.argmax())
    return Threshold(float(candidates[best]), float(f1[best]))
