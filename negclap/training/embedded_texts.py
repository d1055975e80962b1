"""The embedded texts of a training batch, by what they are to each clip."""

from dataclasses import dataclass

import torch
from torch import Tensor

from negclap.data.batch import Batch
from negclap.text.compose import FALSEHOODS


@dataclass(frozen=True)
class EmbeddedTexts:
    """The embedded texts of a batch by role: ``(b, d)``, NaN where a clip lacks the role.

    ``all_audio`` are the clips of all ranks, gathered once for every term.
    """

    batch: Batch
    unique: Tensor
    all_audio: Tensor

    def rows(self, role: str) -> Tensor:
        """``(b,)`` which unique text each clip has in the role, -1 for none."""
        return self.batch.rows.get(role, torch.full_like(self.batch.index, -1))

    def given(self, role: str) -> Tensor:
        """``(b,)`` whether the clip has the role."""
        return self.rows(role) >= 0

    def keys(self, role: str) -> Tensor:
        """``(b,)`` equal where the texts of the role are the same."""
        return self.batch.text_keys[self.rows(role)]

    def __getitem__(self, role: str) -> Tensor:
        """``(b, d)`` the embeddings of the role, NaN where a clip lacks it."""
        rows = self.rows(role)
        picked = self.unique[rows.clamp(min=0)]
        return picked.masked_fill((rows < 0).unsqueeze(1), float("nan"))

    @property
    def turns(self) -> range:
        """Numbers of the exclusion-style captions that each clip has."""
        return range(sum(role.startswith("exclusion ") for role in self.batch.rows))

    def false(self, turn: int) -> Tensor:
        """``(b, m, d)`` the false forms of each clip's exclusion-style caption."""
        return torch.stack([self[f"{kind} {turn}"] for kind in FALSEHOODS], dim=1)
