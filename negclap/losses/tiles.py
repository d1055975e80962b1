"""Sums over all pairs of rows and columns, a tile of logits at a time.

Logits are ``rows @ columns.T``, in float32 or better and never under autocast. The forward pass
keeps the sums alone, O(b + B); the backward pass computes the tiles again. One tile is held at a
time, of ``block`` rows and columns, so that on a CPU all that is done to it happens in its caches.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

Keys = tuple[Tensor, Tensor] | None  # of the rows and columns; pairs whose keys are equal are out


def log_sum_exps(
    rows: Tensor, columns: Tensor, keys: Keys, block: int, both: bool = False
) -> tuple[Tensor, Tensor]:
    """Log-sum-exps of the logits, for each row and for each column in one pass.

    Args:
        rows: ``(b, d)``.
        columns: ``(B, d)``.
        keys: ``(b,)`` and ``(B,)`` int64, or None; a pair whose keys are equal is left out.
        block: Rows and columns of a tile.
        both: Whether those of the columns are wanted.

    Returns:
        ``(b,)`` over the columns, -inf where no pair is left, and ``(B,)`` over the rows, empty if
        they are not wanted.
    """
    by_row, by_column = _LogSumExps.apply(  # type: ignore[no-untyped-call]  # torch leaves it untyped
        _exact(rows), _exact(columns), keys, block, both
    )
    return by_row, by_column


def softplus_sums(rows: Tensor, columns: Tensor, bias: Tensor, keys: Keys, block: int) -> Tensor:
    """``(b,)`` sums of softplus(logit + bias) over the columns, for each row.

    Args:
        rows: ``(b, d)``.
        columns: ``(B, d)``.
        bias: Scalar.
        keys: ``(b,)`` and ``(B,)`` int64, or None; a pair whose keys are equal adds nothing.
        block: Rows and columns of a tile.
    """
    sums: Tensor = _SoftplusSums.apply(  # type: ignore[no-untyped-call]  # torch leaves it untyped
        _exact(rows), _exact(columns), bias, keys, block
    )
    return sums


def _exact(embeddings: Tensor) -> Tensor:
    return embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))


class _LogSumExps(torch.autograd.Function):
    """See `log_sum_exps`."""

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, columns: Tensor, keys: Keys, block: int, both: bool
    ) -> tuple[Tensor, Tensor]:
        by_row = rows.new_full((len(rows),), float("-inf"))
        by_column = rows.new_full((len(columns) if both else 0,), float("-inf"))
        for i, j, logits in _tiles(rows, columns, keys, block):
            by_row[i] = torch.logaddexp(by_row[i], logits.logsumexp(1))
            if both:
                by_column[j] = torch.logaddexp(by_column[j], logits.logsumexp(0))
        ctx.save_for_backward(rows, columns, by_row, by_column)
        ctx.keys, ctx.block, ctx.both = keys, block, both
        return by_row, by_column

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, of_row: Tensor, of_column: Tensor
    ) -> tuple[Tensor, Tensor, None, None, None]:
        rows, columns, by_row, by_column = ctx.saved_tensors
        # Where no pair was left, all logits are -inf as well, and exp(-inf - 0) is 0.
        by_row, by_column = (by.masked_fill(by == float("-inf"), 0.0) for by in (by_row, by_column))

        def slopes() -> Iterator[tuple[slice, slice, Tensor]]:
            for i, j, logits in _tiles(rows, columns, ctx.keys, ctx.block):
                slope = (logits - by_row[i, None]).exp_().mul_(of_row[i, None])
                if ctx.both:
                    slope += logits.sub_(by_column[j]).exp_().mul_(of_column[j])
                yield i, j, slope

        return *_gradients(rows, columns, slopes()), None, None, None


class _SoftplusSums(torch.autograd.Function):
    """See `softplus_sums`."""

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, columns: Tensor, bias: Tensor, keys: Keys, block: int
    ) -> Tensor:
        sums = rows.new_zeros(len(rows))
        for i, _, logits in _tiles(rows, columns, keys, block):
            sums[i] += F.softplus(logits.add_(bias)).sum(dim=1)
        ctx.save_for_backward(rows, columns, bias)
        ctx.keys, ctx.block = keys, block
        return sums

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_row: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        rows, columns, bias = ctx.saved_tensors
        of_bias = torch.zeros_like(bias)

        def slopes() -> Iterator[tuple[slice, slice, Tensor]]:
            for i, j, logits in _tiles(rows, columns, ctx.keys, ctx.block):
                slope = logits.add_(bias).sigmoid_().mul_(of_row[i, None])
                of_bias.add_(slope.sum())
                yield i, j, slope

        return *_gradients(rows, columns, slopes()), of_bias, None, None


def _tiles(
    rows: Tensor, columns: Tensor, keys: Keys, block: int
) -> Iterator[tuple[slice, slice, Tensor]]:
    """(rows, columns, their logits) of each tile; a logit that is left out is -inf.

    The logits are the caller's to overwrite.
    """
    for i in _slices(len(rows), block):
        for j in _slices(len(columns), block):
            with torch.autocast(rows.device.type, enabled=False):
                logits = rows[i] @ columns[j].T
            if keys is not None:
                logits.masked_fill_(keys[0][i, None] == keys[1][j], float("-inf"))
            yield i, j, logits


def _slices(length: int, block: int) -> Iterator[slice]:
    return (slice(start, start + block) for start in range(0, length, block))


def _gradients(
    rows: Tensor, columns: Tensor, slopes: Iterable[tuple[slice, slice, Tensor]]
) -> tuple[Tensor, Tensor]:
    """Those of the rows and columns, of what has these derivatives by the logits."""
    of_rows, of_columns = torch.zeros_like(rows), torch.zeros_like(columns)
    with torch.autocast(rows.device.type, enabled=False):
        for i, j, slope in slopes:
            of_rows[i].addmm_(slope, columns[j])
            of_columns[j].addmm_(slope.T, rows[i])
    return of_rows, of_columns
