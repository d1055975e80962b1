"""The contrastive loss of clips and texts, in three forms."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from negclap.losses.terms import ContrastiveTerm
from negclap.losses.tiles import log_sum_exps, softplus_sums

SIGMOID_BIAS = -10.0  # SigLIP's initial value; nearly all pairs are negatives


@dataclass(frozen=True)
class Pairs:
    """Unit embeddings of this rank's clips and texts ``(b, d)``, and of all ranks' ``(B, d)``.

    On a single rank, `all_audio` is `audio` and `all_text` is `text`. Clips with equal texts are
    not each other's negatives.

    Attributes:
        keys: ``(b,)`` int64, equal where texts are equal; ``all_keys`` are those of all ranks.
        offset: Index of this rank's first pair among all pairs.
        own: ``(b, m, d)`` extra negative texts, each of one clip only.
        own_given: ``(b, m)`` bool, which of ``own`` exist.
        shared: ``(M, d)`` extra negative texts of all clips.
    """

    audio: Tensor
    text: Tensor
    all_audio: Tensor
    all_text: Tensor
    keys: Tensor
    all_keys: Tensor
    offset: int = 0
    own: Tensor | None = None
    own_given: Tensor | None = None
    shared: Tensor | None = None

    def own_logits(self, scale: Tensor) -> list[Tensor]:
        """Return the ``(b, m)`` logits of each clip with its own negatives, in a list; or []."""
        if self.own is None or self.own_given is None:
            return []
        logits = cosine_logits(self.audio, self.own, scale)
        return [logits.masked_fill(~self.own_given, float("-inf"))]

    def local(self, all_ranks: Tensor) -> Tensor:
        """Return this rank's ``(b, d)`` rows of ``(B, d)`` embeddings."""
        return all_ranks[self.offset : self.offset + len(self.keys)]


def contrastive_loss(
    pairs: Pairs, scale: Tensor, term: ContrastiveTerm, bias: Tensor | None = None
) -> Tensor:
    """Return the mean loss of this rank's pairs, in the form and with the block size of the term.

    The scale sigma is a scalar, and so is the bias, which only the sigmoid form needs.
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
    """Compute the CLIP loss in both directions, with the logits of all pairs in memory.

    Extra negatives are texts, so they affect only the direction from clips to texts.
    """
    keys = (pairs.keys, pairs.all_keys, pairs.offset)
    with torch.autocast(pairs.audio.device.type, enabled=False):
        extra = pairs.own_logits(scale)
        if pairs.shared is not None:
            extra.append(scale * pairs.audio @ pairs.shared.T)
    to_text = one_direction(pairs.audio, pairs.all_text, scale, *keys, *extra)
    to_audio = one_direction(pairs.text, pairs.all_audio, scale, *keys)
    return (to_text + to_audio) / 2


def tiled(pairs: Pairs, scale: Tensor, block: int) -> Tensor:
    """Compute the same loss and gradients as `dense` with O(B d + block^2) memory.

    On a single rank, one pass over the tiles serves both directions, and ``text`` and ``all_audio``
    are not used. There are no second derivatives.
    """
    audio = scale * pairs.audio
    keys = (pairs.keys, pairs.all_keys)
    true_text = scale * (pairs.audio * pairs.local(pairs.all_text)).sum(dim=1)
    if len(pairs.keys) == len(pairs.all_keys):
        true_clip = true_text
        texts, clips = log_sum_exps(audio, pairs.all_text, keys, block, both=True)
    else:
        true_clip = scale * (pairs.text * pairs.local(pairs.all_audio)).sum(dim=1)
        texts, _ = log_sum_exps(audio, pairs.all_text, keys, block)
        clips, _ = log_sum_exps(scale * pairs.text, pairs.all_audio, keys, block)
    extra = pairs.own_logits(scale)
    if pairs.shared is not None:
        shared, _ = log_sum_exps(audio, pairs.shared, None, block)
        extra.append(shared.unsqueeze(1))
    to_text = _cross_entropy(true_text, texts.unsqueeze(1), *extra)
    to_audio = _cross_entropy(true_clip, clips.unsqueeze(1))
    return (to_text + to_audio) / 2


def _cross_entropy(true: Tensor, *negatives: Tensor) -> Tensor:
    """Return the mean cross-entropy of ``(b,)`` true logits against ``(b, n)`` negative ones."""
    logits = torch.cat([true.unsqueeze(1), *negatives], dim=1)
    return F.cross_entropy(logits, torch.zeros_like(true, dtype=torch.long))


def sigmoid(pairs: Pairs, scale: Tensor, bias: Tensor, block: int) -> Tensor:
    """Compute SigLIP's loss: for every clip and text, whether they are a pair.

    Section 3.2 of arXiv 2303.15343: -1/B sum_ij log sigmoid(z_ij (sigma s_ij + bias)), with z = 1
    for pairs and -1 otherwise. Deviations: a clip and an equal text of another clip contribute
    nothing, and extra negatives are further columns with z = -1. It takes O(B d + block^2) memory,
    does not use ``text`` and ``all_audio``, and has no second derivatives.
    """
    audio = scale * pairs.audio
    own_pair = (audio * pairs.local(pairs.all_text)).sum(dim=1) + bias
    keys = (pairs.keys, pairs.all_keys)
    losses = F.softplus(-own_pair) + softplus_sums(audio, pairs.all_text, bias, keys, block)
    for logits in pairs.own_logits(scale):
        losses = losses + F.softplus(logits + bias).sum(dim=1)
    if pairs.shared is not None:
        losses = losses + softplus_sums(audio, pairs.shared, bias, None, block)
    return losses.mean()


def one_direction(
    rows: Tensor,
    columns: Tensor,
    scale: Tensor,
    row_keys: Tensor,
    column_keys: Tensor,
    offset: int = 0,
    *extra: Tensor,
) -> Tensor:
    """Compute one direction of the CLIP loss: the mean of -log softmax(sigma s)[paired column].

    Row i of this rank's unit embeddings ``(b, d)`` is paired with column offset + i of all ranks'
    ``(B, d)``. Rows and columns with equal keys, ``(b,)`` and ``(B,)``, are not negatives. Extra
    ``(b, m)`` are logits of further negatives, -inf where a row has none.
    """
    target = torch.arange(offset, offset + len(rows), device=rows.device)
    same_text = row_keys.unsqueeze(1) == column_keys
    same_text[:, offset:].fill_diagonal_(False)
    with torch.autocast(rows.device.type, enabled=False):  # bfloat16 is too coarse for logits
        logits = (scale * rows @ columns.T).masked_fill(same_text, float("-inf"))
        return F.cross_entropy(torch.cat([logits, *extra], dim=1), target)


def cosine_logits(rows: Tensor, columns: Tensor, scale: Tensor) -> Tensor:
    """Return the ``(b, m)`` logits of rows ``(b, d)`` with their own columns ``(b, m, d)``."""
    return scale * (rows.unsqueeze(1) * columns).sum(dim=-1)
