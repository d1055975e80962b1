"""Values per item, their mean and its bootstrap interval; and checks that all metrics share."""

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
    """

    values: Tensor
    items: Tensor

    @property
    def n(self) -> int:
        """Number of distinct tracks."""
        return int(self.items.unique().numel())

    def mean(self) -> Tensor:
        """The mean over all values; NaN where there is none."""
        return self.values.cpu().double().mean()

    def interval(self, resamples: int = 1000, seed: int = 0) -> tuple[float, float]:
        """95 % percentile bootstrap interval of the mean, tracks resampled."""
        if not len(self.values):
            return float("nan"), float("nan")
        _, sums, counts = self._by_item()
        return _interval(sums, counts, resamples, seed)

    def by_item(self) -> tuple[Tensor, Tensor]:
        """The items ``(n,)``, in order, and the mean of each one's values ``(n,)``."""
        items, sums, counts = self._by_item()
        return items, sums / counts

    def _by_item(self) -> tuple[Tensor, Tensor, Tensor]:
        items, cluster = self.items.cpu().unique(return_inverse=True)
        sums = torch.zeros(len(items), dtype=torch.float64)
        sums.index_add_(0, cluster, self.values.cpu().double())
        return items, sums, torch.bincount(cluster, minlength=len(items)).double()


class Difference(NamedTuple):
    """A difference of two means, over the items that both have, with its 95 % interval."""

    value: float
    low: float
    high: float


def paired_difference(
    one: Scores, other: Scores, resamples: int = 1000, seed: int = 0
) -> Difference | None:
    """One minus the other, the same items resampled in both; None where they share no item."""
    (items, values), (other_items, other_values) = one.by_item(), other.by_item()
    mine, theirs = torch.isin(items, other_items), torch.isin(other_items, items)
    if not mine.any():
        return None
    gained = values[mine] - other_values[theirs]
    low, high = _interval(gained, torch.ones_like(gained), resamples, seed)
    return Difference(float(gained.mean()), low, high)


def _interval(sums: Tensor, counts: Tensor, resamples: int, seed: int) -> tuple[float, float]:
    """Of the ratio of the resampled sums to the resampled counts."""
    generator = torch.Generator().manual_seed(seed)
    means = []
    for start in range(0, resamples, _CHUNK):
        size = (min(_CHUNK, resamples - start), len(sums))
        drawn = torch.randint(len(sums), size, generator=generator)
        means.append(sums[drawn].sum(dim=1) / counts[drawn].sum(dim=1))
    low, high = torch.cat(means).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64))
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
