"""Which tags go together: so that what is called absent is not what is merely not listed.

A tag that is not in a track's list may hold all the same, and the more so, the more it goes with
those that are: "rock" without "guitar". The lift of two tags, P(a, b) / (P(a) P(b)), the
exponential of their pointwise mutual information (PMI), says how much.
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
    """Lift of every two tags of a vocabulary.

    Attributes:
        names: The tags, in order.
        lift: ``(tags, tags)``; 1 where two tags meet as often as by chance, or never were seen.
    """

    names: tuple[str, ...]
    lift: NDArray[np.float32]

    @classmethod
    def count(
        cls, tag_lists: Collection[Collection[str]], vocabulary: Vocabulary
    ) -> "Cooccurrence":
        """From the tag lists of a training split; tags that are not in the vocabulary are none."""
        place = {name: row for row, name in enumerate(vocabulary.names)}
        together = np.zeros((len(place), len(place)), np.float64)
        for tags in tag_lists:
            rows = [place[tag] for tag in set(tags) if tag in place]
            together[np.ix_(rows, rows)] += 1
        alone = together.diagonal()
        expected = np.outer(alone, alone) / max(1, len(tag_lists))
        lift = np.divide(together, expected, out=np.ones_like(together), where=expected > 0)
        return cls(vocabulary.names, lift.astype(np.float32))

    @cached_property
    def _place(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.names)}

    def thin(
        self, candidates: Collection[str], tags: Collection[str], seed: str
    ) -> tuple[str, ...]:
        """Those candidates that stay when each is kept with probability 1 / lift, at most 1.

        The lift is the highest with any of the track's ``tags``; at least one candidate stays.
        Candidates are tags of the vocabulary.
        """
        rows = [self._place[tag] for tag in tags if tag in self._place]
        if not rows or not candidates:
            return tuple(candidates)
        highest = np.maximum(self.lift[rows].max(axis=0), 1.0)
        draws = np.random.default_rng(derive_seed(seed, "thin")).random(len(highest))
        kept = draws * highest < 1.0
        left = tuple(name for name in candidates if kept[self._place[name]])
        return left or (min(candidates, key=lambda name: highest[self._place[name]]),)
