"""The terms of the loss, each a pure function of unit embeddings.

Notation: a and t are unit embeddings, s their cosine, sigma the learned scale; B is the global
batch. No term knows of ranks: the caller gathers columns and says where its rows begin.
"""

from negclap.losses.contrastive import contrastive
from negclap.losses.negation import choice, dissimilarity, graded_margin
from negclap.losses.terms import (
    DissimilarityTerm,
    ExclusionTerm,
    GradedMarginTerm,
    LossTerms,
    Term,
)

__all__ = [
    "DissimilarityTerm",
    "ExclusionTerm",
    "GradedMarginTerm",
    "LossTerms",
    "Term",
    "choice",
    "contrastive",
    "dissimilarity",
    "graded_margin",
]
