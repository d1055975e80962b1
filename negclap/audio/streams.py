"""Whole files as streams: as much of them as can be decoded, with bounded memory."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from negclap.audio import ffmpeg
from negclap.audio.files import NPY_RATE, openable, read_npy
from negclap.audio.headers import read_info_frame
from negclap.audio.waveforms import Waveform, resample_blocks

_NPY_BLOCK = 8 * NPY_RATE
# What may be missing of the told length: encoders pad an mp3 by some frames, of up to 72 ms.
_MISSING_S, _MISSING_MP3_S = 0.1, 0.5


class AudioStream:
    """The whole of a file, as mono blocks of some seconds.

    Damaged parts are left out. To be iterated once; the attributes are complete then.

    Args:
        path: The file.
        sample_rate: Sample rate of the blocks in Hz.

    Attributes:
        duration_s: Length of what was decoded, in seconds.
        problem: What is missing of the file; None if it is complete.

    Raises:
        AudioError: On iteration, if the file cannot be opened.
    """

    def __init__(self, path: Path, sample_rate: int) -> None:
        self.path, self.sample_rate = path, sample_rate
        self.duration_s = 0.0
        self.problem: str | None = None

    def __iter__(self) -> Iterator[Waveform]:
        """Yield ``(samples,)``."""
        samples = 0
        for mono in self._blocks():
            samples += len(mono)
            self.duration_s = samples / self.sample_rate
            yield mono

    def _blocks(self) -> Iterator[Waveform]:
        if self.path.suffix == ".npy":
            whole = read_npy(self.path)
            starts = range(0, len(whole), _NPY_BLOCK)
            blocks = (
                (np.array(whole[at : at + _NPY_BLOCK], np.float32), NPY_RATE) for at in starts
            )
            yield from resample_blocks(blocks, self.sample_rate)
            return
        source = openable(self.path)
        with ffmpeg.opened(self.path, source) as file:
            yield from resample_blocks(file.blocks(), self.sample_rate)
            info = read_info_frame(source)
            if info:
                self.problem = self._missing(file.damaged, info.duration_s, _MISSING_MP3_S)
            else:
                self.problem = self._missing(file.damaged, file.told_s, _MISSING_S)

    def _missing(self, damaged: int, told_s: float | None, tolerance_s: float) -> str | None:
        what = []
        if damaged:
            what.append(f"{damaged} damaged parts are left out")
        if told_s is not None and told_s - self.duration_s > tolerance_s:
            what.append(f"{self.duration_s:.2f} s of {told_s:.2f} s can be decoded")
        return f"{self.path}: {'; '.join(what)}" if what else None
