"""Measure time and memory of the contrastive loss by form and batch size.

    pip install --no-deps open_clip_torch  # optional, to compare with its ClipLoss
    python benchmarks/losses.py            # or with batch sizes, such as 65536

The inputs are random unit embeddings of 512 dimensions, in float32 on the CPU or bfloat16 on a GPU.
Forward and backward are measured. Each case runs in its own process, which measures its peak memory
beyond the inputs. Small batches have several rounds, in which the cases take turns; the best time
counts. On the CPU it is the CPU time of one core, which depends least on the machine's load; with
--threads it is the elapsed time. Above a batch of 16,384, only the tiled form runs, because the
logits would need gigabytes. Updates results/losses.json. Goals: at 16,384, tiled needs at most a
tenth of ClipLoss's memory and, on the CPU, less time.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from common import read_results, reset_peak, resident_mib, write_results
from torch import Tensor

from negclap.losses import SIGMOID_BIAS, ContrastiveTerm, Pairs, contrastive_loss

PEER = "ClipLoss"
CASES = (*([PEER] if find_spec("open_clip") else []), "dense", "tiled", "sigmoid")
LARGE = 16_384
DIM = 512
GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if GPU else "cpu")
BLOCK = 4096 if GPU else ContrastiveTerm().block


def load_clip_loss() -> Any:
    """Load open_clip's ClipLoss from its file, because the package imports image models."""
    package = find_spec("open_clip")
    assert package is not None
    assert package.submodule_search_locations is not None
    path = Path(package.submodule_search_locations[0]) / "loss.py"
    spec = spec_from_file_location("open_clip_loss", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.ClipLoss()


def make_case(name: str, batch: int) -> Callable[[], Tensor]:
    """Return a function that computes the loss of random embeddings."""
    generator = torch.Generator().manual_seed(0)
    audio, text = (
        F.normalize(torch.randn(batch, DIM, generator=generator), dim=1)
        .to(DEVICE, torch.bfloat16 if GPU else torch.float32)
        .requires_grad_()
        for _ in range(2)
    )
    scale, bias = (
        torch.tensor(value, device=DEVICE, requires_grad=True) for value in (1 / 0.07, SIGMOID_BIAS)
    )
    if name == PEER:
        clip_loss = load_clip_loss()
        return lambda: clip_loss(audio, text, scale)
    keys = torch.arange(batch, device=DEVICE)
    pairs = Pairs(audio, text, audio, text, keys, keys)
    term = ContrastiveTerm(1.0, form=name, block=BLOCK)
    return lambda: contrastive_loss(pairs, scale, term, bias)


def measure(name: str, batch: int, threads: int) -> dict[str, float]:
    """Measure the seconds of forward and backward, and the peak memory beyond the inputs."""
    torch.set_num_threads(threads)
    clock = time.perf_counter if GPU or threads > 1 else time.process_time
    make_case(name, 1024)().backward()  # warm-up
    loss = make_case(name, batch)
    if GPU:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated() / 2**20
    else:
        reset_peak()
        before = resident_mib("VmRSS")
    start = clock()
    loss().backward()
    if GPU:
        torch.cuda.synchronize()
    seconds = clock() - start
    peak = torch.cuda.max_memory_allocated() / 2**20 if GPU else resident_mib("VmHWM")
    return {"seconds": seconds, "peak_mib": peak - before}


def measure_in_process(name: str, batch: int, threads: int) -> dict[str, float]:
    """Call `measure` in a new process."""
    command = [sys.executable, __file__, str(batch), "--case", name, "--threads", str(threads)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    result: dict[str, float] = json.loads(out)
    return result


def run(batch: int, threads: int) -> dict[str, dict[str, float]]:
    """Return the best time and the peak memory over the rounds, by case."""
    names = CASES if batch <= LARGE else ("tiled",)
    rounds = range(min(4, max(1, LARGE // batch)))
    runs = [{name: measure_in_process(name, batch, threads) for name in names} for _ in rounds]
    results = {}
    for name in names:
        best = min(each[name]["seconds"] for each in runs)
        peak = max(each[name]["peak_mib"] for each in runs)
        results[name] = {"seconds": round(best, 3), "peak_mib": round(peak)}
    for case in results.values():
        for key, ratio in (("seconds", "time_ratio"), ("peak_mib", "memory_ratio")):
            if PEER in results:
                case[ratio] = round(case[key] / results[PEER][key], 3)
    return results


def print_rows(batch: int, results: dict[str, dict[str, float]]) -> None:
    """Print the rows of a batch size, with ratios to ClipLoss."""
    for name, case in results.items():
        ratios = [
            f"{case[key]:.2f}" if key in case else "-" for key in ("time_ratio", "memory_ratio")
        ]
        print(
            f"{batch:7,d} {name:9s} {case['seconds']:8.2f} s {ratios[0]:>6s}"
            f" {case['peak_mib']:8,.0f} MiB {ratios[1]:>6s}",
            flush=True,
        )


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("batches", type=int, nargs="*", default=[4096, LARGE, 32_768])
    parser.add_argument("--case", choices=CASES, help="measure one case in this process")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    threads = arguments.threads
    if arguments.case:
        print(json.dumps(measure(arguments.case, arguments.batches[0], threads)))
        return
    device = torch.cuda.get_device_name() if GPU else f"CPU, {threads} thread(s)"
    written = read_results("losses")
    print(f"{device}; tiles of {BLOCK} x {BLOCK}")
    print(f"{'batch':>7s} {'form':9s} {'time':>10s} {'ratio':>6s} {'memory':>12s} {'ratio':>6s}")
    for batch in arguments.batches:
        results = run(batch, threads)
        print_rows(batch, results)
        written.setdefault(device, {})[str(batch)] = results
        write_results("losses", written)


if __name__ == "__main__":
    main()
