"""Free alternatives to training: what can be done about negation with the text encoder as it is.

Each takes a text apart into what it affirms and what it negates, embeds both, and combines them.
They need no training and work with any model; a trained model should beat them.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from negclap.text.detect import DENYING, find_negations
from negclap.text.rewrite import remove
from negclap.text.vocabulary import Vocabulary

Method = Literal["boolean", "spherical", "removal"]
EmbedTexts = Callable[[Sequence[str]], Tensor]
"""Texts to ``(n, d)`` unit embeddings."""

GRIDS: dict[Method, tuple[float, ...]] = {
    "boolean": (0.1, 0.25, 0.5, 0.75, 1.0),
    "spherical": (0.8, 0.85, 0.9, 0.92, 0.95, 0.98),
    "removal": (0.0,),
}
"""Values of each method's one parameter, to be tuned on validation."""
NEUTRAL = "music"
"""Stands for what a text affirms that affirms nothing."""


class Parts(NamedTuple):
    """What a text affirms, and what it negates."""

    affirmed: str
    negated: tuple[str, ...]


def take_apart(text: str, vocabulary: Vocabulary) -> Parts:
    """Split off the negations of a text; their tags by name, other phrases as they stand."""
    negated: list[str] = []
    affirmed = text
    while True:
        found = [
            negation
            for negation in find_negations(affirmed, vocabulary)
            if negation.kind in DENYING
            and (negation.tag is not None or (negation.kind == "absence" and negation.phrase))
        ]
        if not found:
            return Parts(affirmed or NEUTRAL, tuple(dict.fromkeys(negated)))
        last = found[-1]
        names = [mention.tag for mention in vocabulary.find(last.phrase)]
        negated += names or [last.phrase]
        affirmed = remove(affirmed, last)


def boolean(affirmed: Tensor, negated: Tensor, weight: float) -> Tensor:
    """The vector whose product with a clip is s(A) - lambda s(B).

    Args:
        affirmed: ``(n, d)`` unit embeddings of A.
        negated: ``(n, d)`` unit embeddings of B.
        weight: lambda.

    Returns:
        ``(n, d)``, not of unit length.
    """
    return affirmed - weight * negated


def spherical(affirmed: Tensor, negated: Tensor, tau: float) -> Tensor:
    """The point between a concept and the edge of the cap around the one to avoid (SpaceVLM).

    With theta the angle between a and n: delta = arccos(tau) + theta / 2 is the angle from n, and
    m = cos(delta) n + sin(delta) / sin(theta) (a - (a.n) n); m = a where theta is at least
    2 arccos(tau), since a is then far enough already.

    Args:
        affirmed: ``(n, d)`` unit embeddings a.
        negated: ``(n, d)`` unit embeddings n.
        tau: Cosine within which a clip counts as the concept; about 0.92.

    Returns:
        ``(n, d)`` unit vectors.
    """
    cosine = (affirmed * negated).sum(dim=-1, keepdim=True).clamp(-1.0, 1.0)
    theta = torch.arccos(cosine)
    reach = torch.arccos(torch.tensor(tau, dtype=affirmed.dtype))
    delta = reach + theta / 2
    away = (affirmed - cosine * negated) / torch.sin(theta).clamp(min=1e-6)
    moved = torch.cos(delta) * negated + torch.sin(delta) * away
    return F.normalize(torch.where(theta >= 2 * reach, affirmed, moved), dim=-1)


def embed_with(
    method: Method, parameter: float, embed: EmbedTexts, vocabulary: Vocabulary
) -> EmbedTexts:
    """A text encoder that handles negation by ``method`` on top of ``embed``.

    Several negated concepts are one: the normalised mean of their embeddings. Texts without
    negation are embedded as they are.
    """

    def combined(texts: Sequence[str]) -> Tensor:
        parts = [take_apart(text, vocabulary) for text in texts]
        wanted = list(
            dict.fromkeys(one for part in parts for one in (part.affirmed, *part.negated))
        )
        rows = {text: row for row, text in enumerate(wanted)}
        embedded = embed(wanted)
        result = embedded[[rows[part.affirmed] for part in parts]]
        negating = [i for i, part in enumerate(parts) if part.negated]
        if not negating or method == "removal":
            return result
        negated = torch.stack(
            [embedded[[rows[one] for one in parts[i].negated]].mean(dim=0) for i in negating]
        )
        negated = F.normalize(negated, dim=-1)
        combine = boolean if method == "boolean" else spherical
        result[negating] = combine(result[negating], negated, parameter)
        return result

    return combined
