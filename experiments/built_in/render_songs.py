"""Render songs of our own as stems: guitars, basses, drums and more.

    python experiments/built_in/render_songs.py OUT --soundfont A.sf2 B.sf2 --songs 160
    python experiments/built_in/render_songs.py OUT --soundfont A.sf2 B.sf2 --songs 200 --sfz FOLDER

SoundFonts play all parts; with ``--sfz``, sampled instruments play most guitars and basses,
and the first 20 songs by other ones than the rest, so that they can be a test.

Chords, patterns and sounds are drawn at random; a song is a folder of stems for `negclap prepare
stems`. Debian's fluid-soundfont-gm and musescore-general-soundfont-lossless have MIT's licence.
"""

import argparse
import io
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import soundfile as sf
from midirenderer import render_wave_from
from sampled import choose, play_sampled
from scipy.signal import butter, sosfilt

from negclap.audio import resample
from negclap.data.sources.chorales.render import midi_bytes
from negclap.progress import progress
from negclap.rng import stream

RATE = 22_050
BARS = 16
SAMPLED = 0.9  # share of guitars and basses on sampled instruments
TEST_SONGS = 20  # with other sampled instruments
_DRUM_CHANNEL = 9
_SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 3, 5, 7, 9, 10))
_STANDARD_TUNING = (40, 45, 50, 55, 59, 64)
_KICK, _SNARE, _SIDE, _HAT, _OPEN, _RIDE, _CRASH, _TOMS = 36, 38, 37, 42, 46, 51, 49, (41, 45, 48)

Note = tuple[float, float, int, int]
"""Onset and duration in beats, pitch, velocity."""


@dataclass(frozen=True)
class Score:
    """What all players know: tempo, and a chord (scale degrees as pitch classes) per bar."""

    tempo: float
    chords: tuple[tuple[int, ...], ...]
    scale: tuple[int, ...]


@dataclass(frozen=True)
class Player:
    """A part: its programs, what it plays, and the sound of its amplifier."""

    programs: tuple[int, ...]
    play: Callable[[Score, random.Random], list[Note]]
    drive: tuple[float, float] | None = None


def draw_score(rng: random.Random) -> Score:
    """Draw tempo, key and chords."""
    root, scale = rng.randrange(12), rng.choice(_SCALES)
    notes = [(root + step) % 12 for step in scale]
    size = 4 if rng.random() < 0.25 else 3
    turn = [
        tuple(notes[(degree + 2 * i) % 7] for i in range(size))
        for degree in rng.choices(range(7), (6, 2, 2, 4, 4, 3, 1), k=rng.choice((2, 4, 4, 8)))
    ]
    chords = tuple(turn[bar % len(turn)] for bar in range(BARS))
    return Score(rng.uniform(68, 168), chords, tuple(notes))


def near(pitch_class: int, low: int) -> int:
    """Return the lowest pitch of a class from ``low`` on."""
    return low + (pitch_class - low) % 12


def voicing(chord: Sequence[int], strings: int, capo: int) -> list[int]:
    """Return a guitar's chord: on each string the nearest tone of the chord."""
    return [min(near(c, open_ + capo) for c in chord) for open_ in _STANDARD_TUNING[-strings:]]


def strum(score: Score, rng: random.Random) -> list[Note]:
    """Strum full chords in a pattern of eighths."""
    hits = sorted({0, *(i for i in range(8) if rng.random() < rng.choice((0.3, 0.6, 0.9)))})
    capo, strings, sweep = rng.randint(0, 5), rng.choice((4, 5, 6)), rng.uniform(0.01, 0.06)
    notes = []
    for bar, chord in enumerate(score.chords):
        pitches = voicing(chord, strings, capo)
        for number, hit in enumerate(hits):
            up = hit % 2 == 1
            end = hits[number + 1] if number + 1 < len(hits) else 8
            for place, pitch in enumerate(reversed(pitches) if up else pitches):
                at = 4 * bar + hit / 2 + place * sweep
                velocity = rng.randint(60, 90) - 12 * up
                notes.append((at, (end - hit) / 2 * rng.uniform(0.5, 1.0), pitch, velocity))
    return notes


def pick(score: Score, rng: random.Random) -> list[Note]:
    """Pick broken chords, string by string."""
    step, capo = rng.choice((0.25, 0.5, 0.5)), rng.randint(0, 5)
    order = [rng.randrange(1, 6) for _ in range(round(4 / step))]
    notes = []
    for bar, chord in enumerate(score.chords):
        pitches = voicing(chord, 6, capo)
        for i, string in enumerate([0, *order[1:]]):
            notes.append((4 * bar + i * step, 1.5, pitches[string], rng.randint(55, 90)))
    return notes


def riff(score: Score, rng: random.Random) -> list[Note]:
    """Play power chords in a rhythm of eighths or sixteenths."""
    step = rng.choice((0.25, 0.5, 0.5))
    rhythm = [rng.random() < 0.75 for _ in range(round(4 / step))]
    low, muted = rng.choice((36, 38, 40)), rng.random() < 0.5
    notes = []
    for bar, chord in enumerate(score.chords):
        root = near(chord[0], low)
        for i, played in enumerate(rhythm):
            length = step * (0.4 if muted and i % 4 else 0.95)
            for pitch in (root, root + 7, root + 12) if played else ():
                notes.append((4 * bar + i * step, length, pitch, rng.randint(80, 110)))
    return notes


def melody(score: Score, rng: random.Random, low: int = 60) -> list[Note]:
    """Play a line of one voice in steps of the scale, with rests."""
    notes, at, degree = [], 0.0, rng.randrange(7)
    while at < 4 * BARS:
        length = rng.choice((0.25, 0.5, 0.5, 1.0, 1.0, 2.0))
        degree = max(-3, min(10, degree + rng.choice((-2, -1, -1, 1, 1, 2))))
        pitch = near(score.scale[degree % 7], low) + 12 * (degree // 7)
        if rng.random() < 0.85:
            notes.append((at, length * 0.95, pitch, rng.randint(70, 105)))
        at += length
    return notes


def low_melody(score: Score, rng: random.Random) -> list[Note]:
    """Play a melody in the register of a cello."""
    return melody(score, rng, 43)


def bass_line(score: Score, rng: random.Random) -> list[Note]:
    """Play roots, octaves and fifths."""
    step = rng.choice((0.5, 0.5, 1.0, 2.0))
    steps = [rng.choice((0, 0, 0, 7, 12)) for _ in range(round(4 / step))]
    played = [i == 0 or rng.random() < 0.8 for i in range(len(steps))]
    return [
        (4 * bar + i * step, step * rng.uniform(0.6, 1.0), near(chord[0], 28) + up, 95)
        for bar, chord in enumerate(score.chords)
        for i, up in enumerate([0, *steps[1:]])
        if played[i]
    ]


def hold(score: Score, rng: random.Random) -> list[Note]:
    """Hold chords."""
    low, step = rng.choice((48, 55, 60)), rng.choice((4, 4, 2))
    return [
        (4 * bar + beat, step * 0.98, near(tone, low), rng.randint(55, 90))
        for bar, chord in enumerate(score.chords)
        for beat in range(0, 4, step)
        for tone in chord
    ]


def comp(score: Score, rng: random.Random) -> list[Note]:
    """Play chords of the right hand over roots of the left."""
    hits = [i / 2 for i in range(8) if i == 0 or rng.random() < 0.45]
    notes = []
    for bar, chord in enumerate(score.chords):
        notes.append((4.0 * bar, 3.5, near(chord[0], 36), rng.randint(60, 90)))
        for hit in hits:
            length = rng.choice((0.4, 0.9, 1.5))
            tones = (near(tone, 57) for tone in chord)
            notes += [(4 * bar + hit, length, tone, rng.randint(55, 95)) for tone in tones]
    return notes


def beat(score: Score, rng: random.Random) -> list[Note]:
    """Play a drum pattern with fills."""
    step = rng.choice((0.25, 0.5, 0.5, 1.0))
    cymbal = rng.choice((_HAT, _HAT, _HAT, _RIDE, _OPEN))
    kicks = {0.0, *(i / 4 for i in range(16) if rng.random() < rng.choice((0.1, 0.25, 0.5)))}
    snares = {1.0, 3.0} if rng.random() < 0.8 else {2.0}
    snare = rng.choice((_SNARE, _SNARE, _SNARE, 40, _SIDE))
    hits: list[tuple[float, int, int]] = []
    for bar in range(BARS):
        start = 4.0 * bar
        hits += [(start + i * step, cymbal, rng.randint(50, 90)) for i in range(round(4 / step))]
        hits += [(start + at, _KICK, rng.randint(90, 120)) for at in sorted(kicks)]
        hits += [(start + at, snare, rng.randint(85, 120)) for at in sorted(snares)]
        if bar % 4 == 3:
            hits += [(start + 3 + i / 4, rng.choice((_SNARE, *_TOMS)), 100) for i in range(4)]
        if bar % 8 == 0:
            hits.append((start, _CRASH, 105))
    return [(at, 0.2, pitch, velocity) for at, pitch, velocity in hits]


PLAYERS = {
    "drums": (Player((0, 8, 16, 24, 25, 32, 40), beat),),
    "bass guitar": (Player((33, 34, 35, 36), bass_line), Player((33, 34), bass_line, (1, 6))),
    "synth bass": (Player((38, 39), bass_line),),
    "double bass": (Player((32,), bass_line),),
    "acoustic guitar": (Player((24, 25), strum), Player((24, 25), strum), Player((24, 25), pick)),
    "electric guitar": (
        *(Player((26, 27), pick), Player((26, 27, 28), strum), Player((27,), melody, (1, 5))),
        *(Player((26, 27), strum, (1, 5)), Player((26, 27, 28), riff, (2, 8))),
    ),
    "distorted guitar": (
        *(Player((26, 27, 28), riff, (15, 120)), Player((29, 30), riff, (1, 4))),
        *(Player((27, 28), riff, (15, 120)), Player((27, 29, 30), melody, (10, 60))),
    ),
    "piano": (Player((0, 1, 2), comp), Player((0, 1), pick)),
    "electric piano": (Player((4, 5), comp),),
    "organ": (Player((16, 17, 18, 19), hold), Player((16, 17, 18), comp)),
    "strings": (Player((48, 49), hold),),
    "violin": (Player((40,), melody),),
    "cello": (Player((42,), low_melody),),
    "brass": (Player((61,), comp), Player((61,), hold)),
    "trumpet": (Player((56,), melody),),
    "saxophone": (Player((64, 65, 66), melody),),
    "flute": (Player((73,), melody),),
    "synth pad": (Player((88, 89, 90, 91, 92, 93, 94, 95), hold),),
    "synth lead": (Player((80, 81, 82, 84), melody), Player((80, 81), pick)),
    "accordion": (Player((21,), comp), Player((21,), melody)),
    "banjo": (Player((105,), pick),),
    "harp": (Player((46,), pick),),
    "vibraphone": (Player((11,), melody), Player((11,), pick)),
}
_OFTEN = ("drums", "bass guitar", "acoustic guitar", "electric guitar", "distorted guitar", "piano")


@cache
def _read(path: Path) -> bytes:
    return path.read_bytes()


def amplified(sound: np.ndarray, rng: random.Random, drive: tuple[float, float]) -> np.ndarray:
    """Distort a sound and filter it as a loudspeaker does: the whole chord at once."""
    gain = np.exp(rng.uniform(*np.log(drive)))
    tight = sosfilt(butter(2, rng.uniform(60, 140), "high", fs=RATE, output="sos"), sound)
    loud = np.tanh(gain * tight / (np.abs(tight).max() + 1e-9) * 3)
    top = butter(3, rng.uniform(3000, 6500), "low", fs=RATE, output="sos")
    return sosfilt(top, loud).astype(np.float32)


def render_song(number: int, out: Path, soundfonts: Sequence[Path], sfz: Path | None) -> None:
    """Write the stems of a song."""
    rng = stream("sampled song" if sfz else "song", number)
    group = "test" if number < TEST_SONGS else "train"
    score = draw_score(rng)
    names = {name for name in _OFTEN if rng.random() < 0.6}
    names |= {*rng.sample(sorted(PLAYERS), rng.randint(2, 4))}
    for name in sorted(names):
        player = rng.choice(PLAYERS[name])
        notes = player.play(score, rng)
        sampled = choose(name, group, SAMPLED, rng) if sfz else None
        if sfz and sampled:
            sound, rate = play_sampled(sampled, sfz, notes, score.tempo)
        else:
            sound, rate = play_midi(name == "drums", player, notes, score, soundfonts, rng)
        sound = resample(sound, rate, RATE)
        if player.drive:
            sound = amplified(sound, rng, player.drive)
        peak = float(np.abs(sound).max())
        path = out / f"song-{number:04d}" / f"{name}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        if peak > 1e-4:  # some SoundFonts lack programs
            sf.write(path, 0.7 * sound / peak, RATE)


def play_midi(
    drums: bool,
    player: Player,
    notes: Sequence[Note],
    score: Score,
    soundfonts: Sequence[Path],
    rng: random.Random,
) -> tuple[np.ndarray, int]:
    """Return the sound of notes on a SoundFont, ``(samples,)``, and its rate."""
    channel = _DRUM_CHANNEL if drums else 0
    midi = midi_bytes(notes, channel, rng.choice(player.programs), score.tempo)
    wave = render_wave_from(_read(rng.choice(soundfonts)), midi)
    stereo, rate = sf.read(io.BytesIO(wave), dtype="float32")
    return stereo.mean(axis=1), rate


def main() -> None:
    """Render the songs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--soundfont", type=Path, nargs="+", required=True)
    parser.add_argument("--songs", type=int, default=160)
    parser.add_argument("--sfz", type=Path, help="folder of the instruments in sfz.yaml")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    soundfonts = tuple(options.soundfont)
    render = partial(render_song, out=options.out, soundfonts=soundfonts, sfz=options.sfz)
    # A process for each song: the random choices of sampled instruments begin with a process.
    with get_context("fork").Pool(options.jobs, maxtasksperchild=1) as pool:
        songs = pool.imap(render, range(options.songs), chunksize=1)
        for _ in progress("rendering songs", options.songs, songs):
            pass


if __name__ == "__main__":
    main()
