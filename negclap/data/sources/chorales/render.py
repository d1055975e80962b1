"""Render arrangements: each stem is rendered alone, normalised in level, and mixed."""

import io
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from pathlib import Path

import mido
import numpy as np
import pretty_midi
import soundfile as sf
import soxr
from midirenderer import render_wave_from

from negclap.audio import Waveform
from negclap.data.sources.chorales.arrangement import (
    CLIP_S,
    EXTRA_PROGRAMS,
    PROGRAMS,
    Arrangement,
    Dynamics,
    Stem,
    stem_notes,
)
from negclap.data.sources.chorales.scores import Note, Score
from negclap.errors import InputError
from negclap.rng import stream

SAMPLE_RATE = 16_000
_TICKS_PER_BEAT = 480
_BEATS_PER_S = 2  # of a MIDI file without its own tempo
_DRUM_CHANNEL = 9
_KICK, _SNARE, _HAT = 36, 38, 42
_STEM_RMS = 0.05  # programs differ by tens of dB, so stems are normalised, up to the jitter
_JITTER_DB = 2.0
_GAIN_DB: dict[Dynamics, float] = {"quiet": -24.0, "medium": -14.0, "loud": -4.0}
_VELOCITY: dict[Dynamics, int] = {"quiet": 45, "medium": 80, "loud": 115}
_PEAK = 0.98


SOUNDFONT = Path(pretty_midi.__file__).parent / "TimGM6mb.sf2"
"""The default SoundFont, from `pretty_midi`."""


@cache
def _soundfont(path: Path) -> bytes:
    return path.read_bytes()


def render(
    score: Score, arrangement: Arrangement, key: str, soundfonts: Sequence[Path] = (SOUNDFONT,)
) -> Waveform:
    """Render `CLIP_S` seconds of mono audio at `SAMPLE_RATE`.

    ``key`` is the seed of the level jitter and of the choice of a SoundFont for each stem.
    """
    stems = []
    for stem in arrangement.stems:
        soundfont = stream(key, "soundfont", stem.tag).choice(soundfonts)
        stems.append(_level(_render_stem(score, arrangement, stem, soundfont), key, stem.tag))
    gain = 10 ** (_GAIN_DB[arrangement.dynamics] / 20) / np.sqrt(len(stems))
    mix = np.stack(stems).astype(np.float64).sum(axis=0) * gain
    loudest = float(np.abs(mix).max())
    limited: Waveform = (mix * min(1.0, _PEAK / loudest)).astype(np.float32)
    return limited


def _render_stem(score: Score, arrangement: Arrangement, stem: Stem, soundfont: Path) -> Waveform:
    velocity = _VELOCITY[arrangement.dynamics]
    if stem.tag == "drums":
        return _synthesise_drums(
            _midi(_drum_notes(arrangement), velocity, _DRUM_CHANNEL, 0), soundfont
        )
    program = (PROGRAMS | EXTRA_PROGRAMS)[stem.tag]
    notes = stem_notes(score, arrangement, stem)
    return _synthesise_part(_midi(notes, velocity, 0, program), soundfont)


def _midi(notes: Iterable[Note], velocity: int, channel: int, program: int) -> bytes:
    beats = (
        (_BEATS_PER_S * at, _BEATS_PER_S * for_s, pitch, velocity) for at, for_s, pitch in notes
    )
    return midi_bytes(beats, channel, program)


def _synthesise(midi: bytes, soundfont: Path) -> Waveform:
    wave = render_wave_from(_soundfont(soundfont), midi)
    stereo, rate = sf.read(io.BytesIO(wave), dtype="float32")
    # Four times as fast as `mean`, and equal to the bit.
    middle = (stereo[:, 0] + stereo[:, 1]) * np.float32(0.5)
    mono = soxr.resample(middle, rate, SAMPLE_RATE)
    length = round(CLIP_S * SAMPLE_RATE)
    padded: Waveform = np.pad(mono, (0, max(0, length - len(mono))))[:length]
    return padded


_synthesise_part = lru_cache(maxsize=16)(_synthesise)  # a clip and its twin share most parts
_synthesise_drums = lru_cache(maxsize=256)(_synthesise)  # 82 MB: tempos and dynamics are few


def _level(stem: Waveform, key: str, tag: str) -> Waveform:
    jitter_db = stream(key, "level", tag).uniform(-_JITTER_DB, _JITTER_DB)
    rms = float(np.sqrt(np.mean(np.square(stem, dtype=np.float64))))
    if rms == 0:  # other SoundFonts may lack programs
        raise InputError(f"clip {key}: {tag!r} is silent; the SoundFont lacks its program or notes")
    return stem * np.float32(_STEM_RMS * 10 ** (jitter_db / 20) / rms)


def _drum_notes(arrangement: Arrangement) -> list[Note]:
    """Return alternating kick and snare on the beats, and a hi-hat on every half beat."""
    half_beat = 30 / arrangement.bpm
    pattern = ((_HAT, _KICK), (_HAT,), (_HAT, _SNARE), (_HAT,))
    return [
        (index * half_beat, 0.1, pitch)
        for index in range(int(CLIP_S / half_beat))
        for pitch in pattern[index % 4]
    ]


def midi_bytes(
    notes: Iterable[tuple[float, float, int, int]], channel: int, program: int, tempo: float = 120.0
) -> bytes:
    """Return a MIDI file of one track.

    Args:
        notes: Onset and duration in beats, pitch and velocity.
        channel: Its channel.
        program: Its program.
        tempo: Beats per minute.
    """
    events: list[tuple[int, int, int]] = []
    for onset, duration, pitch, velocity in notes:
        start = round(onset * _TICKS_PER_BEAT)
        events.append((start, velocity, pitch))
        events.append((start + max(1, round(duration * _TICKS_PER_BEAT)), 0, pitch))
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(tempo))])
    track.append(mido.Message("program_change", channel=channel, program=program))
    now = 0
    for tick, level, pitch in sorted(events):
        parameters = {"note": pitch, "velocity": level, "time": tick - now}
        track.append(mido.Message("note_on", channel=channel, **parameters))
        now = tick
    buffer = io.BytesIO()
    mido.MidiFile(ticks_per_beat=_TICKS_PER_BEAT, tracks=[track]).save(file=buffer)
    return buffer.getvalue()
