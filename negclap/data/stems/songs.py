"""Songs and their stems: ``stems.jsonl``, one song per line, next to the audio of the stems."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from negclap.errors import InputError
from negclap.storage import atomic_write

FRAME_S = 0.5
"""Length of the frames whose levels are known, in seconds."""
SILENT_DB = -120


class Contents(NamedTuple):
    """What is in a stem.

    Attributes:
        tags: What it contains.
        hides: What it may contain besides; "*" stands for anything.
        lacks: What it surely does not contain.
    """

    tags: tuple[str, ...] = ()
    hides: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stem:
    """One recording of a song.

    Attributes:
        name: Its name in the source.
        audio: Its file, relative to the folder of ``stems.jsonl``: mono, 16 bit.
        contents: What it contains.
        levels_db: RMS level of each frame, dB of full scale.
    """

    name: str
    audio: str
    contents: Contents
    levels_db: tuple[int, ...]

    @cached_property
    def levels(self) -> NDArray[np.float64]:
        """The levels as an array."""
        return np.array(self.levels_db, dtype=np.float64)


@dataclass(frozen=True)
class Song:
    """A song: stems that begin together.

    Attributes:
        song_id: Unique in the set.
        group: Songs of a group (an artist, remixes) are in one split.
        split: Its split.
        tempo: Beats per minute; None if unknown.
        stems: Its stems.
    """

    song_id: str
    group: str
    split: str
    tempo: float | None
    stems: tuple[Stem, ...]


def write_songs(path: Path, songs: Iterable[Song]) -> None:
    """Write songs as JSON Lines with `atomic_write`."""
    with atomic_write(path) as file:
        for song in songs:
            file.write(json.dumps(asdict(song), ensure_ascii=False) + "\n")


def read_songs(path: Path) -> list[Song]:
    """Read what `write_songs` wrote.

    Raises:
        InputError: If the file is missing, or a line is no song; the message names the line.
    """
    if not path.is_file():
        raise InputError(f"{path}: not found, expected the songs of `negclap prepare stems`")
    with path.open(encoding="utf-8") as lines:
        return [_parse(line, f"{path}:{number}") for number, line in enumerate(lines, start=1)]


def _parse(line: str, where: str) -> Song:
    try:
        values: dict[str, Any] = json.loads(line)
        stems = tuple(
            Stem(name, audio, Contents(*map(tuple, contents)), tuple(levels))
            for name, audio, contents, levels in (stem.values() for stem in values.pop("stems"))
        )
        return Song(**values, stems=stems)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{where}: not a song ({error!r})") from None
