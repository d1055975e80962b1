"""The contrastive loss in three forms: clips and texts of a batch find each other."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from negclap.losses.terms import ContrastiveTerm
from negclap.losses.tiles import log_sum_exps, softplus_sums

SIGMOID_BIAS = -10.0  # where SigLIP begins: nearly all pairs are negatives


@dataclass(frozen=True)
class Pairs:
    """This rank's clips and their texts, among those of all ranks.

    Attributes:
        audio: ``(b, d)`` unit embeddings of clips.
        text: ``(b, d)`` unit embeddings of their texts.
        all_audio: ``(B, d)`` of all ranks; `audio` itself where one rank has all.
        all_text: ``(B, d)`` of all ranks, likewise; this rank's pair i is pair offset + i.
        keys: ``(b,)`` int64, equal where texts are the same.
        all_keys: ``(B,)`` int64. Clips of the same text are not each other's negatives.
        offset: Where this rank's pairs begin.
        own: ``(b, m, d)`` texts that are negatives of their own clip; NaN where there is none.
        shared: ``(M, d)`` texts that are negatives of every clip.
    """

    audio: Tensor
    text: Tensor
    all_audio: Tensor
    all_text: Tensor
    keys: Tensor
    all_keys: Tensor
    offset: int = 0
    own: Tensor | None = None
    shared: Tensor | None = None

    def paired(self, everything: Tensor) -> Tensor:
        """``(b, d)`` this rank's part of what all ranks have."""
        return everything[self.offset : self.offset + len(self.keys)]


def contrast(
    pairs: Pairs, scale: Tensor, term: ContrastiveTerm, bias: Tensor | None = None
) -> Tensor:
    """The contrastive loss in the form that the term names.

    Args:
        pairs: Clips and texts.
        scale: Scalar sigma.
        term: Form and block.
        bias: Scalar, of the sigmoid form alone.

    Returns:
        Scalar: this rank's mean.
    """
    match term.form:
        case "dense":
            return dense(pairs, scale)
        case "tiled":
            return tiled(pairs, scale, term.block)
        case "sigmoid":
            assert bias is not None
            return sigmoid(pairs, scale, bias, term.block)


def dense(pairs: Pairs, scale: Tensor) -> Tensor:
    """The CLIP loss, both directions, with the logits of all pairs in memory.

    Extra negatives are texts, so only the clips see them.

    Returns:
        Scalar: this rank's mean.
    """
    keys = (pairs.keys, pairs.all_keys, pairs.offset)
    to_text = contrastive(pairs.audio, pairs.all_text, scale, *keys, pairs.own, pairs.shared)
    to_audio = contrastive(pairs.text, pairs.all_audio, scale, *keys)
    return (to_text + to_audio) / 2


def tiled(pairs: Pairs, scale: Tensor, block: int) -> Tensor:
    """`dense` with memory O(B d + block^2) in both passes; the same value and gradients.

    Where one rank has all pairs, one pass over the tiles serves both directions, and ``text`` and
    ``all_audio`` are not looked at. The gradient cannot be differentiated again.

    Args:
        pairs: Clips and texts.
        scale: Scalar sigma.
        block: Rows and columns of a tile.

    Returns:
        Scalar: this rank's mean.
    """
    audio = scale * pairs.audio
    keys = (pairs.keys, pairs.all_keys)
    true_text = scale * (pairs.audio * pairs.paired(pairs.all_text)).sum(dim=1)
    if len(pairs.keys) == len(pairs.all_keys):
        true_clip = true_text
        texts, clips = log_sum_exps(audio, pairs.all_text, keys, block, both=True)
    else:
        true_clip = scale * (pairs.text * pairs.paired(pairs.all_audio)).sum(dim=1)
        texts, _ = log_sum_exps(audio, pairs.all_text, keys, block)
        clips, _ = log_sum_exps(scale * pairs.text, pairs.all_audio, keys, block)
    texts = texts.unsqueeze(1)
    if pairs.own is not None:
        texts = torch.cat([texts, own_logits(pairs.audio, pairs.own, scale)], dim=1)
    if pairs.shared is not None:
        shared, _ = log_sum_exps(audio, pairs.shared, None, block)
        texts = torch.cat([texts, shared.unsqueeze(1)], dim=1)
    to_text, to_audio = _told_from(true_text, texts), _told_from(true_clip, clips.unsqueeze(1))
    return (to_text + to_audio) / 2


def _told_from(true: Tensor, others: Tensor) -> Tensor:
    """Mean cross-entropy of ``(b,)`` logits of pairs among ``(b, n)`` logits, or sums of them."""
    logits = torch.cat([true.unsqueeze(1), others], dim=1)
    return F.cross_entropy(logits, torch.zeros_like(true, dtype=torch.long))


def sigmoid(pairs: Pairs, scale: Tensor, bias: Tensor, block: int) -> Tensor:
    """SigLIP's loss: each clip and text by itself, whether they belong together.

    Eq. of section 3.2 of arXiv 2303.15343, -1/B sum_ij log sigmoid(z_ij (sigma s_ij + bias)), z 1
    for a pair and -1 otherwise, in memory O(B d + block^2). Deviations: other clips of the same
    text add nothing, and extra negatives are further columns with z = -1. The gradient cannot be
    differentiated again.

    Args:
        pairs: Clips and texts. ``text`` and ``all_audio`` are not used: a rank has the rows of its
            clips, and no pair twice.
        scale: Scalar sigma.
        bias: Scalar.
        block: Rows and columns of a tile.

    Returns:
        Scalar: this rank's mean over its clips.
    """
    audio = scale * pairs.audio
    own_pair = (audio * pairs.paired(pairs.all_text)).sum(dim=1) + bias
    keys = (pairs.keys, pairs.all_keys)
    losses = F.softplus(-own_pair) + softplus_sums(audio, pairs.all_text, bias, keys, block)
    if pairs.own is not None:
        logits = own_logits(pairs.audio, pairs.own, scale)
        losses = losses + F.softplus(logits + bias).sum(dim=1)
    if pairs.shared is not None:
        losses = losses + softplus_sums(audio, pairs.shared, bias, None, block)
    return losses.mean()


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
