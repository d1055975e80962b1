"""Intervals by song: mixes of one song are alike, so songs are resampled instead of mixes.

    python experiments/real/by_song.py data/built-in/manifest.jsonl runs/models

adds them to what `negclap benchmark` wrote into a folder: ``by_song.json`` and ``by_song.md``.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from negclap.data.tracks import read_manifest, read_vocabulary
from negclap.evaluation.exam import make_exam
from negclap.evaluation.metrics.scores import Scores
from negclap.evaluation.results import RunResults, read_results
from negclap.storage import write_json

KEYS = (
    *("audio_ceiling", "recall@10/original", "true_absence", "exclusion/joint@10"),
    *("exclusion/violation@10", "paired", "scope/accuracy"),
)


class Songs:
    """The songs of the test of a manifest that `negclap prepare stems` wrote.

    A mix with parts of several songs counts as one of the first by name.
    """

    def __init__(self, manifest: Path) -> None:
        tracks = read_manifest(manifest)
        test, twins = tracks.split("test"), tracks.split("test_twin")
        exam = make_exam(list(test), list(twins), read_vocabulary(manifest), 0)
        names = [track.meta["songs"][0] for track in test]
        numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
        self.fingerprint = exam.fingerprint
        self.of_track = torch.tensor([numbers[name] for name in names])
        # A question about twins is about the test clip that one of them is.
        clips = [next(row for own, row in (one.has, one.lacks) if own) for one in exam.twins]
        self.of_twin = self.of_track[clips]

    def regroup(self, run: RunResults) -> RunResults:
        """Return the results with songs in place of tracks, so that these are resampled."""
        assert run.exam == self.fingerprint, f"{run.source} was tested on another set"
        scores = {
            key: each._replace(items=self._rows(key)[each.items])
            for key, each in run.scores.items()
        }
        return replace(run, scores=scores)

    def _rows(self, key: str) -> Tensor:
        return self.of_twin if key.startswith("paired") else self.of_track


def write_intervals(runs: Sequence[RunResults], folder: Path) -> None:
    """Write ``by_song.json`` and ``by_song.md``: a method's means and their 95 % intervals.

    Keys that a run lacks are left out.
    """
    keys = [key for key in KEYS if all(key in run.scores for run in runs)]
    methods: dict[str, list[RunResults]] = {}
    for run in runs:
        methods.setdefault(run.method, []).append(run)
    found: dict[str, Mapping[str, tuple[float, float, float]]] = {}
    for name, of in methods.items():
        pooled = {key: Scores.pooled([run.scores[key] for run in of]) for key in keys}
        found[name] = {key: (float(s.mean()), *s.interval()) for key, s in pooled.items()}
    write_json(folder / "by_song.json", found)
    lines = [" | ".join(["| 95 % by song", *found]) + " |", "|" + "---|" * (len(found) + 1)]
    for key in keys:
        cells = [
            f"{mean:.3f} ({low:.3f}-{high:.3f})"
            for mean, low, high in (of[key] for of in found.values())
        ]
        lines.append(" | ".join([f"| `{key}`", *cells]) + " |")
    (folder / "by_song.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Write the intervals of the models in a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path, help="that the models were tested on")
    parser.add_argument("folder", type=Path, help="that negclap benchmark wrote")
    options = parser.parse_args()
    songs = Songs(options.manifest)
    found = [read_results(path.parent) for path in sorted(options.folder.glob("*/results.json"))]
    write_intervals([songs.regroup(run) for run in found], options.folder)


if __name__ == "__main__":
    main()
