"""Whole files as streams: as much of them as can be decoded, with bounded memory."""

import io
from collections.abc import Generator, Iterator
from pathlib import Path

import numpy as np

from negclap.audio import ffmpeg, sndfile
from negclap.audio.files import NPY_RATE, AudioError, openable, read_npy
from negclap.audio.headers import read_info_frame
from negclap.audio.waveforms import Waveform, cut_blocks, resample_blocks

_BLOCK_S = 8.0
# What may be missing of the told length: encoders pad an mp3 by some frames, of up to 72 ms.
_MISSING_S, _MISSING_MP3_S = 0.1, 0.5


class AudioStream:
    """The whole of a file, as mono blocks of some seconds.

    Damaged parts are left out. To be iterated once; the attributes are complete then.

    Args:
        path: The file.
        sample_rate: Sample rate of the blocks in Hz.

    Attributes:
        problem: What is missing of the file; None if it is complete.

    Raises:
        AudioError: On iteration, if the file cannot be opened.
    """

    def __init__(self, path: Path, sample_rate: int) -> None:
        self.path, self.sample_rate = path, sample_rate
        self._samples = 0
        self.problem: str | None = None

    def __iter__(self) -> Iterator[Waveform]:
        """Yield ``(samples,)``."""
        for mono in self._blocks():
            self._samples += len(mono)
            yield mono

    @property
    def duration_s(self) -> float:
        """Length of what was decoded, in seconds."""
        return self._samples / self.sample_rate

    def _blocks(self) -> Iterator[Waveform]:
        if self.path.suffix == ".npy":
            whole = read_npy(self.path)
            size = round(_BLOCK_S * NPY_RATE)
            starts = range(0, len(whole), size)
            blocks = ((np.array(whole[at : at + size], np.float32), NPY_RATE) for at in starts)
            yield from resample_blocks(blocks, self.sample_rate)
            return
        source = openable(self.path)
        if not (yield from self._read_with_libsndfile(source)):
            yield from self._decode_with_ffmpeg(source)

    def _read_with_libsndfile(self, source: bytes | io.BytesIO) -> Generator[Waveform, None, bool]:
        """Yield what libsndfile reads; return whether it is the whole.

        For usual files, it takes a tenth of the time of FFmpeg, which decodes short frames.
        """
        try:
            with sndfile.opened(self.path, source) as file:
                if not sndfile.knows_length(file, source):
                    return False
                file.seek(0)
                yield from resample_blocks(sndfile.blocks(file, _BLOCK_S), self.sample_rate)
                return bool(file.tell() == file.frames)
        except AudioError:  # a kind or a fault that only FFmpeg can cope with
            return False

    def _decode_with_ffmpeg(self, source: bytes | io.BytesIO) -> Iterator[Waveform]:
        """Yield the rest of the file, and say what is missing of the whole."""
        done = self._samples
        with ffmpeg.opened(self.path, source) as file:
            whole = resample_blocks(file.blocks(_BLOCK_S), self.sample_rate)
            yield from cut_blocks(whole, done, None)
            if info := read_info_frame(source):
                self.problem = self._missing(file.damaged, info.duration_s, _MISSING_MP3_S)
            else:
                self.problem = self._missing(file.damaged, file.header_s, _MISSING_S)

    def _missing(self, damaged: int, header_s: float | None, tolerance_s: float) -> str | None:
        what = []
        if damaged:
            what.append(f"{damaged} damaged parts are left out")
        if header_s is not None and header_s - self.duration_s > tolerance_s:
            what.append(f"{self.duration_s:.2f} s of {header_s:.2f} s can be decoded")
        return f"{self.path}: {'; '.join(what)}" if what else None
