"""Why a track was found: the tags of the query, and how likely the found window has them."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from negclap.models.encoder import Encoder
from negclap.text.rewrite import split_negations
from negclap.text.vocabulary import music_vocabulary

SHOWN = 4
"""Tags of a hit: those of the query, then the most likely others."""
LIKELY, UNLIKELY = 0.8, 0.2


def explain(
    texts: Sequence[str], windows: NDArray[np.float32], model: Encoder
) -> list[dict[str, float]]:
    """Return the tags of each window with their probabilities, those of the query first.

    Without calibrated tags (`Encoder.curves`), there are none.

    Args:
        texts: The text of the query, and the names that it excludes.
        windows: ``(n, dim)`` embeddings of the windows that were found.
        model: The model of the texts.
    """
    tags = list(model.curves)
    if not tags:
        return [{} for _ in windows]
    asked = list(dict.fromkeys(tag for text in texts for tag in _tags_in(text, tags)))
    found = probabilities(windows @ model.encode_text(tags).T, model)
    return [_chosen(dict(zip(tags, row.tolist(), strict=True)), asked) for row in found]


def probabilities(cosines: NDArray[np.float32], model: Encoder) -> NDArray[np.float32]:
    """Return how likely clips have the calibrated tags, from cosines, both ``(n, tags)``."""
    slopes, intercepts = np.array(list(model.curves.values()), np.float32).T
    logits = np.clip(cosines * slopes + intercepts, -30, 30)
    probable: NDArray[np.float32] = 1 / (1 + np.exp(-logits))
    return probable


def in_words(tags: Mapping[str, float]) -> str:
    """Return tags as text: "piano: likely, drums: unlikely"."""
    return ", ".join(f"{tag}: {_word(p)}" for tag, p in tags.items())


def _chosen(probable: Mapping[str, float], asked: Sequence[str]) -> dict[str, float]:
    others = sorted(probable, key=lambda tag: -probable[tag])
    others = [tag for tag in others if probable[tag] >= LIKELY and tag not in asked]
    return {tag: probable[tag] for tag in [*asked, *others[: max(0, SHOWN - len(asked))]]}


def _tags_in(text: str, tags: Sequence[str]) -> list[str]:
    """Return the calibrated tags that a text affirms or denies: "instrumental" denies vocals."""
    vocabulary = music_vocabulary()
    parts = split_negations(text, vocabulary)
    mentions = [one for part in (text, *parts.negated) for one in vocabulary.find(part)]
    return [one.tag for one in mentions if one.tag in tags]


def _word(p: float) -> str:
    if p >= LIKELY:
        return "likely"
    return "unlikely" if p <= UNLIKELY else "possible"
