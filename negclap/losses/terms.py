"""Weights and options of the loss terms."""

from dataclasses import dataclass, field, fields
from typing import Literal

from negclap.errors import InputError
from negclap.text.probes import TextKind


@dataclass(frozen=True)
class Term:
    """Weight of a loss term; a term with weight 0 is not computed.

    Attributes:
        weight: Final weight.
        warmup_steps: Steps over which the weight rises linearly from 0.
    """

    weight: float = 0.0
    warmup_steps: int = 0

    def __post_init__(self) -> None:
        """Check that the numbers are not negative."""
        if min(self.weight, self.warmup_steps) < 0:
            given = f"weight {self.weight} and warmup_steps {self.warmup_steps}"
            raise InputError(f"loss term has {given}, expected at least 0")

    def weight_at(self, step: int) -> float:
        """Return the weight at an optimiser step, counted from 0."""
        return self.weight * min(1.0, (step + 1) / (self.warmup_steps + 1))


@dataclass(frozen=True)
class ContrastiveTerm(Term):
    """Weight of the contrastive term, and its form, which the exclusion term shares.

    Attributes:
        form: "dense" keeps the logits of all pairs in memory; "tiled" is the same loss with less
            memory and, from about a thousand clips, less time; "sigmoid" is SigLIP's loss (arXiv
            2303.15343), which classifies each clip and text as a pair or not.
        block: Rows and columns of a tile of logits, for "tiled" and "sigmoid". The default fits
            into a CPU's cache; a GPU needs several thousand.
    """

    form: Literal["dense", "tiled", "sigmoid"] = "dense"
    block: int = 512

    def __post_init__(self) -> None:
        """Check the block size."""
        super().__post_init__()
        if self.block < 1:
            raise InputError(f"model.losses.contrastive.block is {self.block}, expected at least 1")


@dataclass(frozen=True)
class DissimilarityTerm(Term):
    """Weight k of the dissimilarity term.

    Attributes:
        floor: Cosine below which the loss is 0; None is the paper's form, without a bound.
    """

    floor: float | None = None


@dataclass(frozen=True)
class GradedMarginTerm(Term):
    """Weight of the graded margin term, which orders the negation levels.

    Attributes:
        step: Minimum difference m of a clip's cosines with neighbouring levels.
        limit: Maximum difference M between original and fully negated; at least two steps.
        limit_weight: Weight beta of the limit within the term.
    """

    step: float = 0.1
    limit: float = 1.0
    limit_weight: float = 1.0

    def __post_init__(self) -> None:
        """Check that two steps fit within the limit."""
        super().__post_init__()
        if not 0 < 2 * self.step <= self.limit:
            raise InputError(
                f"model.losses.graded_margin: step is {self.step}, limit is {self.limit}; expected "
                "a positive step and a limit of at least two steps"
            )


@dataclass(frozen=True)
class ExclusionTerm(Term):
    """Weight of the contrastive term on exclusion captions.

    Attributes:
        negatives: Negatives of a clip besides the other clips' captions: "none"; "own", the false
            forms of its own caption; "shared", the false forms of all clips, some of which are true
            of it (an ablation, as in NegCLIP).
    """

    negatives: Literal["none", "own", "shared"] = "none"


@dataclass(frozen=True)
class LossTerms:
    """The combined loss: a weighted sum of terms.

    Attributes:
        contrastive: Contrastive loss on the training captions.
        dissimilarity: Eq. 1 of arXiv 2601.13931.
        graded_margin: Order of a clip's cosines by negation level.
        absence: A true negation against a false one with the same wording.
        exclusion: Contrastive loss on exclusion captions.
        choice: A clip's exclusion caption against its false forms.
    """

    contrastive: ContrastiveTerm = field(default_factory=lambda: ContrastiveTerm(weight=1.0))
    dissimilarity: DissimilarityTerm = field(default_factory=DissimilarityTerm)
    graded_margin: GradedMarginTerm = field(default_factory=GradedMarginTerm)
    absence: Term = field(default_factory=Term)
    exclusion: ExclusionTerm = field(default_factory=ExclusionTerm)
    choice: Term = field(default_factory=Term)

    def __post_init__(self) -> None:
        """Check that a weight is positive."""
        if not any(term.weight for term in self.by_name().values()):
            raise InputError("model.losses: all weights are 0, expected a positive one")

    def by_name(self) -> dict[str, Term]:
        """Return the terms by name."""
        return {term.name: getattr(self, term.name) for term in fields(self)}

    @property
    def text_kinds(self) -> frozenset[TextKind]:
        """The texts that the terms need besides the captions."""
        exclusion = self.exclusion
        false_forms = exclusion.negatives != "none" and exclusion.weight
        needs: dict[TextKind, float] = {
            "levels": self.dissimilarity.weight or self.graded_margin.weight,
            "absence": self.absence.weight,
            "exclusion": exclusion.weight or self.choice.weight,
            "falsehoods": self.choice.weight or false_forms,
        }
        return frozenset(kind for kind, weight in needs.items() if weight)
