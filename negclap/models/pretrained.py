"""Any model behind one protocol: runs, exported folders, ClapModels, LAION-CLAP, your own class."""

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
from negclap.models.encoder import Encoder, Model, device
from negclap.models.exported import CONFIG, MODEL_TYPE, read_exported

_HUB_FILES = ("*.json", "*.txt", "*.safetensors", "*.model")  # nothing that could run code
_LAION_RATE = 48_000
_DEFAULT_EXCERPT_S = 10.0


def load(source: Path | str) -> Encoder:
    """A model to use.

    Args:
        source: A run folder; a folder that `negclap export` wrote, or the name of one on the
            hub; a folder or hub name of a `transformers` ClapModel; a checkpoint of LAION-CLAP
            (``.pt``, needs their package); or ``FILE.py:CLASS``, a class with ``sample_rate``,
            ``encode_audio`` and ``encode_text`` (`Model`).

    Raises:
        InputError: If it is none of these, or broken.
    """
    name, folder = str(source), Path(source)
    if ".py:" in name:
        return ForeignEncoder(*_class_in(name))
    if folder.suffix == ".pt":
        return LaionEncoder(folder)
    if (folder / RUN_CONFIG).is_file():
        return read_run(folder).encoder()
    if not folder.is_dir():
        folder = _from_hub(name)
    return _folder(folder, name)


def _folder(folder: Path, name: str) -> Encoder:
    path = folder / CONFIG
    if not path.is_file():
        raise InputError(
            f"{name}: neither a run folder (no {RUN_CONFIG}) nor a model (no {CONFIG})"
        )
    try:
        kind = json.loads(path.read_text(encoding="utf-8"))["model_type"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a model's configuration ({error!r})") from None
    match kind:
        case "clap":
            return ClapEncoder(folder)
        case str() if kind == MODEL_TYPE:
            return read_exported(folder).encoder()
        case _:
            raise InputError(f"{path}: a model of type {kind!r}, expected 'clap' or {MODEL_TYPE!r}")


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=list(_HUB_FILES)))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        why = reason(error)
        raise InputError(f"{name}: no such folder here, and not from the hub ({why})") from None


class ClapEncoder(Encoder):
    """A `transformers` ClapModel as its own processor and methods have it.

    Args:
        folder: The model with its processor.
    """

    def __init__(self, folder: Path) -> None:
        from transformers import AutoProcessor, ClapModel

        try:
            processor = AutoProcessor.from_pretrained(str(folder))
            model, info = ClapModel.from_pretrained(str(folder), output_loading_info=True)
        except (OSError, ValueError, UnpicklingError) as error:
            why = reason(error)
            raise InputError(f"{folder}: not a ClapModel with its processor ({why})") from None
        if info["missing_keys"]:
            raise InputError(f"{folder}: no weights for {sorted(info['missing_keys'])[0]!r}")
        self.features = processor.feature_extractor
        self.tokenizer = processor.tokenizer
        longest_s = self.features.nb_max_samples / self.features.sampling_rate
        super().__init__(self.features.sampling_rate, model.projection_dim, longest_s)
        self.device = device()
        self.model = model.eval().to(self.device)
        longest = model.config.text_config.max_position_embeddings - 2  # RoBERTa's padding
        self.max_tokens = min(longest, self.tokenizer.model_max_length)

    def _embed_audio(self, waveforms: npt.NDArray[np.float32]) -> Tensor:
        if waveforms.shape[1] > self.features.nb_max_samples:
            raise InputError(
                f"clips of {waveforms.shape[1] / self.sample_rate:.1f} s, a ClapModel takes "
                f"{self.excerpt_s:g} s (it would cut at random)"
            )
        heard = self.features(
            list(waveforms), sampling_rate=self.sample_rate, return_tensors="pt"
        ).to(self.device)
        # With fusion, the extractor marks one clip of each batch as long, at random; a clip alone
        # is always marked. So each is, and no clip depends on its neighbours.
        longer = torch.ones_like(heard["is_longer"])
        found = self.model.get_audio_features(heard["input_features"], is_longer=longer)
        return F.normalize(_pooled(found), dim=-1)

    def _embed_text(self, texts: Sequence[str]) -> Tensor:
        tokens = self.tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=self.max_tokens,
            return_tensors="pt",
        ).to(self.device)
        found = self.model.get_text_features(tokens["input_ids"], tokens["attention_mask"])
        return F.normalize(_pooled(found), dim=-1)


def _pooled(found: Any) -> Tensor:
    """What transformers gives: a tensor before version 5, an output object since."""
    embedded: Tensor = found if isinstance(found, Tensor) else found.pooler_output
    return embedded


class LaionEncoder(Encoder):
    """A checkpoint of LAION-CLAP in their own code; the name says which audio tower it has.

    Args:
        checkpoint: A ``.pt`` file; "fusion" in its name is a fusion model, "music" has the larger
            HTS-AT, as their README says.
    """

    def __init__(self, checkpoint: Path) -> None:
        try:
            from laion_clap import CLAP_Module
        except ImportError:
            raise InputError(
                f"{checkpoint}: needs LAION's package, pip install laion_clap torchvision"
            ) from None
        super().__init__(_LAION_RATE, 512, _DEFAULT_EXCERPT_S)
        name = checkpoint.name.lower()
        weights = _laion_weights(checkpoint)
        self.module = CLAP_Module(
            enable_fusion="fusion" in name,
            amodel="HTSAT-base" if "music" in name else "HTSAT-tiny",
        )
        try:
            self.module.model.load_state_dict(weights)
        except RuntimeError as error:
            why = reason(error, line=1)
            raise InputError(f"{checkpoint}: not the model of its name ({why})") from None
        self.module.eval()

    def _embed_audio(self, waveforms: npt.NDArray[np.float32]) -> Tensor:
        found = self.module.get_audio_embedding_from_data(torch.from_numpy(waveforms), True)
        return F.normalize(found, dim=-1)

    def _embed_text(self, texts: Sequence[str]) -> Tensor:
        given = list(texts) + [""] * (len(texts) == 1)  # one text alone loses its batch dimension
        found = self.module.get_text_embedding(given, use_tensor=True)[: len(texts)]
        return F.normalize(found, dim=-1)


def _laion_weights(checkpoint: Path) -> dict[str, Tensor]:
    """The model's weights, read without running code; training left numbers of numpy in there."""
    rebuild: Any = np.float64(0).__reduce__()[0]  # what a pickled number of numpy calls
    numbers = [np.dtype, np.dtypes.Float64DType, rebuild]
    try:
        with torch.serialization.safe_globals(numbers):
            state: Any = torch.load(checkpoint, map_location="cpu", weights_only=True)
        found: dict[str, Tensor] = {
            name.removeprefix("module."): value for name, value in state["state_dict"].items()
        }
    except (OSError, RuntimeError, UnpicklingError, EOFError, KeyError, TypeError) as error:
        raise InputError(f"{checkpoint}: not a LAION-CLAP checkpoint ({reason(error)})") from None
    found.pop("text_branch.embeddings.position_ids", None)  # of an older transformers
    return found


class ForeignEncoder(Encoder):
    """A model of your own class.

    Args:
        model: It; ``dim`` and ``excerpt_s`` are asked for where it has them.
        name: For messages.
    """

    def __init__(self, model: Model, name: str) -> None:
        self.model, self.name = model, name
        for needed in ("sample_rate", "encode_audio", "encode_text"):
            if not hasattr(model, needed):
                raise InputError(f"{name}: has no {needed}")
        excerpt_s = getattr(model, "excerpt_s", _DEFAULT_EXCERPT_S)
        dim = getattr(model, "dim", None) or self._array("encode_text", ["music"]).shape[-1]
        values = {"sample_rate": model.sample_rate, "dim": dim, "excerpt_s": excerpt_s}
        for key, value in values.items():
            if not isinstance(value, int | float) or not 0 < value < float("inf"):
                raise InputError(f"{name}: {key} is {value!r}, expected a positive number")
        super().__init__(int(model.sample_rate), int(dim), float(excerpt_s))

    def _embed_audio(self, waveforms: npt.NDArray[np.float32]) -> Tensor:
        return self._unit("encode_audio", waveforms)

    def _embed_text(self, texts: Sequence[str]) -> Tensor:
        return self._unit("encode_text", list(texts))

    def _unit(self, method: str, given: Any) -> Tensor:
        embedded = torch.from_numpy(self._array(method, given))
        if embedded.shape != (len(given), self.dim):
            got, expected = tuple(embedded.shape), (len(given), self.dim)
            raise InputError(f"{self.name}: {method} gave {got}, expected {expected}")
        return F.normalize(embedded, dim=-1)

    @torch.inference_mode()
    def _array(self, method: str, given: Any) -> npt.NDArray[np.float32]:
        try:
            return np.array(getattr(self.model, method)(given), dtype=np.float32)
        except Exception as error:  # a user's class may raise anything; it is told in one line
            why = " ".join(str(error).split())
            raise InputError(f"{self.name}: {method}: {type(error).__name__} ({why})") from error


def _class_in(name: str) -> tuple[Model, str]:
    """An instance of the class that ``FILE.py:CLASS`` names."""
    file, _, kind = name.rpartition(":")
    path = Path(file)
    if not path.is_file():
        raise InputError(f"{path}: no file there")
    module = types.ModuleType(f"negclap_model_{path.stem}")
    sys.modules[module.__name__] = module  # dataclasses look there for their module
    module.__file__ = str(path.absolute())
    try:
        code = compile(path.read_bytes(), path, "exec")
        exec(code, module.__dict__)  # not imported, which would leave compiled files beside it
        made = getattr(module, kind, None)
        if not isinstance(made, type):
            raise InputError(f"{path}: has no class {kind!r}")
        return made(), name
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # a user's file may do anything; told in one line
        why = " ".join(str(error).split())
        raise InputError(f"{name}: {type(error).__name__} ({why})") from error
