"""Sums over the logits of all pairs of rows and columns, computed tile by tile.

Logits are ``rows @ columns.T``, of rows ``(b, d)`` and columns ``(B, d)``, in float32 or float64,
without autocast. Only one tile of ``block`` rows and columns is in memory at a time, so that on a
CPU it stays in the cache. The forward pass saves only the sums; the backward pass recomputes tiles.
"""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

Keys = tuple[Tensor, Tensor] | None
"""Keys of rows ``(b,)`` and columns ``(B,)``, int64. Pairs with equal keys are left out."""


def log_sum_exps(
    rows: Tensor, columns: Tensor, keys: Keys, block: int, both: bool = False
) -> tuple[Tensor, Tensor]:
    """Compute the log-sum-exp of each row of logits and, with ``both``, of each column.

    Returns ``(b,)`` and ``(B,)``, the latter empty without ``both``; -inf where no pair is left.
    """
    of_rows, of_columns = _LogSumExps.apply(  # type: ignore[no-untyped-call]  # torch has no types
        _as_float(rows), _as_float(columns), keys, block, both
    )
    return of_rows, of_columns


def softplus_sums(rows: Tensor, columns: Tensor, bias: Tensor, keys: Keys, block: int) -> Tensor:
    """Compute ``(b,)``, for each row of logits the sum of softplus(logit + bias)."""
    sums: Tensor = _SoftplusSums.apply(  # type: ignore[no-untyped-call]  # torch has no types
        _as_float(rows), _as_float(columns), bias, keys, block
    )
    return sums


def _as_float(embeddings: Tensor) -> Tensor:
    """Convert lower precisions than float32 to float32."""
    return embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))


class _LogSumExps(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, columns: Tensor, keys: Keys, block: int, both: bool
    ) -> tuple[Tensor, Tensor]:
        of_rows = rows.new_full((len(rows),), float("-inf"))
        of_columns = rows.new_full((len(columns) if both else 0,), float("-inf"))
        for i, j, logits in _tiles(rows, columns, keys, block):
            of_rows[i] = torch.logaddexp(of_rows[i], logits.logsumexp(1))
            if both:
                of_columns[j] = torch.logaddexp(of_columns[j], logits.logsumexp(0))
        ctx.save_for_backward(rows, columns, of_rows, of_columns)
        ctx.keys, ctx.block, ctx.both = keys, block, both
        return of_rows, of_columns

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_rows: Tensor, grad_columns: Tensor
    ) -> tuple[Tensor, Tensor, None, None, None]:
        rows, columns, *sums = ctx.saved_tensors
        # Without a pair, all logits are -inf, and exp(-inf - 0) is 0 where exp(-inf + inf) is NaN.
        of_rows, of_columns = (each.masked_fill(each == float("-inf"), 0.0) for each in sums)

        def of_logits(i: slice, j: slice, logits: Tensor) -> Tensor:
            gradient: Tensor = (logits - of_rows[i, None]).exp_().mul_(grad_rows[i, None])
            if ctx.both:
                gradient += logits.sub_(of_columns[j]).exp_().mul_(grad_columns[j])
            return gradient

        return *_gradients(rows, columns, ctx.keys, ctx.block, of_logits), None, None, None


class _SoftplusSums(torch.autograd.Function):
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
    def backward(ctx: Any, grad_rows: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        rows, columns, bias = ctx.saved_tensors
        grad_bias = torch.zeros_like(bias)

        def of_logits(i: slice, _: slice, logits: Tensor) -> Tensor:
            gradient = logits.add_(bias).sigmoid_().mul_(grad_rows[i, None])
            grad_bias.add_(gradient.sum())
            return gradient

        return *_gradients(rows, columns, ctx.keys, ctx.block, of_logits), grad_bias, None, None


def _tiles(
    rows: Tensor, columns: Tensor, keys: Keys, block: int
) -> Iterator[tuple[slice, slice, Tensor]]:
    """Yield rows, columns and logits of each tile; the caller may overwrite the logits."""
    for i, j in product(_slices(len(rows), block), _slices(len(columns), block)):
        with torch.autocast(rows.device.type, enabled=False):
            logits = rows[i] @ columns[j].T
        if keys is not None:
            logits.masked_fill_(keys[0][i, None] == keys[1][j], float("-inf"))
        yield i, j, logits


def _slices(length: int, block: int) -> Iterator[slice]:
    return (slice(start, start + block) for start in range(0, length, block))


def _gradients(
    rows: Tensor,
    columns: Tensor,
    keys: Keys,
    block: int,
    of_logits: Callable[[slice, slice, Tensor], Tensor],
) -> tuple[Tensor, Tensor]:
    """Return the gradients of rows and columns, given a function for those of a tile of logits."""
    grad_rows, grad_columns = torch.zeros_like(rows), torch.zeros_like(columns)
    with torch.autocast(rows.device.type, enabled=False):
        for i, j, logits in _tiles(rows, columns, keys, block):
            gradient = of_logits(i, j, logits)
            grad_rows[i].addmm_(gradient, columns[j])
            grad_columns[j].addmm_(gradient.T, rows[i])
    return grad_rows, grad_columns
