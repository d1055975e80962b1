"""The combined loss of a batch, over all ranks: where embeddings, gather and loss terms meet."""

from dataclasses import dataclass

import torch
from torch import Tensor

from negclap import distributed
from negclap.losses import (
    LossTerms,
    Pairs,
    choice,
    contrast,
    dissimilarity,
    graded_margin,
)
from negclap.models.clap import NegClap
from negclap.text.compose import FALSEHOODS
from negclap.text.probes import LEVELS
from negclap.training.embedded_texts import EmbeddedTexts


@dataclass(frozen=True)
class Objective:
    """The terms of the loss, as they are configured.

    Attributes:
        model: Whose scale is used.
        losses: Weights and options of the terms.
        logit_bias: Of the sigmoid form.
    """

    model: NegClap
    losses: LossTerms
    logit_bias: Tensor | None

    def terms(
        self, step: int, audio: Tensor, texts: EmbeddedTexts
    ) -> list[tuple[str, float, Tensor]]:
        """(name, weight at the step, raw value) of every term that is switched on.

        Args:
            step: Warm-ups count from 0.
            audio: ``(b, d)`` unit embeddings of this rank's clips.
            texts: What their texts are to them.
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
        return self._contrast(audio, texts, "caption")

    def _exclusion(self, audio: Tensor, texts: EmbeddedTexts) -> Tensor:
        values = [self._exclusion_turn(audio, texts, turn) for turn in texts.turns]
        return torch.stack(values).mean()

    def _exclusion_turn(self, audio: Tensor, texts: EmbeddedTexts, turn: int) -> Tensor:
        role = f"exclusion {turn}"
        match self.losses.exclusion.negatives:
            case "own":
                return self._contrast(audio, texts, role, own=texts.false(turn))
            case "shared":
                false = distributed.gather_with_gradient(texts.false(turn).flatten(0, 1))
                shared = false[~false.isnan().any(dim=1)]
                return self._contrast(audio, texts, role, shared=shared)
            case "none":
                return self._contrast(audio, texts, role)

    def _contrast(
        self,
        audio: Tensor,
        texts: EmbeddedTexts,
        role: str,
        own: Tensor | None = None,
        shared: Tensor | None = None,
    ) -> Tensor:
        """The contrastive loss in its configured form; extra negatives are texts."""
        text, keys = texts[role], texts.keys(role)
        all_text, all_keys = distributed.gather_with_gradient(text), distributed.gather(keys)
        offset = distributed.rank() * len(audio)
        pairs = Pairs(audio, text, texts.all_audio, all_text, keys, all_keys, offset, own, shared)
        return contrast(pairs, self.model.scale, self.losses.contrastive, self.logit_bias)

    def _dissimilarity(self, audio: Tensor, texts: EmbeddedTexts) -> Tensor:
        has = texts.given("fully")
        original, fully = texts["original"][has], texts["fully"][has]
        floor = self.losses.dissimilarity.floor
        return distributed.global_mean(dissimilarity(original, fully, floor))

    def _graded_margin(self, audio: Tensor, texts: EmbeddedTexts) -> Tensor:
        has = texts.given("half")  # who has a half negated form has all three
        original, half, fully = ((audio[has] * texts[level][has]).sum(dim=-1) for level in LEVELS)
        term = self.losses.graded_margin
        return distributed.global_mean(graded_margin(original, half, fully, term))

    def _absence(self, audio: Tensor, texts: EmbeddedTexts) -> Tensor:
        has = texts.given("absence_true")
        true, false = (texts[role][has] for role in ("absence_true", "absence_false"))
        scale = self.model.scale
        return distributed.global_mean(choice(audio[has], true, false.unsqueeze(1), scale))

    def _choice(self, audio: Tensor, texts: EmbeddedTexts) -> Tensor:
        losses = []
        for turn in texts.turns:
            has = texts.given(f"{FALSEHOODS[0]} {turn}")
            true, false = texts[f"exclusion {turn}"][has], texts.false(turn)[has]
            losses.append(choice(audio[has], true, false, self.model.scale))
        return distributed.global_mean(torch.cat(losses))
