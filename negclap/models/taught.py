"""Write a finished model with another text encoder; its audio encoder is unchanged."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from negclap.errors import InputError
from negclap.models.checkpoint import BEST_CHECKPOINT, TrainedModel, read_run
from negclap.models.checkpoint import CONFIG as RUN_CONFIG
from negclap.models.description import ClassConfig
from negclap.models.encoder import Encoder, NegClapEncoder
from negclap.models.exported import read_exported, write_exported
from negclap.models.pretrained import PARALLEL, ClapEncoder, find_folder, load, read_laion
from negclap.models.text_tower import TextTower

METHOD = "taught"
"""Name of the method in the results of a taught run."""


def write_taught(
    source: str, text: TextTower, config: ClassConfig | None, folder: Path, run_dir: Path
) -> None:
    """Write a model with a new text half, in the form that it was loaded from.

    Args:
        source: The model, as for `negclap.load`.
        text: The new text half; its adapters are merged.
        config: Class and arguments of the new text encoder; None if only its weights are new.
        folder: An empty folder. A LAION-CLAP checkpoint gets the name of the old one.
        run_dir: Where the folder will be, for a run's configuration.

    Raises:
        InputError: If a ClapModel or LAION-CLAP checkpoint would get another text encoder.
    """
    model = load(source)
    check_text_encoder(model, source, config)
    match model:
        case NegClapEncoder() if (Path(source) / RUN_CONFIG).is_file():
            _write_run(Path(source), text, config, folder, run_dir)
        case NegClapEncoder():
            write_exported(_exchange(read_exported(find_folder(source)), text, config), folder)
        case ClapEncoder():
            model.model.text_model.load_state_dict(text.encoder.model.state_dict())
            model.model.text_projection.load_state_dict(text.projection.state_dict())
            model.model.save_pretrained(folder)
            model.processor.save_pretrained(folder)
        case _:
            _write_laion(Path(source), text, folder / Path(source).name)


def check_text_encoder(model: Encoder, source: str, config: object) -> None:
    """Check that another text encoder, if there is one, can be written into a model.

    Raises:
        InputError: If it cannot.
    """
    if config is not None and not isinstance(model, NegClapEncoder):
        raise InputError(
            f"{source}: a ClapModel or LAION-CLAP checkpoint has no place for another text encoder "
            "than its own; leave out text_encoder"
        )


def _exchange(trained: TrainedModel, text: TextTower, config: ClassConfig | None) -> TrainedModel:
    model, description = trained.model, trained.description
    model.text_encoder, model.text_projection = text.encoder, text.projection
    if config is not None:
        description = replace(description, text_encoder=config)
    return trained._replace(model=model, description=description)


def _write_run(
    source: Path, text: TextTower, config: ClassConfig | None, folder: Path, run_dir: Path
) -> None:
    """Write a run folder that can be tested and exported; its training cannot be resumed."""
    trained = _exchange(read_run(source), text, config)
    settings: Any = trained.config
    encoder = {"lora": None, "text_encoder": trained.description.text_encoder}
    settings |= {"run_dir": str(run_dir), "method": METHOD, "model": settings["model"] | encoder}
    checkpoint = torch.load(source / BEST_CHECKPOINT, map_location="cpu", weights_only=True)
    others = {k: v for k, v in checkpoint["state_dict"].items() if not k.startswith("model.")}
    weights = {f"model.{name}": value for name, value in trained.model.state_dict().items()}
    checkpoint |= {"state_dict": others | weights, "optimizer_states": [], "lr_schedulers": []}
    (folder / BEST_CHECKPOINT).parent.mkdir()
    torch.save(checkpoint, folder / BEST_CHECKPOINT)
    OmegaConf.save(OmegaConf.create(settings), folder / RUN_CONFIG)


def _write_laion(source: Path, text: TextTower, target: Path) -> None:
    checkpoint = read_laion(source)
    parts = {"text_branch": text.encoder.model, "text_projection": text.projection}
    new = {f"{n}.{k}": v for n, part in parts.items() for k, v in part.state_dict().items()}
    weights = checkpoint["state_dict"]
    for name in weights:
        weights[name] = new.get(name.removeprefix(PARALLEL), weights[name])
    torch.save(checkpoint, target)
