"""A run folder of `negclap fit` as a model."""

import struct
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple

import torch
from omegaconf import OmegaConf
from yaml import YAMLError

from negclap.errors import InputError, reason
from negclap.models.clap import NegClap
from negclap.models.description import Description, fill
from negclap.models.encoder import NegClapEncoder
from negclap.models.lora import Lora, merge

CONFIG = "config.yaml"
_BROKEN = (  # what torch and the towers say to files that are not what they should be
    ArithmeticError, AttributeError, EOFError, KeyError, OSError, RuntimeError, TypeError,
    UnpicklingError, ValueError, struct.error,
)  # fmt: skip


class Trained(NamedTuple):
    """A trained model, its description and the configuration of its run."""

    model: NegClap
    description: Description
    config: dict[str, Any]

    def encoder(self) -> NegClapEncoder:
        """The model to use."""
        threshold = self.description.threshold
        chosen = float("nan") if threshold is None else threshold
        return NegClapEncoder(self.model, self.description.excerpt_s, chosen)


def read_run(folder: Path) -> Trained:
    """The best model of a run folder; adapters are merged into the weights.

    Checkpoints are read without running code from them (`weights_only`).

    Raises:
        InputError: If the folder holds no configuration or no checkpoint.
    """
    config_path, checkpoint = folder / CONFIG, folder / "checkpoints" / "best.ckpt"
    for path in (config_path, checkpoint):
        if not path.is_file():
            raise InputError(f"{path}: not there; {folder} is no run folder of negclap fit")
    try:
        config: Any = OmegaConf.to_container(OmegaConf.load(config_path), resolve=True)
        given = config["model"] | {"excerpt_s": config["data"]["excerpt_s"]}
        description = Description.from_dict(given)
        lora = Lora(**given["lora"]) if given.get("lora") else None
    except (OSError, ValueError, YAMLError, KeyError, TypeError) as error:
        raise InputError(f"{config_path}: not a run's configuration ({error!r})") from None
    try:
        model = description.build()
        if lora:
            lora.add_to(model)
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
        threshold = float(state["threshold"])
        weights = {
            name.removeprefix("model."): value
            for name, value in state.items()
            if name.startswith("model.")
        }
        fill(model, weights, checkpoint)
    except _BROKEN as error:
        raise InputError(
            f"{checkpoint}: not a checkpoint of {config_path} ({reason(error)})"
        ) from None
    if lora:
        merge(model)
    if threshold == threshold:
        description = Description(**description.as_dict() | {"threshold": threshold})
    return Trained(model, description, config)
