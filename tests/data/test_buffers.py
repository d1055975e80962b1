"""Waveforms of loader workers: in memory that is used again, never while a batch is alive."""

import gc
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import torch

from negclap.data.batch import Clip, ClipTexts, collate
from negclap.data.buffers import SLOTS, Buffers
from negclap.data.dataset import Items
from negclap.data.loading import PlanLoader, PlanSampler
from negclap.errors import InputError
from tests.data.test_dataset import characters

ITEMS, BATCH, SAMPLES = 96, 4, 50


@dataclass(frozen=True)
class Numbered(Items):
    """Clips full of their number; every ``floats``-th is not stored as 16 bit."""

    floats: int = 1
    bad: int | None = None
    samples: int = SAMPLES

    def __getitem__(self, key):
        return next(self.fetch([key], np.empty))

    def fetch(self, keys, empty):
        for _, index in keys:
            if index == self.bad:
                raise InputError(f"no item {self.bad}")
            dtype = np.float32 if index % self.floats == 0 else np.int16
            waveform = (empty if index % 2 else np.empty)(SAMPLES, dtype)
            waveform[:] = index + 1
            yield Clip(index, f"{index}", waveform, ClipTexts(f"clip {index}"))

    def __len__(self):
        return ITEMS


def loader_of(dataset, workers):
    sampler = PlanSampler(ITEMS, BATCH, 0, 1, seed=0)
    return PlanLoader.of(dataset, sampler, workers, partial(collate, tokenize=characters))


def expected(batch, dataset):
    clips = [dataset[0, index] for index in batch.index.tolist()]
    return collate(clips, characters)


@pytest.mark.parametrize("floats", [1, ITEMS, 3])  # all float, one in a batch, some in each
@pytest.mark.parametrize("kept", [0, 1, 2, ITEMS])
def test_batches_are_right_while_they_are_kept(floats, kept):
    dataset = Numbered(floats)
    loader = loader_of(dataset, 2)
    for _ in range(2):
        alive = []
        for batch in loader:
            alive = [*alive, batch][-kept - 1 :]
            for one in alive:
                other = expected(one, dataset)
                assert one.waveform.dtype == other.waveform.dtype
                assert torch.equal(one.waveform, other.waveform)
                assert torch.equal(one.tokens["input_ids"], other.tokens["input_ids"])
                assert torch.equal(one.rows.caption, other.rows.caption)
                assert one.track_ids == other.track_ids


def test_memory_is_used_again_and_is_free_in_the_end():
    loader = loader_of(Numbered(), 2)
    places = [batch.waveform.data_ptr() for _ in range(3) for batch in loader]
    assert len(places) == 3 * ITEMS // BATCH
    assert len({*places}) <= 2 * SLOTS
    gc.collect()
    assert not loader.dataset.buffers.used.any()


def test_a_failed_batch_frees_its_memory():
    loader = loader_of(Numbered(bad=7), 1)
    with pytest.raises(InputError, match="no item 7"):
        list(loader)
    del loader._iterator  # stops the workers
    gc.collect()
    # At most the batches that the worker had sent and nobody received.
    assert loader.dataset.buffers.used.sum() <= 2


def test_a_worker_without_a_free_slot_gets_none():
    buffers = Buffers(2, BATCH, SAMPLES)
    slots = [buffers.take(1) for _ in range(SLOTS)]
    assert {slot.number for slot in slots} == {*range(SLOTS, 2 * SLOTS)}
    assert buffers.take(1) is None
    assert buffers.take(0) is not None
    slots[3].release()
    assert buffers.take(1).number == slots[3].number


def test_waveforms_that_do_not_fit_stay_where_they_are():
    slot = Buffers(1, 2, SAMPLES).take(0)
    first, second, longer = (np.ones(n, np.float32) for n in (SAMPLES, SAMPLES, SAMPLES + 1))
    assert slot.store(first) is not first
    for other in (longer, second.astype(np.int16)):
        assert slot.store(other) is other
    assert slot.store(second) is not second
    assert slot.store(first) is first  # the slot is full
    tensor = slot.filled().receive()
    assert tensor.shape == (2, SAMPLES)
    assert tensor.eq(1).all()
