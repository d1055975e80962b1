"""The terms of the loss, each a pure function of unit embeddings.

Notation: a and t are unit embeddings, s their cosine, sigma the learned scale; B is the global
batch. No term knows of ranks: the caller gathers columns and says where its rows begin.
"""

from negclap.losses.contrastive import (
    SIGMOID_BIAS,
    Pairs,
    contrast,
    contrastive,
    dense,
    sigmoid,
    tiled,
)
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
    "contrast",
    "contrastive",
    "dense",
    "dissimilarity",
    "graded_margin",
    "sigmoid",
    "tiled",
]
