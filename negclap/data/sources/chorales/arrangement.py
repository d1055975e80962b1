"""The vocabulary of the built-in data set, and random arrangements of chorales.

An arrangement is a list of stems, one per instrument tag. It determines the tags exactly, so every
other tag of the vocabulary is absent.
"""

import random
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from negclap.data.sources.chorales.scores import N_PARTS, Note, Score
from negclap.text.vocabulary import Tag, Vocabulary

CLIP_S = 5.0
MIN_WINDOW_S = 4.0
"""The shortest excerpt for training; every tag is audible in all excerpts of this length."""
_MIN_SOUNDING_S = 1.0

Tempo = Literal["slow", "medium", "fast"]
Dynamics = Literal["quiet", "medium", "loud"]
Register = Literal["low-pitched", "middle", "high-pitched"]

PROGRAMS: dict[str, int] = {
    "piano": 0,
    "harpsichord": 6,
    "xylophone": 13,
    "organ": 19,
    "accordion": 21,
    "acoustic guitar": 24,
    "electric guitar": 30,
    "violin": 40,
    "trumpet": 56,
    "saxophone": 66,  # the alto (65) of the SoundFont lacks E4
    "flute": 73,
    "synthesizer": 81,
}
"""General MIDI programs (numbered from 0) of the melodic instruments."""

EXTRA_PROGRAMS = {"vocals": 52, "bass guitar": 33}
EXTRA_PARTS: dict[str, tuple[int, ...]] = {"vocals": (0, 1), "bass guitar": (3,), "drums": ()}
"""Tags added to the melodic instruments, and the parts that they double."""

BPM: dict[Tempo, tuple[int, int]] = {"slow": (44, 56), "medium": (76, 96), "fast": (136, 164)}
_TRANSPOSE: dict[Register, int] = {"low-pitched": -12, "middle": 0, "high-pitched": 12}
_LOWEST_PITCH = {"bass guitar": 28}  # its open E string
_DEFAULT_LOWEST_PITCH = 21

_ALIASES = {
    "organ": ("pipe organ",),
    "drums": ("drum", "drum kit"),
    "vocals": ("vocal", "singing", "choir"),
    "bass guitar": ("electric bass",),
    "synthesizer": ("synth",),
    "saxophone": ("sax",),
    "violin": ("fiddle",),
    "high-pitched": ("high register",),
    "low-pitched": ("low register",),
}
_BROADER = {
    "acoustic guitar": ("guitar",),
    "electric guitar": ("guitar",),
    "flute": ("woodwind",),
    "saxophone": ("woodwind",),
}
_ADJECTIVES = {
    "dynamics": ("quiet", "loud"),
    "tempo": ("slow", "fast"),
    "register": ("low-pitched", "high-pitched"),
    "articulation": ("staccato",),
}


def _noun(name: str, category: str) -> Tag:
    return Tag(name, category, "noun", _ALIASES.get(name, ()), _BROADER.get(name, ()))


VOCABULARY = Vocabulary(
    tags=(
        *(_noun(name, "instrument") for name in (*PROGRAMS, *EXTRA_PARTS)),
        *(_noun(name, "instrument family") for name in ("guitar", "woodwind")),
        *(
            Tag(name, category, "adjective", _ALIASES.get(name, ()))
            for category, names in _ADJECTIVES.items()
            for name in names
        ),
    ),
    exclusive=frozenset({"dynamics", "tempo", "register"}),
)


@dataclass(frozen=True, slots=True)
class Stem:
    """An instrument tag and the parts that it plays (0 soprano to 3 bass); none for drums."""

    tag: str
    parts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Everything that determines the sound of a clip besides the notes.

    ``start`` is in quarter notes, ``bpm`` in quarter notes per minute, and ``transpose`` in
    semitones, in addition to the octave of the register. ``mode`` is not a tag, because it is
    inaudible in a clip of a few seconds (a supervised classifier stays at chance).
    """

    score: str
    mode: str
    start: float
    bpm: int
    transpose: int
    tempo: Tempo
    dynamics: Dynamics
    register: Register
    staccato: bool
    stems: tuple[Stem, ...]

    @property
    def tags(self) -> tuple[str, ...]:
        """All present tags, in the vocabulary's order."""
        present = {stem.tag for stem in self.stems} | {self.tempo, self.dynamics, self.register}
        present |= {"staccato"} if self.staccato else set()
        present |= {up for name in present if name in VOCABULARY for up in VOCABULARY[name].broader}
        return tuple(name for name in VOCABULARY.names if name in present)

    @property
    def absent_tags(self) -> tuple[str, ...]:
        """All other tags of the vocabulary."""
        present = set(self.tags)
        return tuple(name for name in VOCABULARY.names if name not in present)


def draw_arrangement(score: Score, rng: random.Random) -> Arrangement:
    """Draw an arrangement of a random excerpt in which every stem is audible."""
    while True:
        arrangement = _draw(score, rng)
        if _is_audible(score, arrangement):
            return arrangement


def _draw(score: Score, rng: random.Random) -> Arrangement:
    tempo: Tempo = rng.choice(("slow", "medium", "fast"))
    bpm = rng.randint(*BPM[tempo])
    latest = score.length - CLIP_S * bpm / 60 - 1
    stems = _draw_melodic(rng)
    stems += [
        Stem(tag, parts)
        for (tag, parts), share in zip(EXTRA_PARTS.items(), (0.35, 0.3, 0.4), strict=True)
        if rng.random() < share
    ]
    return Arrangement(
        score=score.name,
        mode=score.mode,
        start=float(rng.randint(0, max(0, int(latest)))),
        bpm=bpm,
        transpose=rng.randint(-3, 3),
        tempo=tempo,
        dynamics=rng.choice(("quiet", "medium", "loud")),
        register=rng.choice(("low-pitched", "middle", "high-pitched")),
        staccato=rng.random() < 0.3,
        stems=tuple(stems),
    )


def _draw_melodic(rng: random.Random) -> list[Stem]:
    """Draw one to three instruments that share the four parts, each with at least one."""
    instruments = rng.sample(sorted(PROGRAMS), rng.choices((1, 2, 3), (0.35, 0.45, 0.2))[0])
    parts = rng.sample(range(N_PARTS), N_PARTS)
    owners = [*range(len(instruments))]
    owners += [rng.randrange(len(instruments)) for _ in range(N_PARTS - len(instruments))]
    owned = sorted(zip(parts, owners, strict=True))
    return [
        Stem(name, tuple(part for part, owner in owned if owner == i))
        for i, name in enumerate(instruments)
    ]


def toggle(score: Score, arrangement: Arrangement, rng: random.Random) -> tuple[str, Arrangement]:
    """Draw the counterfactual twin: one toggled tag, and the arrangement with it toggled.

    Drums, vocals or bass guitar are added or removed, or a melodic instrument is removed, if it has
    no broader tag and is not the only one.
    """
    melodic = [stem.tag for stem in arrangement.stems if stem.tag in PROGRAMS]
    removable = [tag for tag in melodic if len(melodic) > 1 and not VOCABULARY[tag].broader]
    while True:
        tag = rng.choice([*EXTRA_PARTS, *removable])
        stems = tuple(stem for stem in arrangement.stems if stem.tag != tag)
        if len(stems) == len(arrangement.stems):
            stems += (Stem(tag, EXTRA_PARTS[tag]),)
        twin = replace(arrangement, stems=stems)
        if _is_audible(score, twin):
            return tag, twin


def stem_notes(score: Score, arrangement: Arrangement, stem: Stem) -> list[Note]:
    """Return the stem's notes in the clip: onset and duration in seconds, sounding MIDI pitch."""
    per_beat = 60 / arrangement.bpm
    shift = arrangement.transpose + _TRANSPOSE[arrangement.register]
    notes: list[Note] = []
    for part in stem.parts:
        for onset, duration, pitch in score.parts[part]:
            start = (onset - arrangement.start) * per_beat
            end = min(start + duration * per_beat, CLIP_S)
            start = max(start, 0.0)
            if end - start < 0.02:
                continue
            length = (end - start) * (0.3 if arrangement.staccato else 0.95)
            notes.append((start, length, _sounding_pitch(stem.tag, pitch, shift)))
    return notes


def _sounding_pitch(tag: str, pitch: int, shift: int) -> int:
    # The bass guitar plays an octave below the bass part in every register.
    pitch += -12 if tag == "bass guitar" else shift
    while pitch < _LOWEST_PITCH.get(tag, _DEFAULT_LOWEST_PITCH):
        pitch += 12
    return pitch


def _is_audible(score: Score, arrangement: Arrangement) -> bool:
    """Whether every stem sounds for at least 1 s in every window of `MIN_WINDOW_S` seconds."""
    step = 0.05
    window = np.ones(round(MIN_WINDOW_S / step))
    for stem in arrangement.stems:
        sounding = np.zeros(round(CLIP_S / step))
        for start, length, _ in stem_notes(score, arrangement, stem):
            held = length / 0.3 if arrangement.staccato else length  # staccato counts in full
            sounding[round(start / step) : round((start + held) / step)] = step
        seconds = np.convolve(sounding, window, "valid").min()
        if stem.tag != "drums" and seconds < _MIN_SOUNDING_S:
            return False
    return True
