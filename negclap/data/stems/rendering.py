"""Compute the audio of a mix."""

import io
import math
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyloudnorm
import soundfile as sf
from scipy.signal import fftconvolve, lfilter

from negclap.audio import AudioError, Waveform, resample
from negclap.data.stems.mixing import Mixing, Part
from negclap.data.stems.songs import FRAME_S

LOUDNESS = -20.0
"""Loudness of mixes, LUFS."""
_PEAK = 0.999
_EQUALISER_DB = 9.0
_ROOM_S = (0.15, 0.9)  # reverberation time
_CODECS: dict[tuple[str, str], tuple[int, ...]] = {
    ("OGG", "VORBIS"): (),
    ("MP3", "MPEG_LAYER_III"): (8000, 12000, 16000, 24000, 32000, 48000, 11025, 22050, 44100),
    ("OGG", "OPUS"): (8000, 12000, 16000, 24000, 48000),
}
"""Lossy codecs, and the sample rates in Hz that they take; none if any."""


def render(parts: Sequence[Part], root: Path, seconds: float, rate: int) -> Waveform:
    """Return ``(samples,)`` of a mix at a sample rate in Hz, of equal loudness for all mixes.

    Raises:
        AudioError: If the file of a stem is missing or broken.
    """
    return loud(_sum(parts, root, seconds, rate, 1.0), rate, LOUDNESS)


def render_varied(
    parts: Sequence[Part], root: Path, seconds: float, rate: int, mixing: Mixing, rng: random.Random
) -> Waveform:
    """Return a mix as a recording may have it; see `render` and `Mixing`.

    Its speed, equaliser, room, dynamics, codec and loudness are random.
    """
    speed = 2 ** (rng.uniform(-mixing.semitones, mixing.semitones) / 12)
    mix = _sum(parts, root, seconds, rate, speed)
    if rng.random() < mixing.equalise:
        mix = equalised(mix, rate, rng)
    if rng.random() < mixing.room:
        mix = in_room(mix, rate, rng)
    if rng.random() < mixing.compress:
        mix = compressed(mix, rate, rng)
    mix = loud(mix, rate, LOUDNESS + rng.uniform(-mixing.loudness_db, mixing.loudness_db))
    return coded(mix, rate, rng) if rng.random() < mixing.code else mix


def _sum(parts: Sequence[Part], root: Path, seconds: float, rate: int, speed: float) -> Waveform:
    sums: dict[
        int, Waveform
    ] = {}  # by sample rate: `prepare` writes one, and each is resampled once
    for part in parts:
        gain = np.float32(10 ** (part.gain_db / 20))
        for stem in part.stems:
            samples, own = _read(root / stem.audio, part.start * FRAME_S, seconds * speed)
            whole = sums.setdefault(own, np.zeros(math.ceil(seconds * speed * own), np.float32))
            whole[: len(samples)] += gain * samples
    length = round(seconds * rate)
    mix = np.zeros(length, np.float32)
    for own, whole in sums.items():
        resampled = resample(whole, round(own * speed), rate)[:length]
        mix[: len(resampled)] += resampled
    return mix


def _read(path: Path, start_s: float, seconds: float) -> tuple[Waveform, int]:
    """Return at most so many seconds of a stem, and its sample rate."""
    try:
        with sf.SoundFile(path) as file:
            rate: int = file.samplerate
            file.seek(min(round(start_s * rate), file.frames))
            samples: Waveform = file.read(math.ceil(seconds * rate), dtype="float32")
    except (sf.LibsndfileError, RuntimeError, OSError) as error:
        raise AudioError(f"{path}: cannot be read as audio ({error})") from None
    return samples, rate


def loud(mix: Waveform, rate: int, lufs: float) -> Waveform:
    """Return a mix of a loudness; quieter if its peaks would clip."""
    meter = pyloudnorm.Meter(rate)
    measured = meter.integrated_loudness(mix.astype(np.float64))
    if not math.isfinite(measured):  # below the gate of -70 LUFS
        measured = 20 * math.log10(float(np.sqrt(np.mean(mix**2))) + 1e-9)
    peak = float(np.abs(mix).max(initial=0.0)) + 1e-9
    gain = min(10 ** ((lufs - measured) / 20), _PEAK / peak)
    scaled: Waveform = (mix * gain).astype(np.float32)
    return scaled


def equalised(mix: Waveform, rate: int, rng: random.Random) -> Waveform:
    """Return a mix after up to three random peaks or dips, the cookbook's peaking filters."""
    for _ in range(rng.randint(1, 3)):
        centre = min(math.exp(rng.uniform(math.log(60), math.log(7000))), 0.45 * rate)
        amplitude = 10 ** (rng.uniform(-_EQUALISER_DB, _EQUALISER_DB) / 40)
        angle = 2 * math.pi * centre / rate
        alpha = math.sin(angle) / (2 * rng.uniform(0.4, 1.5))
        middle = -2 * math.cos(angle)
        numerator = (1 + alpha * amplitude, middle, 1 - alpha * amplitude)
        denominator = (1 + alpha / amplitude, middle, 1 - alpha / amplitude)
        filtered: Waveform = lfilter(numerator, denominator, mix).astype(np.float32)
        mix = filtered
    return mix


def in_room(mix: Waveform, rate: int, rng: random.Random) -> Waveform:
    """Return a mix with the reverberation of a random room: noise that decays."""
    decay_s = rng.uniform(*_ROOM_S)
    at = np.arange(round(decay_s * rate))
    noise = np.random.default_rng(rng.getrandbits(32)).standard_normal(len(at))
    reverberation = noise * 10 ** (-3 * at / len(at))
    reverberation *= 10 ** (rng.uniform(-15, -3) / 20) / np.sqrt(np.sum(reverberation**2))
    wet: Waveform = fftconvolve(mix, reverberation)[: len(mix)].astype(np.float32)
    return mix + wet


def compressed(mix: Waveform, rate: int, rng: random.Random) -> Waveform:
    """Return a mix after a random compressor, and a soft limit in half of the cases.

    Levels above a threshold, from 20 dB below the mix's level to that level, rise by a half to a
    tenth.
    """
    memory = math.exp(-1 / (rng.uniform(0.01, 0.1) * rate))
    power = lfilter((1 - memory,), (1, -memory), mix.astype(np.float64) ** 2)
    level = 10 * np.log10(power + 1e-10)
    threshold = 10 * math.log10(float(np.mean(power)) + 1e-10) + rng.uniform(-20, 0)
    over = np.maximum(level - threshold, 0)
    changed: Waveform = (mix * 10 ** (-over * rng.uniform(0.5, 0.9) / 20)).astype(np.float32)
    if rng.random() < 0.5:
        height = rng.uniform(1, 4) * float(np.sqrt(np.mean(changed**2))) + 1e-9
        changed = height * np.tanh(changed / height)
    return changed


def coded(mix: Waveform, rate: int, rng: random.Random) -> Waveform:
    """Return a mix after a lossy codec (MP3, Vorbis or Opus) at a random quality."""
    possible = [codec for codec, rates in _CODECS.items() if not rates or rate in rates]
    form, subtype = rng.choice(possible)
    data = io.BytesIO()
    with sf.SoundFile(
        data, "w", rate, 1, subtype, format=form, compression_level=rng.uniform(0.1, 0.95)
    ) as file:
        file.write(mix)
    data.seek(0)
    samples: Waveform = sf.read(data, dtype="float32")[0][: len(mix)]
    return np.pad(samples, (0, len(mix) - len(samples)))
