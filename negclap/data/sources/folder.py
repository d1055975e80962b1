"""A folder of music, with captions from a table, or with what is written inside the files."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import librosa
import mutagen

from negclap.audio import AudioError, probe, read_excerpt
from negclap.data.entries import Candidate, Entry, Rejection
from negclap.data.manifest import Caption
from negclap.data.tables import Row, find_files, read_csv, read_json_lines
from negclap.errors import InputError

SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".aif", ".aiff", ".npy")
_TEMPO_RATE = 22_050
_TEMPO_S = 60.0
_SLOW, _FAST = 80.0, 120.0  # beats per minute


@dataclass(frozen=True)
class Folder:
    """A folder of audio files (wav, flac, mp3, ogg, opus, aiff, npy), found at any depth.

    Bring: the folder as --audio. Captions come from a table, --captions: CSV with a column `file`
    (relative to the folder) and `caption`, and if you like `tags` (separated by ; or ,) and
    `split`; or JSON lines with the same names, `caption` or `captions`, `tags` a list. Without a
    table, the genre inside the files (ID3, Vorbis comments) and librosa's tempo estimate (slow
    below 80, fast above 120 beats a minute) are the tags, captions are written from them, and
    meta.estimated names what was estimated. Splits that the table does not give are drawn by
    folder, so that an album stays together.

    Args:
        captions: CSV or JSONL with captions; None takes what is inside the files.
    """

    captions: Path | None = None

    name: ClassVar[str] = "folder"
    writes_captions: ClassVar[bool] = True

    def entries(self, audio: str) -> Iterator[Entry | Rejection]:
        """All files of the folder, and all rows of the table."""
        root = Path(audio)
        if not root.is_dir():
            raise InputError(f"{root}: no folder there")
        if self.captions is None:
            yield from (_from_inside(root, file) for file in walk_audio(root))
            return
        told: set[str] = set()
        for row in _read_table(self.captions):
            entry = row if isinstance(row, Rejection) else _from_row(row)
            told |= {entry.track_id}
            yield entry
        for file in walk_audio(root):
            if file not in told:
                yield Rejection(str(root / file), file, "not in the table")


def walk_audio(root: Path) -> Iterator[str]:
    """Audio files relative to the root, in order; links to folders are not followed.

    Raises:
        InputError: If a folder cannot be read.
    """
    for folder, folders, files in os.walk(root, onerror=_refuse, followlinks=False):
        folders.sort()
        for name in sorted(files):
            if name.lower().endswith(SUFFIXES):
                yield str(Path(folder, name).relative_to(root))


def _refuse(error: OSError) -> None:
    raise InputError(f"{error.filename}: {error.strerror}")


def _read_table(path: Path) -> Iterator[Row | Rejection]:
    first, *more = find_files(path, [".csv", ".jsonl"])
    if more:
        raise InputError(f"{path}: {len(more) + 1} tables there, expected one")
    return _rows(first)


def _rows(path: Path) -> Iterator[Row | Rejection]:
    return read_csv(path, ["file", "caption"]) if path.suffix == ".csv" else read_json_lines(path)


def _listed(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.replace(";", ",").split(",") if part.strip())
    return tuple(str(part) for part in value) if isinstance(value, list) else ()


def _from_row(row: Row) -> Entry | Rejection:
    values = row.values
    named = values.get("file")
    if not isinstance(named, str) or not named.strip():
        return Rejection(row.place, "", "malformed row", "no file")
    file = os.path.normpath(named)
    texts = values.get("captions", [values.get("caption")])
    if not isinstance(texts, list):
        return Rejection(row.place, file, "malformed row", "captions is no list")
    return Entry(
        row.place,
        file,
        (Candidate(file),),
        tuple(Caption(str(text or ""), "human") for text in texts),
        _listed(values.get("tags")),
        str(values.get("split") or ""),
        group=_album(file),
    )


def _album(file: str) -> str:
    """The folder of a file; "" of one at the top, which belongs to no other."""
    return file.rpartition("/")[0]


def _from_inside(root: Path, file: str) -> Entry | Rejection:
    """Tags from what is written inside the file, and from its tempo."""
    path = root / file
    told = _read_inside(path)
    estimated = {"tempo": tempo} if (tempo := _estimate_tempo(path)) else {}
    genres = [part for value in told.get("genre", []) for part in _listed(value.replace("/", ","))]
    return Entry(
        str(path),
        file,
        (Candidate(file),),
        tags=(*genres, *estimated.values()),
        group=_album(file),
        categories=dict.fromkeys(genres, "genre") | dict.fromkeys(estimated.values(), "tempo"),
        meta={name: values[0] for name, values in told.items() if name != "genre"}
        | {"estimated": sorted(estimated)},
    )


def _read_inside(path: Path) -> dict[str, list[str]]:
    """Genre, title, artist and album, whatever the file's format calls them."""
    try:
        found = mutagen.File(path, easy=True)
    except Exception:  # it raises what it likes on broken files; the audio is what counts
        return {}
    if not found:
        return {}
    names = ("genre", "title", "artist", "album")
    return {name: [str(value) for value in found[name]] for name in names if name in found}


def _estimate_tempo(path: Path) -> str | None:
    """The first minute is "slow", "fast", or neither."""
    try:
        length_s = min(_TEMPO_S, probe(path).duration_s)
        samples = read_excerpt(path, 0.0, length_s, _TEMPO_RATE)
    except AudioError:
        return None
    beats = float(librosa.feature.tempo(y=samples, sr=_TEMPO_RATE)[0])
    return "slow" if beats < _SLOW else "fast" if beats > _FAST else None
