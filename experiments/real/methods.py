"""Train the methods on mixes of real stems, with musicnn's outputs computed once.

    python experiments/real/methods.py data/built-in runs/built-in/pool-6000.npz --out runs/methods
    python experiments/real/methods.py ... --captions sentences   # as in LP-MusicCaps

The pool is that of experiments/built_in/train.py; validation and test are the mixes that `negclap
prepare stems` wrote. Musicnn is frozen, so its outputs stand in for the audio: a "clip" is an
array of 400 numbers, and everything else is `negclap fit`, `teach`, `test` and `report`.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from sentences import sentences
from stored_features import SCALE, StoredFeatures

from negclap.audio import read_excerpt
from negclap.cli import main as negclap
from negclap.data.manifest import Caption, Track
from negclap.data.tracks import read_manifest
from negclap.models.musicnn import MUSICNN_MEL, MusicnnEncoder
from negclap.progress import progress
from negclap.rng import stream
from negclap.storage import atomic_write
from negclap.text.vocabulary import Vocabulary

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.append(str(HERE.parent / "built_in"))
from train import read_pool  # noqa: E402  of a neighbouring folder

METHODS = ("baseline", "insert", "dissimilarity", "combined", "negclap")
TAUGHT = {"taught": "baseline", "negclap + taught": "negclap"}
EXCERPT_S = 10.0


def encode(folder: Path, tracks: list[Track]) -> np.ndarray:
    """Return musicnn's outputs of the mixes that are files, ``(tracks, 400)``."""
    encoder = MusicnnEncoder().eval()
    rows = []
    for track in progress("encoding test mixes", len(tracks), tracks):
        waveform = read_excerpt(folder / track.audio, 0.0, EXCERPT_S, MUSICNN_MEL.sample_rate)
        with torch.inference_mode():
            rows.append(encoder.calibrated_values(torch.from_numpy(waveform)[None])[0].numpy())
    return np.stack(rows)


def write_set(data: Path, pool: Path, out: Path, captions: str) -> None:
    """Write a manifest whose audio files are normalised outputs of musicnn."""
    vocabulary = Vocabulary.load(data / "vocabulary.json")
    drawn, outputs = read_pool(data, pool, 0, 1)
    written = [track for track in read_manifest(data / "manifest.jsonl") if track.split != "train"]
    stored = out.parent / "written.npy"
    if not stored.is_file():
        np.save(stored, encode(data, written))
    drawn = [replace(t, track_id=f"pool-{i:05d}", split="train") for i, t in enumerate(drawn)]
    encoder = MusicnnEncoder(load_weights=False)
    encoder.fit_statistics(outputs)
    both = torch.cat([outputs, torch.from_numpy(np.load(stored))])
    rows = ((both - encoder.mean) / encoder.scale / SCALE).clamp(-1, 1).numpy()
    (out / "features").mkdir(parents=True, exist_ok=True)
    with atomic_write(out / "manifest.jsonl") as file:
        for track, row in zip([*drawn, *written], rows, strict=True):
            audio = f"features/{track.track_id}.npy"
            np.save(out / audio, row)
            texts = track.captions
            if captions == "sentences":
                rng = stream("sentences", track.track_id)
                texts = tuple(Caption(sentences(track.tags, rng), "sentences") for _ in range(3))
            length_s = len(row) / MUSICNN_MEL.sample_rate
            track = replace(track, audio=audio, start_s=0.0, duration_s=length_s, captions=texts)
            file.write(json.dumps(asdict(track)) + "\n")
    vocabulary.save(out / "vocabulary.json")


def run_methods(manifest: Path, out: Path, seeds: int, only: list[str], options: list[str]) -> None:
    """Train, teach and test; finished runs are kept."""
    config = str(HERE / "features.yaml")
    for seed in range(seeds):
        for method in METHODS:
            run = out / f"{method}-{seed}"
            if (only and method not in only) or (run / "results.json").is_file():
                continue
            overlay = str(ROOT / "configs" / "methods" / f"{method}.yaml")
            where = [f"--data.manifest={manifest}", f"--run_dir={run}", f"--seed_everything={seed}"]
            call(["fit", "-c", config, "-c", overlay, *where, *options])
            call(["test", "-c", str(run / "config.yaml")])
        for method, source in TAUGHT.items():
            run = out / f"{method.replace(' ', '-')}-{seed}"
            if (only and method not in only) or (run / "results.json").is_file():
                continue
            which = [f"--model={out / f'{source}-{seed}'}", f"--out={run}"]
            call(["teach", *which, f"--captions={manifest}", "trainer.max_epochs=4"])
            call(["test", "-c", str(run / "config.yaml"), f"--method={method}"])


def call(arguments: list[str]) -> None:
    """Run a command of negclap."""
    if negclap(arguments):
        raise SystemExit(f"negclap {' '.join(arguments)} failed")


def finished(out: Path) -> Iterator[str]:
    """Yield the finished runs in the order of the methods."""
    for method in (*METHODS, *(name.replace(" ", "-") for name in TAUGHT)):
        yield from (str(path.parent) for path in sorted(out.glob(f"{method}-?/results.json")))


def main() -> None:
    """Write the set, train, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder that negclap prepare stems wrote")
    parser.add_argument("pool", type=Path, help="pool that experiments/built_in/train.py wrote")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--report", type=Path, help="folder of the tables")
    parser.add_argument("--captions", choices=("templates", "sentences"), default="templates")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", action="append", default=[], metavar="METHOD")
    options, rest = parser.parse_known_args()
    assert StoredFeatures.__name__ in (HERE / "features.yaml").read_text(encoding="utf-8")
    out = options.out.absolute() / options.captions
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "set" / "manifest.jsonl").is_file():
        write_set(options.data, options.pool, out / "set", options.captions)
    run_methods(out / "set" / "manifest.jsonl", out, options.seeds, options.only, rest)
    report = options.report or out / "report"
    call(["report", *finished(out), "--out", str(report)])


if __name__ == "__main__":
    main()
