"""The formula for a step's memory, against what a step takes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks.memory import StepMemory, kept_bytes, step_memory
from tests.training.test_module import EVERYTHING, full_batch, make_module

STEP = """
import sys, torch
sys.path.insert(0, {root!r})
from tests.benchmarks.test_memory import large_batch, large_module
torch.set_num_threads(1)
module = large_module()
optimizer = torch.optim.AdamW(module.parameters())
def step(clips, at_once):
    module.micro_batch_size = at_once
    module.training_step(large_batch(module, clips), 0).backward()
    optimizer.step()
    optimizer.zero_grad()
def resident(key):
    lines = open("/proc/self/status").read().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(key))
step(2, None)  # what PyTorch takes once
batch = large_batch(module, {clips})
open("/proc/self/clear_refs", "w").write("5")  # forget the peak
before = resident("VmRSS")
step({clips}, {at_once})
print(resident("VmHWM") - before)
"""


def large_module():
    from negclap.losses import LossTerms
    from negclap.models.audio_encoders import ConvEncoder
    from negclap.models.text_encoders import TextEncoder
    from negclap.training.module import NegClapModule

    module = NegClapModule(ConvEncoder(), TextEncoder(scratch=(32, 1)), LossTerms(), embed_dim=64)
    module.log = lambda *_, **__: None
    return module


def large_batch(module, clips):
    import numpy as np

    from negclap.data.batch import Clip, collate

    wave = np.random.default_rng(0).normal(0, 0.1, 64_000).astype(np.float32)
    items = [Clip(i, f"t{i}", wave, {"caption": f"slow piano {i}"}) for i in range(clips)]
    return collate(items, module.model.text_encoder.tokenize)


def test_each_kept_storage_counts_once():
    layer = nn.Linear(4, 4)
    inputs = torch.randn(3, 4)
    assert kept_bytes(layer, lambda: layer(inputs)) == inputs.numel() * 4
    assert kept_bytes(layer, lambda: layer(inputs).relu().relu()) == 3 * inputs.numel() * 4


def test_activations_grow_with_the_batch():
    module = make_module(EVERYTHING)
    _, batch = full_batch(module)
    memory = step_memory(module.model, batch)
    assert memory.parameters == 16 * sum(p.numel() for p in module.model.parameters())
    assert memory.texts_per_clip == len(batch.text_keys) / 4
    whole, half = memory.total(64, dense=False), memory.total(64, 32, dense=False)
    assert whole - memory.parameters == pytest.approx(2 * (half - memory.parameters))
    assert StepMemory(0, 0.0, 0.0, 0.0).total(1000) == 18e6


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("clips", "at_once"), [(64, None), (192, None), (192, 64)])
def test_a_step_takes_what_the_formula_says(clips, at_once):
    module = large_module()
    memory = step_memory(module.model, large_batch(module, 4))
    expected = memory.total(clips, at_once) - memory.parameters  # they are there before the step
    script = STEP.format(root=str(Path(__file__).parents[2]), clips=clips, at_once=at_once)
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}  # what is freed is given back
    out = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, env=environment
    )
    assert int(out.stdout) == pytest.approx(expected, rel=0.25)
