"""What it takes to build a model: what a run folder and an exported folder have in common."""

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser
from torch import Tensor

from negclap.errors import InputError, reason
from negclap.models.audio_encoders import AudioEncoder, HtsatEncoder
from negclap.models.clap import NegClap, ProjectionKind
from negclap.models.text_encoders import TextEncoder

_LOADING = {f"{kind.__module__}.{kind.__qualname__}" for kind in (HtsatEncoder, TextEncoder)}

Specification = dict[str, Any]
"""A class and its arguments: ``{"class_path": ..., "init_args": {...}}``."""


@dataclass(frozen=True)
class Description:
    """A model without its weights.

    Attributes:
        audio_encoder: The audio tower.
        text_encoder: The text tower.
        embed_dim: Size of the joint space.
        excerpt_s: Seconds of audio that it was trained on.
        projection: Kind of the projections.
        threshold: Cosine from which on a text fits; None if none was chosen.
    """

    audio_encoder: Specification
    text_encoder: Specification
    embed_dim: int
    excerpt_s: float
    projection: ProjectionKind = "linear"
    threshold: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> "Description":
        """The fields that it has; others are passed over.

        Raises:
            KeyError: If one is missing.
            ValueError: If one is not what it should be.
        """
        optional = {"projection", "threshold"}
        names = [one.name for one in fields(cls) if one.name not in optional or one.name in given]
        description = cls(**{name: given[name] for name in names})
        positive = {"embed_dim": int, "excerpt_s": float | int}
        for name, kind in positive.items():
            value = getattr(description, name)
            if not isinstance(value, kind) or not value > 0:
                raise ValueError(f"{name} is {value!r}, expected a positive number")
        if not isinstance(description.threshold, float | int | None):
            raise ValueError(f"threshold is {description.threshold!r}, expected a number or null")
        return description

    def build(self) -> NegClap:
        """The model, with weights to come.

        Raises:
            InputError: If an encoder is none, or takes other arguments.
        """
        parser = ArgumentParser(exit_on_error=False)
        parser.add_argument("--audio_encoder", type=AudioEncoder)
        parser.add_argument("--text_encoder", type=TextEncoder)
        towers = {
            "audio_encoder": _without_weights(self.audio_encoder),
            "text_encoder": _without_weights(self.text_encoder),
        }
        try:
            built = parser.instantiate_classes(parser.parse_object(towers))
        except ArgumentError as error:
            raise InputError(reason(error)) from None
        return NegClap(
            built.audio_encoder, built.text_encoder, self.embed_dim, projection=self.projection
        )

    def moved(self, audio: str | None, text: str) -> "Description":
        """The same model, whose towers take their shapes and words from these folders."""
        text_encoder = _with(self.text_encoder, name=text, layers=None, trained_layers=None)
        if audio is None:
            return replace(self, text_encoder=text_encoder)
        moved = _with(self.audio_encoder, path=audio, overrides=None)
        return replace(self, audio_encoder=moved, text_encoder=text_encoder)


def _with(specification: Specification, **arguments: Any) -> Specification:
    return specification | {"init_args": specification.get("init_args", {}) | arguments}


def _without_weights(specification: Specification) -> Specification:
    """Pretrained weights would be loaded only to be replaced."""
    if specification.get("class_path") in _LOADING:
        return _with(specification, load_weights=False)
    return specification


def fill(model: NegClap, weights: dict[str, Tensor], where: object) -> None:
    """Load weights, all of them and no others.

    Raises:
        InputError: If they are another model's.
    """
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(f"{where}: weights of another model ({reason(error, line=1)})") from None
