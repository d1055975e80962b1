"""Collectives across ranks, with gradients; the identity without a process group."""

from collections import Counter
from collections.abc import Mapping
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.nn.functional import all_gather as _all_gather_with_gradient

T = TypeVar("T")


def is_distributed() -> bool:
    """Whether there is more than one process."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def rank() -> int:
    """Return the rank of this process; 0 without a process group."""
    return dist.get_rank() if is_distributed() else 0


def _world_size() -> int:
    return dist.get_world_size() if is_distributed() else 1


def share(count: int) -> tuple[int, int]:
    """Return start and end of this rank's part of ``count`` items; sizes differ by at most 1."""
    return count * rank() // _world_size(), count * (rank() + 1) // _world_size()


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
    # As objects on the CPU: the backend may not support the device.
    return torch.cat(_objects(rows.cpu())).to(rows.device) if is_distributed() else rows


def gather_messages(messages: Mapping[str, int]) -> Counter[str]:
    """Return the sum of all ranks' counts, on every rank."""
    return sum(map(Counter, _objects(dict(messages))), Counter())


def _objects(mine: T) -> list[T]:
    """Return the picklable objects of all ranks."""
    parts = [mine] * _world_size()
    if is_distributed():
        dist.all_gather_object(parts, mine)
    return parts


def global_mean(values: Tensor) -> Tensor:
    """Return this rank's contribution to the mean over all ranks' ``values``.

    The average of the returned values over ranks is the global mean, because
    DistributedDataParallel averages gradients. The number of values may differ between ranks; the
    result is zero if no rank has any.
    """
    count = torch.tensor(float(values.numel()), device=values.device)
    if is_distributed():
        dist.all_reduce(count)
    return values.sum() * _world_size() / count.clamp(min=1.0)
