"""Training-free baselines that handle negation on top of any text encoder.

They split a text into its affirmed part and its negated parts, embed them, and combine the
embeddings. A model trained on negation should beat them.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from negclap.evaluation.scoring import EmbedTexts
from negclap.text.rewrite import split_negations
from negclap.text.vocabulary import Vocabulary

Method = Literal["boolean", "spherical", "removal"]

GRIDS: dict[Method, tuple[float, ...]] = {
    "boolean": (0.1, 0.25, 0.5, 0.75, 1.0),
    "spherical": (0.8, 0.85, 0.9, 0.92, 0.95, 0.98),
    "removal": (0.0,),
}
"""Values of each method's parameter to choose from on validation."""


def boolean(affirmed: Tensor, negated: Tensor, weight: float) -> Tensor:
    """Return embeddings ``(n, d)``, not of unit length, whose similarity is s(A) - weight s(B)."""
    return affirmed - weight * negated


def spherical(affirmed: Tensor, negated: Tensor, tau: float) -> Tensor:
    """Move embeddings away from a spherical cap around the negated concept (SpaceVLM).

    With theta the angle between a and n, and delta = arccos(tau) + theta / 2 the angle from n:
    m = cos(delta) n + sin(delta) / sin(theta) (a - (a.n) n). Where theta is at least
    2 arccos(tau), a is far enough from n already, and m = a.

    Args:
        affirmed: ``(n, d)`` unit embeddings a.
        negated: ``(n, d)`` unit embeddings n.
        tau: Cosine from which on a clip counts as the negated concept; about 0.92.
    """
    cosine = (affirmed * negated).sum(dim=-1, keepdim=True).clamp(-1.0, 1.0)
    theta = torch.arccos(cosine)
    reach = torch.arccos(torch.tensor(tau, dtype=affirmed.dtype))
    delta = reach + theta / 2
    away = (affirmed - cosine * negated) / torch.sin(theta).clamp(min=1e-6)
    moved = torch.cos(delta) * negated + torch.sin(delta) * away
    return F.normalize(torch.where(theta >= 2 * reach, affirmed, moved), dim=-1)


class EmbeddedParts(NamedTuple):
    """Unit embeddings of the affirmed parts ``(n, d)`` and the negated parts ``(m, d)`` of n texts.

    ``negating`` has the rows of the m texts with negated parts; several parts are averaged.
    """

    affirmed: Tensor
    negating: list[int]
    negated: Tensor

    def combine(self, method: Method, parameter: float) -> Tensor:
        """Return ``(n, d)`` embeddings of the texts; texts without negation are unchanged."""
        result = self.affirmed.clone()
        if self.negating and method != "removal":
            compose = boolean if method == "boolean" else spherical
            result[self.negating] = compose(result[self.negating], self.negated, parameter)
        return result


def embed_parts(texts: Sequence[str], embed: EmbedTexts, vocabulary: Vocabulary) -> EmbeddedParts:
    """Split texts at their negations and embed each distinct part once."""
    parts = [split_negations(text, vocabulary) for text in texts]
    distinct = list(dict.fromkeys(one for part in parts for one in (part.affirmed, *part.negated)))
    vectors = dict(zip(distinct, embed(distinct), strict=True))
    negating = [i for i, part in enumerate(parts) if part.negated]
    affirmed = torch.stack([vectors[part.affirmed] for part in parts])
    negated = [torch.stack([vectors[n] for n in parts[i].negated]).mean(dim=0) for i in negating]
    unit = F.normalize(torch.stack(negated), dim=-1) if negated else affirmed[:0]
    return EmbeddedParts(affirmed, negating, unit)
