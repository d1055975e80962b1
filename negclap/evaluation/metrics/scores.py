"""Values per item, their mean and its bootstrap interval; and checks that all metrics share."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from negclap.errors import InputError

TIE = 1e-6
"""Scores that differ by no more than this are tied."""

_CHUNK = 256  # bootstrap resamples at once


class Scores(NamedTuple):
    """Values with the item (the track) that each belongs to.

    Attributes:
        values: ``(m,)`` float32.
        items: ``(m,)`` int64; a track may stand there several times, once per gallery.
        weights: ``(m,)``; None weighs all alike.
    """

    values: Tensor
    items: Tensor
    weights: Tensor | None = None

    @property
    def n(self) -> int:
        """Number of distinct tracks."""
        return int(self.items.unique().numel())

    def mean(self) -> Tensor:
        """The weighted mean over all values; NaN where there is none."""
        values = self.values.cpu().double()
        if self.weights is None:
            return values.mean()
        weights = self.weights.cpu().double()
        return (weights * values).sum() / weights.sum()

    def interval(self, resamples: int = 1000, seed: int = 0) -> tuple[float, float]:
        """95 % percentile bootstrap interval of the mean, tracks resampled."""
        if not len(self.values):
            return float("nan"), float("nan")
        sums = self._sums(self.items.cpu().unique())
        return _percentiles(_resampled_means(sums, resamples, seed))

    def _sums(self, items: Tensor) -> Tensor:
        """``(2, n)`` per item the sum of weighted values and of weights."""
        place = torch.searchsorted(items, self.items.cpu())
        weights = torch.ones_like(self.values) if self.weights is None else self.weights
        columns = torch.stack((weights * self.values, weights)).cpu().double()
        return torch.zeros(2, len(items), dtype=torch.float64).index_add_(1, place, columns)

    @classmethod
    def pooled(cls, parts: Sequence["Scores"]) -> "Scores":
        """All parts in one; either all of them have weights, or none."""
        weights = [part.weights for part in parts if part.weights is not None]
        return cls(
            torch.cat([part.values for part in parts]),
            torch.cat([part.items for part in parts]),
            torch.cat(weights) if weights else None,
        )


class Difference(NamedTuple):
    """A difference of two means with its 95 % interval."""

    value: float
    low: float
    high: float


def paired_difference(
    one: Scores, other: Scores, resamples: int = 1000, seed: int = 0
) -> Difference:
    """One mean minus the other, the same tracks resampled in both."""
    items = torch.cat((one.items, other.items)).cpu().unique()
    means = [_resampled_means(each._sums(items), resamples, seed) for each in (one, other)]
    return Difference(float(one.mean() - other.mean()), *_percentiles(means[0] - means[1]))


def _resampled_means(sums: Tensor, resamples: int, seed: int) -> Tensor:
    """``(resamples,)`` ratios of the sums over tracks that are drawn with replacement."""
    generator = torch.Generator().manual_seed(seed)
    n = sums.shape[1]
    means = []
    for start in range(0, resamples, _CHUNK):
        size = (min(_CHUNK, resamples - start), n)
        values, weights = sums[:, torch.randint(n, size, generator=generator)].sum(dim=2)
        means.append(values / weights)
    return torch.cat(means)


def _percentiles(means: Tensor) -> tuple[float, float]:
    wanted = torch.tensor([0.025, 0.975], dtype=torch.float64)
    low, high = means[means.isfinite()].quantile(wanted)
    return float(low), float(high)


def check_embeddings(name: str, embeddings: Tensor) -> None:
    """Raise an InputError if an embedding holds NaN or is not of unit length."""
    if not torch.isfinite(embeddings).all():
        raise InputError(f"{name} embeddings hold NaN or infinite values")
    lengths = embeddings.norm(dim=-1)
    if len(lengths) and (lengths - 1).abs().max() > 1e-3:
        raise InputError(f"{name} embeddings are not of unit length (up to {lengths.max():.3f})")


def beats(one: Tensor, other: Tensor) -> Tensor:
    """1 where ``one`` is greater than ``other``, 1/2 where they are tied, else 0; float32."""
    difference = one.float() - other.float()
    return (difference > TIE).float() + 0.5 * (difference.abs() <= TIE).float()
