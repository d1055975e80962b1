"""Predict the memory of a training step, from measurements of a small step.

The memory in bytes is the sum of

- parameters: 16 per trained one (weight, gradient, AdamW's two moments), 4 per frozen one;
- activations: 1.25 (a clips + t texts), for the clips and texts of a micro-batch, where a and t are
  the bytes that autograd saves per clip and per text, and a quarter is for gradients;
- logits: 18 B^2 for the dense contrastive loss of B clips; none for the tiled one.

In bfloat16, a and t are about half of the values in float32. A test compares the prediction with a
measured step (within a quarter). docs/scale.md has examples.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from negclap.data.batch import Batch
from negclap.models.clap import NegClap

_TRAINED, _FROZEN = 16, 4  # bytes per parameter
_BACKWARD = 1.25  # measured, see tests/benchmarks/test_memory.py
_LOGITS = 18  # bytes per pair, both directions with masks; measured by benchmarks/losses.py


@dataclass(frozen=True)
class StepMemory:
    """Memory of the parts of a step, in bytes.

    Attributes:
        parameters: Weights, gradients and optimizer state.
        clip: Activations per clip.
        text: Activations per text.
        texts_per_clip: Mean number of texts per clip.
    """

    parameters: int
    clip: float
    text: float
    texts_per_clip: float

    def total(self, batch: int, micro_batch_size: int | None = None, dense: bool = True) -> float:
        """Return the bytes of a step of ``batch`` clips on one process."""
        clips = min(batch, micro_batch_size or batch)
        activations = _BACKWARD * clips * (self.clip + self.texts_per_clip * self.text)
        return self.parameters + activations + (_LOGITS * batch**2 if dense else 0)


def step_memory(model: NegClap, batch: Batch) -> StepMemory:
    """Measure the parts of a model's step with a small training batch."""
    clips, texts = len(batch.waveform), len(batch.text_keys)
    return StepMemory(
        sum(p.numel() * (_TRAINED if p.requires_grad else _FROZEN) for p in model.parameters()),
        saved_bytes(model, lambda: model.embed_audio(batch.waveform)) / clips,
        saved_bytes(model, lambda: model.embed_text(batch.tokens)) / texts,
        texts / clips,
    )


def saved_bytes(module: nn.Module, forward: Callable[[], Tensor]) -> int:
    """Return the bytes that autograd saves in a forward pass, without the parameters."""
    own = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}
    saved: dict[int, int] = {}  # size by address, so that each storage counts once

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    def unpack(tensor: Any) -> Any:
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        result = forward()
    del result
    return sum(saved.values())
