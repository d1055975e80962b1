"""A model's configuration without its weights, as run folders and exports store it."""

from dataclasses import dataclass, fields, replace
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser
from torch import Tensor

from negclap.errors import InputError, reason
from negclap.models.audio_encoders import AudioEncoder, HtsatEncoder
from negclap.models.clap import NegClap, ProjectionKind
from negclap.models.text_encoders import TextEncoder

_PRETRAINED_KINDS = {
    f"{kind.__module__}.{kind.__qualname__}" for kind in (HtsatEncoder, TextEncoder)
}

ClassConfig = dict[str, Any]
"""A class and its arguments: ``{"class_path": ..., "init_args": {...}}``."""


@dataclass(frozen=True)
class Description:
    """A model without its weights.

    Attributes:
        audio_encoder: Class and arguments of the audio encoder.
        text_encoder: Class and arguments of the text encoder.
        embed_dim: Size of the joint space.
        excerpt_s: Seconds of audio per clip in training.
        projection: Kind of the projections.
        threshold: Smallest cosine at which a text counts as true of a clip; None if unknown.
    """

    audio_encoder: ClassConfig
    text_encoder: ClassConfig
    embed_dim: int
    excerpt_s: float
    projection: ProjectionKind = "linear"
    threshold: float | None = None

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Description":
        """Build a description from JSON or YAML; other keys are ignored.

        Raises:
            KeyError: If a field is missing.
            ValueError: If a value is invalid.
        """
        optional = {"projection", "threshold"}
        names = [each.name for each in fields(cls)]
        description = cls(**{n: values[n] for n in names if n not in optional or n in values})
        positive = {"embed_dim": int, "excerpt_s": float | int}
        for name, kind in positive.items():
            value = getattr(description, name)
            if not isinstance(value, kind) or not value > 0:
                raise ValueError(f"{name} is {value!r}, expected a positive number")
        if not isinstance(description.threshold, float | int | None):
            raise ValueError(f"threshold is {description.threshold!r}, expected a number or null")
        return description

    def build(self) -> NegClap:
        """Build the model with untrained weights.

        Raises:
            InputError: If a class is not an encoder or does not accept the arguments.
        """
        parser = ArgumentParser(exit_on_error=False)
        parser.add_argument("--audio_encoder", type=AudioEncoder)
        parser.add_argument("--text_encoder", type=TextEncoder)
        configs = {
            "audio_encoder": _without_weights(self.audio_encoder),
            "text_encoder": _without_weights(self.text_encoder),
        }
        try:
            encoders = parser.instantiate_classes(parser.parse_object(configs))
        except ArgumentError as error:
            raise InputError(reason(error)) from None
        return NegClap(
            encoders.audio_encoder,
            encoders.text_encoder,
            self.embed_dim,
            projection=self.projection,
        )

    def with_folders(self, audio: str | None, text: str) -> "Description":
        """Return a copy whose encoders read configuration and tokenizer from these folders."""
        text_encoder = _with_arguments(
            self.text_encoder, name=text, layers=None, trained_layers=None
        )
        if audio is None:
            return replace(self, text_encoder=text_encoder)
        audio_encoder = _with_arguments(self.audio_encoder, path=audio, overrides=None)
        return replace(self, audio_encoder=audio_encoder, text_encoder=text_encoder)


def _with_arguments(config: ClassConfig, **arguments: Any) -> ClassConfig:
    return config | {"init_args": config.get("init_args", {}) | arguments}


def _without_weights(config: ClassConfig) -> ClassConfig:
    """Skip pretrained weights, which would only be replaced."""
    if config.get("class_path") in _PRETRAINED_KINDS:
        return _with_arguments(config, load_weights=False)
    return config


def load_state(model: NegClap, weights: dict[str, Tensor], source: object) -> None:
    """Load all weights of a model.

    Args:
        model: The model.
        weights: Its state dict.
        source: Origin of the weights, for error messages.

    Raises:
        InputError: If names or shapes differ from the model's.
    """
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(
            f"{source}: weights do not fit the model ({reason(error, line=1)})"
        ) from None
