"""What a loss is made of: its terms, their weights and options."""

from dataclasses import dataclass, field, fields
from typing import Literal

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
class ContrastiveTerm(Term):
    """Weight of the contrastive term, and the form of it that the exclusion term takes too.

    Attributes:
        form: "dense" holds the logits of all pairs; "tiled" is the same loss in less memory and
            time, from about a thousand clips; "sigmoid" is SigLIP's loss (arXiv 2303.15343), which
            asks of each pair apart whether it belongs together.
        block: Rows and columns of a tile of logits, of the forms that hold no more than one. The
            negclap default keeps a tile in the caches of a CPU; a GPU is busy from thousands on.
    """

    form: Literal["dense", "tiled", "sigmoid"] = "dense"
    block: int = 512

    def __post_init__(self) -> None:
        """Refuse tiles of nothing."""
        super().__post_init__()
        if self.block < 1:
            raise InputError(
                f"model.losses.contrastive: block is {self.block}, expected at least 1"
            )


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
        negatives: What else a clip's text is told from, besides the other clips' texts: nothing
            ("none"), its "own" false texts, or with "shared" the false texts of all clips, some of
            which are true of it (an ablation: NegCLIP's way).
    """

    negatives: Literal["none", "own", "shared"] = "none"


@dataclass(frozen=True)
class LossTerms:
    """The combined loss: the weighted sum of its terms.

    Attributes:
        contrastive: L_CLAP on the training captions.
        dissimilarity: Eq. 1 of arXiv 2601.13931.
        graded_margin: Caption above half above fully negated caption.
        absence: A true negation, told from a false one in the same words.
        exclusion: L_CLAP on exclusion-style captions; false ones may be extra columns.
        choice: The true exclusion-style caption among its own false ones.
    """

    contrastive: ContrastiveTerm = field(default_factory=lambda: ContrastiveTerm(weight=1.0))
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
