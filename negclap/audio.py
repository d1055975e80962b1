"""Read audio: probe, seek, downmix, resample. Only the excerpt is decoded.

Audio is given by a location: a path, a URL (see `storage`), or a `Window` of a larger file. A
`Path` is always a local file, even if its name looks like one of these. A ``.npy`` file contains
mono samples at 16,000 Hz, as in LP-MusicCaps.
"""

import errno
import io
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np
import soundfile as sf
import soxr
from numpy.typing import NDArray

from negclap.errors import InputError
from negclap.storage import StorageError, is_remote, local_path, read, read_range

Waveform = NDArray[np.float32]
Samples = NDArray[np.float32] | NDArray[np.int16]
"""A float32 waveform, or the same as int16 with a full scale of 32,768."""

TOLERANCE_S = 0.05  # may be missing at the end: encoders cut or pad by a frame or two
_CANCELLED = 1e-4  # energy of the mean, relative to the loudest channel's: -40 dB
_NPY_RATE = 16_000
_WINDOW = re.compile(r"(?P<file>.+)#(?P<start>\d+)\+(?P<size>\d+)\.(?P<form>\w+(?:@\d+)?)$")
_PCM = "s16"


class AudioError(InputError):
    """Audio that cannot be used: missing, corrupt, too short, silent, or not audio."""


class SilenceError(AudioError):
    """An excerpt of digital silence."""


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """The header of an audio file; ``duration_s`` in seconds, ``sample_rate`` in Hz."""

    sample_rate: int
    channels: int
    duration_s: float


class Window(NamedTuple):
    """Audio inside a larger file, such as a tar shard: ``size`` bytes from byte ``start``.

    ``form`` is the file name extension of the audio, or ``s16@RATE`` for raw PCM (16-bit
    little-endian, mono). As a location: ``a.tar#1536+231234.flac``.
    """

    file: str
    start: int
    size: int
    form: str

    def __str__(self) -> str:
        """The location as a string."""
        return f"{self.file}#{self.start}+{self.size}.{self.form}"

    @classmethod
    def parse(cls, location: str) -> "Window | None":
        """Parse a location; None if it is not a window."""
        if match := _WINDOW.match(location):
            return cls(match["file"], int(match["start"]), int(match["size"]), match["form"])
        return None


def probe(location: str | Path) -> AudioInfo:
    """Read the header of an audio file, or raise an `AudioError`."""
    if str(location).endswith(".npy"):
        samples = _npy(location)
        return AudioInfo(_NPY_RATE, 1, len(samples) / _NPY_RATE)
    window = _window(location)
    if window and window.form.startswith(_PCM):
        rate = _pcm_rate(window)
        return AudioInfo(rate, 1, window.size / 2 / rate)
    with _opened(location, window) as file:
        return AudioInfo(file.samplerate, file.channels, file.frames / file.samplerate)


def read_excerpt(
    location: str | Path, start_s: float, duration_s: float, sample_rate: int
) -> Waveform:
    """Like `read_samples`, as float32."""
    return as_waveform(read_samples(location, start_s, duration_s, sample_rate))


def as_waveform(samples: Samples) -> Waveform:
    """Convert samples to float32 in [-1, 1]."""
    int16 = samples.dtype == np.int16
    return samples * np.float32(2**-15) if int16 else samples.astype(np.float32, copy=False)


def read_samples(
    location: str | Path, start_s: float, duration_s: float, sample_rate: int
) -> Samples:
    """Decode ``duration_s`` seconds from ``start_s``, as mono at ``sample_rate``, in Hz.

    Channels are averaged; of channels that cancel out, the loudest is taken. Up to 50 ms missing at
    the end are padded with zeros, to exactly ``round(duration_s * sample_rate)`` samples. They are
    int16 if the file is 16-bit mono at this rate, which halves the data to transfer, else float32.

    Raises:
        AudioError: If the file is missing or corrupt, ends too early, has NaN or infinite samples,
            or the excerpt is digital silence.
    """
    native, rate = _decode(location, start_s, duration_s, sample_rate)
    got_s = len(native) / rate
    if got_s < duration_s - TOLERANCE_S:
        raise AudioError(
            f"{location}: too short, {got_s:.3f} s from {start_s:.3f} s, "
            f"expected {duration_s:.3f} s"
        )
    mono: Samples = _downmix(native) if native.ndim > 1 else native
    if mono.dtype != np.int16 and not np.isfinite(mono).all():
        raise AudioError(f"{location}: has NaN or infinite samples")
    if not mono.any():
        raise SilenceError(f"{location}: silent for {duration_s:.3f} s from {start_s:.3f} s")
    if rate != sample_rate:
        mono = resample(as_waveform(mono), rate, sample_rate)
    missing = round(duration_s * sample_rate) - len(mono)
    if missing <= 0:
        return mono[: len(mono) + missing]
    return np.concatenate((mono, np.zeros(missing, mono.dtype)))


def _downmix(channels: Samples) -> Waveform:
    """Return ``(samples,)`` of ``(samples, channels)``."""
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


def _decode(
    location: str | Path, start_s: float, duration_s: float, wanted: int
) -> tuple[Samples, int]:
    """Return ``(samples,)`` or ``(samples, channels)`` at the native rate, and that rate."""
    if str(location).endswith(".npy"):
        first, last = (round(at * _NPY_RATE) for at in (start_s, start_s + duration_s))
        return np.array(_npy(location)[first:last], dtype=np.float32), _NPY_RATE
    window = _window(location)
    if window and window.form.startswith(_PCM):
        return _decode_pcm(window, start_s, duration_s)
    with _opened(location, window) as file:
        rate: int = file.samplerate
        first = round(start_s * rate)
        if first >= file.frames:
            raise AudioError(
                f"{location}: too short, {file.frames / rate:.3f} s, "
                f"excerpt starts at {start_s:.3f} s"
            )
        lead = min(first, _mp3_lead(rate)) if file.format == "MP3" else 0
        file.seek(first - lead)
        unchanged = file.subtype == "PCM_16" and file.channels == 1 and rate == wanted
        samples = file.read(
            lead + round(duration_s * rate), dtype="int16" if unchanged else "float32"
        )
    return samples[lead:], rate


@contextmanager
def _opened(location: str | Path, window: Window | None) -> Iterator[sf.SoundFile]:
    """Open audio with libsndfile; its errors, also of reading, become an `AudioError`.

    libmpg123, which libsndfile reads mp3 with, is kept from writing to stderr. Where libsndfile
    takes macOS's ``._`` file for a part of the file, it gets an open file, which has no name.
    """
    source = _openable(location, window)
    is_mp3 = str(location).lower().endswith((".mp3", ".mp2"))
    with _SILENCED_STDERR if is_mp3 else nullcontext():
        try:
            with ExitStack() as stack:
                try:
                    file = sf.SoundFile(source)
                except sf.LibsndfileError:
                    if not isinstance(source, bytes):
                        raise
                    nameless = stack.enter_context(Path(os.fsdecode(source)).open("rb"))
                    file = sf.SoundFile(nameless)
                yield stack.enter_context(file)
        except AudioError:
            raise
        except (sf.LibsndfileError, RuntimeError, OSError) as error:
            raise _unreadable(location, error) from None


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


def _window(location: str | Path) -> Window | None:
    return None if isinstance(location, Path) else Window.parse(location)


def _openable(location: str | Path, window: Window | None) -> bytes | io.BytesIO:
    """Return what soundfile can open: a local path as bytes, or a buffer with the data."""
    try:
        if window:
            return io.BytesIO(read_range(*window[:3]))
        if not isinstance(location, Path) and is_remote(location):
            return io.BytesIO(read(location))
        path = location if isinstance(location, Path) else local_path(location)
    except StorageError as error:
        raise AudioError(str(error)) from None
    if not path.is_file():  # opening a named pipe would block
        problem = "is a folder" if path.is_dir() else "not a file" if path.exists() else "not found"
        raise AudioError(f"{location}: {problem}, expected an audio file")
    return os.fsencode(path)


def _decode_pcm(window: Window, start_s: float, duration_s: float) -> tuple[Samples, int]:
    """Read only the bytes of the excerpt."""
    rate = _pcm_rate(window)
    first = min(round(start_s * rate), window.size // 2)
    count = min(round(duration_s * rate), window.size // 2 - first)
    if count <= 0:
        return np.empty(0, np.int16), rate
    try:
        data = read_range(window.file, window.start + 2 * first, 2 * count)
    except StorageError as error:
        raise AudioError(str(error)) from None
    return np.frombuffer(bytearray(data), "<i2"), rate  # writable, as torch requires


def _pcm_rate(window: Window) -> int:
    rate = window.form.partition("@")[2]
    if not rate or not int(rate):
        raise AudioError(f"{window}: no sample rate, expected {_PCM}@RATE")
    return int(rate)


def _npy(location: str | Path) -> Waveform:
    """Return the samples, memory-mapped if the file is local."""
    source = _openable(location, _window(location))
    try:
        if isinstance(source, bytes):
            samples = np.load(os.fsdecode(source), mmap_mode="r", allow_pickle=False)
        else:
            samples = np.load(source, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _unreadable(location, error) from None
    if samples.ndim == 2 and 1 in samples.shape:
        samples = samples.reshape(-1)
    if samples.ndim != 1 or samples.dtype.kind != "f":
        raise AudioError(
            f"{location}: array of {samples.dtype} with shape {samples.shape}, "
            "expected mono float samples"
        )
    mono: Waveform = samples
    return mono


def _kind(path: Path) -> str | None:
    """Return what a file is, whatever its name, if it is of a known kind that is not read."""
    with path.open("rb") as file:
        start = file.read(16)
    marks = {
        b"ftyp": "an MP4 or AAC file",
        b"\x30\x26\xb2\x75": "a WMA file",
        b"wvpk": "a WavPack file",
        b"MAC ": "a Monkey's Audio file",
        b"DSD ": "a DSD file",
    }
    return next((kind for mark, kind in marks.items() if mark in (start[:4], start[4:8])), None)


def _unreadable(location: str | Path, error: Exception) -> AudioError:
    local = isinstance(location, Path) or not (_window(location) or is_remote(location))
    path = location if isinstance(location, Path) else local_path(location)
    if local and path.is_file() and path.stat().st_size == 0:
        return AudioError(f"{location}: empty file")
    if local and path.is_file() and not os.access(path, os.R_OK):
        return AudioError(f"{location}: {os.strerror(errno.EACCES)}")
    reason = " ".join(str(getattr(error, "error_string", error)).split())
    if local and path.is_file() and (kind := _kind(path)):
        reason = f"it is {kind}, which cannot be read"
    return AudioError(f"{location}: cannot be read as audio ({reason})")
