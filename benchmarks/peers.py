"""Compare a training step with transformers and open_clip, for equal encoders, clips and batches.

    python benchmarks/peers.py [--open_clip PATH]

The encoders are HTS-AT (96, depths 2, 2, 6, 2) and a RoBERTa of half the usual size, both from
scratch. Clips are arrays of 10 s at 48,000 Hz with a caption each. A step begins with arrays and
texts, and ends with the optimizer's step. negclap's baseline, as it is and with a compiled audio
encoder, is compared with

- transformers: `ClapModel` with ``return_loss=True`` and its processor in the loop, as documented;
- open_clip: the CLAP of its main branch (release 3.3 has none), from a checkout at PATH.

BatchNorm and dropout are those of each library. The systems take turns in every round. The parts of
negclap's step are timed, too. Writes results/peers.json. Goal: 1.2 times the throughput of the
better one.
"""

import argparse
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
from common import write_results
from transformers import (
    ClapConfig,
    ClapFeatureExtractor,
    ClapModel,
    ClapProcessor,
    RobertaConfig,
)
from untrained import save_roberta

from negclap.data.batch import Clip, ClipTexts, collate
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


def make_clips(batch: int) -> tuple[list[np.ndarray], list[str]]:
    """Return noise and captions."""
    rng = np.random.default_rng(0)
    waveforms = [rng.normal(0, 0.1, RATE * SECONDS).astype(np.float32) for _ in range(batch)]
    return waveforms, [" ".join(rng.permutation(WORDS.split())) for _ in range(batch)]


def negclap(folder: str, batch: int, parts: dict[str, list[float]], compiled: bool) -> Step:
    """Return a step of the baseline, which adds the times of its parts to ``parts``."""
    module = NegClapModule(HtsatEncoder(), TextEncoder(folder), LossTerms(), embed_dim=512)
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    if compiled:
        module.model.audio_encoder.compile()
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-4, fused=True)
    waveforms, texts = make_clips(batch)

    def step() -> None:
        start = time.perf_counter()
        clips = [Clip(i, str(i), waveforms[i], ClipTexts(texts[i])) for i in range(batch)]
        data = collate(clips, module.tokenize)
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
    """Return a step of ClapModel, trained as in its documentation."""
    text = RobertaConfig(**TEXT).to_dict() | {"model_type": "clap_text_model"}
    config = ClapConfig(text_config=text, audio_config={})
    model = ClapModel(config).train()
    extractor = ClapFeatureExtractor(truncation="rand_trunc", padding="pad", frequency_min=50)
    tokenizer = TextEncoder(folder).tokenizer
    tokenizer.model_input_names = ["input_ids", "attention_mask"]  # as RoBERTa's
    processor = ClapProcessor(extractor, tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    waveforms, texts = make_clips(batch)

    def step() -> None:
        inputs = processor(
            text=texts, audio=waveforms, sampling_rate=RATE, return_tensors="pt", padding=True
        )
        model(**inputs, return_loss=True).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def open_clip(path: Path, folder: str, batch: int) -> Step:
    """Return a step of open_clip's CLAPTask with its preprocessing and the same tokenizer."""
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
    waveforms, texts = make_clips(batch)
    task.train()

    def step() -> None:
        clips = [preprocess((torch.from_numpy(each)[None], RATE)) for each in waveforms]
        data = {
            "audio": {
                "waveform": torch.stack([clip["waveform"] for clip in clips]),
                "longer": torch.tensor([clip["longer"] for clip in clips]),
            },
            "text": tokenizer(texts, padding=True, return_tensors="pt")["input_ids"],
        }
        losses, _ = task.training_forward(data)
        losses["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def systems(options: argparse.Namespace, folder: str, parts: Any) -> Iterator[tuple[str, Step]]:
    """Yield the name and a step of every system."""
    yield "negclap", negclap(folder, options.batch, parts, compiled=False)
    yield "negclap, compiled", negclap(folder, options.batch, {}, compiled=True)
    yield "transformers", transformers(folder, options.batch)
    if options.open_clip:
        yield "open_clip", open_clip(options.open_clip, folder, options.batch)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--open_clip", type=Path, metavar="PATH", help="checkout of open_clip")
    parser.add_argument("--batch", type=int, default=8, help="clips per step")
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds")
    options = parser.parse_args()
    times: dict[str, list[float]] = {}
    parts: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        save_roberta(folder, **TEXT)
        steps = dict(systems(options, folder, parts))
        for turn in range(options.rounds + 1):
            for name, step in steps.items():
                start = time.perf_counter()
                step()
                if turn:  # the first round is a warm-up
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
    part_times = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in split.items())
    print(f"parts of negclap's step: {part_times}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    results = {"batch": options.batch, "systems": rows, "ours": split, "peak_rss_mb": peak}
    write_results("peers", results)


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
