"""The small form of an export: without the weights that packages of negclap's have already.

It contains what training has changed. Changes of the matrices of a pretrained text encoder are
stored as 8-bit integers with a scale for each row, those of its projection as 16-bit floats;
everything else that differs, as it is.
"""

import torch
from torch import Tensor

from negclap.errors import InputError
from negclap.models.clap import NegClap
from negclap.models.description import Description
from negclap.models.text_encoders import MINILM

_STEPS, _SCALE = ".change.steps", ".change.scale"
_TEXT, _PROJECTION = "text_encoder.model.", "text_projection."
_MOST = 127  # of int8


def changes(model: NegClap, description: Description) -> dict[str, Tensor]:
    """Return what differs from the weights of the packages.

    Raises:
        InputError: If the text encoder is another one than MiniLM.
    """
    name = description.text_encoder.get("init_args", {}).get("name", MINILM)
    if name != MINILM or not model.text_encoder.pretrained:
        raise InputError(f"the small form needs the text encoder {MINILM}, got {name!r}")
    known = description.build(load_weights=True).state_dict()
    found: dict[str, Tensor] = {}
    for key, value in model.state_dict().items():
        if torch.equal(value, known[key]):
            continue
        if key.startswith(_TEXT) and value.ndim == 2:
            change = value - known[key]
            scale = change.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / _MOST
            found[key + _STEPS] = (change / scale).round().to(torch.int8)
            found[key + _SCALE] = scale
        elif key.startswith(_PROJECTION) and value.ndim == 2:
            found[key] = value.half().contiguous()
        else:
            found[key] = value.contiguous()
    return found


def apply_changes(model: NegClap, found: dict[str, Tensor]) -> NegClap:
    """Change the weights of a model that has those of the packages.

    Raises:
        KeyError: If a part of a change is missing.
        RuntimeError: If a change is of other weights than the model's.
    """
    state = model.state_dict()
    for key, value in found.items():
        if key.endswith(_STEPS):
            name = key.removesuffix(_STEPS)
            state[name] = state[name] + value * found[name + _SCALE]
        elif not key.endswith(_SCALE):
            state[key] = value
    model.load_state_dict(state)
    return model
