"""A folder of stems of five kinds that people ask for: drums, bass, two guitars and vocals.

    python experiments/real/five_kinds.py STEMS MIR-1K/Wavfile --out stems-of-five
    negclap prepare stems --audio stems-of-five --out data/five --validation_mixes 2 \
        --test_mixes 400 --groups '{test: [test], train: [train], validation: [validation]}'

STEMS is the folder that `make built-in` reads; of metal by another artist (muldjord) only the
guitars are taken, if they are there. The instruments are of the 20 sampled songs that are a test,
the voices are those of MIR-1K, so nothing of it was trained on. The two other splits have a song
each, because `prepare` wants them.
"""

import argparse
from itertools import groupby
from pathlib import Path

import numpy as np
import soundfile as sf
from mir1k import excerpts

KINDS = ("drums", "bass guitar", "electric guitar", "acoustic guitar", "distorted guitar", "vocals")
TEST_SONGS = 20
OTHERS = {"train": "rendered/song-0030", "validation": "rendered/song-0031"}
METAL = "muldjord"


def link(song: Path, target: Path, names: dict[str, str]) -> None:
    """Link the stems of a song that have one of the names, with the name's value."""
    for path in sorted(song.iterdir()):
        if path.stem in names:
            target.mkdir(parents=True, exist_ok=True)
            (target / f"{names[path.stem]}{path.suffix}").symlink_to(path.absolute())


def write_voices(mir1k: Path, target: Path) -> None:
    """Write the voice of each singer: the right channels of some excerpts, joined."""
    for singer, paths in groupby(excerpts(mir1k), key=lambda path: path.name.partition("_")[0]):
        sounds = [sf.read(path, dtype="float32", always_2d=True) for path in paths]
        (target / f"voice-{singer}").mkdir(parents=True)
        voice = np.concatenate([audio[:, 1] for audio, _ in sounds])
        sf.write(target / f"voice-{singer}" / "vocals.flac", voice, sounds[0][1])


def main() -> None:
    """Write the folder: GROUP/SONG/STEM."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stems", type=Path)
    parser.add_argument("mir1k", type=Path, help="MIR-1K's folder Wavfile")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    kinds = dict(zip(KINDS, KINDS, strict=True))
    for number in range(TEST_SONGS):
        name = f"song-{number:04d}"
        link(options.stems / "sampled" / name, options.out / "test" / name, kinds)
    for split, song in OTHERS.items():
        link(options.stems / song, options.out / split / "song", kinds)
    metal = options.stems / METAL
    for song in sorted(metal.iterdir()) if metal.is_dir() else ():
        if song.is_dir():
            link(song, options.out / "test" / song.name, {"guitar": "distorted guitar"})
    write_voices(options.mir1k, options.out / "test")


if __name__ == "__main__":
    main()
