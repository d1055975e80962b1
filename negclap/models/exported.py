"""The folder format of ``negclap export``: a model in files that cannot run code.

``config.json`` (a `Description`), ``model.safetensors``, ``text/`` (the tokenizer, and the
configuration of a pretrained text model) and ``audio/`` (the configuration of HTS-AT). In the small
form, ``config.json`` has ``"form": "small"``, and the other folders are those of packages.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from negclap.errors import InputError, reason
from negclap.models.audio_encoders import HtsatEncoder
from negclap.models.checkpoint import TrainedModel
from negclap.models.description import Description, load_state
from negclap.models.small import apply_changes, changes

CONFIG = "config.json"
MODEL_TYPE = "negclap"
_WEIGHTS, _AUDIO, _TEXT = "model.safetensors", "audio", "text"
_SMALL = "small"


def write_exported(trained: TrainedModel, folder: Path) -> None:
    """Write a model into an empty folder."""
    audio, text = trained.model.audio_encoder, trained.model.text_encoder
    text.tokenizer.save_pretrained(folder / _TEXT)
    if text.pretrained:
        text.model.config.save_pretrained(folder / _TEXT)
    audio_folder = _AUDIO if isinstance(audio, HtsatEncoder) else None
    if isinstance(audio, HtsatEncoder):
        audio.model.config.save_pretrained(folder / _AUDIO)
    description = trained.description.with_folders(audio_folder, _TEXT)
    config = {"model_type": MODEL_TYPE, **asdict(description)}
    (folder / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    weights = {name: value.contiguous() for name, value in trained.model.state_dict().items()}
    save_file(weights, folder / _WEIGHTS, {"format": "pt"})


def write_small(trained: TrainedModel, folder: Path) -> None:
    """Write what training has changed into an empty folder; see `small`.

    Raises:
        InputError: If the model does not fit the small form.
    """
    found = changes(trained.model, trained.description)
    config = {"model_type": MODEL_TYPE, "form": _SMALL, **asdict(trained.description)}
    (folder / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    save_file(found, folder / _WEIGHTS, {"format": "pt"})


def read_exported(folder: Path) -> TrainedModel:
    """Read a folder that `write_exported` or `write_small` wrote.

    Raises:
        InputError: If a file is missing or broken.
    """
    config_path, weights_path = folder / CONFIG, folder / _WEIGHTS
    try:
        config: Any = json.loads(config_path.read_text(encoding="utf-8"))
        description = Description.from_dict(config)
        if config.get("form") == _SMALL:
            return _read_small(folder, description, config)
        audio = description.audio_encoder.get("init_args", {}).get("path")
        description = description.with_folders(audio and str(folder / audio), str(folder / _TEXT))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{config_path}: not an exported model ({error!r})") from None
    try:
        model = description.build()
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"{config_path}: cannot build the model ({reason(error)})") from None
    try:
        load_state(model, load_file(weights_path), weights_path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{weights_path}: cannot be read ({reason(error)})") from None
    return TrainedModel(model, description, config)


def _read_small(folder: Path, description: Description, config: dict[str, Any]) -> TrainedModel:
    path = folder / _WEIGHTS
    try:
        found = load_file(path)
        model = apply_changes(description.build(load_weights=True), found)
    except (OSError, SafetensorError, RuntimeError, KeyError) as error:
        raise InputError(f"{path}: cannot be read ({reason(error, line=1)})") from None
    return TrainedModel(model, description, config)
