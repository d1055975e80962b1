"""A folder of music with captions from a table, or with metadata from the files."""

import os
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import librosa
import mutagen

from negclap.audio import AudioError, probe, read_excerpt
from negclap.data.entries import Candidate, Entry
from negclap.data.manifest import Caption
from negclap.data.tables import Rejection, Row, find_files, read_csv, read_json_lines
from negclap.data.walk import Walk, walk_audio
from negclap.errors import InputError

_TEMPO_RATE = 22_050
_TEMPO_S = 60.0
_SLOW, _FAST = 80.0, 120.0  # beats per minute


@dataclass(frozen=True)
class Folder:
    """A folder of audio files at any depth (mp3, flac, wav, m4a, ogg, npy and others).

    Input: the folder as --audio, and optionally a table of captions as --captions. The table is
    CSV or TSV with the columns `file` (relative to the folder) and `caption`, and optionally `tags`
    (separated by ; or ,) and `split`; or JSON Lines with the same names, where `captions` and
    `tags` may be lists. Without a table, the tags are the genre from the files' metadata (ID3,
    Vorbis comments) and librosa's tempo estimate (slow below 80 BPM, fast above 120 BPM), captions
    are written from them, and meta.estimated lists what was estimated. Splits that are not in the
    table are drawn by folder, so that albums stay together.

    Args:
        captions: CSV, TSV or JSON Lines file with captions; by default the files' metadata is used.
    """

    captions: Path | None = None

    name: ClassVar[str] = "folder"
    writes_captions: ClassVar[bool] = True

    def entries(self, audio: str) -> Iterator[Entry | Rejection]:
        """Yield all rows of the table and all other files of the folder."""
        root = Path(audio)
        if not root.is_dir():
            raise InputError(f"{root}: folder not found")
        walk = walk_audio(root)
        yield from _passed_over(root, walk)
        if self.captions is None:
            yield from (_from_metadata(root, file) for file in walk.files)
            return
        files = walk.files
        names = {_plain(file): file for file in files} | {file: file for file in files}
        listed: set[str] = set()
        for row in _read_table(self.captions):
            entry = row if isinstance(row, Rejection) else _from_row(row, names)
            listed.add(entry.track_id)
            yield entry
        for file in files:
            if file not in listed:
                yield Rejection(str(root / file), file, "not in the table")


def _passed_over(root: Path, walk: Walk) -> Iterator[Rejection]:
    """Yield a rejection for what is in the folder, but not among its files."""
    for folder, why in walk.unreadable.items():
        yield Rejection(str(root / folder), folder, "unreadable folder", why)
    for folder in walk.links:
        yield Rejection(str(root / folder), folder, "link to a folder")
    for suffix, count in walk.unread.items():
        yield Rejection(str(root), suffix, "kind of file not read", f"{count} files")


def _plain(name: str) -> str:
    """Return a file name as it is compared: slashes, and one of Unicode's forms of an umlaut."""
    return unicodedata.normalize("NFC", os.path.normpath(name.replace("\\", "/")))


def _read_table(path: Path) -> Iterator[Row | Rejection]:
    first, *more = find_files(path, [".csv", ".tsv", ".jsonl"])
    if more:
        raise InputError(f"{path}: found {len(more) + 1} tables, expected one")
    if first.suffix == ".jsonl":
        return read_json_lines(first)
    return read_csv(first, ["file", "caption"], "\t" if first.suffix == ".tsv" else None)


def _names(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.replace(";", ",").split(",") if part.strip())
    return tuple(str(part) for part in value) if isinstance(value, list) else ()


def _from_row(row: Row, names: Mapping[str, str]) -> Entry | Rejection:
    """Return an entry; its file is the one of ``names`` that is written the same, or as it is."""
    values = row.values
    named = values.get("file")
    if not isinstance(named, str) or not named.strip():
        return Rejection(row.place, "", "malformed row", "no file")
    file = os.path.normpath(named)
    file = names.get(file) or names.get(_plain(named), file)
    texts = values.get("captions", [values.get("caption")])
    if not isinstance(texts, list):
        return Rejection(row.place, file, "malformed row", "captions is not a list")
    return Entry(
        row.place,
        file,
        (Candidate(file),),
        tuple(Caption(str(text or ""), "human") for text in texts),
        _names(values.get("tags")),
        str(values.get("split") or ""),
        group=file.rpartition("/")[0],  # "" for files at the top, which are single tracks
    )


def _from_metadata(root: Path, file: str) -> Entry | Rejection:
    """Return an entry with tags from the file's metadata and its estimated tempo."""
    path = root / file
    metadata = _read_metadata(path)
    estimated = {"tempo": tempo} if (tempo := _estimate_tempo(path)) else {}
    genres = _names(",".join(metadata.get("genre", [])).replace("/", ","))
    return Entry(
        str(path),
        file,
        (Candidate(file),),
        tags=(*genres, *estimated.values()),
        group=file.rpartition("/")[0],
        categories=dict.fromkeys(genres, "genre") | dict.fromkeys(estimated.values(), "tempo"),
        meta={name: values[0] for name, values in metadata.items() if name != "genre"}
        | {"estimated": sorted(estimated)},
    )


def _read_metadata(path: Path) -> dict[str, list[str]]:
    """Read genre, title, artist and album."""
    try:
        found = mutagen.File(path, easy=True) or {}
    except (
        Exception
    ):  # corrupt tags raise IndexError, struct.error and others, not only MutagenError
        return {}
    names = ("genre", "title", "artist", "album")
    return {name: [str(value) for value in found[name]] for name in names if name in found}


def _estimate_tempo(path: Path) -> str | None:
    """Return "slow", "fast" or None for the first minute."""
    try:
        length_s = min(_TEMPO_S, probe(path).duration_s)
        samples = read_excerpt(path, 0.0, length_s, _TEMPO_RATE)
    except AudioError:
        return None
    beats = float(librosa.feature.tempo(y=samples, sr=_TEMPO_RATE)[0])
    return "slow" if beats < _SLOW else "fast" if beats > _FAST else None
