"""Which of several texts is closer to the audio: pairwise, chain, and a similarity threshold."""

from typing import NamedTuple

import torch
from torch import Tensor

from negclap.evaluation.metrics.scores import TIE

PAIRS = (("original", "fully"), ("original", "half"), ("half", "fully"))


def chain(original: Tensor, half: Tensor, fully: Tensor) -> Tensor:
    """Whether original > half > fully; among ties 1 / number of orders that they leave open.

    All ``(n,)`` cosines with the same audio; returns ``(n,)`` float32.
    """
    first, second = original.float() - half.float(), half.float() - fully.float()
    ordered = (first >= -TIE) & (second >= -TIE)
    ties = (first.abs() <= TIE).long() + (second.abs() <= TIE).long()
    orders = torch.tensor([1.0, 2.0, 6.0], device=original.device)[ties]
    return ordered.float() / orders


class Threshold(NamedTuple):
    """A similarity threshold and the F1 of "fits" that it reaches where it was chosen."""

    value: float
    f1: float


def f1_at(threshold: float, fits: Tensor, does_not_fit: Tensor) -> float:
    """F1 of calling everything at or above the threshold a fit.

    Args:
        threshold: Cosine.
        fits: ``(m,)`` cosines of texts that are true of their clip.
        does_not_fit: ``(n,)`` cosines of texts that are false of it.
    """
    hits, false_alarms = int((fits >= threshold).sum()), int((does_not_fit >= threshold).sum())
    return 2 * hits / max(1, hits + false_alarms + len(fits))


def choose_threshold(fits: Tensor, does_not_fit: Tensor) -> Threshold:
    """The threshold, one of the fitting scores, of the best F1; the arguments are `f1_at`'s."""
    candidates, _ = fits.sort()
    above = len(does_not_fit) - torch.searchsorted(does_not_fit.sort().values, candidates)
    hits = len(fits) - torch.searchsorted(candidates, candidates)
    f1 = 2 * hits / (hits + above + len(fits))
    best = int(f1.argmax())
    return Threshold(float(candidates[best]), float(f1[best]))
