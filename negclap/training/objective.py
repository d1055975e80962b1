"""The combined loss of a batch, over the clips of all processes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from negclap import distributed
from negclap.data.batch import Batch, TextRows
from negclap.losses import LossTerms, Pairs, choice, contrastive_loss, dissimilarity, graded_margin
from negclap.models.clap import NegClap


class Texts(NamedTuple):
    """One text per clip, or several: unit vectors ``(b, ..., d)``, masks and keys ``(b, ...)``.

    The mask is False, and the vector arbitrary, where a clip lacks the text. Keys are equal where
    texts are equal.
    """

    vectors: Tensor
    mask: Tensor
    keys: Tensor


@dataclass(frozen=True)
class EmbeddedTexts:
    """The embeddings ``(u, d)`` of a batch's distinct texts, and of all processes' clips."""

    batch: Batch
    unique: Tensor
    all_audio: Tensor

    @property
    def rows(self) -> TextRows:
        """Rows of each clip's texts among the distinct texts."""
        return self.batch.rows

    def exclusions(self) -> Iterator[tuple[Tensor, Texts]]:
        """Yield ``(b,)`` rows of true exclusion captions, and the false texts ``(b, kinds)``."""
        for column in range(self.rows.exclusions.shape[1]):
            yield self.rows.exclusions[:, column], self.at(self.rows.false[:, column])

    def at(self, rows: Tensor) -> Texts:
        """Pick texts by their rows: a field of `TextRows`, or a part of one."""
        picked = rows.clamp(min=0)
        return Texts(self.unique[picked], rows >= 0, self.batch.text_keys[picked])


@dataclass(frozen=True)
class Objective:
    """The configured terms of the loss, with the model's learned scale and sigmoid bias."""

    model: NegClap
    losses: LossTerms
    logit_bias: Tensor | None

    def terms(
        self, step: int, audio: Tensor, texts: EmbeddedTexts
    ) -> list[tuple[str, float, Tensor]]:
        """Return (name, weight at this optimiser step, unweighted value) of terms with a weight.

        ``audio`` has the ``(b, d)`` unit embeddings of this process's clips.
        """
        values = {
            "contrastive": self._contrastive,
            "dissimilarity": self._dissimilarity,
            "graded_margin": self._graded_margin,
            "absence": self._absence,
            "exclusion": self._exclusion,
            "choice": self._choice,
        }
        return [
            (name, weight, values[name](audio, texts))
            for name, term in self.losses.by_name().items()
            if (weight := term.weight_at(step))
        ]

    def _contrastive(self, audio: Tensor, texts: EmbeddedTexts) -> Tensor:
        return self._contrast(audio, texts, texts.rows.caption)

    def _exclusion(self, audio: Tensor, texts: EmbeddedTexts) -> Tensor:
        values = [self._one_exclusion(audio, texts, *captions) for captions in texts.exclusions()]
        return torch.stack(values).mean()

    def _one_exclusion(
        self, audio: Tensor, texts: EmbeddedTexts, true: Tensor, false: Texts
    ) -> Tensor:
        match self.losses.exclusion.negatives:
            case "own":
                return self._contrast(audio, texts, true, own=false.vectors, own_given=false.mask)
            case "shared":
                vectors = distributed.gather_with_gradient(false.vectors.flatten(0, 1))
                mask = distributed.gather(false.mask.flatten())
                return self._contrast(audio, texts, true, shared=vectors[mask])
            case "none":
                return self._contrast(audio, texts, true)

    def _contrast(
        self, audio: Tensor, texts: EmbeddedTexts, rows: Tensor, **negatives: Tensor
    ) -> Tensor:
        """Return the contrastive loss in its configured form; `Pairs` has ``negatives`` besides."""
        text, _, keys = texts.at(rows)
        all_texts, all_keys = distributed.gather_with_gradient(text), distributed.gather(keys)
        offset = distributed.rank() * len(audio)
        pairs = Pairs(audio, text, texts.all_audio, all_texts, keys, all_keys, offset, **negatives)
        return contrastive_loss(pairs, self.model.scale, self.losses.contrastive, self.logit_bias)

    def _dissimilarity(self, audio: Tensor, texts: EmbeddedTexts) -> Tensor:
        original, fully = texts.at(texts.rows.original), texts.at(texts.rows.fully)
        pairs = original.vectors[fully.mask], fully.vectors[fully.mask]
        return distributed.global_mean(dissimilarity(*pairs, self.losses.dissimilarity.floor))

    def _graded_margin(self, audio: Tensor, texts: EmbeddedTexts) -> Tensor:
        rows = texts.rows
        levels = [texts.at(level) for level in (rows.original, rows.half, rows.fully)]
        mask = levels[1].mask  # a clip with a half negated caption has all three levels
        original, half, fully = (
            (audio[mask] * level.vectors[mask]).sum(dim=-1) for level in levels
        )
        losses = graded_margin(original, half, fully, self.losses.graded_margin)
        return distributed.global_mean(losses)

    def _absence(self, audio: Tensor, texts: EmbeddedTexts) -> Tensor:
        true, false = texts.rows.absence_true, texts.rows.absence_false.unsqueeze(1)
        return distributed.global_mean(self._choose(audio, texts.at(true), texts.at(false)))

    def _choice(self, audio: Tensor, texts: EmbeddedTexts) -> Tensor:
        choices = ((texts.at(true), false) for true, false in texts.exclusions())
        losses = [self._choose(audio, *each) for each in choices]
        return distributed.global_mean(torch.cat(losses))

    def _choose(self, audio: Tensor, true: Texts, false: Texts) -> Tensor:
        """Return the losses of the clips that have a true text and all of several false ones."""
        mask = false.mask.all(dim=1)
        return choice(audio[mask], true.vectors[mask], false.vectors[mask], self.model.scale)
