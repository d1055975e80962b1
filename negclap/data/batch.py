"""From items to batches: one item type, collation, and texts that are tokenised once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import default_collate

from negclap.audio import Samples, as_waveform
from negclap.rng import derive_seed

Tokens = dict[str, Tensor]
Tokenize = Callable[[Sequence[str]], Tokens]
"""Texts to padded ``(n, length)`` tensors; the model owns the tokenizer and hands this over."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One item: an excerpt and its texts by role.

    Attributes:
        index: The track's row in its split; the id that metrics keep items by.
        track_id: The manifest's id.
        waveform: Mono, at the model's sample rate; 16-bit where it is stored so.
        texts: Text by role ("caption", "original", "half", ...); absent roles are missing.
        unreadable: What went wrong with tracks that this clip stands in for.
    """

    index: int
    track_id: str
    waveform: Samples
    texts: Mapping[str, str]
    unreadable: tuple[str, ...] = ()


@dataclass(slots=True)
class Batch:
    """A batch of b clips whose texts, made unique, are u.

    Attributes:
        index: ``(b,)`` int64, the clips' rows in their split.
        track_ids: The clips' ids.
        waveform: ``(b, samples)`` float32, or int16 where all clips are stored so.
        tokens: Tokenised unique texts, each tensor ``(u, length)``.
        text_keys: ``(u,)`` int64, equal for equal texts, on all ranks.
        rows: By role ``(b,)`` int64: which unique text the clip has there, -1 for none.
        unreadable: Messages of the tracks that could not be read.
    """

    index: Tensor
    track_ids: list[str]
    waveform: Tensor
    tokens: Tokens
    text_keys: Tensor
    rows: dict[str, Tensor]
    unreadable: list[str]

    def pin_memory(self) -> "Batch":
        """Called by the DataLoader before a transfer to a GPU."""
        self.index, self.waveform = self.index.pin_memory(), self.waveform.pin_memory()
        self.text_keys = self.text_keys.pin_memory()
        self.tokens = {name: tensor.pin_memory() for name, tensor in self.tokens.items()}
        self.rows = {name: tensor.pin_memory() for name, tensor in self.rows.items()}
        return self

    def to(self, device: torch.device, non_blocking: bool = False) -> "Batch":
        """The batch on another device."""

        def move(value: Any) -> Any:
            if isinstance(value, Tensor):
                return value.to(device, non_blocking=non_blocking)
            if isinstance(value, dict):
                return {name: move(inner) for name, inner in value.items()}
            return value

        return Batch(**{f.name: move(getattr(self, f.name)) for f in fields(self)})


def stack_waveforms(clips: Sequence[Clip]) -> Tensor:
    """``(b, samples)``; a loader's worker writes them where its parent reads them."""
    waveforms: list[Samples] = [clip.waveform for clip in clips]
    if len({waveform.dtype for waveform in waveforms}) > 1:
        waveforms = [as_waveform(waveform) for waveform in waveforms]
    stacked: Tensor = default_collate(waveforms)
    return stacked


def collate(clips: Sequence[Clip], tokenize: Tokenize) -> Batch:
    """A batch whose texts are made unique, so that each is tokenised and encoded once."""
    unique: dict[str, int] = {}
    rows: dict[str, Tensor] = {}
    for role in sorted({role for clip in clips for role in clip.texts}):
        texts = [clip.texts.get(role) for clip in clips]
        numbers = [-1 if t is None else unique.setdefault(t, len(unique)) for t in texts]
        rows[role] = torch.tensor(numbers)
    return Batch(
        index=torch.tensor([clip.index for clip in clips]),
        track_ids=[clip.track_id for clip in clips],
        waveform=stack_waveforms(clips),
        tokens=tokenize(list(unique)),
        text_keys=torch.tensor([derive_seed(text) for text in unique]),
        rows=rows,
        unreadable=[message for clip in clips for message in clip.unreadable],
    )
