"""Load any model as an `Encoder`: run, export, ClapModel, LAION-CLAP checkpoint, custom class."""

import json
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from negclap.errors import InputError, reason
from negclap.models.checkpoint import CONFIG as RUN_CONFIG
from negclap.models.checkpoint import read_run
from negclap.models.encoder import Encoder, Model, default_device
from negclap.models.exported import CONFIG, MODEL_TYPE, read_exported
from negclap.models.hub import from_pretrained
from negclap.models.tokenizer import check_vocabulary

_HUB_FILES = ("*.json", "*.txt", "*.safetensors", "*.model")  # none of them can run code
_DEFAULT_EXCERPT_S = 10.0
BUILT_IN_FOLDER = Path(__file__).with_name("built_in")
BUILT_IN = "built-in"
"""Name of the model that comes with negclap."""
PARALLEL = "module."
"""Prefix of the names in a LAION-CLAP checkpoint, which was written by a parallel model."""


def load(source: Path | str) -> Encoder:
    """Load a model; `negclap.load` documents the sources."""
    name, folder = str(source), Path(source)
    if ".py:" in name:
        return CustomEncoder(_instantiate(name), name)
    if folder.suffix == ".pt":
        return LaionEncoder(folder)
    if (folder / RUN_CONFIG).is_file():
        return read_run(folder).encoder()
    return _read_folder(find_folder(name), name)


def find_folder(name: str) -> Path:
    """Return the folder of a model: this one, the built-in one's, or that of a download."""
    if name == BUILT_IN:
        return BUILT_IN_FOLDER
    return Path(name) if Path(name).is_dir() else _download(name)


def _read_folder(folder: Path, name: str) -> Encoder:
    path = folder / CONFIG
    if not path.is_file():
        neither = f"neither a run folder (no {RUN_CONFIG}) nor a model (no {CONFIG})"
        raise InputError(f"{name}: {neither}")
    try:
        kind = json.loads(path.read_text(encoding="utf-8"))["model_type"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not the configuration of a model ({error!r})") from None
    if kind == "clap":
        return ClapEncoder(folder)
    if kind == MODEL_TYPE:
        return read_exported(folder).encoder()
    raise InputError(f"{path}: model_type is {kind!r}, expected 'clap' or {MODEL_TYPE!r}")


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        return Path(snapshot_download(name, allow_patterns=list(_HUB_FILES)))
    except (HFValidationError, OSError) as error:
        why = reason(error)
        raise InputError(f"{name}: no such folder, and no such model on the hub ({why})") from None


class ClapEncoder(Encoder):
    """A `transformers` ClapModel with its own processor, both in one folder."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoProcessor, ClapModel

        try:
            processor = AutoProcessor.from_pretrained(str(folder))
            check_vocabulary(processor.tokenizer)
            model, info = from_pretrained(ClapModel, folder, output_loading_info=True)
        except (OSError, ValueError, UnpicklingError) as error:
            why = reason(error)
            raise InputError(f"{folder}: not a ClapModel with its processor ({why})") from None
        if missing := sorted(info["missing_keys"]):
            raise InputError(f"{folder}: no weights for {missing[0]!r}")
        self.folder = folder
        self.processor = processor
        self.features = processor.feature_extractor
        self.tokenizer = processor.tokenizer
        longest_s = self.features.nb_max_samples / self.features.sampling_rate
        super().__init__(self.features.sampling_rate, model.projection_dim, longest_s)
        self.device = default_device()
        self.model = model.eval().to(self.device)
        longest = model.config.text_config.max_position_embeddings - 2  # RoBERTa reserves two
        self.max_tokens = min(longest, self.tokenizer.model_max_length)

    def _embed_audio(self, waveforms: npt.NDArray[np.float32]) -> Tensor:
        _check_length(waveforms, self, "this ClapModel", "its processor")
        options = {"sampling_rate": self.sample_rate, "return_tensors": "pt"}
        inputs = self.features(list(waveforms), **options).to(self.device)
        # With fusion, the extractor marks a random clip of each batch as long, and a single clip
        # always. Marking all clips makes each one independent of its batch.
        longer = torch.ones_like(inputs["is_longer"])
        return _unit(self.model.get_audio_features(inputs["input_features"], is_longer=longer))

    def _embed_text(self, texts: Sequence[str]) -> Tensor:
        options = {"padding": True, "truncation": True, "max_length": self.max_tokens}
        tokens = self.tokenizer(list(texts), **options, return_tensors="pt").to(self.device)
        return _unit(self.model.get_text_features(tokens["input_ids"], tokens["attention_mask"]))

    def unread(self, text: str) -> str:
        """Return the end of a text that the model does not read."""
        offsets = self.tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
        special = sum(end == start for start, end in offsets)
        read = [start for start, end in offsets if end > start][self.max_tokens - special :]
        return text[read[0] :] if read else ""


def _check_length(waveforms: npt.NDArray[np.float32], model: Encoder, name: str, who: str) -> None:
    if waveforms.shape[1] > round(model.excerpt_s * model.sample_rate):
        raise InputError(
            f"clips last {waveforms.shape[1] / model.sample_rate:.1f} s, {name} takes at most "
            f"{model.excerpt_s:g} s ({who} would crop at random)"
        )


def _unit(features: Any) -> Tensor:
    """Normalize features, a tensor before version 5 of `transformers` and then an output object."""
    return F.normalize(features if isinstance(features, Tensor) else features.pooler_output, dim=-1)


class LaionEncoder(Encoder):
    """A LAION-CLAP checkpoint (``.pt``), run by the package `laion_clap`.

    As in its README, "fusion" in the file name means a fusion model, "music" the larger HTS-AT.
    """

    def __init__(self, checkpoint: Path) -> None:
        try:
            from laion_clap import CLAP_Module
        except ImportError:
            message = "needs the package laion_clap: pip install laion_clap torchvision"
            raise InputError(f"{checkpoint}: {message}") from None
        super().__init__(sample_rate=48_000, dim=512, excerpt_s=_DEFAULT_EXCERPT_S)
        name = checkpoint.name.lower()
        weights = _laion_weights(checkpoint)
        kind = "HTSAT-base" if "music" in name else "HTSAT-tiny"
        self.module = CLAP_Module(enable_fusion="fusion" in name, amodel=kind)
        try:
            self.module.model.load_state_dict(weights)
        except RuntimeError:
            fusion = "with" if "fusion" in name else "without"
            raise InputError(
                f"{checkpoint}: the weights are not those of {kind} {fusion} fusion, which the "
                "name of the file implies; a name has 'music' in it for the larger HTSAT-base, "
                "'fusion' for a fusion model"
            ) from None
        self.module.eval()

    def _embed_audio(self, waveforms: npt.NDArray[np.float32]) -> Tensor:
        _check_length(waveforms, self, "this LAION-CLAP model", "laion_clap")
        features = self.module.get_audio_embedding_from_data(torch.from_numpy(waveforms), True)
        return F.normalize(features, dim=-1)

    def _embed_text(self, texts: Sequence[str]) -> Tensor:
        padded = [*texts, ""] if len(texts) == 1 else list(texts)  # they squeeze a batch of one
        features = self.module.get_text_embedding(padded, use_tensor=True)[: len(texts)]
        return F.normalize(features, dim=-1)


def read_laion(checkpoint: Path) -> dict[str, Any]:
    """Read a LAION-CLAP checkpoint without running code; it may contain NumPy scalars.

    A bare state dict, without the dict around it, becomes one with ``state_dict``.

    Raises:
        InputError: If the file has no weights, or contains other objects.
    """
    kinds = [kind for kind in vars(np.dtypes).values() if isinstance(kind, type)]
    scalars: list[Any] = [np.dtype, *kinds, np.float64(0).__reduce__()[0]]
    try:
        with torch.serialization.safe_globals(scalars):
            state: Any = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except UnpicklingError:
        why = "not readable, or with objects other than tensors and numbers, which could run code"
        raise InputError(f"{checkpoint}: not a LAION-CLAP checkpoint ({why})") from None
    except (OSError, RuntimeError, EOFError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{checkpoint}: not a LAION-CLAP checkpoint ({reason(error)})") from None
    if isinstance(state, dict) and state and all(isinstance(v, Tensor) for v in state.values()):
        state = {"state_dict": state}
    if not isinstance(state, dict) or not isinstance(state.get("state_dict"), dict):
        raise InputError(f"{checkpoint}: not a LAION-CLAP checkpoint (no state_dict)")
    checked: dict[str, Any] = state
    return checked


def _laion_weights(checkpoint: Path) -> dict[str, Tensor]:
    weights = read_laion(checkpoint)["state_dict"]
    weights = {name.removeprefix(PARALLEL): value for name, value in weights.items()}
    weights.pop("text_branch.embeddings.position_ids", None)  # of older transformers versions
    return weights


class CustomEncoder(Encoder):
    """A model of a user's class, which error messages name.

    Raises:
        InputError: If an attribute is missing or invalid.
    """

    def __init__(self, model: Model, name: str) -> None:
        self.model, self.name = model, name
        for needed in ("sample_rate", "encode_audio", "encode_text"):
            if not hasattr(model, needed):
                raise InputError(f"{name}: has no {needed}")
        excerpt_s = getattr(model, "excerpt_s", _DEFAULT_EXCERPT_S)
        dim = getattr(model, "dim", None) or self._call("encode_text", ["music"]).shape[-1]
        values = {"sample_rate": model.sample_rate, "dim": dim, "excerpt_s": excerpt_s}
        for key, value in values.items():
            if not isinstance(value, int | float) or not 0 < value < float("inf"):
                raise InputError(f"{name}: {key} is {value!r}, expected a positive number")
        super().__init__(int(model.sample_rate), int(dim), float(excerpt_s))

    def _embed_audio(self, waveforms: npt.NDArray[np.float32]) -> Tensor:
        return self._encode("encode_audio", waveforms)

    def _embed_text(self, texts: Sequence[str]) -> Tensor:
        return self._encode("encode_text", list(texts))

    def _encode(self, method: str, inputs: Any) -> Tensor:
        embeddings = torch.from_numpy(self._call(method, inputs))
        if embeddings.shape != (len(inputs), self.dim):
            got, expected = tuple(embeddings.shape), (len(inputs), self.dim)
            raise InputError(f"{self.name}: {method} returned shape {got}, expected {expected}")
        return F.normalize(embeddings, dim=-1)

    @torch.inference_mode()
    def _call(self, method: str, inputs: Any) -> npt.NDArray[np.float32]:
        try:
            return np.array(getattr(self.model, method)(inputs), dtype=np.float32)
        except Exception as error:  # the class is the user's and can raise anything
            raise InputError(f"{self.name}: {method}: {_one_line(error)}") from error


def _instantiate(name: str) -> Model:
    """Return an instance of the class that ``FILE.py:CLASS`` names."""
    file, _, class_name = name.rpartition(":")
    path = Path(file)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    module = types.ModuleType(f"negclap_model_{path.stem}")
    sys.modules[module.__name__] = module  # dataclasses look up their module there
    module.__file__ = str(path.absolute())
    try:
        code = compile(path.read_bytes(), path, "exec")
        exec(code, module.__dict__)  # an import would write compiled files next to it
        kind = getattr(module, class_name, None)
        if not isinstance(kind, type):
            raise InputError(f"{path}: has no class {class_name!r}")
        model: Model = kind()
    except InputError:
        raise
    # The file is the user's: whatever it raises, sys.exit included, is reported with its name.
    except (Exception, SystemExit) as error:
        raise InputError(f"{name}: {_one_line(error)}") from error
    return model


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__} ({' '.join(str(error).split())})"
