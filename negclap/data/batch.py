"""Items and batches: a clip, its texts, and collation that tokenizes each text once.

A text that a clip does not have is None in a `ClipTexts` and row -1 in a `TextRows`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from negclap.audio import Samples, as_waveform
from negclap.rng import derive_seed
from negclap.text.compose import FALSEHOODS

Tokens = dict[str, Tensor]
Tokenize = Callable[[Sequence[str]], Tokens]
"""Texts to padded ``(n, length)`` tensors; the text encoder's tokenizer."""


@dataclass(frozen=True, slots=True)
class ExclusionTexts:
    """A true exclusion caption ("piano, no drums") and its false forms, if any.

    The forms are in the order of `compose.FALSEHOODS`.
    """

    true: str
    false: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClipTexts:
    """The texts of a clip. Only training needs more than the caption.

    Attributes:
        caption: The caption; in training after Negation insert, or an exclusion caption instead.
        original: The caption before the insertion.
        half: The half negated caption.
        fully: The fully negated caption.
        absence_true: A caption with "no v", where the clip lacks v.
        absence_false: The same caption with "no w", where the clip has w.
        exclusions: Exclusion captions, equally many for all clips of a batch.
    """

    caption: str
    original: str | None = None
    half: str | None = None
    fully: str | None = None
    absence_true: str | None = None
    absence_false: str | None = None
    exclusions: tuple[ExclusionTexts, ...] = ()


@dataclass(frozen=True, slots=True)
class Clip:
    """One item: an excerpt of a track and its texts.

    ``index`` is the track's row in its split. The waveform is mono, at the model's sample rate;
    int16 if stored as 16 bit. ``unreadable`` are messages about tracks that this clip replaces.
    """

    index: int
    track_id: str
    waveform: Samples
    texts: ClipTexts
    unreadable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TextRows:
    """For each of b clips, the row of each of its texts among the batch's unique texts.

    All tensors are int64; -1 where the clip does not have the text. The fields are those of
    `ClipTexts`, each ``(b,)``, but for the exclusions: ``(b, turns)`` true ones, and
    ``(b, turns, kinds)`` false ones.
    """

    caption: Tensor
    original: Tensor
    half: Tensor
    fully: Tensor
    absence_true: Tensor
    absence_false: Tensor
    exclusions: Tensor
    false: Tensor


@dataclass(slots=True)
class Batch:
    """A batch of b clips that have u unique texts.

    Attributes:
        index: ``(b,)`` int64, the clips' rows in their split.
        track_ids: Their ids.
        waveform: ``(b, samples)`` float32, or int16 if all clips are stored as 16 bit.
        tokens: The tokenized unique texts, each tensor ``(u, length)``.
        text_keys: ``(u,)`` int64 hashes of the texts, the same on all ranks.
        rows: Which of the unique texts each clip has.
        unreadable: Messages about unreadable tracks.
    """

    index: Tensor
    track_ids: list[str]
    waveform: Tensor
    tokens: Tokens
    text_keys: Tensor
    rows: TextRows
    unreadable: list[str]

    def pin_memory(self) -> "Batch":
        """Return the batch in pinned memory; called by the DataLoader."""
        return self.map(Tensor.pin_memory)

    def to(self, device: torch.device, non_blocking: bool = False) -> "Batch":
        """Return the batch on another device."""
        return self.map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def map(self, change: Callable[[Any], Any]) -> "Batch":
        """Return the batch with each tensor changed."""
        rows = {each.name: change(getattr(self.rows, each.name)) for each in fields(self.rows)}
        return replace(
            self,
            index=change(self.index),
            waveform=change(self.waveform),
            tokens={name: change(tensor) for name, tensor in self.tokens.items()},
            text_keys=change(self.text_keys),
            rows=TextRows(**rows),
        )


def stack_waveforms(clips: Sequence[Clip]) -> Tensor:
    """Stack waveforms to ``(b, samples)``."""
    waveforms: list[Samples] = [clip.waveform for clip in clips]
    if len({waveform.dtype for waveform in waveforms}) > 1:
        waveforms = [as_waveform(waveform) for waveform in waveforms]
    return torch.from_numpy(np.stack(waveforms))


def collate(clips: Sequence[Clip], tokenize: Tokenize) -> Batch:
    """Make a batch in which each distinct text is tokenized, and later encoded, once."""
    unique, rows = _number_texts([clip.texts for clip in clips])
    return Batch(
        index=torch.tensor([clip.index for clip in clips]),
        track_ids=[clip.track_id for clip in clips],
        waveform=stack_waveforms(clips),
        tokens=tokenize(unique),
        text_keys=torch.tensor([derive_seed(text) for text in unique]),
        rows=rows,
        unreadable=[message for clip in clips for message in clip.unreadable],
    )


def _number_texts(texts: Sequence[ClipTexts]) -> tuple[list[str], TextRows]:
    """Return the distinct texts, and for each clip the row of each of its texts."""
    single = [each.name for each in fields(ClipTexts) if each.name != "exclusions"]
    columns: dict[tuple[Any, ...], list[str | None]] = {
        (name,): [getattr(each, name) for each in texts] for name in single
    }
    turns = max(len(each.exclusions) for each in texts)
    kinds = max((len(one.false) for each in texts for one in each.exclusions), default=0)
    for turn in range(turns):
        exclusions = [each.exclusions[turn] for each in texts]
        columns["exclusion", turn] = [one.true for one in exclusions]
        for i, name in enumerate(FALSEHOODS[:kinds]):
            columns[name, turn] = [one.false[i] if one.false else None for one in exclusions]
    # The order of the unique texts decides which random numbers (dropout) each of them gets.
    unique: dict[str, int] = {}
    rows = {
        key: torch.tensor([-1 if t is None else unique.setdefault(t, len(unique)) for t in column])
        for key, column in sorted(columns.items())
    }
    true = [rows["exclusion", turn] for turn in range(turns)]
    false = [rows[name, turn] for turn in range(turns) for name in FALSEHOODS[:kinds]]
    empty = torch.empty(len(texts), 0, dtype=torch.long)
    return list(unique), TextRows(
        **{name: rows[name,] for name in single},
        exclusions=torch.stack(true, dim=1) if true else empty,
        false=(torch.stack(false, dim=1) if false else empty).view(len(texts), turns, kinds),
    )
