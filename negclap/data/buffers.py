"""Memory that worker processes of a loader share with it, for the waveforms of batches.

A fresh page of shared memory costs more than the samples that are written into it. So a worker has
slots in a block that was mapped before it was forked, and uses them again and again. A batch has a
slot from when a worker begins it until the main process has deleted its waveform tensor.
"""

import mmap
import weakref
from itertools import count
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from negclap.audio import Samples

SLOTS = 5
"""Slots of a worker. Of one worker, two batches wait to be sent and two are in use."""
_BYTES = 4  # of a sample, at most

_numbers = count()
_opened: "weakref.WeakValueDictionary[int, Buffers]" = weakref.WeakValueDictionary()


class Filled(NamedTuple):
    """The waveforms of a batch in a slot: ``rows`` of ``samples`` of a type."""

    buffers: int
    slot: int
    rows: int
    samples: int
    dtype: str

    def receive(self) -> Tensor:
        """Return them as a tensor, in the main process."""
        return _opened[self.buffers].receive(self)


class Buffers:
    """The slots of all workers of a loader.

    Args:
        workers: Number of workers.
        rows: Most waveforms of a batch.
        samples: Samples of a waveform.
    """

    def __init__(self, workers: int, rows: int, samples: int) -> None:
        slots = workers * SLOTS
        size = rows * samples * _BYTES
        # Workers only mark slots of their own as used, the main process only as free: no lock.
        self.used = np.frombuffer(mmap.mmap(-1, slots), np.bool_)
        self.memory = np.frombuffer(mmap.mmap(-1, slots * size), np.uint8).reshape(slots, size)
        self.number = next(_numbers)
        _opened[self.number] = self

    def take(self, worker: int) -> "Slot | None":
        """Return a free slot of a worker; None if all are used, because batches are kept."""
        own = range(worker * SLOTS, (worker + 1) * SLOTS)
        free = next((slot for slot in own if not self.used[slot]), None)
        return None if free is None else Slot(self, free)

    def receive(self, filled: Filled) -> Tensor:
        """Return the waveforms of a slot, which is free again when they are deleted."""
        dtype = np.dtype(filled.dtype)
        size = filled.rows * filled.samples * dtype.itemsize
        rows = self.memory[filled.slot, :size].view(dtype).reshape(filled.rows, filled.samples)
        weakref.finalize(rows, self.release, filled.slot).atexit = False
        return torch.from_numpy(rows)

    def release(self, slot: int) -> None:
        """Mark a slot as free."""
        self.used[slot] = False


class Slot:
    """A slot that a worker fills, row by row."""

    def __init__(self, buffers: Buffers, number: int) -> None:
        self.buffers, self.number = buffers, number
        self.rows: list[Samples] = []
        buffers.used[number] = True

    def empty(self, count: int, /, dtype: Any) -> Samples:
        """Return the place of the next row, or a new array if ``count`` samples do not fit there.

        All waveforms of a slot have the type and length of the first.
        """
        place = self._place(count, np.dtype(dtype))
        return np.empty(count, dtype) if place is None else place

    def store(self, waveform: Samples) -> Samples:
        """Store a waveform behind the others; return its row, or itself if it does not fit there.

        It may be what `empty` returned.
        """
        row = self._place(len(waveform), waveform.dtype)
        if row is None:
            return waveform
        if row.ctypes.data != waveform.ctypes.data:
            row[:] = waveform
        self.rows.append(row)
        return row

    def _place(self, count: int, dtype: np.dtype[Any]) -> Samples | None:
        size = count * dtype.itemsize
        start = len(self.rows) * size
        memory = self.buffers.memory[self.number, start : start + size]
        like = not self.rows or (count, dtype) == (len(self.rows[0]), self.rows[0].dtype)
        return memory.view(dtype) if like and len(memory) == size else None

    def release(self) -> None:
        """Mark the slot as free."""
        self.buffers.release(self.number)

    def filled(self) -> Filled:
        """Return where the waveforms are."""
        first = self.rows[0]
        return Filled(
            self.buffers.number, self.number, len(self.rows), len(first), first.dtype.name
        )
