"""Small multitrack sets in the forms of the public ones."""

import json
from pathlib import Path

import numpy as np
import soundfile as sf
import yaml

RATE = 8_000
SECONDS = 6.0


def tone(hz: float, seconds: float = SECONDS, rate: int = RATE) -> np.ndarray:
    return (0.2 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype("f4")


def write(path: Path, hz: float = 440.0, seconds: float = SECONDS, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, tone(hz, seconds, rate), rate)
    return path


def folder(root: Path) -> Path:
    """Four artists with two songs each."""
    for artist in "abcd":
        for song in ("one", "two"):
            for number, stem in enumerate(("VOX", "KICK", "BS", "GTR-L", "BGVOX 1")):
                hz = 110.0 * (1 + number) + ord(artist)
                write(root / artist / song / f"{song}_{stem}.wav", hz)
    return root


def musdb(root: Path) -> Path:
    for split, song in (("train", "A - One"), ("train", "B - Two"), ("test", "C - Three")):
        for name in ("mixture", "vocals", "drums", "bass", "other"):
            write(root / split / song / f"{name}.wav")
    return root


def medleydb(root: Path, bleeds: str = "no") -> Path:
    stems = {"S01": "female singer", "S02": "drum set", "S03": "distorted electric guitar"}
    files = {code: f"Band_Song_STEM_{code[1:]}.wav" for code in stems}
    metadata = {
        "artist": "Band",
        "has_bleed": bleeds,
        "stem_dir": "Band_Song_STEMS",
        "stems": {c: {"instrument": i, "filename": files[c]} for c, i in stems.items()},
    }
    path = root / "Metadata" / "Band_Song_METADATA.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump(metadata))
    for name in files.values():
        write(root / "Audio" / "Band_Song" / "Band_Song_STEMS" / name)
    return root


def moisesdb(root: Path) -> Path:
    stems = {"vocals": ("lead male singer", False), "guitar": ("acoustic guitar", True)}
    tracks = {
        stem: {"id": f"{stem}-id", "trackType": kind, "has_bleed": bleed, "extension": "wav"}
        for stem, (kind, bleed) in stems.items()
    }
    song = root / "0a1b"
    metadata = {
        "song": "Song",
        "artist": "Singer",
        "genre": "rock",
        "stems": [{"stemName": stem, "tracks": [track]} for stem, track in tracks.items()],
    }
    for stem, track in tracks.items():
        write(song / stem / f"{track['id']}.wav")
    (song / "data.json").write_text(json.dumps(metadata))
    return root


def slakh(root: Path) -> Path:
    stems = {
        "S00": {"inst_class": "Drums", "midi_program_name": "Drums", "audio_rendered": True},
        "S01": {
            "inst_class": "Guitar",
            "midi_program_name": "Electric Guitar (clean)",
            "audio_rendered": True,
        },
        "S02": {"inst_class": "Piano", "midi_program_name": "Bright", "audio_rendered": False},
    }
    track = root / "validation" / "Track00001"
    for name in ("S00", "S01"):
        write(track / "stems" / f"{name}.flac")
    (track / "metadata.yaml").write_text(yaml.safe_dump({"UUID": "x", "stems": stems}))
    return root


def fretsonfire(root: Path) -> Path:
    song = root / "song"
    for name in ("guitar", "rhythm", "song", "preview"):
        write(song / f"{name}.ogg")
    (song / "song.ini").write_text("[song]\nname = X\nartist = Y\n")
    return root
