"""Does "X without Y" keep Y out of what `negclap search` finds?

    python experiments/search/search.py NAME=RUN [NAME=RUN ...]

The clips of a split are a folder of music, which each model indexes. The queries are all ordered
pairs of instruments (X, Y) for which at least five clips have both and at least five have X only.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

from negclap.commands.options import short_names
from negclap.commands.tables import number
from negclap.data.manifest import Track
from negclap.data.tracks import read_manifest, read_vocabulary
from negclap.progress import progress
from negclap.search import Hit, Index, query
from negclap.storage import write_json

HERE = Path(__file__).parent
TOP = 5
WEIGHTS = (0.1, 0.25, 0.5, 0.75, 1.0)
SHARES = ("share of Y", "share of X", "X and not Y")
Search = Callable[[Index, str, str], list[Hit]]
QUERIES: dict[str, Search] = {
    '"X"': lambda index, x, _: index.search(x, TOP),
    '"X without Y"': lambda index, x, y: index.search(f"{x} without {y}", TOP),
    '"X" --not "Y"': lambda index, x, y: index.search(x, TOP, [y]),
    '"X without Y" --not "Y"': lambda index, x, y: index.search(f"{x} without {y}", TOP, [y]),
}


def main() -> None:
    """Search with each model, print the shares and write results.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN", help="run folder")
    parser.add_argument("--manifest", type=Path, default=Path("data/chorales/manifest.jsonl"))
    parser.add_argument("--out", type=Path, default=HERE / "results.json")
    options = parser.parse_args()
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name, run in short_names(options.runs).items():
        with closing(Music(options.manifest, "test", run)) as music:
            found[name] = {text: music.shares(search) for text, search in QUERIES.items()}
        with closing(Music(options.manifest, "validation", run)) as music:
            found[name] |= dict(by_weight(music))
    write_json(options.out, found)
    print_table(found)


def by_weight(music: "Music") -> Iterator[tuple[str, dict[str, float]]]:
    """Yield the shares by weight of --not."""
    default = query.NOT_WEIGHT
    for weight in WEIGHTS:
        query.NOT_WEIGHT = weight
        yield f'validation, "X" --not "Y" at {weight:g}', music.shares(QUERIES['"X" --not "Y"'])
    query.NOT_WEIGHT = default


class Music:
    """The clips of a split as a temporary folder of music, and its index."""

    def __init__(self, manifest: Path, split: str, run: str) -> None:
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        (folder / "music").mkdir()
        chosen = [track for track in read_manifest(manifest) if track.split == split]
        self.tracks = {Path(track.audio).name: track for track in chosen}
        for name, track in self.tracks.items():
            (folder / "music" / name).symlink_to((manifest.parent / track.audio).absolute())
        tags = read_vocabulary(manifest).tags
        self.pairs = list(pairs(chosen, [t.name for t in tags if t.category == "instrument"]))
        self.index = Index.create(folder / "index", folder / "music", run)
        self.index.update(progress=progress)

    def close(self) -> None:
        """Remove the folder and the index."""
        self._folder.cleanup()

    def shares(self, search: Search) -> dict[str, float]:
        """Return `SHARES` among the five best clips, means over the pairs."""
        rows = [
            measure([self.tracks[hit.path] for hit in search(self.index, x, y)], x, y)
            for x, y in progress("searching", len(self.pairs), self.pairs)
        ]
        means = np.array(rows).mean(axis=0).tolist()
        return dict(zip(SHARES, means, strict=True)) | {"pairs": len(rows)}


def pairs(tracks: list[Track], instruments: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the pairs (X, Y) with enough clips of both kinds."""
    for x in instruments:
        for y in instruments:
            with_x = [track for track in tracks if x in track.tags]
            both = sum(y in track.tags for track in with_x)
            if x != y and both >= TOP and len(with_x) - both >= TOP:
                yield x, y


def measure(best: list[Track], x: str, y: str) -> tuple[float, float, float]:
    """Return the shares of clips with Y, with X, and with X but not Y."""
    has_x = np.array([x in track.tags for track in best])
    has_y = np.array([y in track.tags for track in best])
    return float(has_y.mean()), float(has_x.mean()), float((has_x & ~has_y).mean())


def print_table(found: dict[str, dict[str, dict[str, float]]]) -> None:
    """Print a Markdown table."""
    print(f"| model | query | {' | '.join(SHARES)} |")
    print("|---|---|---|---|---|")
    for model, queries in found.items():
        for text, shares in queries.items():
            print(f"| {model} | {text} | {' | '.join(number(shares[key]) for key in SHARES)} |")


if __name__ == "__main__":
    main()
