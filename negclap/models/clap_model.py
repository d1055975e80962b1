"""Convert from and to a `transformers` ClapModel (HTS-AT and RoBERTa, with MLP projections)."""

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


def copy_projections(model: NegClap, path: Path) -> None:
    """Copy the projections and the scale of a ClapModel; encoders load their own weights.

    Args:
        model: The model to change.
        path: Folder or hub name of the ClapModel.

    Raises:
        InputError: If the projections or the front end of the two models differ.
    """
    from transformers import ClapFeatureExtractor, ClapModel

    try:
        clap = ClapModel.from_pretrained(str(path))
        mel = _mel_config(ClapFeatureExtractor.from_pretrained(str(path)))
    except (OSError, ValueError, UnpicklingError) as error:
        raise InputError(f"model.clap: {path}: {reason(error)}") from None
    if model.audio_encoder.mel != mel:
        raise InputError(
            f"model.clap: {path} has the front end {mel}, the audio encoder has "
            f"{model.audio_encoder.mel}"
        )
    for name in ("audio_projection", "text_projection"):
        ours, theirs = getattr(model, name), getattr(clap, name)
        try:
            ours[0].load_state_dict(theirs.linear1.state_dict())
            ours[2].load_state_dict(theirs.linear2.state_dict())
        except (RuntimeError, TypeError):
            raise InputError(
                f"model.clap: projections of {path} do not fit; set model.projection to mlp and "
                f"model.embed_dim to {clap.projection_dim}"
            ) from None
    model.log_scale.data.copy_(clap.logit_scale_a.data)


def _mel_config(extractor: Any) -> MelConfig:
    return MelConfig(
        sample_rate=extractor.sampling_rate,
        n_fft=extractor.fft_window_size,
        hop_length=extractor.hop_length,
        n_mels=extractor.feature_size,
        f_min=float(extractor.frequency_min),
        f_max=float(extractor.frequency_max),
    )


def write_clap_model(model: NegClap, excerpt_s: float, folder: Path) -> None:
    """Write an equivalent ClapModel with its processor.

    Args:
        model: The model.
        excerpt_s: Seconds of audio per clip.
        folder: Folder to write into.

    Raises:
        InputError: If the model's architecture is not that of a ClapModel.
    """
    from transformers import ClapConfig, ClapModel, ClapProcessor

    audio, text = model.audio_encoder, model.text_encoder
    _check_architecture(model)
    assert isinstance(audio, HtsatEncoder)
    config = ClapConfig(
        text_config=_config_fields(text.model.config),
        audio_config=_config_fields(audio.model.config),
        projection_dim=model.embed_dim,
        projection_hidden_act="relu" if model.projection == "mlp" else "linear",
        logit_scale_init_value=math.exp(model.log_scale.item()),
    )
    clap = ClapModel(config)
    clap.audio_model.load_state_dict(audio.model.state_dict())
    clap.text_model.load_state_dict(text.model.state_dict())
    for name in ("audio_projection", "text_projection"):
        _copy_projection(getattr(clap, name), getattr(model, name))
    for scale in (clap.logit_scale_a, clap.logit_scale_t):
        scale.data.copy_(model.log_scale.data)
    clap.eval().save_pretrained(folder)
    ClapProcessor(_feature_extractor(audio, excerpt_s), text.tokenizer).save_pretrained(folder)


def _check_architecture(model: NegClap) -> None:
    kind = getattr(getattr(model.text_encoder.model, "config", None), "model_type", "ConvText")
    needed = {
        "audio encoder": (type(model.audio_encoder).__name__, (HtsatEncoder.__name__,)),
        "text encoder": (kind, ("roberta", "clap_text_model")),
        "pooling of the text encoder": (model.text_encoder.pooling, ("pooler",)),
    }
    for what, (got, expected) in needed.items():
        if got not in expected:
            raise InputError(f"a ClapModel needs {expected[0]} as {what}, this model has {got}")


def _config_fields(config: Any) -> dict[str, Any]:
    """Return the fields of a configuration without the type, which ClapConfig sets."""
    skipped = ("model_type", "architectures")
    return {key: value for key, value in config.to_dict().items() if key not in skipped}


def _copy_projection(theirs: Any, ours: nn.Module) -> None:
    """Copy a projection into a ClapModel's two layers; a linear one becomes linear and identity."""
    if isinstance(ours, nn.Linear):
        theirs.linear1.load_state_dict(ours.state_dict())
        theirs.linear2.weight.data.copy_(torch.eye(ours.out_features))
        theirs.linear2.bias.data.zero_()
        return
    layers: Any = ours
    theirs.linear1.load_state_dict(layers[0].state_dict())
    theirs.linear2.load_state_dict(layers[2].state_dict())


def _feature_extractor(audio: HtsatEncoder, excerpt_s: float) -> Any:
    from transformers import ClapFeatureExtractor

    length_s = audio.repeat_to_s or excerpt_s
    extractor = ClapFeatureExtractor(
        feature_size=audio.mel.n_mels,
        sampling_rate=audio.sample_rate,
        hop_length=audio.mel.hop_length,
        max_length_s=int(length_s) if length_s == int(length_s) else length_s,
        fft_window_size=audio.mel.n_fft,
        frequency_min=audio.mel.f_min,
        frequency_max=audio.mel.f_max,
        truncation="rand_trunc",
        padding="repeatpad",
    )
    extractor.nb_max_samples = round(length_s * audio.sample_rate)
    return extractor
