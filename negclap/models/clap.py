"""NegClap: audio and text encoder, projections into a joint space, learned scale."""

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
"""One half of the model: an encoder and its projection."""
ProjectionKind = Literal["linear", "mlp"]


class NegClap(nn.Module):
    """A joint audio-text model: unit vectors, compared by cosine.

    Args:
        embed_dim: Size of the joint space.
        temperature: Initial temperature; the learned scale is its inverse. The default is CLIP's.
        projection: From each encoder's output into the joint space: "linear", or "mlp", two layers
            with a ReLU between them as in a ClapModel of `transformers`.

    Raises:
        InputError: If the temperature is below 0.01.
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
        self.audio_projection = make_projection(projection, audio_encoder.dim, embed_dim)
        self.text_projection = make_projection(projection, text_encoder.dim, embed_dim)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / temperature)))

    @property
    def scale(self) -> Tensor:
        """Scalar inverse temperature."""
        return self.log_scale.exp()

    @torch.no_grad()
    def clamp_scale(self) -> None:
        """Limit the scale to 100; called after each optimiser step."""
        self.log_scale.clamp_(max=math.log(MAX_SCALE))

    def freeze(self, towers: Collection[Tower]) -> None:
        """Freeze encoders with their projections, and put them into evaluation mode.

        Raises:
            InputError: If both are frozen.
        """
        if set(towers) == {"audio", "text"}:
            raise InputError("both encoders are frozen, expected at most one")
        for tower in towers:
            for part in self._parts(tower):
                part.requires_grad_(False).eval()

    def copy_audio_tower(self, other: "NegClap") -> None:
        """Copy the audio encoder, its projection and the scale of another model.

        Raises:
            InputError: If its front end or shapes differ.
        """
        ours, theirs = self.audio_encoder.mel, other.audio_encoder.mel
        if ours != theirs:
            raise InputError(f"audio encoder has the front end {theirs}, expected {ours}")
        for part, source in zip(self._parts("audio"), other._parts("audio"), strict=True):
            try:
                part.load_state_dict(source.state_dict())
            except RuntimeError as error:
                raise InputError(f"audio encoder does not fit: {reason(error, line=1)}") from None
        self.log_scale.data.copy_(other.log_scale.data)

    def _parts(self, tower: Tower) -> tuple[nn.Module, nn.Module]:
        if tower == "audio":
            return self.audio_encoder, self.audio_projection
        return self.text_encoder, self.text_projection

    def embed_audio(self, waveform: Tensor, micro_batch_size: int | None = None) -> Tensor:
        """Embed clips ``(batch, samples)`` to ``(batch, embed_dim)`` float32, unit length.

        With `micro_batch_size`, the encoder takes this many clips per forward pass, and the
        activations are recomputed in the backward pass, which saves memory.
        """

        def embed(part: Tensor) -> Tensor:
            return F.normalize(self.audio_projection(self.audio_encoder(part)).float(), dim=-1)

        return _in_micro_batches(embed, (waveform,), micro_batch_size)

    def embed_text(self, tokens: dict[str, Tensor], micro_batch_size: int | None = None) -> Tensor:
        """Embed n tokenized texts to ``(n, embed_dim)``; otherwise like `embed_audio`."""

        def embed(*parts: Tensor) -> Tensor:
            encoded = self.text_encoder(dict(zip(tokens, parts, strict=True)))
            return F.normalize(self.text_projection(encoded).float(), dim=-1)

        return _in_micro_batches(embed, tuple(tokens.values()), micro_batch_size)


def make_projection(kind: ProjectionKind, size: int, embed_dim: int) -> nn.Module:
    """Return an untrained projection from an encoder's output ``size`` into the joint space."""
    if kind == "linear":
        return nn.Linear(size, embed_dim)
    last = nn.Linear(embed_dim, embed_dim)
    return nn.Sequential(nn.Linear(size, embed_dim), nn.ReLU(), last)


def _in_micro_batches(
    embed: Callable[..., Tensor], inputs: tuple[Tensor, ...], size: int | None
) -> Tensor:
    """Embed ``size`` rows at a time with checkpointing, as GradCache does (arXiv 2101.06983).

    The loss sees the whole batch, but the encoder needs memory for only ``size`` rows, at the cost
    of a second forward pass. Dropout and SpecAugment draw the same numbers in both passes.
    """
    if size is None or len(inputs[0]) <= size:
        return embed(*inputs)
    parts = zip(*(rows.split(size) for rows in inputs), strict=True)
    return torch.cat([checkpoint(embed, *part, use_reentrant=False) for part in parts])
