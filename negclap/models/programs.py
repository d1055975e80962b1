"""Both encoders as functions of tensors, and `torch.export` programs of them."""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.export import Dim

from negclap.models.checkpoint import TrainedModel
from negclap.models.clap import NegClap
from negclap.models.text_tower import TextTower, text_tower

_ROWS = Dim("rows", min=1, max=4096)


class Program(NamedTuple):
    """An encoder as a function of tensors, which an exporter traces.

    Attributes:
        function: Takes the inputs in their order, returns ``(rows, embed_dim)``, unit length.
        inputs: An example of each input, by name.
        shapes: The dimensions of each input that are not fixed.
    """

    function: nn.Module
    inputs: dict[str, Tensor]
    shapes: tuple[dict[int, Dim], ...]


class _Audio(nn.Module):
    def __init__(self, model: NegClap) -> None:
        super().__init__()
        self.model = model.eval()

    def forward(self, waveform: Tensor) -> Tensor:
        return self.model.embed_audio(waveform)


class _Text(nn.Module):
    def __init__(self, tower: TextTower) -> None:
        super().__init__()
        self.tower = tower.eval()

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        embeddings: Tensor = self.tower({"input_ids": input_ids, "attention_mask": attention_mask})
        return embeddings


def audio_program(model: NegClap, excerpt_s: float) -> Program:
    """Return the function of ``waveform``, ``(rows, samples)`` float32, clips of `excerpt_s`."""
    waveform = torch.zeros(2, round(excerpt_s * model.audio_encoder.sample_rate))
    return Program(_Audio(model), {"waveform": waveform}, ({0: _ROWS},))


def text_program(tower: TextTower) -> Program:
    """Return the function of ``input_ids`` and ``attention_mask``, ``(rows, length)`` int64."""
    tokens = tower.encoder.tokenize(["no drums", "calm piano, no drums"])
    shape = {0: _ROWS, 1: Dim("length", min=2, max=tower.encoder.max_tokens)}
    return Program(_Text(tower), tokens, (shape, shape))


def write_programs(trained: TrainedModel, folder: Path) -> None:
    """Write ``audio.pt2``, ``text.pt2`` and ``text/`` (the tokenizer), to use without negclap.

    The programs take up to 4096 rows; clips must last as long as in training.
    """
    model = trained.model
    _write(audio_program(model, trained.description.excerpt_s), folder / "audio.pt2")
    _write(text_program(text_tower(model)), folder / "text.pt2")
    model.text_encoder.tokenizer.save_pretrained(folder / "text")


def _write(program: Program, path: Path) -> None:
    inputs = tuple(program.inputs.values())
    exported = torch.export.export(program.function, inputs, dynamic_shapes=program.shapes)
    torch.export.save(exported, path)
