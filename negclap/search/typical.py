"""Typical query texts: the approximate search is tuned with a model's embeddings of them."""

import numpy as np

_WORDS = (
    "piano", "guitar", "drums", "vocals", "violin", "flute", "bass", "choir", "organ", "synth",
    "rock", "jazz", "techno", "folk", "orchestra", "calm", "fast", "slow", "loud", "soft",
)  # fmt: skip
_AFFIRMING = ("{}", "a piece with {}", "{} and {}")
_NEGATING = ("{} without {}", "music with no {}", "{} but no {}")
_PER_FORM = 20


def typical_texts() -> tuple[list[str], list[str]]:
    """Return query texts that affirm, and as many that negate; always the same ones."""
    rng = np.random.default_rng(0)

    def fill(forms: tuple[str, ...]) -> list[str]:
        return [form.format(*rng.choice(_WORDS, 2, replace=False)) for form in forms * _PER_FORM]

    return fill(_AFFIRMING), fill(_NEGATING)
