"""From files to embedded windows: decoded in parallel, embedded in batches, in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from negclap.audio import AudioError, SilenceError, Waveform, probe, read_excerpt
from negclap.models.encoder import Encoder
from negclap.search.store import Indexed, Stamp

# Decoded together at most, so that hours of music need no more memory than minutes.
_WINDOWS_AT_ONCE, _SPAN_S = 32, 300.0
_LONGEST_S = 7 * 24 * 3600.0
_BATCH = 64
_AHEAD = 2  # decoded pieces that wait, for each thread

T = TypeVar("T")
R = TypeVar("R")


class Cut(NamedTuple):
    """How tracks are cut: windows of ``window_s`` seconds, every ``hop_s`` seconds.

    One more ends with the track, where half a hop or more would be left unheard. A track that is
    shorter is repeated until it fills a window.
    """

    window_s: float
    hop_s: float

    def starts(self, duration_s: float) -> NDArray[np.float64]:
        """Where windows begin, in seconds."""
        last = max(0.0, duration_s - self.window_s)
        starts = np.arange(0.0, last + 1e-6, self.hop_s)
        return starts if last - starts[-1] < 0.5 * self.hop_s else np.append(starts, last)


class _Piece(NamedTuple):
    """Neighbouring windows of a file; or why there are none."""

    path: str
    stamp: Stamp
    duration_s: float | None
    starts: NDArray[np.float64]
    is_last: bool
    problem: str | None = None


class _Heard(NamedTuple):
    """A piece with those of its windows that are not silent."""

    piece: _Piece
    starts: list[float]
    windows: list[Waveform]


def listen(
    root: Path, files: Iterable[str], model: Encoder, cut: Cut, jobs: int
) -> Iterator[list[Indexed]]:
    """Hear files, in order; tracks are handed on as soon as their last window is embedded.

    Args:
        root: What the files are relative to.
        files: Paths.
        model: Embeds the windows.
        cut: How tracks are cut.
        jobs: Threads that decode.
    """
    with ThreadPoolExecutor(jobs) as pool:
        depth = _AHEAD * jobs
        probed = _ahead(pool, lambda file: _probed(root, file), files, depth)
        pieces = (piece for file in probed for piece in _pieces(file, cut))
        heard = _ahead(pool, lambda p: _read(root, p, cut, model.sample_rate), pieces, depth)
        yield from _embedded(root, heard, model)


def _ahead(
    pool: ThreadPoolExecutor, work: Callable[[T], R], items: Iterable[T], depth: int
) -> Iterator[R]:
    """``map``, so many items ahead and no more."""
    waiting: deque[Future[R]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) > depth:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _probed(root: Path, file: str) -> _Piece:
    path = root / file
    nothing = np.empty(0)
    try:
        stamp = Stamp.of(path)
    except OSError as error:
        return _Piece(file, Stamp(0, 0), None, nothing, True, f"{path}: {error.strerror}")
    try:
        duration_s = probe(path).duration_s
    except AudioError as error:
        return _Piece(file, stamp, None, nothing, True, str(error))
    if not duration_s < _LONGEST_S:  # a stream's header need not know
        problem = f"{path}: says that it lasts {duration_s} s"
        return _Piece(file, stamp, None, nothing, True, problem)
    return _Piece(file, stamp, duration_s, nothing, True)


def _pieces(file: _Piece, cut: Cut) -> Iterator[_Piece]:
    if file.duration_s is None:
        yield file
        return
    starts = cut.starts(file.duration_s)
    at_once = max(1, min(_WINDOWS_AT_ONCE, int(_SPAN_S / cut.hop_s)))
    for first in range(0, len(starts), at_once):
        end = first + at_once
        yield file._replace(starts=starts[first:end], is_last=end >= len(starts))


def _read(root: Path, piece: _Piece, cut: Cut, sample_rate: int) -> _Heard:
    """Decode from the first window's beginning to the last one's end, at once."""
    if piece.problem or piece.duration_s is None:
        return _Heard(piece, [], [])
    length_s = min(cut.window_s, piece.duration_s)
    first, last = float(piece.starts[0]), float(piece.starts[-1])
    try:
        span = read_excerpt(root / piece.path, first, last - first + length_s, sample_rate)
    except SilenceError:
        return _Heard(piece, [], [])
    except AudioError as error:
        return _Heard(piece._replace(problem=str(error)), [], [])
    samples = round(cut.window_s * sample_rate)
    heard = _Heard(piece, [], [])
    for start in piece.starts:
        begin = round((start - first) * sample_rate)
        window = span[begin : begin + samples]
        if window.any():
            heard.starts.append(float(start))
            heard.windows.append(np.resize(window, samples))  # repeats what is too short
    return heard


def _embedded(root: Path, heard: Iterable[_Heard], model: Encoder) -> Iterator[list[Indexed]]:
    waiting: list[_Heard] = []
    tracks: dict[str, list[tuple[_Heard, NDArray[np.float32]]]] = {}

    def finished() -> list[Indexed]:
        windows = [window for one in waiting for window in one.windows]
        empty = np.empty((0, model.dim), np.float32)
        embeddings = model.encode_audio(np.stack(windows)) if windows else empty
        done, at = [], 0
        for one in waiting:
            part = embeddings[at : at + len(one.windows)]
            at += len(one.windows)
            tracks.setdefault(one.piece.path, []).append((one, part))
            if one.piece.is_last:
                done.append(_joined(root, tracks.pop(one.piece.path)))
        waiting.clear()
        return done

    for one in heard:
        waiting.append(one)
        enough = max(len(waiting), sum(len(each.windows) for each in waiting)) >= _BATCH
        if enough and (done := finished()):
            yield done
    if done := finished():
        yield done


def _joined(root: Path, parts: list[tuple[_Heard, NDArray[np.float32]]]) -> Indexed:
    """A track of its pieces."""
    piece = parts[-1][0].piece
    problems = [one.piece.problem for one, _ in parts if one.piece.problem]
    starts = np.array([start for one, _ in parts for start in one.starts], np.float32)
    embeddings = np.concatenate([part for _, part in parts])
    if not problems and not len(starts):
        problems = [f"{root / piece.path}: silent throughout"]
    if not np.isfinite(embeddings).all():
        problems.append(f"{root / piece.path}: the model makes NaN or infinite values of it")
    if problems:
        starts, embeddings = starts[:0], embeddings[:0]
    problem = problems[0] if problems else None
    return Indexed(piece.path, piece.stamp, piece.duration_s, starts, embeddings, problem)
