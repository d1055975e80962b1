"""A training step beside what people would otherwise use: the same encoder sizes, clips and batch.

    python benchmarks/peers.py [--open-clip PATH]

HTS-AT (96, depths 2, 2, 6, 2) and a RoBERTa of half its size, both from scratch; clips of 10 s at
48,000 Hz as arrays, a caption each; from the arrays and texts to the optimiser's step. Ours is the
baseline through `NegClapModule`, as it is and with its audio encoder compiled, against

- transformers: `ClapModel` with ``return_loss=True``, its processor in the loop as its
  documentation shows;
- open_clip: the CLAP of its main branch (the released 3.3 has none): a checkout given by PATH.

All take turns in every round; BatchNorm and dropout as each has them. Parts of ours are timed as
well. Writes results/peers.json beside this file. Goal: 1.2 times the throughput of the better one.
"""

import argparse
import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    ClapConfig,
    ClapFeatureExtractor,
    ClapModel,
    ClapProcessor,
    RobertaConfig,
    RobertaModel,
)

from negclap.data.batch import Clip, collate
from negclap.losses import LossTerms
from negclap.models.audio_encoders import HtsatEncoder
from negclap.models.text_encoders import TextEncoder
from negclap.training.module import NegClapModule

PARTS = ("collate", "forward", "backward", "optimizer")
RATE, SECONDS = 48_000, 10
WORDS = "slow calm piano with soft drums and a warm bass guitar in a small room"
TEXT = {
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 6,
    "intermediate_size": 1536,
}

Step = Callable[[], None]


def clips(batch: int) -> tuple[list[np.ndarray], list[str]]:
    """Noise and captions."""
    rng = np.random.default_rng(0)
    waves = [rng.normal(0, 0.1, RATE * SECONDS).astype(np.float32) for _ in range(batch)]
    return waves, [" ".join(rng.permutation(WORDS.split())) for _ in range(batch)]


def ours(folder: str, batch: int, parts: dict[str, list[float]], compiled: bool) -> Step:
    """The baseline."""
    module = NegClapModule(HtsatEncoder(), TextEncoder(folder), LossTerms(), embed_dim=512)
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    if compiled:
        module.model.audio_encoder.compile()  # as model.compile_audio does
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-4, fused=True)
    waves, texts = clips(batch)

    def step() -> None:
        start = time.perf_counter()
        items = [Clip(i, str(i), waves[i], {"caption": texts[i]}) for i in range(batch)]
        data = collate(items, module.model.text_encoder.tokenize)
        loaded = time.perf_counter()
        loss = module.training_step(data, 0)
        forward = time.perf_counter()
        loss.backward()
        backward = time.perf_counter()
        optimizer.step()
        optimizer.zero_grad()
        end = time.perf_counter()
        moments = (start, loaded, forward, backward, end)
        for name, (before, after) in zip(PARTS, pairwise(moments), strict=True):
            parts.setdefault(name, []).append(after - before)

    return step


def transformers(folder: str, batch: int) -> Step:
    """ClapModel as its documentation trains it."""
    text = RobertaConfig(**TEXT).to_dict() | {"model_type": "clap_text_model"}
    config = ClapConfig(text_config=text, audio_config={})
    model = ClapModel(config).train()
    extractor = ClapFeatureExtractor(truncation="rand_trunc", padding="pad", frequency_min=50)
    tokenizer = TextEncoder(folder).tokenizer
    tokenizer.model_input_names = ["input_ids", "attention_mask"]  # as RoBERTa's has them
    processor = ClapProcessor(extractor, tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    waves, texts = clips(batch)

    def step() -> None:
        inputs = processor(
            text=texts, audio=waves, sampling_rate=RATE, return_tensors="pt", padding=True
        )
        model(**inputs, return_loss=True).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def open_clip(path: Path, folder: str, batch: int) -> Step:
    """Its CLAP and its task, its preprocessing and a tokenizer of the same words."""
    sys.path.insert(0, str(path / "src"))
    from open_clip.audio.config import CLIPAudioCfg
    from open_clip.audio.transform import audio_transform_v2
    from open_clip.clap_model import CLAP
    from open_clip.model import CLIPTextCfg
    from open_clip.task.clap_task import CLAPTask

    audio = CLIPAudioCfg()
    text = CLIPTextCfg(hf_model_name=folder, hf_tokenizer_name=folder, hf_model_pretrained=False,
                       hf_pooler_type="mean_pooler", hf_proj_type="linear")  # fmt: skip
    task = CLAPTask(CLAP(512, audio, text, output_dict=True), verbose=False)
    preprocess = audio_transform_v2(audio, is_train=True)
    tokenizer = TextEncoder(folder).tokenizer
    optimizer = torch.optim.AdamW(task.parameters(), lr=1e-4, fused=True)
    waves, texts = clips(batch)
    task.train()

    def step() -> None:
        each = [preprocess((torch.from_numpy(wave)[None], RATE)) for wave in waves]
        data = {
            "audio": {
                "waveform": torch.stack([one["waveform"] for one in each]),
                "longer": torch.tensor([one["longer"] for one in each]),
            },
            "text": tokenizer(texts, padding=True, return_tensors="pt")["input_ids"],
        }
        losses, _ = task.training_forward(data)
        losses["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def contestants(options: argparse.Namespace, folder: str, parts: Any) -> Iterator[tuple[str, Step]]:
    """By name, what does a step."""
    yield "negclap", ours(folder, options.batch, parts, compiled=False)
    yield "negclap, compiled", ours(folder, options.batch, {}, compiled=True)
    yield "transformers", transformers(folder, options.batch)
    if options.open_clip:
        yield "open_clip", open_clip(options.open_clip, folder, options.batch)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--open-clip", type=Path, metavar="PATH", help="a checkout of open_clip")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    times: dict[str, list[float]] = {}
    parts: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        RobertaModel(RobertaConfig(**TEXT)).save_pretrained(folder)
        TextEncoder(scratch=(16, 1)).tokenizer.save_pretrained(folder)
        steps = dict(contestants(options, folder, parts))
        for turn in range(options.rounds + 1):
            for name, step in steps.items():
                start = time.perf_counter()
                step()
                if turn:  # the first one warms up
                    times.setdefault(name, []).append(time.perf_counter() - start)
    median = {name: statistics.median(values) for name, values in times.items()}
    rows = {
        name: {
            "step_s": round(seconds, 3),
            "clips_per_s": round(options.batch / seconds, 2),
            "ours_to_it": round(seconds / median["negclap"], 2),
        }
        for name, seconds in median.items()
    }
    for name, row in rows.items():
        print(f"{name:18s} {row['step_s']:8.2f} s {row['clips_per_s']:8.2f} clips/s "
              f"{row['ours_to_it']:6.2f} x")  # fmt: skip
    split = {name: round(statistics.median(values[1:]), 3) for name, values in parts.items()}
    print("ours:", ", ".join(f"{name} {seconds:.2f} s" for name, seconds in split.items()))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    found = {"batch": options.batch, "systems": rows, "ours": split, "peak_rss_mb": peak}
    target = Path(__file__).parent / "results" / "peers.json"
    target.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
