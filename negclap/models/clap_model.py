"""Convert from and to a `transformers` ClapModel (HTS-AT and RoBERTa, with MLP projections)."""

import math
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from torch import nn

from negclap.errors import InputError, reason
from negclap.models.audio_encoders import HtsatEncoder
from negclap.models.checkpoint import TrainedModel
from negclap.models.clap import NegClap
from negclap.models.description import Description
from negclap.models.frontend import MelConfig
from negclap.models.hub import from_pretrained
from negclap.models.pretrained import ClapEncoder

_MEL_FIELDS = {  # of MelConfig and of ClapFeatureExtractor
    "sample_rate": "sampling_rate",
    "n_fft": "fft_window_size",
    "hop_length": "hop_length",
    "n_mels": "feature_size",
    "f_min": "frequency_min",
    "f_max": "frequency_max",
}


def read_clap_model(model: ClapEncoder) -> TrainedModel:
    """Return a loaded ClapModel as a `NegClap` with the same embeddings, without a run's config.

    Raises:
        InputError: If the model has fusion, or other layers than a `NegClap` can have.
    """
    class_path, path = "negclap.models.{}".format, str(model.folder)
    audio = {"path": path, "repeat_to_s": model.excerpt_s}
    text = {"name": path, "pooling": "pooler", "max_tokens": model.max_tokens}
    description = Description(
        {"class_path": class_path("audio_encoders.HtsatEncoder"), "init_args": audio},
        {"class_path": class_path("text_encoders.TextEncoder"), "init_args": text},
        embed_dim=model.dim,
        excerpt_s=model.excerpt_s,
        projection="mlp",
    )
    ours = description.build(load_weights=True)
    copy_projections(ours, model.folder)
    return TrainedModel(ours, description, {})


def copy_projections(model: NegClap, path: Path) -> None:
    """Copy the projections and the scale of a ClapModel, given its folder or hub name.

    Raises:
        InputError: If the projections or the front end of the two models differ.
    """
    from transformers import ClapFeatureExtractor, ClapModel

    try:
        clap = from_pretrained(ClapModel, path)
        extractor = ClapFeatureExtractor.from_pretrained(str(path))
    except (OSError, ValueError, UnpicklingError) as error:
        raise InputError(f"ClapModel {path}: {reason(error)}") from None
    if (act := clap.config.projection_hidden_act) != "relu":
        raise InputError(f"ClapModel {path}: its projections have {act!r}, expected 'relu'")
    ours = model.audio_encoder.mel
    theirs = MelConfig(**{name: getattr(extractor, other) for name, other in _MEL_FIELDS.items()})
    if ours != theirs:
        raise InputError(f"ClapModel {path} has the front end {theirs}, the audio encoder {ours}")
    for name in ("audio_projection", "text_projection"):
        layers, source = getattr(model, name), getattr(clap, name)
        try:
            layers[0].load_state_dict(source.linear1.state_dict())
            layers[2].load_state_dict(source.linear2.state_dict())
        except (RuntimeError, TypeError):
            raise InputError(
                f"ClapModel {path}: its projections do not fit; set model.projection to mlp and "
                f"model.embed_dim to {clap.projection_dim}"
            ) from None
    model.log_scale.data.copy_(clap.logit_scale_a.data)


def write_clap_model(trained: TrainedModel, folder: Path) -> None:
    """Write an equivalent ClapModel with its processor.

    Raises:
        InputError: If the model's architecture is not that of a ClapModel.
    """
    from transformers import ClapConfig, ClapModel, ClapProcessor

    model = trained.model
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
    features = _feature_extractor(audio, trained.description.excerpt_s)
    ClapProcessor(features, text.tokenizer).save_pretrained(folder)


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


def _copy_projection(theirs: Any, ours: Any) -> None:
    """Copy a projection into a ClapModel's two layers; a linear one becomes linear and identity."""
    if isinstance(ours, nn.Linear):
        theirs.linear1.load_state_dict(ours.state_dict())
        nn.init.eye_(theirs.linear2.weight)
        nn.init.zeros_(theirs.linear2.bias)
    else:
        theirs.linear1.load_state_dict(ours[0].state_dict())
        theirs.linear2.load_state_dict(ours[2].state_dict())


def _feature_extractor(audio: HtsatEncoder, excerpt_s: float) -> Any:
    from transformers import ClapFeatureExtractor

    length_s = audio.repeat_to_s or excerpt_s
    extractor = ClapFeatureExtractor(
        **{theirs: getattr(audio.mel, ours) for ours, theirs in _MEL_FIELDS.items()},
        max_length_s=int(length_s) if length_s == int(length_s) else length_s,
        truncation="rand_trunc",
        padding="repeatpad",
    )
    extractor.nb_max_samples = round(length_s * audio.sample_rate)
    return extractor
