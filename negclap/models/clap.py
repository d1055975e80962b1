"""NegClap: the two encoders, their projections into one space, and the learned scale."""

import math
from collections.abc import Callable, Collection
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from negclap.errors import InputError, reason
from negclap.models.audio_encoders import AudioEncoder
from negclap.models.text_encoders import TextEncoder

MAX_SCALE = 100.0

Tower = Literal["audio", "text"]
ProjectionKind = Literal["linear", "mlp"]


class NegClap(nn.Module):
    """A joint audio-text model: unit vectors, compared by cosine.

    Args:
        audio_encoder: The audio tower.
        text_encoder: The text tower.
        embed_dim: Size of the joint space.
        temperature: Initial temperature; the learned scale is its inverse. 0.07 is CLIP's, the
            paper does not state one.
        projection: Of each tower's output into the joint space: "linear", or "mlp" (two layers with
            a ReLU between them), which is what a ClapModel of `transformers` has.
    """

    def __init__(
        self,
        audio_encoder: AudioEncoder,
        text_encoder: TextEncoder,
        embed_dim: int = 128,
        temperature: float = 0.07,
        projection: ProjectionKind = "linear",
    ) -> None:
        super().__init__()
        if not temperature >= 1 / MAX_SCALE:
            raise InputError(f"temperature is {temperature}, expected at least {1 / MAX_SCALE}")
        self.audio_encoder = audio_encoder
        self.text_encoder = text_encoder
        self.embed_dim = embed_dim
        self.projection: ProjectionKind = projection
        self.audio_projection = _projection(projection, audio_encoder.dim, embed_dim)
        self.text_projection = _projection(projection, text_encoder.dim, embed_dim)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / temperature)))

    @property
    def scale(self) -> Tensor:
        """Inverse temperature, a scalar."""
        return self.log_scale.exp()

    @torch.no_grad()
    def clamp_scale(self) -> None:
        """Keep the scale at or below 100; called after each optimiser step."""
        self.log_scale.clamp_(max=math.log(MAX_SCALE))

    def freeze(self, towers: Collection[Tower]) -> None:
        """Keep towers, with their projections, as they are.

        Raises:
            InputError: If nothing is left to be trained.
        """
        if set(towers) == {"audio", "text"}:
            raise InputError("both towers are frozen: nothing is left to be trained")
        for tower in towers:
            for part in self._parts(tower):
                part.requires_grad_(False).eval()

    def take_audio_from(self, other: "NegClap") -> None:
        """Take over the audio tower, its projection and the scale.

        Raises:
            InputError: If it hears otherwise than this model's, or has other shapes.
        """
        ours, given = self.audio_encoder.mel, other.audio_encoder.mel
        if ours != given:
            raise InputError(f"audio tower of another front end: {given}, expected {ours}")
        for mine, theirs in zip(self._parts("audio"), other._parts("audio"), strict=True):
            try:
                mine.load_state_dict(theirs.state_dict())
            except RuntimeError as error:
                raise InputError(f"audio tower of another shape: {reason(error, line=1)}") from None
        self.log_scale.data.copy_(other.log_scale.data)

    def _parts(self, tower: Tower) -> tuple[nn.Module, nn.Module]:
        match tower:
            case "audio":
                return self.audio_encoder, self.audio_projection
            case "text":
                return self.text_encoder, self.text_projection

    def embed_audio(self, waveform: Tensor, at_once: int | None = None) -> Tensor:
        """``(batch, samples)`` to unit vectors ``(batch, embed_dim)``, float32.

        With ``at_once``, clips go through the encoder so many at a time, see `_in_parts`.
        """
        return _in_parts(self._embed_audio, (waveform,), at_once)

    def embed_text(self, tokens: dict[str, Tensor], at_once: int | None = None) -> Tensor:
        """Tokens of n texts to unit vectors ``(n, embed_dim)``, float32."""

        def embed(*parts: Tensor) -> Tensor:
            return self._embed_text(dict(zip(tokens, parts, strict=True)))

        return _in_parts(embed, tuple(tokens.values()), at_once)

    def _embed_audio(self, waveform: Tensor) -> Tensor:
        projected = self.audio_projection(self.audio_encoder(waveform))
        return F.normalize(projected.float(), dim=-1)

    def _embed_text(self, tokens: dict[str, Tensor]) -> Tensor:
        projected = self.text_projection(self.text_encoder(tokens))
        return F.normalize(projected.float(), dim=-1)


def _projection(kind: ProjectionKind, size: int, embed_dim: int) -> nn.Module:
    match kind:
        case "linear":
            return nn.Linear(size, embed_dim)
        case "mlp":
            last = nn.Linear(embed_dim, embed_dim)
            return nn.Sequential(nn.Linear(size, embed_dim), nn.ReLU(), last)


def _in_parts(
    embed: Callable[..., Tensor], inputs: tuple[Tensor, ...], at_once: int | None
) -> Tensor:
    """``embed`` of some rows at a time, whose activations are not kept but made again when needed.

    What GradCache (arXiv 2101.06983) does: the loss sees the whole batch, the encoder's memory is
    that of a part, for a second forward pass. Random numbers (dropout, SpecAugment) are the same in
    both passes.
    """
    if at_once is None or len(inputs[0]) <= at_once:
        return embed(*inputs)
    parts = zip(*(rows.split(at_once) for rows in inputs), strict=True)
    return torch.cat([checkpoint(embed, *part, use_reentrant=False) for part in parts])
