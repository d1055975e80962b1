"""What the Million Song Dataset costs: FLOPs of a training step, GPU hours, decode cores for a GPU.

    python benchmarks/msd.py [GPU_TFLOPS] [UTILISATION]

`configs/msd.yaml` (HTS-AT from scratch, RoBERTa's size with random weights, excerpts of 10 s) with
each method, on a few clips of noise and captions of LP-MusicCaps's length. The matrix products of
forward and backward are counted (PyTorch's FlopCounterMode), not timed. GPU hours follow from a
GPU's peak (989 TFLOP/s: H100, bf16) and the share of it that is reached: 0.1 is an assumption, not
a measurement. Decode cores follow from results/loader.json: of mp3 (22,050 Hz, and soxr to the
48,000 Hz of HTS-AT, timed here), and of s16 shards that were made at 48,000 Hz. Writes
results/msd.json beside this file.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import RobertaConfig, RobertaModel

from negclap.audio import resample
from negclap.commands.training import NegClapCLI, parse
from negclap.data.batch import Batch, Clip, collate
from negclap.data.dataset import Exclude, TrainingTexts
from negclap.data.manifest import Caption, Track
from negclap.data.sources.chorales.arrangement import VOCABULARY
from negclap.models.text_encoders import TextEncoder
from negclap.rng import stream
from negclap.text.templates import write_captions
from negclap.training.module import NegClapModule

ROOT = Path(__file__).parents[1]
METHODS = ("baseline", "insert", "combined", "negclap")
TRAINING_CLIPS, EPOCHS = 444_865, 10  # LP-MusicCaps-MSD's training split; the paper's epochs
CLIPS = 2
PADDING = "a recording that a person described at some length in words that name nothing at all"


def make_track(number: int) -> Track:
    """A track with six tags and a caption of about 50 tokens."""
    rng = stream("msd", number)
    tags = tuple(rng.sample(VOCABULARY.names, 6))
    texts = write_captions(tags, VOCABULARY, rng, 1)
    captions = tuple(Caption(f"{text}, {PADDING}, {PADDING}", "writing") for text in texts)
    return Track(f"t{number}", "", 0.0, 30.0, captions, tags, None, "train")


def make_cli(method: str, arguments: list[str]) -> NegClapCLI:
    """The configured model and data of a method."""
    configs = ("msd.yaml", f"methods/{method}.yaml")
    return parse(["fit", *(f"--config={ROOT / 'configs' / name}" for name in configs), *arguments])


def make_batch(cli: NegClapCLI, size: int) -> Batch:
    """Clips of noise with the texts that the method trains on."""
    module, data = cli.model, cli.datamodule
    exclude = Exclude(per_clip=data.exclude.per_clip, absent_from="tags")
    texts = TrainingTexts(VOCABULARY, data.insert, exclude, 0, module.text_kinds)
    samples = round(data.excerpt_s * module.model.audio_encoder.sample_rate)
    noise = np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32)
    clips = [
        Clip(number, f"t{number}", noise, texts(number, make_track(number), 0))
        for number in range(size)
    ]
    return collate(clips, module.model.text_encoder.tokenize)


def step_flops(module: NegClapModule, batch: Batch) -> float:
    """FLOPs of a training step."""
    with FlopCounterMode(display=False) as counter:
        module.training_step(batch, 0).backward()
    return float(counter.get_total_flops())


def count(method: str, roberta: str) -> tuple[float, float]:
    """FLOPs of a training step and texts, for each clip."""
    cli = make_cli(method, [f"--model.text_encoder.init_args.name={roberta}"])
    cli.model.log = lambda *_, **__: None
    batch = make_batch(cli, CLIPS)
    return step_flops(cli.model, batch) / CLIPS, len(batch.text_keys) / CLIPS


def resample_s() -> float:
    """Seconds of a core for an excerpt from 22,050 to 48,000 Hz."""
    samples = np.random.default_rng(0).normal(0, 0.1, 220_500).astype(np.float32)
    times = []
    for _ in range(20):
        start = time.process_time()
        resample(samples, 22_050, 48_000)
        times.append(time.process_time() - start)
    return statistics.median(times)


def main() -> None:
    """Count, print and write."""
    peak = float(sys.argv[1]) if len(sys.argv) > 1 else 989.0
    utilisation = float(sys.argv[2]) if len(sys.argv) > 2 else 0.1
    loader = json.loads((ROOT / "benchmarks" / "results" / "loader.json").read_text())["loader"]
    mp3_s = 1 / loader["mp3 folder"]["clips_per_s"] + resample_s()
    s16_s = 48_000 / 22_050 / loader["s16 shards"]["clips_per_s"]
    with tempfile.TemporaryDirectory() as folder:
        RobertaModel(RobertaConfig()).save_pretrained(folder)
        TextEncoder(scratch=(16, 1)).tokenizer.save_pretrained(folder)
        counted = {method: count(method, folder) for method in METHODS}
    rows = {}
    for method, (flops, texts) in counted.items():
        clips_per_s = peak * 1e12 * utilisation / flops
        rows[method] = {
            "gflop_per_clip": round(flops / 1e9, 1),
            "texts_per_clip": texts,
            "clips_per_gpu_s": round(clips_per_s),
            "gpu_hours": round(TRAINING_CLIPS * EPOCHS / clips_per_s / 3600, 1),
            "cores_mp3": round(clips_per_s * mp3_s, 1),
            "cores_s16": round(clips_per_s * s16_s, 1),
        }
    columns = list(rows["baseline"])
    print(f"{'':10s}" + "".join(f"{name:>16s}" for name in columns))
    for method, row in rows.items():
        print(f"{method:10s}" + "".join(f"{row[name]:16g}" for name in columns))
    found = {"gpu_tflops": peak, "utilisation": utilisation, "methods": rows}
    target = ROOT / "benchmarks" / "results" / "msd.json"
    target.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
