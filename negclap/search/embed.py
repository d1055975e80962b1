"""Embed the windows of audio files: decode in threads, encode in batches, keep the order."""

import errno
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from negclap.audio import AudioError, SilenceError, Waveform, probe, read_excerpt
from negclap.models.encoder import Encoder
from negclap.parallel import map_ahead
from negclap.search.store import IndexedTrack, Stamp

# Limits of one segment, so that a track of many hours needs no more memory than a short one.
_WINDOWS_PER_SEGMENT, _SEGMENT_S = 32, 300.0
_LONGEST_S = 7 * 24 * 3600.0
_BATCH = 64
_AHEAD = 2  # decoded segments in the queue, per thread


class Windowing(NamedTuple):
    """How tracks are divided: windows of ``window_s`` seconds, one every ``hop_s`` seconds.

    If the regular windows leave half a hop or more uncovered, another window ends with the track.
    A track that is shorter than a window is repeated until it fills one.
    """

    window_s: float
    hop_s: float

    def starts(self, duration_s: float) -> NDArray[np.float64]:
        """Return the start of each window in seconds."""
        last = max(0.0, duration_s - self.window_s)
        starts = np.arange(0.0, last + 1e-6, self.hop_s)
        return starts if last - starts[-1] < 0.5 * self.hop_s else np.append(starts, last)


class _Segment(NamedTuple):
    """Consecutive windows of a file, or the reason why the file has none."""

    path: str
    stamp: Stamp
    duration_s: float | None
    starts: NDArray[np.float64]
    is_last: bool
    problem: str | None = None


class _Decoded(NamedTuple):
    """A segment with its windows, except the silent ones."""

    segment: _Segment
    starts: list[float]
    windows: list[Waveform]


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
        depth = _AHEAD * jobs
        probed = map_ahead(pool, lambda file: _probe_file(root, file), files, depth)
        segments = (segment for file in probed for segment in _segments(file, windowing))
        decoded = map_ahead(
            pool, lambda each: _decode(root, each, windowing, model.sample_rate), segments, depth
        )
        yield from _embed(root, decoded, model)


def _probe_file(root: Path, file: str) -> _Segment:
    path = root / file
    segment = _Segment(file, Stamp(0, 0), None, np.empty(0), is_last=True)
    try:
        stamp = Stamp.of(path)
        if not os.access(path, os.R_OK):  # it can be read some day without having changed
            return segment._replace(problem=f"{path}: {os.strerror(errno.EACCES)}")
        segment = segment._replace(stamp=stamp)
        duration_s = probe(path).duration_s
    except AudioError as error:
        return segment._replace(problem=str(error))
    except OSError as error:
        return segment._replace(problem=f"{path}: {error.strerror}")
    if not duration_s < _LONGEST_S:  # the header of a stream may not know the length
        return segment._replace(problem=f"{path}: its header gives a duration of {duration_s} s")
    return segment._replace(duration_s=duration_s)


def _segments(file: _Segment, windowing: Windowing) -> Iterator[_Segment]:
    if file.duration_s is None:
        yield file
        return
    starts = windowing.starts(file.duration_s)
    size = max(1, min(_WINDOWS_PER_SEGMENT, int(_SEGMENT_S / windowing.hop_s)))
    for first in range(0, len(starts), size):
        end = first + size
        yield file._replace(starts=starts[first:end], is_last=end >= len(starts))


def _decode(root: Path, segment: _Segment, windowing: Windowing, sample_rate: int) -> _Decoded:
    """Decode all windows of a segment in one read."""
    decoded = _Decoded(segment, [], [])
    if segment.duration_s is None:
        return decoded
    length_s = min(windowing.window_s, segment.duration_s)
    first, last = float(segment.starts[0]), float(segment.starts[-1])
    try:
        span = read_excerpt(root / segment.path, first, last - first + length_s, sample_rate)
    except SilenceError:
        return decoded
    except AudioError as error:
        return decoded._replace(segment=segment._replace(problem=str(error)))
    samples = round(windowing.window_s * sample_rate)
    for start in segment.starts.tolist():
        begin = round((start - first) * sample_rate)
        window = span[begin : begin + samples]
        if window.any():
            decoded.starts.append(start)
            decoded.windows.append(np.resize(window, samples))  # repeats a short track
    return decoded


def _embed(root: Path, decoded: Iterable[_Decoded], model: Encoder) -> Iterator[list[IndexedTrack]]:
    parts: list[tuple[_Decoded, NDArray[np.float32]]] = []  # of the track in progress
    for batch in _batches(decoded):
        windows = [window for each in batch for window in each.windows]
        empty = np.empty((0, model.dim), np.float32)
        embeddings = model.encode_audio(np.stack(windows)) if windows else empty
        finished, begin = [], 0
        for each in batch:
            end = begin + len(each.windows)
            parts.append((each, embeddings[begin:end]))
            begin = end
            if each.segment.is_last:
                finished.append(_join(root, parts))
                parts = []
        if finished:
            yield finished


def _batches(decoded: Iterable[_Decoded]) -> Iterator[list[_Decoded]]:
    """Group segments until there are `_BATCH` windows, or as many segments without any."""
    batch: list[_Decoded] = []
    windows = 0
    for each in decoded:
        batch.append(each)
        windows += len(each.windows)
        if max(len(batch), windows) >= _BATCH:
            yield batch
            batch, windows = [], 0
    if batch:
        yield batch


def _join(root: Path, parts: list[tuple[_Decoded, NDArray[np.float32]]]) -> IndexedTrack:
    """Join the segments of a track."""
    segment = parts[-1][0].segment
    problems = [each.segment.problem for each, _ in parts if each.segment.problem]
    starts = np.array([start for each, _ in parts for start in each.starts], np.float32)
    embeddings = np.concatenate([part for _, part in parts])
    if not problems and not len(starts):
        problems = [f"{root / segment.path}: silent throughout"]
    if not np.isfinite(embeddings).all():
        problems.append(f"{root / segment.path}: the model returns NaN or infinite embeddings")
    if problems:
        starts, embeddings = starts[:0], embeddings[:0]
    problem = problems[0] if problems else None
    return IndexedTrack(
        segment.path, segment.stamp, segment.duration_s, starts, embeddings, problem
    )
