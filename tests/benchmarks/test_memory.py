"""The predicted memory of a training step agrees with a measured one."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from negclap.data.batch import Clip, ClipTexts, collate
from negclap.losses import LossTerms
from negclap.models.audio_encoders import ConvEncoder
from negclap.models.text_encoders import TextEncoder
from negclap.training.module import NegClapModule

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from memory import StepMemory, saved_bytes, step_memory  # noqa: E402  # found by the line above

STEP = """
import sys, torch
sys.path.insert(0, {root!r})
from tests.benchmarks.test_memory import make_batch, make_module
from common import reset_peak, resident_mib
torch.set_num_threads(1)
module = make_module()
optimizer = torch.optim.AdamW(module.parameters())
def step(clips, micro_batch_size):
    module.micro_batch_size = micro_batch_size
    module.training_step(make_batch(module, clips), 0).backward()
    optimizer.step()
    optimizer.zero_grad()
step(2, None)  # PyTorch allocates memory of its own
batch = make_batch(module, {clips})
reset_peak()
before = resident_mib("VmRSS")
step({clips}, {micro_batch_size})
print(resident_mib("VmHWM") - before)
"""


def make_module():
    module = NegClapModule(ConvEncoder(), TextEncoder(scratch=(32, 1)), LossTerms(), embed_dim=64)
    module.log = lambda *_, **__: None
    return module


def make_batch(module, clips, negated=0):
    """Clips with a caption each; the first ones also have a fully negated caption."""
    waveform = np.random.default_rng(0).normal(0, 0.1, 64_000).astype(np.float32)
    texts = [
        ClipTexts(f"slow piano {i}", fully=f"no piano {i}" if i < negated else None)
        for i in range(clips)
    ]
    items = [Clip(i, f"t{i}", waveform, text) for i, text in enumerate(texts)]
    return collate(items, module.tokenize)


def test_saved_bytes_count_each_storage_once():
    layer = nn.Linear(4, 4)
    inputs = torch.randn(3, 4)
    assert saved_bytes(layer, lambda: layer(inputs)) == inputs.numel() * 4
    assert saved_bytes(layer, lambda: layer(inputs).relu().relu()) == 3 * inputs.numel() * 4


def test_predicted_activations_grow_with_the_micro_batch():
    module = make_module()
    memory = step_memory(module.model, make_batch(module, clips=4, negated=2))
    assert memory.parameters == 16 * sum(p.numel() for p in module.model.parameters())
    assert memory.texts_per_clip == 6 / 4
    whole, half = memory.total(64, dense=False), memory.total(64, 32, dense=False)
    assert whole - memory.parameters == pytest.approx(2 * (half - memory.parameters))
    assert StepMemory(0, 0.0, 0.0, 0.0).total(1000) == 18e6


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("clips", "micro_batch_size"), [(64, None), (192, None), (192, 64)])
def test_the_prediction_agrees_with_a_measured_step(clips, micro_batch_size):
    module = make_module()
    memory = step_memory(module.model, make_batch(module, 4))
    predicted = memory.total(clips, micro_batch_size) - memory.parameters  # allocated before
    script = STEP.format(root=str(ROOT), clips=clips, micro_batch_size=micro_batch_size)
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}  # return freed memory at once
    out = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, env=environment
    )
    assert 2**20 * float(out.stdout) == pytest.approx(predicted, rel=0.25)
