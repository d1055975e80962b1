"""Compute the cost of training on the Million Song Dataset: FLOPs, GPU hours, decoding cores.

    python benchmarks/msd.py

The setting is ``configs/msd.yaml`` (HTS-AT, a text encoder of RoBERTa's size with random weights,
excerpts of 10 s) with each method, on a few clips of noise and captions as long as LP-MusicCaps's.
The matrix products of a forward and backward pass are counted with PyTorch's FlopCounterMode, not
timed. GPU hours follow from the fastest row of each method in results/gpu.json. The number of
decoding cores that keep the GPU busy follows from results/loader.json: for mp3 at 22,050 Hz, with
resampling to HTS-AT's 48,000 Hz, which is timed here, and for s16 shards at 48,000 Hz. Writes
results/msd.json.
"""

import statistics
import tempfile
import time

import numpy as np
import torch
from common import print_table, read_results, write_results
from torch.utils.flop_counter import FlopCounterMode
from untrained import make_batch, make_cli, save_roberta

from negclap.audio import resample
from negclap.commands.training import NegClapCLI
from negclap.data.batch import Batch
from negclap.data.manifest import Caption, Track
from negclap.data.sources.chorales.arrangement import VOCABULARY
from negclap.rng import stream
from negclap.text.templates import write_captions
from negclap.training.module import NegClapModule

METHODS = ("baseline", "combined", "negclap")
TRAINING_CLIPS, EPOCHS = 444_865, 10  # LP-MusicCaps-MSD's training split; the paper's epochs
CLIPS = 2
PADDING = "a recording that a person described at some length in words that name nothing at all"


def make_tracks(count: int) -> list[Track]:
    """Return tracks with six tags and a caption of about 50 tokens."""
    return [_make_track(number) for number in range(count)]


def _make_track(number: int) -> Track:
    rng = stream("msd", number)
    tags = tuple(rng.sample(VOCABULARY.names, 6))
    texts = write_captions(tags, VOCABULARY, rng, 1)
    captions = tuple(Caption(f"{text}, {PADDING}, {PADDING}", "writing") for text in texts)
    return Track(f"t{number}", "", 0.0, 30.0, captions, tags, None, "train")


def make_msd_cli(method: str, arguments: list[str]) -> NegClapCLI:
    """Return the model and data module of a method on a data set without absent tags."""
    return make_cli("msd", method, [*arguments, "--data.exclude.absent_from=tags"])


def step_flops(module: NegClapModule, batch: Batch) -> float:
    """Count the FLOPs of a training step."""
    with FlopCounterMode(display=False) as counter:
        module.training_step(batch, 0).backward()
    return float(counter.get_total_flops())


def count(method: str, roberta: str) -> tuple[float, float]:
    """Return the FLOPs of a training step and the number of texts, both per clip."""
    cli = make_msd_cli(method, [f"--model.text_encoder.init_args.name={roberta}"])
    batch = make_batch(cli, make_tracks(CLIPS))
    return step_flops(cli.model, batch) / CLIPS, len(batch.text_keys) / CLIPS


def time_resampling() -> float:
    """Return the CPU seconds to resample an excerpt of 10 s from 22,050 to 48,000 Hz."""
    samples = np.random.default_rng(0).normal(0, 0.1, 220_500).astype(np.float32)
    times = []
    for _ in range(20):
        start = time.process_time()
        resample(samples, 22_050, 48_000)
        times.append(time.process_time() - start)
    return statistics.median(times)


def main() -> None:
    """Count, print and write."""
    gpu = read_results("gpu")
    loader = read_results("loader")["loader"]
    mp3_s = 1 / loader["mp3 folder"]["clips_per_s"] + time_resampling()
    s16_s = 48_000 / 22_050 / loader["s16 shards"]["clips_per_s"]
    with tempfile.TemporaryDirectory() as folder:
        save_roberta(folder)
        costs = {method: count(method, folder) for method in METHODS}
    rows = {}
    for method, (flops, texts) in costs.items():
        measured = {name: row for name, row in gpu["rows"].items() if name.split()[0] == method}
        clips_per_s = max(row["clips_per_s"] for row in measured.values())
        rows[method] = {
            "gflop_per_clip": round(flops / 1e9, 1),
            "texts_per_clip": texts,
            "clips_per_gpu_s": round(clips_per_s),
            "gpu_hours": round(TRAINING_CLIPS * EPOCHS / clips_per_s / 3600, 1),
            "cores_mp3": round(clips_per_s * mp3_s, 1),
            "cores_s16": round(clips_per_s * s16_s, 1),
        }
    print_table(rows)
    write_results("msd", {"gpu": gpu["device"], "methods": rows})


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
