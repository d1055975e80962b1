"""The small form of an export: without the weights that packages of negclap's have already.

It contains what training has changed. Changes of the matrices of a pretrained text encoder are
stored as products of two thin matrices, in half precision; everything else that differs, as it is.
"""

import torch
from torch import Tensor

from negclap.errors import InputError
from negclap.models.clap import NegClap
from negclap.models.description import Description
from negclap.models.text_encoders import MINILM

RANK = 64
LEAST_COSINE = 0.999
_UP, _DOWN = ".change.up", ".change.down"
_TEXT = "text_encoder.model."
_TEXTS = (
    "drums", "rock without vocals", "calm piano, no drums", "a song that has no guitar in it",
    "an upbeat electronic track with female vocals and a heavy bass", "instrumental", "music",
)  # fmt: skip


def changes(model: NegClap, description: Description) -> dict[str, Tensor]:
    """Return the weights that differ from those of the packages.

    Raises:
        InputError: If the text encoder is another one than MiniLM, or the changes of its weights
            are not of low rank: embeddings of texts would differ.
    """
    name = description.text_encoder.get("init_args", {}).get("name", MINILM)
    if name != MINILM or not model.text_encoder.pretrained:
        raise InputError(f"the small form needs the text encoder {MINILM}, got {name!r}")
    base = description.build(load_weights=True)
    known = base.state_dict()
    found: dict[str, Tensor] = {}
    for key, value in model.state_dict().items():
        if torch.equal(value, known[key]):
            continue
        if key.startswith(_TEXT) and value.ndim == 2 and min(value.shape) > RANK:
            up, down = _thin(value - known[key])
            found |= {key + _UP: up, key + _DOWN: down}
        else:
            found[key] = value.contiguous()
    restored = apply_changes(base, found)
    cosine = (_embed(model) * _embed(restored)).sum(dim=1).min()
    if cosine < LEAST_COSINE:
        raise InputError(
            f"the small form changes embeddings of texts: cosine {cosine:.4f}, expected at least "
            f"{LEAST_COSINE}; train fewer layers, or low-rank adapters"
        )
    return found


def apply_changes(model: NegClap, found: dict[str, Tensor]) -> NegClap:
    """Change the weights of a model that has those of the packages.

    Raises:
        RuntimeError: If a change is of other weights than the model's.
    """
    state = model.state_dict()
    for key, value in found.items():
        if key.endswith(_UP):
            name = key.removesuffix(_UP)
            state[name] = state[name] + value.float() @ found[name + _DOWN].float()
        elif not key.endswith(_DOWN):
            state[key] = value
    model.load_state_dict(state)
    return model


def _thin(change: Tensor) -> tuple[Tensor, Tensor]:
    """Return the two factors of the nearest matrix of rank `RANK`."""
    left, values, right = torch.linalg.svd(change.float(), full_matrices=False)
    root = values[:RANK].sqrt()
    up, down = left[:, :RANK] * root, root.unsqueeze(1) * right[:RANK]
    return up.half().contiguous(), down.half().contiguous()


@torch.inference_mode()
def _embed(model: NegClap) -> Tensor:
    training = model.training
    embedded = model.eval().embed_text(model.text_encoder.tokenize(_TEXTS))
    model.train(training)
    return embedded
