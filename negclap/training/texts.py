"""The embedded texts of a training batch, by role."""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from negclap.data.batch import Batch, TextRows


class Texts(NamedTuple):
    """One text per clip, or several.

    Attributes:
        vectors: ``(b, ..., d)`` unit embeddings; arbitrary where the mask is False.
        mask: ``(b, ...)`` bool, whether the clip has the text.
        keys: ``(b, ...)`` int64, equal where texts are equal.
    """

    vectors: Tensor
    mask: Tensor
    keys: Tensor


@dataclass(frozen=True)
class EmbeddedTexts:
    """The embedded texts of a batch.

    Attributes:
        batch: The batch.
        unique: ``(u, d)`` embeddings of its distinct texts.
        all_audio: ``(B, d)`` embeddings of the clips of all processes.
    """

    batch: Batch
    unique: Tensor
    all_audio: Tensor

    @property
    def rows(self) -> TextRows:
        """Rows of each clip's texts among the distinct texts."""
        return self.batch.rows

    @property
    def exclusions_per_clip(self) -> int:
        """Exclusion captions per clip."""
        return self.rows.exclusions.shape[1]

    def at(self, rows: Tensor) -> Texts:
        """Pick texts by their rows: a field of `TextRows`, or a part of one."""
        picked = rows.clamp(min=0)
        return Texts(self.unique[picked], rows >= 0, self.batch.text_keys[picked])
