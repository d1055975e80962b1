"""Read with libsndfile, which seeks fast and exactly, and decodes in long blocks."""

import io
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TextIO

import numpy as np
import soundfile as sf

from negclap.audio.files import AudioError, unreadable
from negclap.audio.headers import is_chained, may_be_mp3, read_info_frame
from negclap.audio.waveforms import Allocate, Samples, Waveform, as_waveform, downmix

_LONGEST_S = 7 * 24 * 3600.0


@contextmanager
def opened(location: str | Path, source: bytes | io.BytesIO) -> Iterator[sf.SoundFile]:
    """Open what `files.openable` gives; errors, also of reading, become an `AudioError`.

    Where libsndfile takes macOS's ``._`` file for a part of the file, it gets a file descriptor,
    which has no name.
    """
    try:
        with _SILENCED_STDERR if may_be_mp3(source) else nullcontext():
            try:
                file = sf.SoundFile(source)
            except sf.LibsndfileError:
                if not isinstance(source, bytes):
                    raise
                file = sf.SoundFile(os.open(source, os.O_RDONLY))  # closes it, too
        with file:
            yield file
    except AudioError:
        raise
    except (sf.LibsndfileError, RuntimeError, OSError) as error:
        raise unreadable(location, error) from None


def blocks(file: sf.SoundFile, length_s: float) -> Iterator[tuple[Waveform, int]]:
    """Read a file to its end; yield ``(samples,)``, the mean of the channels, and its rate in Hz.

    Each block but the last has ``length_s`` seconds.
    """
    rate: int = file.samplerate
    while len(samples := _read(file, round(length_s * rate))):
        yield downmix(samples) if samples.ndim > 1 else as_waveform(samples), rate


def knows_length(file: sf.SoundFile, source: bytes | io.BytesIO) -> bool:
    """Whether the number of frames that libsndfile gives is that of the file.

    It is not if the header does not give it, or gives that of a file that was cut. Of an mp3
    without a Xing or Info frame, and of joined ones, libsndfile only makes a guess; of chained Ogg
    files, it gives the first.
    """
    if not 0 < file.frames < _LONGEST_S * file.samplerate:
        return False
    if file.format == "MP3":
        info = read_info_frame(source)
        return info is not None and info.agrees
    if file.format == "OGG" and is_chained(source):
        return False
    return len(_read(file, 1, file.frames - 1)) == 1


def read(
    file: sf.SoundFile, start_s: float, duration_s: float, wanted: int, empty: Allocate = np.empty
) -> Samples:
    """Read ``(samples,)`` or ``(samples, channels)``; there are fewer where the file ends.

    They are int16 if the file is 16-bit mono at the wanted rate. Mono at this rate, other than of
    mp3, is read into what ``empty`` returns.
    """
    rate: int = file.samplerate
    count = round(duration_s * rate)
    first = min(round(start_s * rate), file.frames)
    if file.format == "MP3":  # at once, because after each read there is a seek
        lead = min(first, _mp3_lead(rate))
        return _read(file, lead + count, first - lead)[lead:]
    unchanged = file.channels == 1 and rate == wanted
    dtype = "int16" if unchanged and file.subtype == "PCM_16" else "float32"
    return _read(file, count, first, dtype, empty(count, dtype=dtype) if unchanged else None)


def _read(
    file: sf.SoundFile,
    count: int,
    start: int | None = None,
    dtype: str = "float32",
    out: Samples | None = None,
) -> Samples:
    """Read from where the file stands, or from ``start``; into ``out`` if it is given.

    libmpg123, which libsndfile reads mp3 with, is kept from writing to stderr.
    """
    with _SILENCED_STDERR if "MPEG" in file.subtype else nullcontext():
        if start is not None:
            file.seek(start)
        samples: Samples = file.read(count, dtype=dtype, out=out)
    return samples


def _mp3_lead(rate: int) -> int:
    """Return how many samples of an mp3 to decode before the excerpt and drop.

    After a seek, the first frames are silent, because their bit reservoir is in earlier frames. Low
    bit rates need the most: 20 frames of 576 samples at 24 kHz and 8 kbit/s, 4 of 1,152 at 48 kHz
    and 32 kbit/s.
    """
    return 24 * 576 if rate < 32_000 else 6 * 1152


class _SilencedStderr:
    """Discard what libmpg123 writes to stderr, without a file's name; thread-safe.

    Meanwhile, what Python writes to ``sys.stderr`` still arrives there.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._depth = 0
        self._saved = -1
        self._python: TextIO | None = None

    def __enter__(self) -> None:
        with self._lock:
            self._depth += 1
            if self._depth == 1:
                sys.stderr.flush()
                self._saved = os.dup(2)
                if sys.stderr is sys.__stderr__:
                    sys.stderr = self._python = os.fdopen(os.dup(2), "w", buffering=1)
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, 2)
                os.close(nowhere)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth == 0:
                os.dup2(self._saved, 2)
                os.close(self._saved)
                if self._python is not None:
                    if sys.stderr is self._python:
                        sys.stderr = sys.__stderr__
                    self._python.close()
                    self._python = None


_SILENCED_STDERR = _SilencedStderr()
