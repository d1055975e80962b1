"""Measure training on a GPU in the paper's setting: clips per second, share of the peak, memory.

    python benchmarks/gpu.py [--batch 256] [--tflops 989]   # 989: H100, bfloat16
    python benchmarks/gpu.py --small                        # in miniature, also without a GPU

The model is that of ``configs/msd.yaml`` (HTS-AT, a text encoder of RoBERTa's size) with random
weights and clips of 10 s of noise, in bfloat16 under autocast. A step begins with a batch on the
device and ends with the optimizer's step. FLOPs are those of matrix products, see msd.py. Each
method is measured as it is, with the tiled loss, with a compiled audio encoder, and with
micro-batches of a quarter. Writes results/gpu.json.
"""

import argparse
import itertools
import json
import statistics
import tempfile
import time

import torch
from common import write_results
from msd import make_msd_cli, make_tracks, step_flops
from untrained import make_batch, save_roberta

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
FLOPS_CLIPS = 2  # FLOPs are counted in float32, in which a whole batch would not fit


def measure(
    arguments: list[str], method: str, batch_size: int, steps: int, device: str
) -> tuple[float, float, float]:
    """Return the seconds and FLOPs of a step, and the peak memory in GB."""
    cli = make_msd_cli(method, arguments)
    module = cli.model.to(device)
    if module.compile_audio:
        module.model.audio_encoder.compile()
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-5, fused=True)
    batch, few = (
        make_batch(cli, make_tracks(clips)).to(torch.device(device))
        for clips in (batch_size, FLOPS_CLIPS)
    )
    flops = step_flops(module, few) * batch_size / FLOPS_CLIPS
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
    parser.add_argument("--batch", type=int, default=256, help="clips per step")
    parser.add_argument("--steps", type=int, default=10, help="measured steps")
    parser.add_argument("--tflops", type=float, default=989.0, help="peak of the device, TFLOP/s")
    parser.add_argument("--small", action="store_true", help="tiny encoders, 4 clips, 2 steps")
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not options.small:
        parser.error("no GPU found; use --small to run in miniature")
    batch, steps = (4, 2) if options.small else (options.batch, options.steps)
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU, in miniature"
    print(f"{name}, batch size {batch}")
    print(f"{'':24s} {'clips/s':>10s} {'of peak':>8s} {'GB':>8s}")
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        save_roberta(folder, **(SMALL_TEXT if options.small else {}))
        common = [f"--model.text_encoder.init_args.name={folder}"]
        if options.small:
            common.append(f"--model.audio_encoder.init_args.overrides={json.dumps(SMALL_AUDIO)}")
        for method, (variant, extra) in itertools.product(METHODS, VARIANTS.items()):
            arguments = common + [part.format(quarter=max(1, batch // 4)) for part in extra]
            row = f"{method} {variant}".strip()
            try:
                seconds, flops, peak = measure(arguments, method, batch, steps, device)
            except torch.OutOfMemoryError:
                print(f"{row:24s} out of memory")
                continue
            clips_per_s, share = batch / seconds, flops / seconds / options.tflops / 1e12
            rows[row] = {
                "clips_per_s": round(clips_per_s, 1),
                "share_of_peak": round(share, 4),
                "gb": round(peak, 2),
            }
            print(f"{row:24s} {clips_per_s:10.1f} {share:8.1%} {peak:8.2f}", flush=True)
            if device == "cuda":
                write_results("gpu", {"device": name, "batch": batch, "rows": rows})


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
