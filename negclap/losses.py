"""The terms of the loss, each a pure function of unit embeddings.

Notation: a and t are unit embeddings, s their cosine, sigma the learned scale; B is the global
batch. No term knows of ranks: the caller gathers columns and says where its rows begin.
"""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from negclap.errors import InputError


@dataclass(frozen=True)
class Term:
    """Weight of a term of the loss; 0 switches it off and costs nothing.

    Attributes:
        weight: Final weight.
        warmup_steps: Steps over which the weight rises linearly from 0.
    """

    weight: float = 0.0
    warmup_steps: int = 0

    def __post_init__(self) -> None:
        """Refuse negative numbers."""
        if self.weight < 0 or self.warmup_steps < 0:
            raise InputError(
                f"loss term has weight {self.weight} and warmup_steps {self.warmup_steps}, "
                "expected numbers of at least 0"
            )

    def weight_at(self, step: int) -> float:
        """The weight at an optimiser step, counted from 0."""
        return self.weight * min(1.0, (step + 1) / (self.warmup_steps + 1))


@dataclass(frozen=True)
class DissimilarityTerm(Term):
    """Weight k of the Dissimilarity term.

    Attributes:
        floor: Cosine below which a pair is no longer pushed; None is the paper's unbounded form.
    """

    floor: float | None = None


@dataclass(frozen=True)
class LossTerms:
    """The combined loss: the weighted sum of its terms."""

    contrastive: Term = field(default_factory=lambda: Term(weight=1.0))
    dissimilarity: DissimilarityTerm = field(default_factory=DissimilarityTerm)

    def __post_init__(self) -> None:
        """Refuse a loss without any term."""
        if not self.contrastive.weight + self.dissimilarity.weight:
            raise InputError("model.losses: all weights are 0, expected at least one above")


def contrastive(
    rows: Tensor,
    columns: Tensor,
    scale: Tensor,
    row_keys: Tensor,
    column_keys: Tensor,
    offset: int = 0,
) -> Tensor:
    """Cross-entropy of each row against its own column; one direction of the CLIP loss.

    Args:
        rows: ``(b, d)`` unit embeddings of this rank.
        columns: ``(B, d)`` unit embeddings of all ranks; row i belongs to column offset + i.
        scale: Scalar sigma.
        row_keys: ``(b,)`` int64, equal where captions are the same text.
        column_keys: ``(B,)`` int64. Same captions are not each other's negatives.
        offset: Where this rank's columns begin.

    Returns:
        Scalar: the mean over the rows of -log softmax(sigma s)[own column].
    """
    target = torch.arange(offset, offset + len(rows), device=rows.device)
    same_text = row_keys.unsqueeze(1) == column_keys.unsqueeze(0)
    same_text[torch.arange(len(rows), device=rows.device), target] = False
    with torch.autocast(rows.device.type, enabled=False):  # bf16 has too few digits for logits
        logits = (scale * rows @ columns.T).masked_fill(same_text, float("-inf"))
        return F.cross_entropy(logits, target)


def dissimilarity(original: Tensor, fully: Tensor, floor: float | None = None) -> Tensor:
    """How close each caption is to its fully negated form; to be averaged over the batch.

    Eq. 1 of arXiv 2601.13931: cos(t(c), t(f)). Deviation, off by default: a hinge at ``floor``,
    since the unbounded form is minimised by t(f) = -t(c).

    Args:
        original: ``(n, d)`` unit embeddings of captions.
        fully: ``(n, d)`` unit embeddings of their fully negated forms.
        floor: Cosine at which the push ends.

    Returns:
        ``(n,)`` cosines, or max(cosine - floor, 0).
    """
    cosine = (original * fully).sum(dim=-1)
    return cosine if floor is None else F.relu(cosine - floor)
