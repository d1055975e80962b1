"""Tag co-occurrence, to avoid tags that are unlisted but probably present ("guitar" with "rock").

It is measured by the lift of two tags, P(a, b) / (P(a) P(b)): the exponential of their pointwise
mutual information (PMI).
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from negclap.rng import derive_seed
from negclap.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class Cooccurrence:
    """The lift of all pairs of tags: ``(tags, tags)``, 1 if they are independent or never occur."""

    names: tuple[str, ...]
    lift: NDArray[np.float32]

    @classmethod
    def count(
        cls, tag_lists: Collection[Collection[str]], vocabulary: Vocabulary
    ) -> "Cooccurrence":
        """Count the tag lists of a training split; tags outside the vocabulary are ignored."""
        row_of = {name: row for row, name in enumerate(vocabulary.names)}
        together = np.zeros((len(row_of), len(row_of)), np.float64)
        for tags in tag_lists:
            rows = [row_of[tag] for tag in set(tags) if tag in row_of]
            together[np.ix_(rows, rows)] += 1
        alone = together.diagonal()
        expected = np.outer(alone, alone) / max(1, len(tag_lists))
        lift = np.divide(together, expected, out=np.ones_like(together), where=expected > 0)
        return cls(vocabulary.names, lift.astype(np.float32))

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.names)}

    def thin(
        self, candidates: Collection[str], tags: Collection[str], seed: str
    ) -> tuple[str, ...]:
        """Keep each candidate with probability min(1, 1 / lift); at least one is kept.

        The lift of a candidate is its highest with any of the track's ``tags``.
        """
        rows = [self._row_of[tag] for tag in tags if tag in self._row_of]
        if not rows or not candidates:
            return tuple(candidates)
        highest = np.maximum(self.lift[rows].max(axis=0), 1.0)
        draws = np.random.default_rng(derive_seed(seed, "thin")).random(len(highest))
        kept = draws * highest < 1.0
        left = tuple(name for name in candidates if kept[self._row_of[name]])
        return left or (min(candidates, key=lambda name: highest[self._row_of[name]]),)
