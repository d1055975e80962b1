"""Does "X without Y" keep Y out of what `negclap search` finds?

    python experiments/search/search.py RUN [RUN ...] [--manifest data/chorales/manifest.jsonl]

The clips of a split become a folder of music, each model makes an index of it, and every pair of
instruments is asked for that at least five clips have together and five have X of without Y.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

from negclap.data.manifest import Track
from negclap.data.tracks import read_manifest, read_vocabulary
from negclap.evaluation.results import write_json
from negclap.progress import progress
from negclap.search import Hit, Index, query

HERE = Path(__file__).parent
TOP = 5
WEIGHTS = (0.1, 0.25, 0.5, 0.75, 1.0)
Ask = Callable[[Index, str, str], list[Hit]]
WAYS: dict[str, Ask] = {
    '"X"': lambda index, x, _: index.search(x, TOP),
    '"X without Y"': lambda index, x, y: index.search(f"{x} without {y}", TOP),
    '"X" --not "Y"': lambda index, x, y: index.search(x, TOP, [y]),
    '"X without Y" --not "Y"': lambda index, x, y: index.search(f"{x} without {y}", TOP, [y]),
}


def main() -> None:
    """Print the table and write results.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--manifest", type=Path, default=Path("data/chorales/manifest.jsonl"))
    parser.add_argument("--out", type=Path, default=HERE / "results.json")
    options = parser.parse_args()
    found: dict[str, dict[str, dict[str, float]]] = {}
    for run in options.runs:
        with closing(Music(options.manifest, "test", run)) as music:
            found[run.name] = {way: music.shares(ask) for way, ask in WAYS.items()}
        with closing(Music(options.manifest, "validation", run)) as music:
            found[run.name] |= dict(tuned(music))
    write_json(options.out, found)
    print_table(found)


def tuned(music: "Music") -> Iterator[tuple[str, dict[str, float]]]:
    """What weight of --not is best."""
    default = query.NOT_WEIGHT
    for weight in WEIGHTS:
        query.NOT_WEIGHT = weight
        yield f'validation, "X" --not "Y" at {weight:g}', music.shares(WAYS['"X" --not "Y"'])
    query.NOT_WEIGHT = default


class Music:
    """The clips of a split as a folder of music, and its index; gone at the end."""

    def __init__(self, manifest: Path, split: str, run: Path) -> None:
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        (folder / "music").mkdir()
        chosen = [track for track in read_manifest(manifest) if track.split == split]
        self.tracks = {Path(track.audio).name: track for track in chosen}
        for name, track in self.tracks.items():
            (folder / "music" / name).symlink_to((manifest.parent / track.audio).absolute())
        tags = read_vocabulary(manifest).tags
        self.pairs = list(pairs(chosen, [t.name for t in tags if t.category == "instrument"]))
        self.index = Index.create(folder / "index", folder / "music", str(run))
        self.index.update(progress=progress)

    def close(self) -> None:
        """Remove both."""
        self._folder.cleanup()

    def shares(self, ask: Ask) -> dict[str, float]:
        """Means over the pairs: share of Y, of X, and of X without Y among the best five."""
        rows = [
            measure([self.tracks[hit.path] for hit in ask(self.index, x, y)], x, y)
            for x, y in progress("searching", len(self.pairs), self.pairs)
        ]
        unwanted, wanted, joint = np.array(rows).mean(axis=0).tolist()
        return {
            "share of Y": unwanted, "share of X": wanted, "X and not Y": joint, "pairs": len(rows)
        }  # fmt: skip


def pairs(tracks: list[Track], instruments: list[str]) -> Iterator[tuple[str, str]]:
    """(X, Y) with enough clips of both kinds; Y is known of each clip."""
    for x in instruments:
        for y in instruments:
            with_x = [track for track in tracks if x in track.tags]
            both = sum(y in track.tags for track in with_x)
            if x != y and both >= TOP and len(with_x) - both >= TOP:
                yield x, y


def measure(best: list[Track], x: str, y: str) -> tuple[float, float, float]:
    """Shares of Y, of X, and of X without Y among the best."""
    has_x = np.array([x in track.tags for track in best])
    has_y = np.array([y in track.tags for track in best])
    return float(has_y.mean()), float(has_x.mean()), float((has_x & ~has_y).mean())


def print_table(found: dict[str, dict[str, dict[str, float]]]) -> None:
    """As Markdown."""
    print("| model | asked | share of Y in the top 5 | share of X | X and not Y |")
    print("|---|---|---|---|---|")
    for model, ways in found.items():
        for way, one in ways.items():
            cells = (f"{one[key]:.3f}" for key in ("share of Y", "share of X", "X and not Y"))
            print(f"| {model} | {way} | " + " | ".join(cells) + " |")
    print(json.dumps({"pairs": next(iter(next(iter(found.values())).values()))["pairs"]}))


if __name__ == "__main__":
    main()
