"""Readers of multitrack sets: each yields the songs of a folder, with the files of their stems."""

import configparser
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from negclap.data.stems.names import StemNames
from negclap.data.stems.songs import Contents
from negclap.data.tables import Rejection
from negclap.errors import InputError

ANYTHING = ("*",)
SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".m4a", ".mp4")


class FoundStem(NamedTuple):
    """A stem of a source; ``stream`` is its number in a file with several (MUSDB18's .mp4)."""

    name: str
    file: Path
    contents: Contents
    stream: int = 0


@dataclass(frozen=True)
class FoundSong:
    """A song of a source; ``split`` is "" if the source does not say."""

    song_id: str
    group: str
    stems: tuple[FoundStem, ...]
    split: str = ""
    tempo: float | None = None


_MALFORMED = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError),
    configparser.Error,
)
"""What reading metadata raises that are not of the form."""
Found = Iterator[FoundSong | Rejection]
Reader = Callable[[Path, StemNames], Found]

_MUSDB_LABELS = ("drums", "bass", "vocals")
_MUSDB_STEMS = {
    "drums": Contents(("drums",)),
    "bass": Contents(("bass",)),
    "other": Contents((), ANYTHING, _MUSDB_LABELS),
    "vocals": Contents(("vocals",)),
}
"""MUSDB18's stems, in the order of its .mp4 files, in which the mixture is the first."""


def read_musdb(root: Path, names: StemNames) -> Found:
    """MUSDB18 and MUSDB18-HQ: ``train/Artist - Title/vocals.wav``, or ``.stem.mp4``.

    "other" may contain anything but the other three classes, guitars and keys, say.
    """
    songs = [(split, path) for split in ("train", "test") for path in _sorted(root / split)]
    if not songs:
        raise InputError(f"{root}: no folders train and test, expected MUSDB18's")
    for split, path in songs:
        song_id = path.name.removesuffix(".stem.mp4")
        if not path.is_dir() and song_id == path.name:
            continue
        stems = []
        for number, (name, contents) in enumerate(_MUSDB_STEMS.items(), start=1):
            file, stream = (path / f"{name}.wav", 0) if path.is_dir() else (path, number)
            if file.is_file():
                stems.append(FoundStem(name, file, contents, stream))
            else:
                yield Rejection(str(file), song_id, "no stem", "expected by the set's form")
        artist = song_id.partition(" - ")[0]
        yield FoundSong(f"{split}/{song_id}", artist, tuple(stems), split)


def read_medleydb(root: Path, names: StemNames) -> Found:
    """MedleyDB: ``Metadata/*_METADATA.yaml`` and ``Audio/TRACK/TRACK_STEMS/*.wav``."""

    def song(file: Path) -> Found:
        metadata: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
        song_id = file.name.removesuffix("_METADATA.yaml")
        bleeds = str(metadata["has_bleed"]).lower() in ("yes", "true")
        listed = {s["filename"]: _text(s["instrument"]) for s in metadata["stems"].values()}
        artist = str(metadata["artist"])
        folder = next(root.rglob(metadata["stem_dir"]), None)
        if folder is None:
            yield Rejection(str(file), song_id, "no stem", f"no folder {metadata['stem_dir']!r}")
            return
        hides = ANYTHING if bleeds else ()
        each = ((name, folder / name, instrument) for name, instrument in listed.items())
        yield from _song(song_id, artist, "", None, each, names, hides)
        yield from _unlisted(folder, {*listed}, song_id, file)

    return _of_metadata(root, "*_METADATA.yaml", "MedleyDB's metadata", song)


def read_moisesdb(root: Path, names: StemNames) -> Found:
    """MoisesDB: ``SONG/data.json`` and ``SONG/STEM/TRACK.wav``."""

    def song(file: Path) -> Found:
        metadata: Any = json.loads(file.read_text(encoding="utf-8"))
        tracks = [(s["stemName"], track) for s in metadata["stems"] for track in s["tracks"]]
        each, bleeding = [], set()
        for stem, track in tracks:
            name = f"{stem}/{track['id']}"
            path = file.parent / f"{name}.{track.get('extension', 'wav')}"
            each.append((name, path, _moises_name(stem, track["trackType"])))
            if track.get("has_bleed"):
                bleeding.add(name)
        songs = _song(file.parent.name, str(metadata["artist"]), "", None, each, names, ())
        yield from _with_bleed(songs, bleeding)

    return _of_metadata(root, "data.json", "MoisesDB's metadata", song)


def _moises_name(stem: str, kind: str) -> str:
    """Return the name that says more: the track's kind, unless it is as general as "other"."""
    return stem if kind.casefold() in ("", "other", "n/a") else kind


def _with_bleed(found: Found, bleeding: set[str]) -> Found:
    for song in found:
        if isinstance(song, Rejection):
            yield song
            continue
        stems = tuple(
            stem._replace(contents=stem.contents._replace(hides=ANYTHING))
            if stem.name in bleeding
            else stem
            for stem in song.stems
        )
        yield replace(song, stems=stems)


_SLAKH_CLASSES = {
    "Bass": "bass", "Brass": "brass", "Chromatic Percussion": "",
    "Drums": "drums", "Ethnic": "", "Guitar": "guitar", "Organ": "organ",
    "Percussive": "percussion", "Piano": "piano", "Pipe": "woodwind", "Reed": "woodwind",
    "Sound Effects": "sound effects", "Sound effects": "sound effects", "Strings": "strings",
    "Strings (continued)": "strings", "Synth Lead": "synth lead", "Synth Pad": "synth pad",
}  # fmt: skip
_SLAKH_SPLITS = {"train": "train", "validation": "validation", "test": "test", "omitted": ""}


def read_slakh(root: Path, names: StemNames) -> Found:
    """Slakh2100: ``train/Track00001/metadata.yaml`` and ``stems/S00.flac``."""

    def song(file: Path) -> Found:
        metadata: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
        rendered = {n: s for n, s in metadata["stems"].items() if s["audio_rendered"]}
        each = [
            (name, file.parent / "stems" / f"{name}.flac", _slakh_name(stem))
            for name, stem in sorted(rendered.items())
        ]
        split = _SLAKH_SPLITS.get(file.parent.parent.name, "")
        yield from _song(file.parent.name, file.parent.name, split, None, each, names, ())

    return _of_metadata(root, "Track*/metadata.yaml", "Slakh2100's metadata", song)


def _slakh_name(stem: Mapping[str, Any]) -> str:
    program = str(stem.get("midi_program_name", ""))
    kind = _SLAKH_CLASSES.get(stem["inst_class"], str(stem["inst_class"]))
    precise = {"Acoustic Guitar": "acoustic guitar", "Electric Guitar": "electric guitar"}
    found = next((tag for name, tag in precise.items() if program.startswith(name)), kind)
    return found or program


_FRETS_STEMS = {
    "guitar": Contents(("guitar",)),
    "rhythm": Contents((), ("bass", "guitar")),  # one of both; no file says which
    "bass": Contents(("bass",)),
    "drums": Contents(("drums",)),
    "vocals": Contents(("vocals",)),
    "keys": Contents(("keyboard",)),
    "crowd": Contents(("crowd noise",)),
    "song": Contents((), ANYTHING),
}
"""What the files of Frets on Fire and Clone Hero contain; "song" has all that has no file."""


def read_fretsonfire(root: Path, names: StemNames) -> Found:
    """Frets on Fire and Clone Hero: ``SONG/song.ini``, ``guitar.ogg``, ``song.ogg``, ..."""

    def song(file: Path) -> Found:
        song_id = str(file.parent.relative_to(root))
        ini = configparser.ConfigParser(strict=False, interpolation=None)
        ini.read_string(file.read_text(encoding="utf-8-sig", errors="replace"))
        values = {k: v for section in ini.values() for k, v in section.items()}
        stems = []
        for path in _sorted(file.parent):
            kind = path.stem.lower().rstrip("0123456789_")
            if path.suffix.lower() in SUFFIXES and kind in _FRETS_STEMS:
                contents = names.contents(path.stem) or _FRETS_STEMS[kind]
                stems.append(FoundStem(path.stem, path, contents))
        artist = values.get("artist", "").strip()
        yield FoundSong(song_id, names.group(song_id, artist or song_id), tuple(stems))

    return _of_metadata(root, "song.ini", "songs of Frets on Fire", song)


def read_folder(root: Path, names: StemNames) -> Found:
    """Any folder of ``SONG/STEM.wav``, or ``ARTIST/SONG/STEM.wav``; the artist is the group."""
    folders = sorted({path.parent for path in root.rglob("*") if _is_audio(path)})
    if not folders:
        raise InputError(f"{root}: no audio, expected SONG/STEM.wav")
    for folder in folders:
        song_id = str(folder.relative_to(root))
        files = [path for path in _sorted(folder) if _is_audio(path)]
        shared = _shared_start([path.stem for path in files])
        each = ((path.stem[shared:], path, path.stem[shared:]) for path in files)
        artist = song_id.partition("/")[0]
        yield from _song(song_id, names.group(song_id, artist), "", None, each, names, ())


LAYOUTS: dict[str, Reader] = {
    "folder": read_folder,
    "musdb": read_musdb,
    "medleydb": read_medleydb,
    "moisesdb": read_moisesdb,
    "slakh": read_slakh,
    "fretsonfire": read_fretsonfire,
}


def _of_metadata(root: Path, pattern: str, of: str, song: Callable[[Path], Found]) -> Found:
    """Yield what ``song`` makes of each file of metadata, and a rejection of malformed ones."""
    files = sorted(root.rglob(pattern))
    if not files:
        raise InputError(f"{root}: no {pattern}, expected {of}")
    for file in files:
        try:
            found = list(song(file))
        except InputError:  # the mapping is wrong, not the metadata
            raise
        except _MALFORMED as error:
            name = str(file.relative_to(root))
            yield Rejection(str(file), name, "malformed metadata", " ".join(repr(error).split()))
            continue
        yield from found


def _song(
    song_id: str,
    group: str,
    split: str,
    tempo: float | None,
    each: Any,
    names: StemNames,
    hides: tuple[str, ...],
) -> Found:
    """Yield a song of (name, file, what it is called) and a rejection for each unusable stem."""
    stems = []
    for name, file, called in each:
        if not file.is_file():
            yield Rejection(str(file), song_id, "no stem", "the metadata list it")
            continue
        try:
            contents = names.contents(called) or Contents(names.usual_tags(called))
        except InputError as error:
            yield Rejection(str(file), song_id, "unknown stem", str(error))
            continue
        if hides:
            contents = contents._replace(hides=hides)
        stems.append(FoundStem(name, file, contents))
    yield FoundSong(song_id, group, tuple(stems), split, tempo)


def _unlisted(folder: Path, listed: set[str], song_id: str, metadata: Path) -> Found:
    for path in _sorted(folder):
        if _is_audio(path) and path.name not in listed:
            yield Rejection(str(path), song_id, "unknown stem", f"not in {metadata.name}")


def _text(value: Any) -> str:
    """Return an instrument, of which MedleyDB sometimes lists several."""
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _is_audio(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith(".")


def _sorted(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _shared_start(names: list[str]) -> int:
    """Return the length of what all names begin with, up to a separator ("2.Lithium_Stem_")."""
    shared = 0
    while len(names) > 1 and all(name[: shared + 1] == names[0][: shared + 1] for name in names):
        shared += 1
        if shared >= min(map(len, names)):
            break
    start = names[0][:shared]
    return max(start.rfind(sign) for sign in " _-.") + 1
