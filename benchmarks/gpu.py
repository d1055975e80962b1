"""The paper's setting on a GPU: clips a second, share of its peak, memory; tiled loss, compiling.

    python benchmarks/gpu.py [--batch 256] [--tflops 989]   # 989: H100, bf16
    python benchmarks/gpu.py --small                        # in miniature, also without a GPU

`configs/msd.yaml` with each method: HTS-AT, RoBERTa's size with random weights, 10 s clips of
noise, bf16 under autocast; a training step, from a batch on the device to the optimiser's step.
FLOPs are those of matrix products, as benchmarks/msd.py counts them. Variants: the tiled loss, the
audio encoder compiled, micro-batches of a quarter. Writes results/gpu.json beside this file.
"""

import argparse
import json
import statistics
import tempfile
import time
from typing import Any

import torch
from msd import ROOT, make_batch, make_cli, step_flops
from transformers import RobertaConfig, RobertaModel

from negclap.models.text_encoders import TextEncoder

METHODS = ("baseline", "combined", "negclap")
VARIANTS: dict[str, list[str]] = {
    "": [],
    "tiled": ["--model.losses.contrastive.form=tiled"],
    "compiled": ["--model.compile_audio=true"],
    "micro-batches": ["--model.micro_batch_size={quarter}"],
}
SMALL_AUDIO = {"patch_embeds_hidden_size": 16, "depths": [1, 1, 1, 1], "hidden_size": 128,
               "num_attention_heads": [1, 1, 1, 1], "num_hidden_layers": 4}  # fmt: skip
SMALL_TEXT = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
              "intermediate_size": 64}  # fmt: skip
WARMUP = 2
FEW = 2


def measure(arguments: list[str], method: str, batch_size: int, steps: int, device: str) -> Any:
    """Seconds of a step, its FLOPs, GB at the peak."""
    cli = make_cli(method, arguments)
    module = cli.model.to(device)
    module.log = lambda *_, **__: None
    if module.compile_audio:
        module.model.audio_encoder.compile()
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-5, fused=True)
    batch = make_batch(cli, batch_size).to(torch.device(device))
    few = make_batch(cli, FEW).to(torch.device(device))  # a whole batch in float32 would not fit
    flops = step_flops(module, few) * batch_size / FEW
    times = []
    for turn in range(WARMUP + steps):
        if turn == WARMUP and device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            loss = module.training_step(batch, 0)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if device == "cuda":
            torch.cuda.synchronize()
        if turn >= WARMUP:
            times.append(time.perf_counter() - start)
    peak = torch.cuda.max_memory_allocated() / 1e9 if device == "cuda" else float("nan")
    return statistics.median(times), flops, peak


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--tflops", type=float, default=989.0, help="the device's peak")
    parser.add_argument("--small", action="store_true", help="tiny towers, 4 clips, 2 steps")
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not options.small:
        parser.error("no GPU here; --small runs in miniature")
    batch, steps = (4, 2) if options.small else (options.batch, options.steps)
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        RobertaModel(RobertaConfig(**(SMALL_TEXT if options.small else {}))).save_pretrained(folder)
        TextEncoder(scratch=(16, 1)).tokenizer.save_pretrained(folder)
        common = [f"--model.text_encoder.init_args.name={folder}"]
        if options.small:
            common.append(f"--model.audio_encoder.init_args.overrides={json.dumps(SMALL_AUDIO)}")
        for method in METHODS:
            for variant, extra in VARIANTS.items():
                arguments = common + [part.format(quarter=max(1, batch // 4)) for part in extra]
                seconds, flops, peak = measure(arguments, method, batch, steps, device)
                rows[f"{method} {variant}".strip()] = {
                    "clips_per_s": round(batch / seconds, 1),
                    "share_of_peak": round(flops / seconds / options.tflops / 1e12, 4),
                    "gb": round(peak, 2),
                }
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU, in miniature"
    print(f"{name}, batch {batch}")
    print(f"{'':24s} {'clips/s':>10s} {'of peak':>8s} {'GB':>8s}")
    for row, (clips_per_s, share, gb) in ((row, found.values()) for row, found in rows.items()):
        print(f"{row:24s} {clips_per_s:10.1f} {share:8.1%} {gb:8.2f}")
    if device == "cuda":
        target = ROOT / "benchmarks" / "results" / "gpu.json"
        target.write_text(
            json.dumps({"device": name, "batch": batch, "rows": rows}, indent=1) + "\n"
        )


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
