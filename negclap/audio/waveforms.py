"""Samples: convert, downmix, resample."""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import numpy as np
import soxr
from numpy.typing import NDArray

Waveform = NDArray[np.float32]
Samples = NDArray[np.float32] | NDArray[np.int16]
"""A float32 waveform, or the same as int16 with a full scale of 32,768."""


class Allocate(Protocol):
    """Return an array for samples to be read into, as `numpy.empty` does."""

    def __call__(self, count: int, /, dtype: Any) -> NDArray[Any]:
        """Return an array ``(count,)`` of a type."""


_CANCELLED = 1e-4  # energy of the mean, relative to the loudest channel's: -40 dB


def as_waveform(samples: Samples) -> Waveform:
    """Convert samples to float32 in [-1, 1]."""
    int16 = samples.dtype == np.int16
    return samples * np.float32(2**-15) if int16 else samples.astype(np.float32, copy=False)


def downmix(channels: Samples) -> Waveform:
    """Return ``(samples,)`` of ``(samples, channels)``: their mean.

    Of channels that cancel out, the loudest is taken.
    """
    if channels.shape[1] == 1:
        return as_waveform(channels[:, 0])
    mean: Waveform = channels.mean(axis=1, dtype=np.float32)
    energies = np.einsum("sc,sc->c", channels, channels)
    if mean @ mean < _CANCELLED * energies.max(initial=0.0):
        mean = np.ascontiguousarray(channels[:, energies.argmax()], dtype=np.float32)
    return mean


def resample(mono: Waveform, rate: int, wanted: int) -> Waveform:
    """Resample ``(samples,)`` from ``rate`` Hz to ``wanted`` Hz."""
    if rate == wanted:
        return mono
    resampled: Waveform = soxr.resample(mono, rate, wanted)
    return resampled


def cut_blocks(blocks: Iterable[Waveform], first: int, end: int | None) -> Iterator[Waveform]:
    """Cut samples ``first`` to ``end`` (None: the last) out of consecutive blocks."""
    at = 0
    for mono in blocks:
        yield mono[max(0, first - at) : None if end is None else max(0, end - at)]
        at += len(mono)
        if end is not None and at >= end:
            return


def resample_blocks(blocks: Iterable[tuple[Waveform, int]], wanted: int) -> Iterator[Waveform]:
    """Resample consecutive mono blocks, each with its rate in Hz, to ``wanted`` Hz.

    The result, joined, is that of `resample` on the joined blocks of each rate.
    """
    rate, stream = wanted, None
    for mono, its_rate in blocks:
        if its_rate != rate:
            if stream is not None:
                yield stream.resample_chunk(np.empty(0, np.float32), last=True)
            rate = its_rate
            stream = None if rate == wanted else soxr.ResampleStream(rate, wanted, 1)
        yield mono if stream is None else stream.resample_chunk(mono)
    if stream is not None:
        yield stream.resample_chunk(np.empty(0, np.float32), last=True)
