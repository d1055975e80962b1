"""Losses: terms of the training loss as pure functions of unit embeddings.

- `terms`: weights and options of the terms
- `contrastive`: the contrastive loss of clips and texts, in three forms
- `negation`: terms that compare texts of one clip
- `tiles`: sums over all pairs without all logits in memory

In the formulas, a is a clip's and t a text's unit embedding, s their cosine, sigma the learned
scale, B the global batch size. The caller gathers the embeddings of all ranks.
"""

from negclap.losses.contrastive import SIGMOID_BIAS, Pairs, contrastive_loss
from negclap.losses.negation import choice, dissimilarity, graded_margin
from negclap.losses.terms import (
    ContrastiveTerm,
    DissimilarityTerm,
    ExclusionTerm,
    GradedMarginTerm,
    LossTerms,
    Term,
)

__all__ = [
    "SIGMOID_BIAS",
    "ContrastiveTerm",
    "DissimilarityTerm",
    "ExclusionTerm",
    "GradedMarginTerm",
    "LossTerms",
    "Pairs",
    "Term",
    "choice",
    "contrastive_loss",
    "dissimilarity",
    "graded_margin",
]
