"""Loss terms that compare texts of one clip."""

import torch
import torch.nn.functional as F
from torch import Tensor

from negclap.losses.contrastive import cosine_logits
from negclap.losses.terms import GradedMarginTerm


def choice(audio: Tensor, true: Tensor, false: Tensor, scale: Tensor) -> Tensor:
    """Compute the cross-entropy of a clip's true text against its false ones.

    With exclusion captions it is the choice term; with "no v" (v is absent) and "no w" (w is
    present) it is the absence term.

    Args:
        audio: ``(n, d)`` unit embeddings of clips.
        true: ``(n, d)`` unit embeddings of a true text of each clip.
        false: ``(n, m, d)`` unit embeddings of its false texts.
        scale: Scalar sigma.

    Returns:
        ``(n,)`` cross-entropies, to be averaged over the global batch.
    """
    with torch.autocast(audio.device.type, enabled=False):
        logits = torch.cat(
            [cosine_logits(audio, true.unsqueeze(1), scale), cosine_logits(audio, false, scale)],
            dim=1,
        )
        target = torch.zeros(len(audio), dtype=torch.long, device=audio.device)
        return F.cross_entropy(logits, target, reduction="none")


def dissimilarity(original: Tensor, fully: Tensor, floor: float | None = None) -> Tensor:
    """Compute the cosine of each caption with its fully negated form.

    Eq. 1 of arXiv 2601.13931: cos(t(c), t(f)). An optional hinge at ``floor``, off by default,
    deviates from the paper, whose form is minimised by t(f) = -t(c).

    Args:
        original: ``(n, d)`` unit embeddings of captions.
        fully: ``(n, d)`` unit embeddings of the fully negated captions.
        floor: Cosine below which the loss is 0.

    Returns:
        ``(n,)`` cosines, or max(cosine - floor, 0), to be averaged over the global batch.
    """
    cosine = (original * fully).sum(dim=-1)
    return cosine if floor is None else F.relu(cosine - floor)


def graded_margin(original: Tensor, half: Tensor, fully: Tensor, term: GradedMarginTerm) -> Tensor:
    """Compute the hinge loss that orders a clip's cosines by negation level.

    [m - (s_c - s_h)]+ + [m - (s_h - s_f)]+ + beta [s_c - s_f - M]+. The last part bounds the
    distance between the levels.

    Args:
        original: ``(n,)`` cosines s_c of clips with their captions.
        half: ``(n,)`` cosines s_h with the half negated captions.
        fully: ``(n,)`` cosines s_f with the fully negated captions.
        term: m, M and beta.

    Returns:
        ``(n,)`` losses, to be averaged over the global batch.
    """
    steps = F.relu(term.step - (original - half)) + F.relu(term.step - (half - fully))
    return steps + term.limit_weight * F.relu(original - fully - term.limit)
