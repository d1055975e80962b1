"""Read the trained model of a run folder."""

import math
import struct
from dataclasses import replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple

import torch
from omegaconf import OmegaConf
from yaml import YAMLError

from negclap.errors import InputError, reason
from negclap.models.clap import NegClap
from negclap.models.description import Description, load_state
from negclap.models.encoder import NegClapEncoder
from negclap.models.lora import Lora, merge

CONFIG = "config.yaml"
BEST_CHECKPOINT = Path("checkpoints", "best.ckpt")
# What torch and the encoders raise on files that are not a checkpoint of the configuration.
_BROKEN = (
    ArithmeticError, AttributeError, EOFError, KeyError, OSError, RuntimeError, TypeError,
    UnpicklingError, ValueError, struct.error,
)  # fmt: skip


class TrainedModel(NamedTuple):
    """A model, its description, and the configuration of its whole run."""

    model: NegClap
    description: Description
    config: dict[str, Any]

    def encoder(self) -> NegClapEncoder:
        """Return the model as an `Encoder`."""
        threshold = self.description.threshold
        known = float("nan") if threshold is None else threshold
        description = self.description
        return NegClapEncoder(self.model, description.excerpt_s, known, description.curves)


def read_run(folder: Path) -> TrainedModel:
    """Read the best checkpoint of a run; adapters are merged into the weights.

    Checkpoints are read with `weights_only`, so that they cannot run code.

    Raises:
        InputError: If the configuration or the checkpoint is missing or broken.
    """
    config_path, checkpoint = folder / CONFIG, folder / BEST_CHECKPOINT
    for path in (config_path, checkpoint):
        if not path.is_file():
            raise InputError(f"{path} not found; {folder} is not a run folder of negclap fit")
    try:
        config: Any = OmegaConf.to_container(OmegaConf.load(config_path), resolve=True)
        values = config["model"] | {"excerpt_s": config["data"]["excerpt_s"]}
        description = Description.from_dict(values)
        lora = Lora(**values["lora"]) if values.get("lora") else None
    except (OSError, ValueError, YAMLError, KeyError, TypeError) as error:
        raise InputError(f"{config_path}: not the configuration of a run ({error!r})") from None
    try:
        model = description.build()
        if lora:
            lora.add_to(model)
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
        threshold = float(state["threshold"])
        names = (name for name in state if name.startswith("model."))
        load_state(model, {name.removeprefix("model."): state[name] for name in names}, checkpoint)
    except _BROKEN as error:
        raise InputError(f"{checkpoint}: does not fit {config_path} ({reason(error)})") from error
    if lora:
        merge(model)
    if not math.isnan(threshold):
        description = replace(description, threshold=threshold)
    return TrainedModel(model, description, config)
