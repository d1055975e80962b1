"""Loss terms that compare texts of one clip."""

import torch
import torch.nn.functional as F
from torch import Tensor

from negclap.losses.contrastive import cosine_logits
from negclap.losses.terms import GradedMarginTerm


def choice(audio: Tensor, true: Tensor, false: Tensor, scale: Tensor) -> Tensor:
    """Compute the cross-entropy of a clip's true text against its false ones.

    With exclusion captions it is the choice term; with "no v" (v is absent) and "no w" (w is
    present) it is the absence term. From unit embeddings of clips ``(n, d)``, a true text of each
    ``(n, d)`` and its false texts ``(n, m, d)`` to ``(n,)``, to be averaged over the global batch.
    """
    with torch.autocast(audio.device.type, enabled=False):
        logits = [cosine_logits(audio, texts, scale) for texts in (true.unsqueeze(1), false)]
        return -torch.cat(logits, dim=1).log_softmax(dim=1)[:, 0]


def dissimilarity(original: Tensor, fully: Tensor, floor: float | None = None) -> Tensor:
    """Compute the cosine of each caption with its fully negated form.

    Eq. 1 of arXiv 2601.13931: cos(t(c), t(f)), from unit embeddings ``(n, d)`` to ``(n,)``, to be
    averaged over the global batch. With ``floor``, it is max(cosine - floor, 0), which deviates
    from the paper, whose form is minimised by t(f) = -t(c).
    """
    cosine = (original * fully).sum(dim=-1)
    return cosine if floor is None else F.relu(cosine - floor)


def graded_margin(original: Tensor, half: Tensor, fully: Tensor, term: GradedMarginTerm) -> Tensor:
    """Compute the hinge loss that orders a clip's cosines by negation level.

    [m - (s_c - s_h)]+ + [m - (s_h - s_f)]+ + beta [s_c - s_f - M]+, where s_c, s_h and s_f are the
    ``(n,)`` cosines of clips with their original, half and fully negated captions. The last part
    bounds the distance between the levels. To be averaged over the global batch.
    """
    steps = F.relu(term.step - (original - half)) + F.relu(term.step - (half - fully))
    return steps + term.limit_weight * F.relu(original - fully - term.limit)
