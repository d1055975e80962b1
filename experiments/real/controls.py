"""Controls of a test on mixes of stems: what can be answered without the tags?

    python experiments/real/controls.py data/stems/manifest.jsonl --out runs/controls [--model M]
        [--genre "metal=muldjord"]

- A probe has three numbers of each mix: its number of parts, its share of loud frames, and its
  spectral density. It learns each tag from them on validation, and takes the test.
- For each model: the rank correlation of its scores of "no X" with the number of parts, over the
  mixes that lack X. Negative: the model takes "no" for fewer sounds.
- How often the model calls tags of the mixes likely and unlikely, if its tags are calibrated.
- For a genre and the folder of an artist, or a song: the area under the curve of the genre's name,
  of mixes with the artist's songs against all others.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from torch import Tensor
from torchmetrics.functional.classification import binary_auroc

import negclap
from negclap.audio import read_excerpt
from negclap.data.manifest import Track
from negclap.data.tracks import Tracks, read_manifest, read_vocabulary
from negclap.evaluation.benchmark import BenchmarkData, text_embedder
from negclap.evaluation.exam import make_exam
from negclap.evaluation.scoring import EmbedTexts
from negclap.evaluation.suite import Suite
from negclap.models.encoder import Encoder
from negclap.progress import progress
from negclap.search.explain import LIKELY, UNLIKELY, probabilities
from negclap.storage import write_json
from negclap.text.probes import Statement

RATE = 16_000
RIDGE = 1.0
LEAST_MIXES = 20
KEYS = (
    *("audio_ceiling", "true_absence", "true_absence/shuffled", "exclusion/joint@10"),
    *("paired", "paired/added", "paired/exchanged", "paired/control", "scope/accuracy"),
)


def surface(track: Track, root: Path) -> tuple[float, float, float]:
    """Return number of parts, share of loud frames, and spectral density of a mix."""
    audio = read_excerpt(root / track.audio, track.start_s, track.duration_s, RATE)
    frames = audio[: len(audio) // 512 * 512].reshape(-1, 512)
    level = np.sqrt((frames**2).mean(axis=1)) + 1e-9
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(512), axis=1)) + 1e-9
    flatness = np.exp(np.log(spectrum).mean(axis=1)) / spectrum.mean(axis=1)
    return (
        float(track.meta["parts"]),
        float((level > level.max() / 4).mean()),
        float(flatness.mean()),
    )


class Probe:
    """Ridge regression of each tag on the surface of mixes."""

    def __init__(self, tracks: Tracks, root: Path, tags: Sequence[str]) -> None:
        self.root = root
        x = self._surfaces(tracks)
        self.mean, self.std = x.mean(dim=0), x.std(dim=0).clamp(min=1e-6)
        x = self._normal(x)
        self.weights = {tag: self._fit(x, tracks, tag) for tag in tags}

    def _surfaces(self, tracks: Sequence[Track]) -> Tensor:
        shown = progress("reading mixes", len(tracks), tracks)
        return torch.tensor([surface(track, self.root) for track in shown])

    def _normal(self, x: Tensor) -> Tensor:
        return torch.cat(((x - self.mean) / self.std, torch.ones(len(x), 1)), dim=1)

    def _fit(self, x: Tensor, tracks: Tracks, tag: str) -> Tensor:
        known = torch.tensor([tag in (*t.tags, *(t.absent_tags or ())) for t in tracks])
        y = torch.tensor([1.0 if tag in t.tags else -1.0 for t in tracks])
        x, y = x[known], y[known]
        return torch.linalg.solve(x.T @ x + RIDGE * torch.eye(x.shape[1]), x.T @ y)

    def audio(self, tracks: Sequence[Track]) -> Tensor:
        """Return unit vectors of mixes."""
        return F.normalize(self._normal(self._surfaces(tracks)), dim=1)

    def text(self, statements: Sequence[Statement]) -> Tensor:
        """Return unit vectors of claims."""
        zero = torch.zeros(len(self.mean) + 1)
        sums = [
            sum((self.weights[tag] * (1 if has else -1) for tag, has in one.claims), zero)
            for one in statements
        ]
        return F.normalize(torch.stack(sums) + 1e-6, dim=1)


def correlation(
    audio: Tensor, texts: Tensor, tags: Sequence[str], tracks: Sequence[Track]
) -> float:
    """Return the mean rank correlation of scores of "no X" with the number of parts."""
    parts = np.array([track.meta["parts"] for track in tracks])
    found = []
    for tag, text in zip(tags, texts, strict=True):
        lacking = np.array([tag in (track.absent_tags or ()) for track in tracks])
        if lacking.sum() >= LEAST_MIXES:
            scores = (audio @ text).numpy()[lacking]
            found.append(float(spearmanr(scores, parts[lacking]).statistic))
    return mean(found)


def called(
    model: Encoder, audio: Tensor, texts: EmbedTexts, tracks: Sequence[Track]
) -> dict[str, float]:
    """Return how often tags that clips have, and that they lack, are called likely and unlikely."""
    names = list(model.curves)
    if not names:
        return {}
    probable = probabilities((audio @ texts(names).T).numpy(), model)
    has, lacks = (
        np.array([[name in (tags or ()) for name in names] for tags in each])
        for each in zip(*((track.tags, track.absent_tags) for track in tracks), strict=True)
    )
    return {
        f"{kind}, called {word}": float(chosen[rows].mean())
        for kind, rows in (("there", has), ("not there", lacks))
        for word, chosen in (("likely", probable >= LIKELY), ("unlikely", probable <= UNLIKELY))
    }


def genre_auc(
    genre: str, artist: str, audio: Tensor, texts: EmbedTexts, tracks: Sequence[Track]
) -> float:
    """Return the area under the curve of a genre, of mixes with songs by an artist, or a song."""
    songs = [[f"{song}/" for song in track.meta["songs"]] for track in tracks]
    own = torch.tensor([any(song.startswith(f"{artist}/") for song in each) for each in songs])
    return float(binary_auroc(audio @ texts([genre])[0], own))


def main() -> None:
    """Print and write the controls."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--model", action="append", default=[])
    parser.add_argument("--genre", action="append", default=[], metavar="GENRE=ARTIST")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    tracks, vocabulary = read_manifest(options.manifest), read_vocabulary(options.manifest)
    root = options.manifest.parent
    test, twins = list(tracks.split("test")), list(tracks.split("test_twin"))
    exam = make_exam(test, twins, vocabulary, 0)
    probe = Probe(tracks.split("validation"), root, vocabulary.names)
    values = Suite(len(test), 1).run(exam, probe.audio(test), probe.audio(twins), probe.text).values
    found: dict[str, dict[str, float]] = {"probe": {k: values[k] for k in KEYS if k in values}}
    nouns = [tag.name for tag in vocabulary.tags if tag.part_of_speech == "noun"]
    for source in options.model or ["built-in"]:
        model = negclap.load(source)
        data = BenchmarkData.read(options.manifest, model.excerpt_s)
        split = data.encode(model, "test", "test_twin", progress)
        texts = text_embedder(model)
        denials = texts([f"no {name}" for name in nouns])
        found[source] = {"no X against parts": correlation(split.audio, denials, nouns, test)}
        found[source] |= called(model, split.audio, texts, test)
        for genre, artist in (each.split("=") for each in options.genre):
            found[source][genre] = genre_auc(genre, artist, split.audio, texts, test)
    for name, each in found.items():
        print(name, *(f"{key} {value:.3f}" for key, value in each.items()), sep="\n  ")
    options.out.mkdir(parents=True, exist_ok=True)
    write_json(options.out / "controls.json", found)


if __name__ == "__main__":
    main()
