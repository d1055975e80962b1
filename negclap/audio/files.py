"""Locations of audio, and what is wrong with them."""

import errno
import io
import os
import re
import stat
from pathlib import Path
from typing import NamedTuple

import numpy as np

from negclap.audio.waveforms import Waveform
from negclap.errors import InputError
from negclap.storage import StorageError, is_remote, local_name, local_path, read, read_range

TOLERANCE_S = 0.05  # may be missing at the end: encoders cut or pad by a frame or two
NPY_RATE = 16_000
PCM = "s16"
_WINDOW = re.compile(r"(?P<file>.+)#(?P<start>\d+)\+(?P<size>\d+)\.(?P<form>\w+(?:@\d+)?)$")


class AudioError(InputError):
    """Audio that cannot be used: missing, corrupt, too short, silent, or not audio."""


class SilenceError(AudioError):
    """An excerpt of digital silence."""


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


def window_of(location: str | Path) -> Window | None:
    """Return the window that a location is, if any."""
    return None if isinstance(location, Path) else Window.parse(location)


def pcm_rate(window: Window) -> int:
    """Return the sample rate of raw PCM in Hz."""
    rate = window.form.partition("@")[2]
    if not rate or not int(rate):
        raise AudioError(f"{window}: no sample rate, expected {PCM}@RATE")
    return int(rate)


def openable(location: str | Path) -> bytes | io.BytesIO:
    """Return what a decoder can open: a local path as bytes, or a buffer with the data."""
    try:
        if window := window_of(location):
            return io.BytesIO(read_range(*window[:3]))
        if not isinstance(location, Path) and is_remote(location):
            return io.BytesIO(read(location))
        name = os.fsencode(location if isinstance(location, Path) else local_name(location))
    except StorageError as error:
        raise AudioError(str(error)) from None
    try:
        mode = os.stat(name).st_mode  # noqa: PTH116  # for each clip: 2 us, Path.stat 6
    except (OSError, ValueError):  # nothing there, or a name that cannot be
        raise AudioError(f"{location}: not found, expected an audio file") from None
    if not stat.S_ISREG(mode):  # opening a named pipe would block
        problem = "is a folder" if stat.S_ISDIR(mode) else "not a file"
        raise AudioError(f"{location}: {problem}, expected an audio file")
    return name


def read_npy(location: str | Path) -> Waveform:
    """Return the samples of a ``.npy`` file, memory-mapped if the file is local."""
    source = openable(location)
    try:
        if isinstance(source, bytes):
            samples = np.load(os.fsdecode(source), mmap_mode="r", allow_pickle=False)
        else:
            samples = np.load(source, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise unreadable(location, error) from None
    if samples.ndim == 2 and 1 in samples.shape:
        samples = samples.reshape(-1)
    if samples.ndim != 1 or samples.dtype.kind != "f":
        raise AudioError(
            f"{location}: array of {samples.dtype} with shape {samples.shape}, "
            "expected mono float samples"
        )
    mono: Waveform = samples
    return mono


def unreadable(location: str | Path, error: Exception) -> AudioError:
    """Return the error about a file that cannot be read, with the reason if it is known."""
    local = isinstance(location, Path) or not (window_of(location) or is_remote(location))
    path = location if isinstance(location, Path) else local_path(location)
    if local and path.is_file() and path.stat().st_size == 0:
        return AudioError(f"{location}: empty file")
    if local and path.is_file() and not os.access(path, os.R_OK):
        return AudioError(f"{location}: {os.strerror(errno.EACCES)}")
    reason = " ".join(str(getattr(error, "strerror", None) or error).split())
    if local and path.is_file() and (kind := _kind(path)):
        reason = f"{kind}: {reason}"
    return AudioError(f"{location}: cannot be read as audio ({reason})")


def _kind(path: Path) -> str | None:
    """Return what a file seems to be, whatever its name, if its first bytes are known."""
    with path.open("rb") as file:
        start = file.read(16)
    marks = {
        b"ftyp": "a damaged MP4 or AAC file",
        b"\x30\x26\xb2\x75": "a damaged WMA file",
        b"wvpk": "a damaged WavPack file",
        b"MAC ": "a damaged Monkey's Audio file",
        b"MThd": "a MIDI file, which has no sound",
    }
    return next((kind for mark, kind in marks.items() if mark in (start[:4], start[4:8])), None)
