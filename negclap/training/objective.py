"""The combined loss of a batch, over the clips of all processes."""

from dataclasses import dataclass

import torch
from torch import Tensor

from negclap import distributed
from negclap.losses import (
    LossTerms,
    Pairs,
    choice,
    contrastive_loss,
    dissimilarity,
    graded_margin,
)
from negclap.models.clap import NegClap
from negclap.training.texts import EmbeddedTexts, Texts


@dataclass(frozen=True)
class Objective:
    """The configured terms of the loss.

    Attributes:
        model: The model, for its learned scale.
        losses: Weights and options of the terms.
        logit_bias: Learned bias of the sigmoid form.
    """

    model: NegClap
    losses: LossTerms
    logit_bias: Tensor | None

    def terms(
        self, step: int, audio: Tensor, texts: EmbeddedTexts
    ) -> list[tuple[str, float, Tensor]]:
        """Return (name, weight at this step, unweighted value) of every term with a weight.

        Args:
            step: Optimiser step, from 0.
            audio: ``(b, d)`` unit embeddings of this process's clips.
            texts: The clips' texts.
        """
        values = {
            "contrastive": self._contrastive,
            "dissimilarity": self._dissimilarity,
            "graded_margin": self._graded_margin,
            "absence": self._absence,
            "exclusion": self._exclusion,
            "choice": self._choice,
        }
        weights = {name: term.weight_at(step) for name, term in self.losses.by_name().items()}
        return [
            (name, weight, values[name](audio, texts)) for name, weight in weights.items() if weight
        ]

    def _contrastive(self, audio: Tensor, texts: EmbeddedTexts) -> Tensor:
        return self._contrast(audio, texts, texts.rows.caption)

    def _exclusion(self, audio: Tensor, texts: EmbeddedTexts) -> Tensor:
        columns = range(texts.exclusions_per_clip)
        values = [self._one_exclusion(audio, texts, column) for column in columns]
        return torch.stack(values).mean()

    def _one_exclusion(self, audio: Tensor, texts: EmbeddedTexts, column: int) -> Tensor:
        """Return the loss of one exclusion caption per clip."""
        true, false = texts.rows.exclusions[:, column], texts.at(texts.rows.false[:, column])
        match self.losses.exclusion.negatives:
            case "own":
                return self._contrast(audio, texts, true, own=false)
            case "shared":
                vectors = distributed.gather_with_gradient(false.vectors.flatten(0, 1))
                mask = distributed.gather(false.mask.flatten())
                return self._contrast(audio, texts, true, shared=vectors[mask])
            case "none":
                return self._contrast(audio, texts, true)

    def _contrast(
        self,
        audio: Tensor,
        texts: EmbeddedTexts,
        rows: Tensor,
        own: Texts | None = None,
        shared: Tensor | None = None,
    ) -> Tensor:
        """Return the contrastive loss in its configured form, with extra negative texts."""
        text, _, keys = texts.at(rows)
        pairs = Pairs(
            audio,
            text,
            texts.all_audio,
            distributed.gather_with_gradient(text),
            keys,
            distributed.gather(keys),
            distributed.rank() * len(audio),
            own and own.vectors,
            own and own.mask,
            shared,
        )
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
        term = self.losses.graded_margin
        return distributed.global_mean(graded_margin(original, half, fully, term))

    def _absence(self, audio: Tensor, texts: EmbeddedTexts) -> Tensor:
        true, false = texts.at(texts.rows.absence_true), texts.at(texts.rows.absence_false)
        mask = true.mask
        one_false = false.vectors[mask].unsqueeze(1)
        losses = choice(audio[mask], true.vectors[mask], one_false, self.model.scale)
        return distributed.global_mean(losses)

    def _choice(self, audio: Tensor, texts: EmbeddedTexts) -> Tensor:
        losses = []
        for column in range(texts.exclusions_per_clip):
            true = texts.at(texts.rows.exclusions[:, column])
            false = texts.at(texts.rows.false[:, column])
            mask = false.mask.all(dim=1)
            losses.append(
                choice(audio[mask], true.vectors[mask], false.vectors[mask], self.model.scale)
            )
        return distributed.global_mean(torch.cat(losses))
