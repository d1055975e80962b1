"""Draw mixes of stems, and what texts may claim about them.

A part of a mix is what one song has of one kind ("vocals"). The number of parts is drawn before
their kinds, and all kinds are equally likely, so that the number says nothing about the tags.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from negclap.data.stems.songs import FRAME_S, SILENT_DB, Contents, Song, Stem
from negclap.errors import InputError
from negclap.text.vocabulary import Vocabulary

PRESENT_DB = -20.0
"""A part is audible in a frame if its level is at most this far below the mix's."""
PRESENT_S = 1.0
"""A part that is audible for this long is present."""
ABSENT_DB = -50.0
"""A part that never exceeds this level, relative to the mix, is absent; between is unknown."""
_ACTIVE_DB = -30.0  # of a stem's loudest frame
_ACTIVE_SHARE = 0.5  # of the frames of an excerpt
_QUIET_DB = -60.0  # of full scale: a noise floor
_LIKE_TEMPO = 0.06
_TRIES = 8

Levels = NDArray[np.float64]


@dataclass(frozen=True)
class Mixing:
    """How training mixes are drawn.

    Attributes:
        mixes: Mixes per epoch.
        most_parts: Most parts of a mix.
        kinds: Kinds of parts to draw; all if there are none.
        together: Probability that a part is of the first part's song, if that has one.
        level_db: Standard deviation of a part's level, dB.
        loudness_db: Mixes are up to this much louder or quieter than -20 LUFS, dB.
        semitones: The speed of a mix is changed by up to this many semitones.
        equalise: Probability of a random equaliser.
        room: Probability of a random room.
        compress: Probability of a random compressor.
        code: Probability of a lossy codec.
    """

    mixes: int = 8192
    most_parts: int = 5
    kinds: tuple[str, ...] = ()
    together: float = 0.6
    level_db: float = 4.0
    loudness_db: float = 9.0
    semitones: float = 1.0
    equalise: float = 0.5
    room: float = 0.3
    compress: float = 0.3
    code: float = 0.2

    def __post_init__(self) -> None:
        """Check the values."""
        for name in ("mixes", "most_parts"):
            if getattr(self, name) < 1:
                raise InputError(f"mixing.{name} is {getattr(self, name)}, expected at least 1")
        for name in ("together", "equalise", "room", "compress", "code"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"mixing.{name} is {getattr(self, name)}, expected 0 to 1")
        for name in ("level_db", "loudness_db", "semitones"):
            if getattr(self, name) < 0:
                raise InputError(f"mixing.{name} is {getattr(self, name)}, expected at least 0")


class Part(NamedTuple):
    """Stems of one song that are played together.

    Attributes:
        song: The song.
        kind: Their first tag.
        stems: The stems.
        start: First frame of the excerpt.
        gain_db: Their gain.
    """

    song: Song
    kind: str
    stems: tuple[Stem, ...]
    start: int
    gain_db: float


class Claims(NamedTuple):
    """The tags that a mix has, and those that it lacks; the others are unknown."""

    present: tuple[str, ...]
    absent: tuple[str, ...]


def kinds_of(song: Song) -> dict[str, tuple[Stem, ...]]:
    """Return the stems of a song by kind; the kind of stems without tags is ""."""
    found: dict[str, list[Stem]] = {}
    for stem in song.stems:
        found.setdefault((*stem.contents.tags, "")[0], []).append(stem)
    return {kind: tuple(stems) for kind, stems in found.items()}


def level_of(stems: Iterable[Stem]) -> Levels:
    """Return the level of stems together in each frame, dB."""
    all_levels = [stem.levels for stem in stems]
    power = np.zeros(max(map(len, all_levels)))
    for levels in all_levels:
        power[: len(levels)] += 10 ** (levels / 10)
    return 10 * np.log10(power + 10 ** (SILENT_DB / 10))


def active_starts(levels: Levels, frames: int) -> NDArray[np.int64]:
    """Return the first frames of excerpts that are active for at least half of their frames."""
    if len(levels) < frames:
        return np.empty(0, np.int64)
    active = levels >= max(levels.max() + _ACTIVE_DB, _QUIET_DB)
    counts = np.convolve(active, np.ones(frames), "valid")
    return np.flatnonzero(counts >= _ACTIVE_SHARE * frames)


@dataclass(frozen=True)
class Mixer:
    """Draws mixes from the songs of a split.

    Attributes:
        songs: The songs.
        vocabulary: The tags.
        frames: Frames of a mix.
        sure: Frames that are in the mix at any speed; None if all are.

    Raises:
        InputError: If no song has a stem with a tag.
    """

    songs: tuple[Song, ...]
    vocabulary: Vocabulary
    frames: int
    sure: int | None = None

    def __post_init__(self) -> None:
        """Check that there is something to mix."""
        if not self.kinds:
            raise InputError(
                f"none of {len(self.songs)} songs has a stem with a tag that is active for "
                f"{self.frames * FRAME_S:g} s"
            )

    @cached_property
    def _usable(self) -> dict[str, dict[str, list[tuple[Song, tuple[Stem, ...]]]]]:
        """Song and stems by kind and group, of all that have active excerpts."""
        found: dict[str, dict[str, list[tuple[Song, tuple[Stem, ...]]]]] = {}
        for song in self.songs:
            for kind, stems in kinds_of(song).items():
                if len(active_starts(level_of(stems), self.frames)):
                    groups = found.setdefault(kind, {})
                    groups.setdefault(song.group, []).append((song, stems))
        return found

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of parts, without the stems that have no tag."""
        return tuple(sorted(kind for kind in self._usable if kind))

    def draw(self, mixing: Mixing, rng: random.Random) -> tuple[Part, ...]:
        """Draw the parts of a mix, with random levels."""
        usable = sorted({*self._usable} & {*mixing.kinds} if mixing.kinds else self._usable)
        count = rng.randint(1, min(mixing.most_parts, len(usable)))
        kinds = rng.sample(usable, count)
        if not any(kinds):
            kinds = [rng.choice(self.kinds)]
        parts: list[Part] = []
        for kind in sorted(kinds, key=lambda kind: not kind):  # one with a tag comes first
            first = parts[0] if parts and rng.random() < mixing.together else None
            part = self.part(kind, rng, first, parts[0].song.tempo if parts else None)
            parts.append(levelled(part, self.frames, rng.gauss(0.0, mixing.level_db)))
        return tuple(parts)

    def part(
        self,
        kind: str,
        rng: random.Random,
        beside: Part | None = None,
        tempo: float | None = None,
    ) -> Part:
        """Draw a part of a kind: of the song of ``beside``, at its place, if that is possible.

        Otherwise its song has about this tempo, if one is known. Groups are equally likely.
        """
        if beside and (part := self.same_song(kind, beside)):
            return part
        groups = self._usable[kind]
        for _ in range(_TRIES):
            song, stems = rng.choice(groups[rng.choice(sorted(groups))])
            if not tempo or not song.tempo or abs(song.tempo / tempo - 1) < _LIKE_TEMPO:
                break
        starts = active_starts(level_of(stems), self.frames)
        return Part(song, kind, stems, int(rng.choice(starts)), 0.0)

    def same_song(self, kind: str, part: Part) -> Part | None:
        """Return the part of another kind at the same place, if the song has it there."""
        stems = kinds_of(part.song).get(kind)
        if not stems or part.start not in active_starts(level_of(stems), self.frames):
            return None
        return Part(part.song, kind, stems, part.start, part.gain_db)

    def claims(self, parts: Sequence[Part]) -> Claims:
        """Return what is known of a mix from the levels of its parts."""
        levels = [excerpt_level(part, self.frames) for part in parts]
        power = np.sum([10 ** (level / 10) for level in levels], axis=0)
        mix, mean = 10 * np.log10(power), 10 * np.log10(power.mean())
        present: dict[str, None] = {}
        unknown: set[str] = set()
        for part, level in zip(parts, levels, strict=True):
            if (level < mean + ABSENT_DB).all():
                continue
            audible = (level >= np.maximum(mix, mean - 10) + PRESENT_DB)[: self.sure]
            for stem in part.stems:
                if audible.sum() * FRAME_S >= PRESENT_S:
                    present |= dict.fromkeys(stem.contents.tags)
                else:
                    unknown.update(stem.contents.tags)
                unknown |= self._hidden[stem.contents]
        present |= dict.fromkeys(above for tag in present for above in self._above(tag))
        unknown.update(*map(self._above, unknown))
        names = self.vocabulary.names
        absent = tuple(name for name in names if name not in present and name not in unknown)
        return Claims(tuple(name for name in names if name in present), absent)

    @cached_property
    def _hidden(self) -> Mapping[Contents, frozenset[str]]:
        """By contents of a stem: the tags that it may have besides its own."""
        every = {stem.contents for song in self.songs for stem in song.stems}
        return {contents: self._may_have(contents) for contents in every}

    def _may_have(self, contents: Contents) -> frozenset[str]:
        tags = self.vocabulary.names if "*" in contents.hides else contents.hides
        lacks = {*contents.lacks, *self._below(contents.lacks)}
        return frozenset(({*tags} - lacks) | self._below(contents.tags))

    def _below(self, tags: Iterable[str]) -> set[str]:
        related = ((tag, name) for tag in tags for name in self.vocabulary.related(tag))
        return {name for tag, name in related if tag in self._above(name)}

    def _above(self, tag: str) -> frozenset[str]:
        return self.vocabulary.ancestors(tag) if tag in self.vocabulary else frozenset()


def excerpt_level(part: Part, frames: int) -> Levels:
    """Return the level of a part in each frame of its excerpt, dB."""
    levels = level_of(part.stems)[part.start : part.start + frames]
    silent = np.full(frames - len(levels), float(SILENT_DB))
    return np.concatenate((levels, silent)) + part.gain_db


def levelled(part: Part, frames: int, level_db: float) -> Part:
    """Return the part with a gain that gives its active frames a mean level."""
    levels = excerpt_level(part, frames) - part.gain_db
    active = levels[levels >= levels.max() + _ACTIVE_DB]
    return part._replace(gain_db=level_db - 10 * float(np.log10(np.mean(10 ** (active / 10)))))
