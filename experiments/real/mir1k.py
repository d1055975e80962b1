"""Does a model tell singing from its absence? Excerpts of MIR-1K with and without their voice.

    python experiments/real/mir1k.py MIR-1K/Wavfile [--model M] --out runs/mir1k

MIR-1K has amateur singers, left the accompaniment and right the voice. It is only tested on. Each
text is scored on couples: the accompaniment alone, and with the voice.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
import soundfile as sf

import negclap
from negclap.audio import resample
from negclap.progress import progress
from negclap.storage import write_json

EVERY, MOST = 10, 6
"""Every tenth excerpt of a singer, at most six."""
SECONDS = 10
LEVEL = 0.1
WITH = ("a song with vocals", "vocals", "singing", "rock with vocals")
WITHOUT = (
    "a song without vocals", "no vocals", "instrumental", "music with no singing",
    "rock without vocals", "I don't want any vocals",
)  # fmt: skip


def excerpts(folder: Path) -> list[Path]:
    """Return some excerpts of each singer."""
    singers = defaultdict(list)
    for path in sorted(folder.glob("*.wav")):
        singers[path.name.partition("_")[0]].append(path)
    return [path for paths in singers.values() for path in paths[::EVERY][:MOST]]


def main() -> None:
    """Print and write how often each text is right."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="built-in")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    model = negclap.load(options.model)
    paths = excerpts(options.folder)
    if not paths:
        raise SystemExit(f"{options.folder}: no .wav files, expected MIR-1K's Wavfile")
    couples = []
    for path in progress("encoding", len(paths), paths):
        audio, rate = sf.read(path, dtype="float32", always_2d=True)
        left, right = audio[: SECONDS * rate].T
        each = [
            resample(LEVEL * sound / (np.sqrt(np.mean(sound**2)) + 1e-9), rate, model.sample_rate)
            for sound in (left, left + right)
        ]
        couples.append(model.encode_audio(np.stack(each)))
    clips = np.stack(couples)
    found = {}
    for texts, sign in ((WITH, 1), (WITHOUT, -1)):
        for text, vector in zip(texts, model.encode_text(list(texts)), strict=True):
            without, voice = (clips @ vector).T
            found[text] = float(np.mean(sign * (voice - without) > 0))
    for text, share in found.items():
        print(f"{share:.3f}  {text}")
    options.out.mkdir(parents=True, exist_ok=True)
    write_json(options.out / "mir1k.json", {"couples": len(paths), "right": found})


if __name__ == "__main__":
    main()
