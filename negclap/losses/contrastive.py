"""The contrastive loss: clips and texts of a batch find each other."""

import torch
import torch.nn.functional as F
from torch import Tensor


def contrastive(
    rows: Tensor,
    columns: Tensor,
    scale: Tensor,
    row_keys: Tensor,
    column_keys: Tensor,
    offset: int = 0,
    own: Tensor | None = None,
    shared: Tensor | None = None,
) -> Tensor:
    """Cross-entropy of each row against its own column; one direction of the CLIP loss.

    Args:
        rows: ``(b, d)`` unit embeddings of this rank.
        columns: ``(B, d)`` unit embeddings of all ranks; row i belongs to column offset + i.
        scale: Scalar sigma.
        row_keys: ``(b,)`` int64, equal where captions are the same text.
        column_keys: ``(B,)`` int64. Same captions are not each other's negatives.
        offset: Where this rank's columns begin.
        own: ``(b, m, d)`` extra negatives that only their own row sees; NaN where there is none.
        shared: ``(M, d)`` extra negatives that every row sees.

    Returns:
        Scalar: the mean over the rows of -log softmax(sigma s)[own column].
    """
    target = torch.arange(offset, offset + len(rows), device=rows.device)
    same_text = row_keys.unsqueeze(1) == column_keys.unsqueeze(0)
    same_text[torch.arange(len(rows), device=rows.device), target] = False
    with torch.autocast(rows.device.type, enabled=False):  # bf16 has too few digits for logits
        logits = (scale * rows @ columns.T).masked_fill(same_text, float("-inf"))
        if own is not None:
            logits = torch.cat([logits, own_logits(rows, own, scale)], dim=1)
        if shared is not None:
            logits = torch.cat([logits, scale * rows @ shared.T], dim=1)
        return F.cross_entropy(logits, target)


def own_logits(rows: Tensor, own: Tensor, scale: Tensor) -> Tensor:
    """``(b, m)`` logits of each row with its own columns ``(b, m, d)``; -inf where one is NaN."""
    missing = own.isnan().any(dim=-1)
    cosines = (rows.unsqueeze(1) * own.masked_fill(missing.unsqueeze(-1), 0.0)).sum(dim=-1)
    return (scale * cosines).masked_fill(missing, float("-inf"))
