"""The sampling plan, and the loader that turns its keys into batches."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, Self

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from negclap.data.dataset import Key
from negclap.errors import InputError
from negclap.rng import derive_seed

Collate = Callable[[Any], Any]
"""Makes a batch of a list of items."""


class Items(Protocol):
    """A dataset whose items have keys (epoch, index)."""

    def __getitem__(self, key: Key, /) -> Any:
        """Return an item."""

    def __len__(self) -> int:
        """Return the number of items of an epoch."""


class PlanSampler(Sampler[Key]):
    """The sampling plan: which rank reads which item in which order.

    A pure function of (seed, epoch, world size). In training every rank gets the same number of
    items, and the global batch of step i is the same for any world size with the same global batch
    size. In evaluation (seed None) nothing is padded or dropped: rank r has the items r,
    r + world size, ... ``n_items`` is the size of the split, ``batch_size`` that of each rank.
    """

    def __init__(
        self, n_items: int, batch_size: int, rank: int, world_size: int, seed: int | None
    ) -> None:
        if seed is not None and n_items < batch_size * world_size:
            raise InputError(
                f"{n_items} training tracks do not fill a batch of {batch_size} on {world_size} "
                "processes; lower data.batch_size"
            )
        self.n_items = n_items
        self.batch_size = batch_size
        self.rank = rank
        self.world_size = world_size
        self.seed = seed
        self.epoch = 0
        self.begin = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; Lightning calls this at the start of each epoch."""
        if epoch != self.epoch:
            self.epoch, self.begin = epoch, 0

    def begin_at(self, epoch: int, batch: int) -> None:
        """Skip the first batches if this is the current epoch."""
        if epoch == self.epoch:
            self.begin = batch * self.batch_size

    def _order(self) -> list[int]:
        if self.seed is None:
            return list(range(self.rank, self.n_items, self.world_size))
        generator = torch.Generator().manual_seed(derive_seed(self.seed, self.epoch, "order"))
        order = torch.randperm(self.n_items, generator=generator)
        steps = self.n_items // (self.batch_size * self.world_size)
        whole = order[: steps * self.batch_size * self.world_size]
        mine = whole.view(steps, self.world_size, self.batch_size)[:, self.rank]
        return [int(i) for i in mine.flatten()]

    def __iter__(self) -> Iterator[Key]:
        """Iterate over the keys of this rank's items."""
        epoch = self.epoch
        return ((epoch, index) for index in self._order()[self.begin :])

    def __len__(self) -> int:
        """Return the number of this rank's items in a whole epoch."""
        return len(self._order())


class PlanLoader(DataLoader[Any]):
    """A DataLoader that raises the `InputError` of a worker process as it was.

    torch would raise it with the worker's traceback as its message.
    """

    @classmethod
    def of(cls, dataset: Items, sampler: PlanSampler, num_workers: int, collate: Collate) -> Self:
        """Make a loader of the batches of a sampler, with ``num_workers`` processes.

        ``collate`` makes a batch of a list of the dataset's items.
        """
        return cls(
            _Fetching(dataset),
            batch_size=sampler.batch_size,
            sampler=sampler,
            num_workers=num_workers,
            collate_fn=partial(_collate, collate=collate),
            persistent_workers=sampler.seed is not None and num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    def __iter__(self) -> Any:
        """Iterate over batches; raises the `InputError` of an item that cannot be made."""
        return _raise_errors(super().__iter__())  # begins now: workers load ahead


def _raise_errors(batches: Any) -> Iterator[Any]:
    for batch in batches:
        if isinstance(batch, InputError):
            raise batch
        yield batch


@dataclass(frozen=True)
class _Fetching(Dataset[Any]):
    """Fetch the items of a batch, or the error of the first one that fails."""

    dataset: Items

    def __getitems__(self, keys: Sequence[Key]) -> list[Any] | InputError:
        try:
            return [self.dataset[key] for key in keys]
        except InputError as error:
            return error

    def __len__(self) -> int:
        return len(self.dataset)


def _collate(items: list[Any] | InputError, collate: Collate) -> Any:
    return items if isinstance(items, InputError) else collate(items)
