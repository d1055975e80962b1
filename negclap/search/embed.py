"""Embed the windows of audio files: decode in threads, encode in batches, keep the order."""

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from negclap.audio import AudioError, AudioStream, Waveform
from negclap.errors import InputError
from negclap.models.encoder import Encoder
from negclap.parallel import chain_ahead
from negclap.search.store import IndexedTrack, Stamp

_SHORTEST_HOP_S = 0.01
_WINDOWS_PER_PART = 32
_BATCH = 64
_AHEAD = 2  # files that are decoded ahead, per thread


class Windowing(NamedTuple):
    """How tracks are divided: windows of ``window_s`` seconds, one every ``hop_s`` seconds.

    If the regular windows leave half a hop or more uncovered, another window ends with the track.
    A track that is shorter than a window is repeated until it fills one.
    """

    window_s: float
    hop_s: float

    @classmethod
    def of(cls, model: Encoder, hop_s: float | None) -> "Windowing":
        """Return windows as long as the model's clips; without a hop, they do not overlap.

        Raises:
            InputError: If the hop is too short, or not finite.
        """
        hop = model.excerpt_s if hop_s is None else hop_s
        if not _SHORTEST_HOP_S <= hop < float("inf"):
            raise InputError(f"the hop is {hop} s, expected at least {_SHORTEST_HOP_S} s")
        return cls(model.excerpt_s, float(hop))

    def starts(self, duration_s: float) -> NDArray[np.float64]:
        """Return the start of each window in seconds."""
        last = max(0.0, duration_s - self.window_s)
        starts = np.arange(0.0, last + 1e-6, self.hop_s)
        return starts if last - starts[-1] < 0.5 * self.hop_s else np.append(starts, last)

    def cut(self, blocks: Iterable[Waveform], sample_rate: int) -> Iterator[tuple[float, Waveform]]:
        """Cut a stream of blocks at ``sample_rate`` Hz; yield the start and samples of each window.

        There is no more of the stream in memory than a window and a block.
        """
        size = round(self.window_s * sample_rate)
        held, begin = np.empty(0, np.float32), 0  # the end of the stream so far, and its place
        done = 0
        for block in blocks:
            held = np.concatenate((held, block))
            end = begin + len(held)
            while (first := round(done * self.hop_s * sample_rate)) + size <= end:
                yield done * self.hop_s, held[first - begin : first - begin + size].copy()
                done += 1
            keep = min(first, end - size)  # another window may end with the stream
            if keep > begin:
                held, begin = held[keep - begin :], keep
        if not len(held):
            return
        end = begin + len(held)
        for start_s in self.starts(end / sample_rate)[done:].tolist():
            first = max(begin, min(round(start_s * sample_rate), end - size))
            yield start_s, np.resize(held[first - begin :], size)  # repeats a short track


class File(NamedTuple):
    """What is known of a file when it is decoded; the other fields as in `IndexedTrack`."""

    path: str
    stamp: Stamp
    duration_s: float | None = None
    problem: str | None = None


class Part(NamedTuple):
    """Consecutive windows of a file, without the silent ones; ``file`` is set in the last part."""

    starts: list[float]
    windows: list[Waveform]
    file: File | None = None


def embed_files(
    root: Path, files: Iterable[str], model: Encoder, windowing: Windowing, jobs: int
) -> Iterator[list[IndexedTrack]]:
    """Embed files in order, and yield tracks as soon as their last window is embedded.

    Args:
        root: Folder that the paths are relative to.
        files: Paths.
        model: Encoder of the windows.
        windowing: How tracks are divided.
        jobs: Number of decoding threads.
    """
    with ThreadPoolExecutor(jobs) as pool:
        rate = model.sample_rate
        parts = (file_parts(root / file, file, windowing, rate) for file in files)
        yield from embed_parts(chain_ahead(pool, parts, _AHEAD * jobs), model)


def file_parts(
    path: Path, name: str, windowing: Windowing, sample_rate: int, shown: str = ""
) -> Iterator[Part]:
    """Decode a file: all that can be decoded, and what is wrong with the rest.

    Args:
        path: The file.
        name: Name of the track.
        windowing: How it is divided.
        sample_rate: Sample rate of the windows in Hz.
        shown: What problems call the file; its path by default.
    """
    file = File(name, Stamp(0, 0))
    starts, windows, problem, is_silent = [], [], None, True
    try:
        file = file._replace(stamp=Stamp.of(path))
        if not os.access(path, os.R_OK):  # it can be read some day without having changed
            raise AudioError(f"{path}: {os.strerror(errno.EACCES)}")
        stream = AudioStream(path, sample_rate)
        for start_s, window in windowing.cut(stream, sample_rate):
            if not np.isfinite(window).all():
                problem = f"{path}: has NaN or infinite samples"
            elif window.any():
                starts.append(start_s)
                windows.append(window)
                is_silent = False
            if len(windows) == _WINDOWS_PER_PART:
                yield Part(starts, windows)
                starts, windows = [], []
        problem = problem or stream.problem
        if is_silent and not problem:
            what = "silent throughout" if stream.duration_s else "has no audio"
            problem = f"{path}: {what}"
        file = file._replace(duration_s=stream.duration_s)
    except AudioError as error:
        problem = str(error)
    except OSError as error:
        problem = f"{path}: {error.strerror}"
    if problem and shown:
        problem = problem.replace(str(path), shown)
    yield Part(starts, windows, file._replace(problem=problem))


def embed_parts(parts: Iterable[Part], model: Encoder) -> Iterator[list[IndexedTrack]]:
    """Embed parts, all of a file after each other; yield tracks whose last window is embedded."""
    empty = np.empty((0, model.dim), np.float32)
    track: list[tuple[Part, NDArray[np.float32]]] = []  # the parts of the track in progress
    for batch in _batches(parts):
        windows = [window for part in batch for window in part.windows]
        embeddings = model.encode_audio(np.stack(windows)) if windows else empty
        finished, begin = [], 0
        for part in batch:
            end = begin + len(part.windows)
            track.append((part, embeddings[begin:end]))
            begin = end
            if part.file is not None:
                finished.append(join(part.file, track))
                track = []
        if finished:
            yield finished


def _batches(parts: Iterable[Part]) -> Iterator[list[Part]]:
    """Group parts until there are `_BATCH` windows, or as many parts."""
    batch: list[Part] = []
    windows = 0
    for part in parts:
        batch.append(part)
        windows += len(part.windows)
        if max(len(batch), windows) >= _BATCH:
            yield batch
            batch, windows = [], 0
    if batch:
        yield batch


def join(file: File, parts: Sequence[tuple[Part, NDArray[np.float32]]]) -> IndexedTrack:
    """Join the parts of a track with their embeddings ``(n, dim)``."""
    starts = np.array([start for part, _ in parts for start in part.starts], np.float32)
    embeddings = np.concatenate([its for _, its in parts])
    problem, duration_s = file.problem, file.duration_s
    if not np.isfinite(embeddings).all():
        problem = f"{file.path}: the model returns NaN or infinite embeddings"
        starts, embeddings = starts[:0], embeddings[:0]
    return IndexedTrack(file.path, file.stamp, duration_s, starts, embeddings, problem)
