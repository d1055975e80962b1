"""The terms of the loss, each a pure function of unit embeddings.

Notation: a and t are unit embeddings, s their cosine, sigma the learned scale; B is the global
batch. No term knows of ranks: the caller gathers columns and says where its rows begin.
"""

from dataclasses import dataclass, field, fields
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from negclap.errors import InputError
from negclap.text.probes import TextKind


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
class GradedMarginTerm(Term):
    """Weight of the graded margin: the caption above its half negated form, above the fully.

    Attributes:
        step: Least difference m1 of the cosines between neighbouring levels.
        limit: Greatest difference M between the caption and its fully negated form; at least two
            steps.
        limit_weight: Weight beta of the limit within the term.
    """

    step: float = 0.1
    limit: float = 1.0
    limit_weight: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a limit that the steps do not fit under."""
        super().__post_init__()
        if not 0 < 2 * self.step <= self.limit:
            raise InputError(
                f"model.losses.graded_margin: limit is {self.limit}, expected at least two steps "
                f"of {self.step}"
            )


@dataclass(frozen=True)
class ExclusionTerm(Term):
    """Weight of the contrastive term on exclusion-style captions.

    Attributes:
        negatives: What else a clip's text is told from, besides the other clips' texts: its
            "own" false texts; with "shared" the false texts of all clips, some of which are true
            of it (an ablation: NegCLIP's way, which trains a repeller); "none".
    """

    negatives: Literal["own", "shared", "none"] = "own"


@dataclass(frozen=True)
class LossTerms:
    """The combined loss: the weighted sum of its terms.

    Attributes:
        contrastive: L_CLAP on the training captions.
        dissimilarity: Eq. 1 of arXiv 2601.13931.
        graded_margin: Caption above half above fully negated caption.
        absence: A true negation, told from a false one in the same words.
        exclusion: L_CLAP on exclusion-style captions, with false ones as extra columns.
        choice: The true exclusion-style caption among its own false ones.
    """

    contrastive: Term = field(default_factory=lambda: Term(weight=1.0))
    dissimilarity: DissimilarityTerm = field(default_factory=DissimilarityTerm)
    graded_margin: GradedMarginTerm = field(default_factory=GradedMarginTerm)
    absence: Term = field(default_factory=Term)
    exclusion: ExclusionTerm = field(default_factory=ExclusionTerm)
    choice: Term = field(default_factory=Term)

    def __post_init__(self) -> None:
        """Refuse a loss without any term."""
        if not any(term.weight for term in self.by_name().values()):
            raise InputError("model.losses: all weights are 0, expected at least one above")

    def by_name(self) -> dict[str, Term]:
        """The terms."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @property
    def text_kinds(self) -> frozenset[TextKind]:
        """The texts that the terms need besides the captions."""
        kinds: set[TextKind] = set()
        if self.dissimilarity.weight or self.graded_margin.weight:
            kinds.add("levels")
        if self.absence.weight:
            kinds.add("absence")
        if self.exclusion.weight or self.choice.weight:
            kinds.add("exclusion")
        if self.choice.weight or (self.exclusion.weight and self.exclusion.negatives != "none"):
            kinds.add("falsehoods")
        return frozenset(kinds)


def contrastive(
    rows: Tensor,
    columns: Tensor,
    scale: Tensor,
    row_keys: Tensor,
    column_keys: Tensor,
    offset: int = 0,
    own: Tensor | None = None,
    shared: Tensor | None = None,
) -> Tensor:
    """Cross-entropy of each row against its own column; one direction of the CLIP loss.

    Args:
        rows: ``(b, d)`` unit embeddings of this rank.
        columns: ``(B, d)`` unit embeddings of all ranks; row i belongs to column offset + i.
        scale: Scalar sigma.
        row_keys: ``(b,)`` int64, equal where captions are the same text.
        column_keys: ``(B,)`` int64. Same captions are not each other's negatives.
        offset: Where this rank's columns begin.
        own: ``(b, m, d)`` extra negatives that only their own row sees; NaN where there is none.
        shared: ``(M, d)`` extra negatives that every row sees.

    Returns:
        Scalar: the mean over the rows of -log softmax(sigma s)[own column].
    """
    target = torch.arange(offset, offset + len(rows), device=rows.device)
    same_text = row_keys.unsqueeze(1) == column_keys.unsqueeze(0)
    same_text[torch.arange(len(rows), device=rows.device), target] = False
    with torch.autocast(rows.device.type, enabled=False):  # bf16 has too few digits for logits
        logits = (scale * rows @ columns.T).masked_fill(same_text, float("-inf"))
        if own is not None:
            logits = torch.cat([logits, _own_logits(rows, own, scale)], dim=1)
        if shared is not None:
            logits = torch.cat([logits, scale * rows @ shared.T], dim=1)
        return F.cross_entropy(logits, target)


def _own_logits(rows: Tensor, own: Tensor, scale: Tensor) -> Tensor:
    """``(b, m)`` logits of each row with its own columns ``(b, m, d)``; -inf where one is NaN."""
    missing = own.isnan().any(dim=-1)
    cosines = (rows.unsqueeze(1) * own.masked_fill(missing.unsqueeze(-1), 0.0)).sum(dim=-1)
    return (scale * cosines).masked_fill(missing, float("-inf"))


def choice(audio: Tensor, true: Tensor, false: Tensor, scale: Tensor) -> Tensor:
    """How hard it is to tell a clip's true text from its own false ones.

    Of exclusion-style captions it is the choice term, of "no v" (absent) and "no w" (present) the
    absence term.

    Args:
        audio: ``(n, d)`` unit embeddings.
        true: ``(n, d)`` unit embeddings of a text that is true of each clip.
        false: ``(n, m, d)`` of texts that are false of it, NaN where there is none.
        scale: Scalar sigma.

    Returns:
        ``(n,)`` cross-entropies of the true text among the m + 1, to be averaged.
    """
    with torch.autocast(audio.device.type, enabled=False):
        logits = torch.cat(
            [_own_logits(audio, true.unsqueeze(1), scale), _own_logits(audio, false, scale)], dim=1
        )
        target = torch.zeros(len(audio), dtype=torch.long, device=audio.device)
        return F.cross_entropy(logits, target, reduction="none")


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


def graded_margin(original: Tensor, half: Tensor, fully: Tensor, term: GradedMarginTerm) -> Tensor:
    """How far a clip's cosines with its caption at the negation levels are from a graded order.

    [m1 - (s_c - s_h)]+ + [m1 - (s_h - s_f)]+ + beta [s_c - s_f - M]+; without the limit the push
    is unbounded.

    Args:
        original: ``(n,)`` cosines s_c with the caption.
        half: ``(n,)`` cosines s_h with the half negated caption.
        fully: ``(n,)`` cosines s_f with the fully negated caption.
        term: m1, M and beta.

    Returns:
        ``(n,)``, to be averaged over the batch.
    """
    steps = F.relu(term.step - (original - half)) + F.relu(term.step - (half - fully))
    return steps + term.limit_weight * F.relu(original - fully - term.limit)
