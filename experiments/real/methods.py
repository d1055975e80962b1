"""Train the methods on mixes of real stems, with musicnn's outputs computed once.

    python experiments/real/methods.py data/built-in runs/built-in/pool-9000.npz --out runs/methods

The pool is that of experiments/built_in/train.py; validation and test are the mixes that `negclap
prepare stems` wrote. Musicnn is frozen, so its outputs stand in for the audio: a "clip" is an
array of 400 numbers, and everything else is `negclap fit`, `teach`, `test` and `report`.

A condition changes one thing: captions of several sentences as in LP-MusicCaps ("sentences"), or
the same negator before all tags of half and fully negated captions ("one-negator").
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from by_song import Songs, write_intervals
from sentences import sentences
from stored_features import SCALE, StoredFeatures

from negclap.audio import read_excerpt
from negclap.cli import main as negclap
from negclap.commands.report import report
from negclap.data.manifest import Caption, Track
from negclap.data.tracks import read_manifest
from negclap.evaluation.results import read_results
from negclap.models.musicnn import MUSICNN_MEL, Layer, MusicnnEncoder
from negclap.progress import progress
from negclap.rng import stream
from negclap.storage import atomic_write
from negclap.text import negate
from negclap.text.vocabulary import Vocabulary

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path += [str(HERE.parent / "built_in"), str(HERE.parent / "study")]
from study import K_AXIS, P_AXIS, Cell, axes  # noqa: E402  of a neighbouring folder
from train import read_pool  # noqa: E402  of a neighbouring folder

METHODS = ("baseline", "insert", "dissimilarity", "combined", "negclap")
TAUGHT = {"taught": "baseline", "negclap + taught": "negclap"}
ON_AXES = {"p=0": "baseline", "p=0.6": "insert", "k=0.1": "dissimilarity"}
"""Points of the paper's axes that are methods."""
CONDITIONS = ("templates", "sentences", "one-negator")
ONE_NEGATOR = {
    part: tuple(cue for cue in cues if cue.name in ("no", "not"))[:1]
    for part, cues in negate.INLINE_CUES.items()
}
EXCERPT_S = 10.0


def encode(folder: Path, tracks: list[Track], layer: Layer = "hidden") -> np.ndarray:
    """Return musicnn's outputs of the mixes that are files, ``(tracks, dim)``."""
    encoder = MusicnnEncoder(layer=layer).eval()
    rows = []
    for track in progress("encoding test mixes", len(tracks), tracks):
        waveform = read_excerpt(folder / track.audio, 0.0, EXCERPT_S, MUSICNN_MEL.sample_rate)
        with torch.inference_mode():
            rows.append(encoder.calibrated_values(torch.from_numpy(waveform)[None])[0].numpy())
    return np.stack(rows)


def write_set(data: Path, pool: Path, out: Path, condition: str) -> None:
    """Write a manifest whose audio files are normalised outputs of musicnn."""
    vocabulary = Vocabulary.load(data / "vocabulary.json")
    drawn, outputs, _ = read_pool(data, pool, 0, 1)
    written = [track for track in read_manifest(data / "manifest.jsonl") if track.split != "train"]
    stored = out.parents[1] / "written.npy"  # all conditions have the same mixes
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
            if condition == "sentences":
                rng = stream("sentences", track.track_id)
                texts = tuple(Caption(sentences(track.tags, rng), "sentences") for _ in range(3))
            length_s = len(row) / MUSICNN_MEL.sample_rate
            track = replace(track, audio=audio, start_s=0.0, duration_s=length_s, captions=texts)
            file.write(json.dumps(asdict(track)) + "\n")
    vocabulary.save(out / "vocabulary.json")


def cells(seeds: int) -> Iterator[Cell]:
    """Yield what is trained: the methods, then the other points of the paper's two axes."""
    for seed in range(seeds):
        trained = {name: Cell("methods", name, seed, name) for name in METHODS}
        yield from trained.values()
        for title, source in TAUGHT.items():
            yield Cell("methods", title, seed, "teach", ("trainer.max_epochs=4",), trained[source])
    yield from (cell for cell in axes(P_AXIS, K_AXIS, grid=False) if cell.title not in ON_AXES)


def run(cell: Cell, manifest: Path, out: Path, options: Sequence[str]) -> None:
    """Train or teach, and test."""
    folder = out / cell.folder
    if cell.audio_from:
        which = [f"--model={out / cell.audio_from.folder}", f"--out={folder}"]
        call(["teach", *which, f"--captions={manifest}", *cell.arguments])
    else:
        overlay = str(ROOT / "configs" / "methods" / f"{cell.overlay}.yaml")
        configs = ["-c", str(HERE / "features.yaml"), "-c", overlay]
        where = [f"--data.manifest={manifest}", f"--run_dir={folder}"]
        call(["fit", *configs, *where, f"--seed_everything={cell.seed}", *cell.arguments, *options])
    call(["test", "-c", str(folder / "config.yaml"), f"--method={cell.title}"])


def call(arguments: list[str]) -> None:
    """Run a command of negclap."""
    if negclap(arguments):
        raise SystemExit(f"negclap {' '.join(arguments)} failed")


def compare(cells: Sequence[Cell], manifest: Path, out: Path, target: Path) -> None:
    """Write a report for each group of finished cells; intervals are by song."""
    songs = Songs(manifest)
    points = [Cell(title[0], title, 0, name) for title, name in ON_AXES.items()]
    folders = {cell: out / cell.folder for cell in cells}
    folders |= {point: out / "methods" / f"{point.overlay}-0" for point in points}
    finished = {c: folder for c, folder in folders.items() if (folder / "results.json").is_file()}
    for group in dict.fromkeys(cell.group for cell in cells if cell in finished):
        members = [cell for cell in finished if cell.group == group]
        if group != "methods":
            members.sort(key=lambda cell: cell.title)
        tested = [replace(read_results(finished[c]), method=c.title) for c in members]
        runs = [songs.regroup(one) for one in tested]
        report(runs, target / group)
        write_intervals(runs, target / group)


def main() -> None:
    """Write the set, train, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder that negclap prepare stems wrote")
    parser.add_argument("pool", type=Path, help="pool that experiments/built_in/train.py wrote")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--report", type=Path, help="folder of the tables")
    parser.add_argument("--condition", choices=CONDITIONS, default="templates")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", action="append", default=[], help="method, p, or k")
    options, rest = parser.parse_known_args()
    assert StoredFeatures.__name__ in (HERE / "features.yaml").read_text(encoding="utf-8")
    out = options.out.absolute() / options.condition
    out.mkdir(parents=True, exist_ok=True)
    manifest = out / "set" / "manifest.jsonl"
    if not manifest.is_file():
        write_set(options.data, options.pool, out / "set", options.condition)
    wanted = [
        cell
        for cell in cells(options.seeds)
        if not options.only or {cell.title, cell.group} & {*options.only}
    ]
    cues = ONE_NEGATOR if options.condition == "one-negator" else negate.INLINE_CUES
    with mock.patch.object(negate, "INLINE_CUES", cues):
        for cell in wanted:
            if not (out / cell.folder / "results.json").is_file():
                run(cell, manifest, out, rest)
        compare([*cells(options.seeds)], manifest, out, options.report or out / "report")


if __name__ == "__main__":
    main()
