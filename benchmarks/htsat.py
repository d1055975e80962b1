"""Compare HTS-AT with that of transformers and of open_clip: training step and inference.

    python benchmarks/htsat.py [--open_clip PATH] [--batch 8] [--compiled]

The encoder has its usual size (width 96, depths 2, 2, 6, 2); the batch holds log-mel spectrograms
of 10 s. A training step is a forward and a backward pass. On a GPU, the passes run in bfloat16
under autocast; without one, in float32. The systems take turns in every round.

- transformers: `ClapAudioModel`, with the same weights;
- open_clip: `HTSATEncoder` of a checkout at PATH, behind its spectrogram and without SpecAugment
  (needs `pip install torchlibrosa`);
- matrix products: the products of all linear layers alone, in a step with both gradients, on
  random matrices of the same shapes: what no implementation goes below.

Writes results/htsat.json (on a GPU, results/htsat-gpu.json).
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from common import write_results
from torch import Tensor, nn
from transformers import ClapAudioConfig, ClapAudioModel

from negclap.models.htsat import Htsat

FRAMES, BANDS = 1001, 64
Run = Callable[[], object]


class FromSpectrogram(nn.Module):
    """open_clip's encoder from its first normalisation on."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Encode ``(batch, frames, bands)``."""
        levels = spectrogram.unsqueeze(1).transpose(1, 3)
        image = self.encoder.reshape_wav2img(self.encoder.bn0(levels).transpose(1, 3))
        embedding: Tensor = self.encoder.forward_features(image)["embedding"]
        return embedding


class Theirs(nn.Module):
    """ClapAudioModel with a tensor as output."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Encode ``(batch, frames, bands)``."""
        pooled: Tensor = self.model(input_features=spectrogram.unsqueeze(1)).pooler_output
        return pooled


def open_clip(path: Path) -> nn.Module:
    """Return open_clip's encoder."""
    sys.path.insert(0, str(path / "src"))
    from open_clip.audio.config import CLIPAudioCfg
    from open_clip.audio.htsat import create_htsat_model

    return FromSpectrogram(create_htsat_model(CLIPAudioCfg()))


def models(options: argparse.Namespace) -> dict[str, nn.Module]:
    """Return the encoders by name; those of negclap and transformers have the same weights."""
    config = ClapAudioConfig()
    ours, theirs = Htsat(config), ClapAudioModel(config)
    theirs.load_state_dict(ours.state_dict())
    found = {"negclap": ours, "transformers": Theirs(theirs)}
    return found | ({"open_clip": open_clip(options.open_clip)} if options.open_clip else {})


def products(model: nn.Module, spectrogram: Tensor) -> Run:
    """Return the products of the linear layers in a training step."""
    shapes: list[tuple[int, int, int]] = []

    def note(_: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        width = inputs[0].shape[-1]
        shapes.append((inputs[0].numel() // width, width, output.shape[-1]))

    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    hooks = [module.register_forward_hook(note) for module in linear]
    with torch.no_grad():
        model(spectrogram[:1])
    for hook in hooks:
        hook.remove()
    device, kind = spectrogram.device, working_type(spectrogram)
    every = [
        tuple(
            torch.randn(size, device=device, dtype=kind)
            for size in ((len(spectrogram) * rows, width), (out, width), (out,))
        )
        for rows, width, out in shapes
    ]
    gradients = [
        torch.randn((len(inputs), len(weight)), device=device, dtype=kind)
        for inputs, weight, _ in every
    ]

    def run() -> None:
        for (inputs, weight, bias), gradient in zip(every, gradients, strict=True):
            F.linear(inputs, weight, bias)
            gradient @ weight
            gradient.T @ inputs

    return run


def working_type(spectrogram: Tensor) -> torch.dtype:
    """Return the type of the products."""
    return torch.bfloat16 if spectrogram.is_cuda else torch.float32


def training(model: nn.Module, spectrogram: Tensor) -> Run:
    """Return a training step."""

    def run() -> None:
        model.train()
        model.zero_grad()
        with torch.autocast("cuda", torch.bfloat16, enabled=spectrogram.is_cuda):
            output = model(spectrogram)
        output.float().square().mean().backward()

    return run


def inference(model: nn.Module, spectrogram: Tensor) -> Run:
    """Return a forward pass without gradients."""

    @torch.inference_mode()
    def run() -> None:
        model.eval()
        with torch.autocast("cuda", torch.bfloat16, enabled=spectrogram.is_cuda):
            model(spectrogram)

    return run


def measure(runs: dict[str, Run], rounds: int, device: str) -> dict[str, float]:
    """Return the median seconds of runs that take turns; two rounds are a warm-up."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 2):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if device == "cuda":
                torch.cuda.synchronize()
            if turn >= 2:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--open_clip", type=Path, metavar="PATH", help="checkout of open_clip")
    parser.add_argument("--batch", type=int, default=8, help="spectrograms in a batch")
    parser.add_argument("--rounds", type=int, default=7, help="measured rounds")
    parser.add_argument("--compiled", action="store_true", help="compile the encoders, too")
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    spectrogram = 20 * torch.randn(options.batch, FRAMES, BANDS, device=device) - 30
    plain = {name: model.to(device) for name, model in models(options).items()}
    bound = measure({"": products(plain["negclap"], spectrogram)}, options.rounds, device)[""]
    forms = {"": plain}
    if options.compiled:
        forms["compiled"] = {name: torch.compile(model) for name, model in plain.items()}
    rows = {}
    for form, encoders in forms.items():
        for kind in (training, inference):
            runs = {name: kind(encoder, spectrogram) for name, encoder in encoders.items()}
            seconds = measure(runs, options.rounds, device)
            for name, each in seconds.items():
                rows[" ".join(filter(None, (kind.__name__, form, name)))] = {
                    "ms": round(1000 * each, 1),
                    "clips_per_s": round(options.batch / each, 1),
                    "ours_to_it": round(each / seconds["negclap"], 2),
                }
    where = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    share = 1000 * bound / rows["training negclap"]["ms"]
    print(f"{where}, batch size {options.batch}")
    print(f"products of a training step {1000 * bound:.1f} ms, {share:.2f} of negclap's step")
    for name, row in rows.items():
        print(f"{name:34s} {row['ms']:9.1f} ms {row['clips_per_s']:9.1f} clips/s "
              f"{row['ours_to_it']:6.2f} x")  # fmt: skip
    results = {"device": where, "batch": options.batch, "products_ms": round(1000 * bound, 1)}
    write_results("htsat-gpu" if device == "cuda" else "htsat", results | {"rows": rows})


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
