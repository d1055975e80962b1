"""Scores per track, their mean and bootstrap interval; checks that all metrics share."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from negclap.errors import InputError

TIE = 1e-6
"""Scores that differ by no more than this are tied."""

_CHUNK = 256  # bootstrap resamples at once


class Scores(NamedTuple):
    """Values of a metric ``(m,)``, the int64 row of each value's track, and weights if not equal.

    Tracks may repeat, once per gallery.
    """

    values: Tensor
    items: Tensor
    weights: Tensor | None = None

    @property
    def n(self) -> int:
        """Number of distinct tracks."""
        return int(self.items.unique().numel())

    def cpu(self) -> "Scores":
        """Return the same scores on the CPU."""
        weights = None if self.weights is None else self.weights.cpu()
        return Scores(self.values.cpu(), self.items.cpu(), weights)

    def mean(self) -> Tensor:
        """Return the weighted mean of all values; NaN if there are none."""
        values = self.values.cpu().double()
        if self.weights is None:
            return values.mean()
        weights = self.weights.cpu().double()
        return (weights * values).sum() / weights.sum()

    def interval(self, resamples: int = 1000, seed: int = 0) -> tuple[float, float]:
        """Return the 95 % percentile bootstrap interval of the mean, resampling tracks."""
        if not len(self.values):
            return float("nan"), float("nan")
        sums = self._sums(self.items.cpu().unique())
        return _percentiles(_resampled_means(sums, resamples, seed))

    def _sums(self, items: Tensor) -> Tensor:
        """Return ``(2, n)`` sums per item: of weighted values, and of weights."""
        place = torch.searchsorted(items, self.items.cpu())
        weights = torch.ones_like(self.values) if self.weights is None else self.weights
        columns = torch.stack((weights * self.values, weights)).cpu().double()
        return torch.zeros(2, len(items), dtype=torch.float64).index_add_(1, place, columns)

    @classmethod
    def pooled(cls, parts: Sequence["Scores"]) -> "Scores":
        """Concatenate scores; either all of them have weights, or none."""
        weights = [part.weights for part in parts if part.weights is not None]
        return cls(
            torch.cat([part.values for part in parts]),
            torch.cat([part.items for part in parts]),
            torch.cat(weights) if weights else None,
        )


def summarise(scores: Mapping[str, Scores]) -> dict[str, Tensor]:
    """Return one scalar per key: the mean, or the median for ``median_rank``."""
    return {
        key: each.values.cpu().double().quantile(0.5) if "median_rank" in key else each.mean()
        for key, each in scores.items()
    }


class Difference(NamedTuple):
    """A difference of two means with its 95 % interval."""

    value: float
    low: float
    high: float


def paired_difference(
    one: Scores, other: Scores, resamples: int = 1000, seed: int = 0
) -> Difference:
    """Return the difference of two means, resampling the same tracks in both."""
    items = torch.cat((one.items, other.items)).cpu().unique()
    means = [_resampled_means(each._sums(items), resamples, seed) for each in (one, other)]
    return Difference(float(one.mean() - other.mean()), *_percentiles(means[0] - means[1]))


def _resampled_means(sums: Tensor, resamples: int, seed: int) -> Tensor:
    """Return ``(resamples,)`` means over tracks drawn with replacement."""
    generator = torch.Generator().manual_seed(seed)
    n = sums.shape[1]
    means = []
    for start in range(0, resamples, _CHUNK):
        size = (min(_CHUNK, resamples - start), n)
        values, weights = sums[:, torch.randint(n, size, generator=generator)].sum(dim=2)
        means.append(values / weights)
    return torch.cat(means)


def _percentiles(means: Tensor) -> tuple[float, float]:
    quantiles = torch.tensor([0.025, 0.975], dtype=torch.float64)
    low, high = means[means.isfinite()].quantile(quantiles)
    return float(low), float(high)


def check_embeddings(name: str, embeddings: Tensor) -> None:
    """Raise an InputError if embeddings are not finite or not of unit length."""
    if not torch.isfinite(embeddings).all():
        raise InputError(f"{name} embeddings have NaN or infinite values")
    lengths = embeddings.norm(dim=-1)
    if len(lengths) and (lengths - 1).abs().max() > 1e-3:
        raise InputError(
            f"{name} embeddings have lengths from {lengths.min():.3f} to {lengths.max():.3f}, "
            "expected unit length"
        )


def beats(one: Tensor, other: Tensor) -> Tensor:
    """Return 1 where ``one`` is greater, 1/2 where they are tied, else 0."""
    difference = one.float() - other.float()
    return (difference > TIE).float() + 0.5 * (difference.abs() <= TIE).float()
