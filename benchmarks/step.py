"""Time a training step of the default model by method, to see the cost of the texts.

    python benchmarks/step.py [--rounds 12] [--batch 64]

A step is forward, backward and optimizer on random audio, with texts made from random tags as in
training. The methods take turns in every round, so that noise of the machine affects all of them.
The columns, in milliseconds and MB: the step; its ratio to the baseline's; forward and backward of
the audio encoder and of the text encoder alone; texts and tokens, which the loader makes; peak
memory of the process so far. Writes results/step.json. Goals: at most 1.6 times the baseline's step
for negclap, 1.25 times for combined.
"""

import argparse
import resource
import statistics
import time

import torch
from common import print_table, write_results
from untrained import make_batch, make_cli

from negclap.data.batch import Batch
from negclap.data.manifest import Caption, Track
from negclap.data.sources.chorales.arrangement import VOCABULARY
from negclap.rng import stream
from negclap.text.templates import write_captions
from negclap.training.module import NegClapModule

METHODS = ("baseline", "insert", "combined", "negclap")
WARMUP = 2


def make_track(number: int) -> Track:
    """Return a track with six random tags."""
    rng = stream("benchmark", number)
    tags = tuple(rng.sample(VOCABULARY.names, 6))
    absent = tuple(name for name in VOCABULARY.names if name not in tags)
    captions = tuple(Caption(text, "template") for text in write_captions(tags, VOCABULARY, rng, 3))
    return Track(f"t{number}", "", 0.0, 5.0, captions, tags, absent, "train", {})


def step(module: NegClapModule, optimizer: torch.optim.Optimizer, batch: Batch) -> None:
    """Do a training step."""
    optimizer.zero_grad()
    module.training_step(batch, 0).backward()
    torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
    optimizer.step()


def encoder_times(module: NegClapModule, batch: Batch) -> tuple[float, float]:
    """Return the seconds of forward and backward of the audio encoder, and of the text encoder."""
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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=12, help="measured rounds")
    parser.add_argument("--batch", type=int, default=64, help="clips per step")
    options = parser.parse_args()
    tracks = [make_track(i) for i in range(options.batch)]
    methods = {}
    for method in METHODS:
        torch.manual_seed(0)
        cli = make_cli("chorales", method)
        optimizer = torch.optim.AdamW(cli.model.parameter_groups(), fused=True)
        methods[method] = (cli, optimizer)
    steps: dict[str, list[float]] = {method: [] for method in METHODS}
    texts: dict[str, list[float]] = {method: [] for method in METHODS}
    encoders: dict[str, list[tuple[float, float]]] = {method: [] for method in METHODS}
    peaks: dict[str, float] = {}
    for turn in range(WARMUP + options.rounds):
        for method, (cli, optimizer) in methods.items():
            start = time.perf_counter()
            batch = make_batch(cli, tracks, turn)
            loaded = time.perf_counter()
            step(cli.model, optimizer, batch)
            if turn >= WARMUP:
                texts[method].append(loaded - start)
                steps[method].append(time.perf_counter() - loaded)
                encoders[method].append(encoder_times(cli.model, batch))
            else:
                peaks[method] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    baseline = statistics.median(steps["baseline"])
    rows = {
        method: {
            "step_ms": round(1000 * statistics.median(steps[method]), 1),
            "ratio": round(statistics.median(steps[method]) / baseline, 3),
            "audio_ms": round(1000 * statistics.median(a for a, _ in encoders[method]), 1),
            "text_ms": round(1000 * statistics.median(t for _, t in encoders[method]), 1),
            "loader_texts_ms": round(1000 * statistics.median(texts[method]), 1),
            "peak_mb": round(peaks[method]),
        }
        for method in METHODS
    }
    print_table(rows)
    write_results("step", {"batch": options.batch, "recipes": rows})


if __name__ == "__main__":
    main()
