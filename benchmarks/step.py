"""Time of a training step by recipe, on the default model: what texts cost.

    python benchmarks/step.py

Random audio, texts as training makes them from random tags; forward, backward and optimiser step.
The recipes take turns in every round, so that a noisy machine hits all of them. Where the time
goes: forward and backward of the audio and of the text encoder alone; the rest is losses, optimiser
and overhead. Texts and tokens are timed apart, since they are made in the loader. Memory is the
peak of the process, of the recipes up to this one. Writes results/step.json beside this file.
Goals: negclap at most 1.6 times the step of the baseline, insert + dissimilarity 1.25.
"""

import json
import resource
import statistics
import time
from pathlib import Path

import numpy as np
import torch

from negclap.commands.training import NegClapCLI, parse
from negclap.data.batch import Batch, Clip, collate
from negclap.data.dataset import TrainingTexts
from negclap.data.manifest import Caption, Track
from negclap.data.sources.chorales.arrangement import VOCABULARY
from negclap.rng import stream
from negclap.text.templates import write_captions
from negclap.training.module import NegClapModule

ROOT = Path(__file__).parents[1]
METHODS = ("baseline", "insert", "combined", "negclap")
ROUNDS = 12
BATCH = 64


def make_track(number: int) -> Track:
    """A track with six random tags."""
    rng = stream("benchmark", number)
    tags = tuple(rng.sample(VOCABULARY.names, 6))
    absent = tuple(name for name in VOCABULARY.names if name not in tags)
    captions = tuple(Caption(text, "template") for text in write_captions(tags, VOCABULARY, rng, 3))
    return Track(f"t{number}", "", 0.0, 5.0, captions, tags, absent, "train", {})


def make_cli(method: str) -> NegClapCLI:
    """The configured model and data of a recipe."""
    configs = ("chorales.yaml", f"methods/{method}.yaml")
    return parse(["fit", *(f"--config={ROOT / 'configs' / name}" for name in configs)])


def make_batch(cli: NegClapCLI, tracks: list[Track], epoch: int) -> Batch:
    """What the loader hands over."""
    data, module = cli.datamodule, cli.model
    texts = TrainingTexts(VOCABULARY, data.insert, data.exclude, 0, module.text_kinds)
    rng = np.random.default_rng(epoch)
    samples = round(data.excerpt_s * module.model.audio_encoder.sample_rate)
    clips = [
        Clip(i, track.track_id, rng.normal(0, 0.1, samples).astype(np.float32),
             texts(i, track, epoch))
        for i, track in enumerate(tracks)
    ]  # fmt: skip
    return collate(clips, module.model.text_encoder.tokenize)


def step(module: NegClapModule, optimizer: torch.optim.Optimizer, batch: Batch) -> None:
    """One training step."""
    optimizer.zero_grad()
    module.training_step(batch, 0).backward()
    torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
    optimizer.step()


def tower_times(module: NegClapModule, batch: Batch) -> tuple[float, float]:
    """Seconds of forward and backward of the audio encoder, and of the text encoder."""
    times = []
    for embed, inputs in (
        (module.model.embed_audio, batch.waveform),
        (module.model.embed_text, batch.tokens),
    ):
        start = time.perf_counter()
        embed(inputs).sum().backward()
        times.append(time.perf_counter() - start)
    return times[0], times[1]


def main() -> None:
    """Measure, print and write."""
    tracks = [make_track(i) for i in range(BATCH)]
    recipes = {}
    for method in METHODS:
        torch.manual_seed(0)
        cli = make_cli(method)
        cli.model.log = lambda *_, **__: None
        optimizer = torch.optim.AdamW(cli.model.parameter_groups(), fused=True)
        recipes[method] = (cli, optimizer)
    steps: dict[str, list[float]] = {method: [] for method in METHODS}
    loads: dict[str, list[float]] = {method: [] for method in METHODS}
    towers: dict[str, list[tuple[float, float]]] = {method: [] for method in METHODS}
    peaks: dict[str, float] = {}
    for turn in range(ROUNDS + 2):
        for method, (cli, optimizer) in recipes.items():
            start = time.perf_counter()
            batch = make_batch(cli, tracks, turn)
            loaded = time.perf_counter()
            step(cli.model, optimizer, batch)
            if turn >= 2:  # the first ones warm up
                loads[method].append(loaded - start)
                steps[method].append(time.perf_counter() - loaded)
                towers[method].append(tower_times(cli.model, batch))
            else:
                peaks[method] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    base = statistics.median(steps["baseline"])
    results = {
        method: {
            "step_ms": round(1000 * statistics.median(steps[method]), 1),
            "ratio": round(statistics.median(steps[method]) / base, 3),
            "audio_ms": round(1000 * statistics.median(a for a, _ in towers[method]), 1),
            "text_ms": round(1000 * statistics.median(t for _, t in towers[method]), 1),
            "loader_texts_ms": round(1000 * statistics.median(loads[method]), 1),
            "peak_mb": round(peaks[method]),
        }
        for method in METHODS
    }
    columns = list(results["baseline"])
    print(f"{'recipe':10s}" + "".join(f"{column:>17s}" for column in columns))
    for method, row in results.items():
        print(f"{method:10s}" + "".join(f"{row[column]:17g}" for column in columns))
    target = Path(__file__).parent / "results" / "step.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps({"batch": BATCH, "recipes": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
