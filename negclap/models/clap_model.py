"""To and from a `transformers` ClapModel: HTS-AT, a RoBERTa with its pooler, two projections."""

import math
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import nn

from negclap.errors import InputError, reason
from negclap.models.audio_encoders import HtsatEncoder
from negclap.models.clap import NegClap
from negclap.models.frontend import MelConfig


def take_projections(model: NegClap, path: Path) -> None:
    """Take over the projections and the scale of a ClapModel; the towers load their own halves.

    Raises:
        InputError: If the model has other projections, or another front end than the folder's.
    """
    from transformers import ClapFeatureExtractor, ClapModel

    try:
        clap = ClapModel.from_pretrained(str(path))
        theirs = mel_of(ClapFeatureExtractor.from_pretrained(str(path)))
    except (OSError, ValueError, UnpicklingError) as error:
        raise InputError(f"model.clap: {path}: {reason(error)}") from None
    if model.audio_encoder.mel != theirs:
        raise InputError(
            f"model.clap: {path} hears by {theirs}, the audio encoder by {model.audio_encoder.mel}"
        )
    for name in ("audio_projection", "text_projection"):
        mine, given = getattr(model, name), getattr(clap, name)
        try:
            mine[0].load_state_dict(given.linear1.state_dict())
            mine[2].load_state_dict(given.linear2.state_dict())
        except (RuntimeError, TypeError):
            raise InputError(
                f"model.clap: {path} has other projections; set model.projection to mlp and "
                f"model.embed_dim to {clap.projection_dim}"
            ) from None
    model.log_scale.data.copy_(clap.logit_scale_a.data)


def mel_of(extractor: Any) -> MelConfig:
    """The front end of a `ClapFeatureExtractor`."""
    return MelConfig(
        sample_rate=extractor.sampling_rate,
        n_fft=extractor.fft_window_size,
        hop_length=extractor.hop_length,
        n_mels=extractor.feature_size,
        f_min=float(extractor.frequency_min),
        f_max=float(extractor.frequency_max),
    )


def write_clap_model(model: NegClap, excerpt_s: float, folder: Path) -> None:
    """Write a ClapModel with its processor that gives the same embeddings.

    Raises:
        InputError: If the model has another shape than a ClapModel.
    """
    from transformers import ClapConfig, ClapModel, ClapProcessor

    audio, text = model.audio_encoder, model.text_encoder
    _check_shape(model)
    assert isinstance(audio, HtsatEncoder)
    config = ClapConfig(
        text_config=_shape(text.model.config),
        audio_config=_shape(audio.model.config),
        projection_dim=model.embed_dim,
        projection_hidden_act="relu" if model.projection == "mlp" else "linear",
        logit_scale_init_value=math.exp(model.log_scale.item()),
    )
    clap = ClapModel(config)
    clap.audio_model.load_state_dict(audio.model.state_dict())
    clap.text_model.load_state_dict(text.model.state_dict())
    for name in ("audio_projection", "text_projection"):
        _fill_projection(getattr(clap, name), getattr(model, name))
    for scale in (clap.logit_scale_a, clap.logit_scale_t):
        scale.data.copy_(model.log_scale.data)
    clap.eval().save_pretrained(folder)
    processor = ClapProcessor(_extractor(audio, excerpt_s), text.tokenizer)
    processor.save_pretrained(folder)


def _check_shape(model: NegClap) -> None:
    kind = getattr(getattr(model.text_encoder.model, "config", None), "model_type", "ConvText")
    wanted = {
        "audio tower": (type(model.audio_encoder).__name__, (HtsatEncoder.__name__,)),
        "text tower": (kind, ("roberta", "clap_text_model")),
        "text tower's pooling": (model.text_encoder.pooling, ("pooler",)),
    }
    for what, (got, expected) in wanted.items():
        if got not in expected:
            raise InputError(
                f"no ClapModel can be made of it: its {what} is {got}, expected {expected[0]}"
            )


def _shape(config: Any) -> dict[str, Any]:
    """Without the name of its own kind; ClapConfig gives it another."""
    given: dict[str, Any] = config.to_dict()
    named = ("model_type", "architectures")
    return {key: value for key, value in given.items() if key not in named}


def _fill_projection(theirs: Any, ours: nn.Module) -> None:
    """Two layers; a linear projection is the first, and the identity behind it."""
    if isinstance(ours, nn.Linear):
        theirs.linear1.load_state_dict(ours.state_dict())
        theirs.linear2.weight.data.copy_(torch.eye(ours.out_features))
        theirs.linear2.bias.data.zero_()
        return
    layers: Any = ours
    theirs.linear1.load_state_dict(layers[0].state_dict())
    theirs.linear2.load_state_dict(layers[2].state_dict())


def _extractor(audio: HtsatEncoder, excerpt_s: float) -> Any:
    from transformers import ClapFeatureExtractor

    heard_s = audio.repeat_to_s or excerpt_s
    extractor = ClapFeatureExtractor(
        feature_size=audio.mel.n_mels,
        sampling_rate=audio.sample_rate,
        hop_length=audio.mel.hop_length,
        max_length_s=int(heard_s) if heard_s == int(heard_s) else heard_s,
        fft_window_size=audio.mel.n_fft,
        frequency_min=audio.mel.f_min,
        frequency_max=audio.mel.f_max,
        truncation="rand_trunc",
        padding="repeatpad",
    )
    extractor.nb_max_samples = round(heard_s * audio.sample_rate)
    return extractor
