"""Reading audio: probe, seek, downmix, resample.

Decoding is `soundfile`'s (wav, flac, ogg, mp3), resampling is `soxr`'s. Only the excerpt is
decoded, not the whole file. Waveforms are mono float32 in [-1, 1], sample rates are in Hz.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr
from numpy.typing import NDArray

from negclap.errors import InputError

Waveform = NDArray[np.float32]

_TOLERANCE_S = 0.05  # encoders cut or pad by a frame or two
# The first frames after a seek in an mp3 lack the bits that earlier frames hold for them, and come
# out silent: decode some frames ahead of the excerpt and drop them.
_MP3_LEAD = 12 * 1152


class AudioError(InputError):
    """A file that cannot be used: broken, silent, too short, or not audio at all."""


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What the header of a file says; ``duration_s`` in seconds, ``sample_rate`` in Hz."""

    sample_rate: int
    channels: int
    duration_s: float


def probe(path: Path) -> AudioInfo:
    """Read the header of an audio file.

    Raises:
        AudioError: If the file is missing or cannot be opened as audio.
    """
    try:
        info = sf.info(str(path))
    except (sf.LibsndfileError, RuntimeError, OSError) as error:
        raise _unreadable(path, error) from None
    return AudioInfo(info.samplerate, info.channels, info.frames / info.samplerate)


def read_excerpt(path: Path, start_s: float, duration_s: float, sample_rate: int) -> Waveform:
    """Decode ``duration_s`` seconds from ``start_s`` on, mono, at ``sample_rate``.

    Channels are averaged. An end that is missing by no more than 50 ms is padded with zeros.

    Returns:
        Exactly ``round(duration_s * sample_rate)`` samples.

    Raises:
        AudioError: If the file is missing or broken, ends too early, holds NaN or infinite
            samples, or the excerpt is digital silence.
    """
    native, rate = _decode(path, start_s, duration_s)
    got_s = len(native) / rate
    if got_s < duration_s - _TOLERANCE_S:
        raise AudioError(
            f"{path}: too short, {got_s:.3f} s from {start_s:.3f} s on, expected {duration_s:.3f} s"
        )
    mono = native.mean(axis=1, dtype=np.float32)
    if not np.isfinite(mono).all():
        raise AudioError(f"{path}: holds NaN or infinite samples")
    if not mono.any():
        raise AudioError(f"{path}: silent from {start_s:.3f} s for {duration_s:.3f} s")
    return _fit(resample(mono, rate, sample_rate), round(duration_s * sample_rate))


def resample(mono: Waveform, rate: int, wanted: int) -> Waveform:
    """``(samples,)`` at ``rate`` Hz to ``wanted`` Hz."""
    if rate == wanted:
        return mono
    resampled: Waveform = soxr.resample(mono, rate, wanted)
    return resampled


def _decode(path: Path, start_s: float, duration_s: float) -> tuple[Waveform, int]:
    try:
        with sf.SoundFile(str(path)) as file:
            rate: int = file.samplerate
            first = round(start_s * rate)
            if first >= file.frames:
                raise AudioError(
                    f"{path}: too short, {file.frames / rate:.3f} s, "
                    f"excerpt starts at {start_s:.3f} s"
                )
            lead = min(first, _MP3_LEAD if file.format == "MP3" else 0)
            file.seek(first - lead)
            samples = file.read(lead + round(duration_s * rate), dtype="float32", always_2d=True)
    except (sf.LibsndfileError, RuntimeError, OSError) as error:
        raise _unreadable(path, error) from None
    return samples[lead:], rate


def _unreadable(path: Path, error: Exception) -> AudioError:
    if not path.exists():
        return AudioError(f"{path}: no such audio file")
    if path.is_dir():
        return AudioError(f"{path}: a folder, expected an audio file")
    if path.stat().st_size == 0:
        return AudioError(f"{path}: empty file")
    reason = " ".join(str(getattr(error, "error_string", error)).split())
    return AudioError(f"{path}: cannot be read as audio ({reason})")


def _fit(samples: Waveform, length: int) -> Waveform:
    if len(samples) >= length:
        return np.ascontiguousarray(samples[:length], dtype=np.float32)
    return np.pad(samples, (0, length - len(samples))).astype(np.float32)
