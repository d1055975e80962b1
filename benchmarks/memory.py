"""How much memory a training step needs: a formula, its numbers taken from a small step.

    parameters: 16 bytes each that is trained (weight, gradient, AdamW's two moments), 4 if frozen
    activations: 1.25 x (a x clips at once + t x texts at once): what the backward pass needs, and a
        quarter for its own gradients
    logits: 18 x B^2 for the dense contrastive loss of a global batch of B; none when tiled

``a`` and ``t`` are the bytes that autograd keeps of a clip and of a text. In bfloat16 they are
about half of what a float32 step says. A test compares the formula with what a step takes (within
a quarter).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from negclap.data.batch import Batch
from negclap.models.clap import NegClap

_TRAINED, _FROZEN = 16, 4
_BACKWARD = 1.25  # measured, as tests/test_memory.py does
_LOGITS = 18  # dense, both directions, with masks; measured, benchmarks/losses.py


@dataclass(frozen=True)
class StepMemory:
    """Bytes of a step's parts.

    Attributes:
        parameters: Of weights, gradients and the optimiser.
        clip: Activations of a clip.
        text: Activations of a text.
        texts_per_clip: Texts that a clip brings along.
    """

    parameters: int
    clip: float
    text: float
    texts_per_clip: float

    def total(self, batch: int, at_once: int | None = None, dense: bool = True) -> float:
        """Bytes of a step of ``batch`` clips on one process, ``at_once`` in the encoders."""
        clips = min(batch, at_once or batch)
        activations = _BACKWARD * clips * (self.clip + self.texts_per_clip * self.text)
        return self.parameters + activations + (_LOGITS * batch**2 if dense else 0)


def step_memory(model: NegClap, batch: Batch) -> StepMemory:
    """The parts of a model's step, from a small batch as it is trained on."""
    clips, texts = len(batch.waveform), len(batch.text_keys)
    return StepMemory(
        sum(p.numel() * (_TRAINED if p.requires_grad else _FROZEN) for p in model.parameters()),
        kept_bytes(model, lambda: model.embed_audio(batch.waveform)) / clips,
        kept_bytes(model, lambda: model.embed_text(batch.tokens)) / texts,
        texts / clips,
    )


def kept_bytes(module: nn.Module, forward: Callable[[], Tensor]) -> int:
    """Bytes that autograd keeps of a forward pass, each storage once, parameters not counted."""
    own = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    def unpack(tensor: Any) -> Any:
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        result = forward()
    total = sum(kept.values())
    del result
    return total
