"""Gathering across ranks, with gradient; without a process group everything is the identity."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.nn.functional import all_gather as _all_gather_with_gradient


def is_distributed() -> bool:
    """Whether several processes train together."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def rank() -> int:
    """This process's rank; 0 when alone."""
    return dist.get_rank() if is_distributed() else 0


def share(count: int) -> tuple[int, int]:
    """Start and end of this rank's part of ``count`` things; the parts differ by one at most."""
    world = dist.get_world_size() if is_distributed() else 1
    return count * rank() // world, count * (rank() + 1) // world


def gather_with_gradient(rows: Tensor) -> Tensor:
    """``(b, ...)`` of each rank, equal b, to ``(world * b, ...)`` in rank order.

    The gradient of each rank's loss flows back to the rank that owns the row, summed over ranks.
    """
    return torch.cat(_all_gather_with_gradient(rows.contiguous())) if is_distributed() else rows


def gather(rows: Tensor) -> Tensor:
    """Like `gather_with_gradient`, without gradient, for any dtype."""
    if not is_distributed():
        return rows
    parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, rows.contiguous())
    return torch.cat(parts)


def gather_uneven(rows: Tensor) -> Tensor:
    """``(b, ...)`` of each rank, any b each, to all ranks' rows in rank order, without gradient."""
    if not is_distributed():
        return rows
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, rows.cpu())  # rows may be where the backend does not reach
    return torch.cat(parts).to(rows.device)


def gather_messages(messages: Mapping[str, int]) -> Counter[str]:
    """The counts of all ranks, added up; the same on every rank."""
    if not is_distributed():
        return Counter(messages)
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, dict(messages))
    return sum((Counter(part) for part in parts), Counter())


def global_mean(values: Tensor) -> Tensor:
    """The mean of all ranks' ``values``, of any length each, as this rank's share of the loss.

    The average over ranks of what is returned is the global mean, which is how
    DistributedDataParallel averages gradients. Zero where no rank has a value.
    """
    count = torch.tensor(float(values.numel()), device=values.device)
    world = 1
    if is_distributed():
        dist.all_reduce(count)
        world = dist.get_world_size()
    return values.sum() * world / count.clamp(min=1.0)
