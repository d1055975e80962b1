"""Read the chorales from the `music21` corpus as plain notes, cached as JSON."""

import itertools
import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from negclap.errors import InputError
from negclap.storage import atomic_write

Note = tuple[float, float, int]
"""Onset and duration in quarter notes, MIDI pitch."""

N_PARTS = 4
_MELODY_NOTES = 10  # soprano notes whose intervals identify a melody


@dataclass(frozen=True, slots=True)
class Score:
    """A four-part chorale: the corpus file's stem, the length in quarter notes, and the notes."""

    name: str
    mode: Literal["major", "minor"]
    length: float
    parts: tuple[tuple[Note, ...], ...]

    @property
    def melody(self) -> str:
        """The opening intervals of the soprano, equal for settings of one tune in any key."""
        pitches = [pitch for _, _, pitch in self.parts[0][:_MELODY_NOTES]]
        return " ".join(str(b - a) for a, b in itertools.pairwise(pitches))


def corpus_files() -> list[Path]:
    """Return the MusicXML files of Bach's works in the corpus, sorted."""
    from music21 import corpus

    files = (Path(path) for path in corpus.getComposer("bach"))
    return sorted(path for path in files if path.suffix in {".mxl", ".xml", ".musicxml"})


def parse(path: Path) -> Score | None:
    """Read one file; None if it is not a four-part chorale or has no mode."""
    from music21 import converter, key

    score = converter.parse(path)
    if len(score.parts) != N_PARTS:
        return None
    keys = score.parts[0].recurse().getElementsByClass(key.Key)
    mode = keys[0].mode if keys else None
    parts = tuple(tuple(_notes(part)) for part in score.parts)
    if mode not in {"major", "minor"} or not all(parts):
        return None
    return Score(path.stem, mode, float(score.highestTime), parts)


def _notes(part: Any) -> Iterator[Note]:
    for element in part.stripTies().flatten().notes:
        duration = float(element.quarterLength)
        if duration > 0:  # grace notes have none
            for pitch in element.pitches:
                yield (float(element.offset), duration, int(pitch.midi))


def load_scores(cache: Path, files: list[Path], jobs: int) -> Iterator[Score | None]:
    """Yield a score per file, parsed by ``jobs`` processes; ``cache`` is written at the end."""
    names = [path.stem for path in files]
    if cache.is_file():
        yield from _read_cache(cache, names)
        return
    entries: list[dict[str, Any] | None] = []
    with ProcessPoolExecutor(jobs) as pool:
        for score in pool.map(parse, files, chunksize=4):
            entries.append(asdict(score) if score else None)
            yield score
    with atomic_write(cache) as file:
        file.write(json.dumps({"files": names, "scores": entries}))


def _read_cache(cache: Path, names: list[str]) -> list[Score | None]:
    try:
        data = json.loads(cache.read_text(encoding="utf-8"))
        if data["files"] != names:
            raise InputError(
                f"{cache}: built from other chorales; delete it or choose another folder"
            )
        return [_score(entry) if entry else None for entry in data["scores"]]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise InputError(f"{cache}: invalid ({error!r}); delete it") from None


def _score(entry: dict[str, Any]) -> Score:
    parts = tuple(tuple((o, d, p) for o, d, p in part) for part in entry["parts"])
    return Score(entry["name"], entry["mode"], entry["length"], parts)
