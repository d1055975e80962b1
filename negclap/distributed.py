"""Collectives across ranks, with gradients; the identity without a process group."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.nn.functional import all_gather as _all_gather_with_gradient


def is_distributed() -> bool:
    """Whether there is more than one process."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def rank() -> int:
    """Return the rank of this process; 0 without a process group."""
    return dist.get_rank() if is_distributed() else 0


def share(count: int) -> tuple[int, int]:
    """Return start and end of this rank's part of ``count`` items; sizes differ by at most 1."""
    world = dist.get_world_size() if is_distributed() else 1
    return count * rank() // world, count * (rank() + 1) // world


def gather_with_gradient(rows: Tensor) -> Tensor:
    """Gather ``(b, ...)`` of all ranks, with equal b, to ``(world * b, ...)`` in rank order.

    The gradients of all ranks' losses are summed on the rank that owns the row.
    """
    return torch.cat(_all_gather_with_gradient(rows.contiguous())) if is_distributed() else rows


def gather(rows: Tensor) -> Tensor:
    """Like `gather_with_gradient`, without gradients, for any dtype."""
    if not is_distributed():
        return rows
    parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, rows.contiguous())
    return torch.cat(parts)


def gather_uneven(rows: Tensor) -> Tensor:
    """Gather ``(b, ...)`` of all ranks, where b may differ, in rank order; no gradients."""
    if not is_distributed():
        return rows
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, rows.cpu())  # the backend may not support the device
    return torch.cat(parts).to(rows.device)


def gather_messages(messages: Mapping[str, int]) -> Counter[str]:
    """Return the sum of all ranks' counts, on every rank."""
    if not is_distributed():
        return Counter(messages)
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, dict(messages))
    return sum((Counter(part) for part in parts), Counter())


def global_mean(values: Tensor) -> Tensor:
    """Return this rank's contribution to the mean over all ranks' ``values``.

    The average of the returned values over ranks is the global mean, because
    DistributedDataParallel averages gradients. The number of values may differ between ranks; the
    result is zero if no rank has any.
    """
    count = torch.tensor(float(values.numel()), device=values.device)
    world = 1
    if is_distributed():
        dist.all_reduce(count)
        world = dist.get_world_size()
    return values.sum() * world / count.clamp(min=1.0)
