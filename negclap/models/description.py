"""A model's configuration without its weights, as run folders and exports store it."""

from dataclasses import dataclass, fields, replace
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser
from torch import Tensor

from negclap.errors import InputError, reason
from negclap.models.audio_encoders import AudioEncoder, HtsatEncoder
from negclap.models.clap import NegClap, ProjectionKind
from negclap.models.encoder import Curves
from negclap.models.musicnn import MusicnnEncoder
from negclap.models.text_encoders import TextEncoder

_PRETRAINED_KINDS = {
    f"{kind.__module__}.{kind.__qualname__}" for kind in (HtsatEncoder, MusicnnEncoder, TextEncoder)
}

ClassConfig = dict[str, Any]
"""A class and its arguments: ``{"class_path": ..., "init_args": {...}}``."""


@dataclass(frozen=True)
class Description:
    """A model without its weights.

    Attributes:
        embed_dim: Size of the joint space.
        excerpt_s: Seconds of audio per clip in training.
        threshold: Smallest cosine at which a text counts as true of a clip; None if unknown.
        curves: Tags whose cosines are calibrated; None if there are none.
    """

    audio_encoder: ClassConfig
    text_encoder: ClassConfig
    embed_dim: int
    excerpt_s: float
    projection: ProjectionKind = "linear"
    threshold: float | None = None
    curves: Curves | None = None

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Description":
        """Build a description from JSON or YAML; other keys are ignored.

        Raises:
            TypeError: If a field is missing.
            ValueError: If a value is invalid.
        """
        names = {field.name for field in fields(cls)}
        description = cls(**{name: values[name] for name in names & values.keys()})
        for name, kind in {"embed_dim": int, "excerpt_s": float | int}.items():
            value = getattr(description, name)
            if not isinstance(value, kind) or not value > 0:
                raise ValueError(f"{name} is {value!r}, expected a positive number")
        if not isinstance(description.threshold, float | int | None):
            raise ValueError(f"threshold is {description.threshold!r}, expected a number or null")
        for tag, curve in (description.curves or {}).items():
            if [*map(type, curve)] != [float, float]:
                raise ValueError(f"curve of {tag!r} is {curve!r}, expected two numbers")
        return description

    def build(self, load_weights: bool = False) -> NegClap:
        """Build the model with untrained weights, or with those of its pretrained encoders.

        Raises:
            InputError: If a class is not an encoder or does not accept the arguments.
        """
        parser = ArgumentParser(exit_on_error=False)
        parser.add_argument("--audio_encoder", type=AudioEncoder)
        parser.add_argument("--text_encoder", type=TextEncoder)
        configs = {"audio_encoder": self.audio_encoder, "text_encoder": self.text_encoder}
        if not load_weights:
            configs = {name: _without_weights(config) for name, config in configs.items()}
        try:
            encoders = parser.instantiate_classes(parser.parse_object(configs))
        except ArgumentError as error:
            raise InputError(reason(error)) from None
        audio, text = encoders.audio_encoder, encoders.text_encoder
        return NegClap(audio, text, self.embed_dim, projection=self.projection)

    def with_folders(self, audio: str | None, text: str) -> "Description":
        """Return a copy whose encoders read configuration and tokenizer from these folders."""
        all_layers = {"layers": None, "trained_layers": None}
        text_encoder = _with_arguments(self.text_encoder, name=text, **all_layers)
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

    Raises:
        InputError: If names or shapes differ from the model's; the message names the source.
    """
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        why = reason(error, line=1)
        raise InputError(f"{source}: weights do not fit the model ({why})") from None
