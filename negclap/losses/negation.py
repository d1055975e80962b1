"""Terms that compare texts of one clip, each a pure function of unit embeddings."""

import torch
import torch.nn.functional as F
from torch import Tensor

from negclap.losses.contrastive import own_logits
from negclap.losses.terms import GradedMarginTerm


def choice(audio: Tensor, true: Tensor, false: Tensor, scale: Tensor) -> Tensor:
    """How hard it is to tell a clip's true text from its own false ones.

    Of exclusion-style captions it is the choice term, of "no v" (absent) and "no w" (present) the
    absence term.

    Args:
        audio: ``(n, d)`` unit embeddings.
        true: ``(n, d)`` unit embeddings of a text that is true of each clip.
        false: ``(n, m, d)`` of texts that are false of it, NaN where there is none.
        scale: Scalar sigma.

    Returns:
        ``(n,)`` cross-entropies of the true text among the m + 1, to be averaged.
    """
    with torch.autocast(audio.device.type, enabled=False):
        logits = torch.cat(
            [own_logits(audio, true.unsqueeze(1), scale), own_logits(audio, false, scale)], dim=1
        )
        target = torch.zeros(len(audio), dtype=torch.long, device=audio.device)
        return F.cross_entropy(logits, target, reduction="none")


def dissimilarity(original: Tensor, fully: Tensor, floor: float | None = None) -> Tensor:
    """How close each caption is to its fully negated form; to be averaged over the batch.

    Eq. 1 of arXiv 2601.13931: cos(t(c), t(f)). Deviation, off by default: a hinge at ``floor``,
    since the unbounded form is minimised by t(f) = -t(c).

    Args:
        original: ``(n, d)`` unit embeddings of captions.
        fully: ``(n, d)`` unit embeddings of their fully negated forms.
        floor: Cosine at which the push ends.

    Returns:
        ``(n,)`` cosines, or max(cosine - floor, 0).
    """
    cosine = (original * fully).sum(dim=-1)
    return cosine if floor is None else F.relu(cosine - floor)


def graded_margin(original: Tensor, half: Tensor, fully: Tensor, term: GradedMarginTerm) -> Tensor:
    """How far a clip's cosines with its caption at the negation levels are from a graded order.

    [m1 - (s_c - s_h)]+ + [m1 - (s_h - s_f)]+ + beta [s_c - s_f - M]+; without the limit the push
    is unbounded.

    Args:
        original: ``(n,)`` cosines s_c with the caption.
        half: ``(n,)`` cosines s_h with the half negated caption.
        fully: ``(n,)`` cosines s_f with the fully negated caption.
        term: m1, M and beta.

    Returns:
        ``(n,)``, to be averaged over the batch.
    """
    steps = F.relu(term.step - (original - half)) + F.relu(term.step - (half - fully))
    return steps + term.limit_weight * F.relu(original - fully - term.limit)
