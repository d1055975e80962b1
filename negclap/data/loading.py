"""The sampling plan, and the loader that turns its keys into batches."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from negclap.data.batch import Batch
from negclap.data.buffers import Buffers, Filled, Slot
from negclap.data.dataset import Items, Key
from negclap.errors import InputError
from negclap.rng import derive_seed

Collate = Callable[[Any], Any]
"""Makes a batch of a list of items."""
_NO_SAMPLES = np.empty(0, np.float32)


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

    torch would raise it with the worker's traceback as its message. Workers put the waveforms of
    clips into `Buffers`.
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
        fetching = self.dataset
        assert isinstance(fetching, _Fetching)
        starts = self.num_workers and not (self.persistent_workers and fetching.buffers)
        samples = fetching.dataset.samples
        # Only forked workers have what was mapped before.
        if starts and samples and multiprocessing.get_start_method() == "fork":
            fetching.buffers = Buffers(self.num_workers, self.batch_size or 1, samples)
        return _raise_errors(super().__iter__())  # begins now: workers load ahead


def _raise_errors(batches: Any) -> Iterator[Any]:
    for batch in batches:
        if isinstance(batch, InputError):
            raise batch
        yield batch


class _Fetched(NamedTuple):
    """Items of a batch, and the slot that has the waveforms of some."""

    items: list[Any]
    slot: Slot | None


class _Fetching(Dataset[Any]):
    """Fetch the items of a batch, or the error of the first one that fails.

    ``buffers`` have room for their waveforms.
    """

    def __init__(self, dataset: Items) -> None:
        self.dataset = dataset
        self.buffers: Buffers | None = None

    def __getitems__(self, keys: Sequence[Key]) -> _Fetched | InputError:
        worker = get_worker_info()
        slot = self.buffers.take(worker.id) if worker and self.buffers else None
        try:
            return _Fetched([*self._items(keys, slot)], slot)
        except InputError as error:
            if slot:
                slot.release()
            return error

    def _items(self, keys: Sequence[Key], slot: Slot | None) -> Iterator[Any]:
        items = self.dataset.fetch(keys, slot.empty if slot else np.empty)
        if slot:
            return (replace(item, waveform=slot.store(item.waveform)) for item in items)
        return items

    def __len__(self) -> int:
        return len(self.dataset)


def _collate(fetched: _Fetched | InputError, collate: Collate) -> Any:
    if isinstance(fetched, InputError):
        return fetched
    items, slot = fetched
    if slot and len(slot.rows) == len(items):
        rest = [replace(item, waveform=_NO_SAMPLES) for item in items]
        return _Message(collate(rest), slot.filled())
    batch = collate(items)
    if slot:  # waveforms of different lengths or types, now copied
        slot.release()
    return batch


class _Message:
    """A batch that a worker sends: pickled as a whole, but for the waveforms in a slot.

    torch would send each tensor by a file of its own in shared memory.
    """

    def __init__(self, batch: Batch, filled: Filled) -> None:
        self.batch, self.filled = batch, filled

    def __reduce__(self) -> tuple[Any, ...]:
        return _receive, (self.batch.map(Tensor.numpy), self.filled)


def _receive(batch: Batch, filled: Filled) -> Batch:
    return replace(batch.map(torch.from_numpy), waveform=filled.receive())
