"""Length and excerpts of audio files. Only the excerpt is decoded."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from negclap.audio import ffmpeg, sndfile
from negclap.audio.files import (
    NPY_RATE,
    PCM,
    TOLERANCE_S,
    AudioError,
    SilenceError,
    Window,
    openable,
    pcm_rate,
    read_npy,
    window_of,
)
from negclap.audio.waveforms import (
    Allocate,
    Samples,
    Waveform,
    as_waveform,
    downmix,
    resample,
)
from negclap.storage import StorageError, read_range


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """The form of an audio file; ``duration_s`` in seconds, ``sample_rate`` in Hz."""

    sample_rate: int
    channels: int
    duration_s: float


def probe(location: str | Path) -> AudioInfo:
    """Return the form and the length of an audio file, or raise an `AudioError`.

    The length is that of the header if the file agrees with it, else it is measured.
    """
    if str(location).endswith(".npy"):
        return AudioInfo(NPY_RATE, 1, len(read_npy(location)) / NPY_RATE)
    window = window_of(location)
    if window and window.form.startswith(PCM):
        rate = pcm_rate(window)
        return AudioInfo(rate, 1, window.size / 2 / rate)
    source = openable(location)
    try:
        with sndfile.opened(location, source) as file:
            if sndfile.knows_length(file, source):
                return AudioInfo(file.samplerate, file.channels, file.frames / file.samplerate)
    except AudioError:  # a kind or a fault that only FFmpeg can cope with
        pass
    with ffmpeg.opened(location, source) as decoder:
        rate, channels = decoder.rate, decoder.channels
    length_s = ffmpeg.measure(location, source)
    if not length_s:
        raise AudioError(f"{location}: cannot be read as audio (no sound in it)")
    return AudioInfo(rate, channels, length_s)


def read_excerpt(
    location: str | Path, start_s: float, duration_s: float, sample_rate: int
) -> Waveform:
    """Like `read_samples`, as float32."""
    return as_waveform(read_samples(location, start_s, duration_s, sample_rate))


def read_samples(
    location: str | Path,
    start_s: float,
    duration_s: float,
    sample_rate: int,
    empty: Allocate = np.empty,
) -> Samples:
    """Decode ``duration_s`` seconds from ``start_s``, as mono at ``sample_rate``, in Hz.

    Channels are averaged; of channels that cancel out, the loudest is taken. Up to 50 ms missing at
    the end are padded with zeros, to exactly ``round(duration_s * sample_rate)`` samples. They are
    int16 if the file is 16-bit mono at this rate, which halves the data to transfer, else float32.
    Where the decoder can, it writes them into an array that ``empty`` returns.

    Raises:
        AudioError: If the file is missing or corrupt, ends too early, has NaN or infinite samples,
            or the excerpt is digital silence.
    """
    mono, rate = _decode(location, start_s, duration_s, sample_rate, empty)
    got_s = len(mono) / rate
    if got_s < duration_s - TOLERANCE_S:
        raise AudioError(
            f"{location}: too short, {got_s:.3f} s from {start_s:.3f} s, "
            f"expected {duration_s:.3f} s"
        )
    lowest, highest = mono.min(initial=0), mono.max(initial=0)  # NaN if there is one
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        raise AudioError(f"{location}: has NaN or infinite samples")
    if not (lowest or highest):
        raise SilenceError(f"{location}: silent for {duration_s:.3f} s from {start_s:.3f} s")
    if rate != sample_rate:
        mono = resample(as_waveform(mono), rate, sample_rate)
    missing = round(duration_s * sample_rate) - len(mono)
    if missing <= 0:
        return mono[: len(mono) + missing]
    return np.concatenate((mono, np.zeros(missing, mono.dtype)))


def _decode(
    location: str | Path, start_s: float, duration_s: float, wanted: int, empty: Allocate
) -> tuple[Samples, int]:
    """Return ``(samples,)`` and their rate in Hz; there are fewer where the file ends."""
    if str(location).endswith(".npy"):
        first, last = (round(at * NPY_RATE) for at in (start_s, start_s + duration_s))
        return np.array(read_npy(location)[first:last], dtype=np.float32), NPY_RATE
    window = window_of(location)
    if window and window.form.startswith(PCM):
        return _decode_pcm(window, start_s, duration_s)
    source = openable(location)
    try:
        with sndfile.opened(location, source) as file:
            samples = sndfile.read(file, start_s, duration_s, wanted, empty)
            if len(samples) >= (duration_s - TOLERANCE_S) * file.samplerate:
                return samples if samples.ndim == 1 else downmix(samples), file.samplerate
    except AudioError:  # as above
        pass
    return ffmpeg.read(location, source, start_s, duration_s, wanted), wanted


def _decode_pcm(window: Window, start_s: float, duration_s: float) -> tuple[Samples, int]:
    """Read only the bytes of the excerpt."""
    rate = pcm_rate(window)
    first = min(round(start_s * rate), window.size // 2)
    count = min(round(duration_s * rate), window.size // 2 - first)
    if count <= 0:
        return np.empty(0, np.int16), rate
    try:
        data = read_range(window.file, window.start + 2 * first, 2 * count)
    except StorageError as error:
        raise AudioError(str(error)) from None
    return np.frombuffer(bytearray(data), "<i2"), rate  # writable, as torch requires
