"""A trained run as a model to use, without Lightning: `encode_audio` and `encode_text`."""

from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jsonargparse import ArgumentError, ArgumentParser
from omegaconf import OmegaConf
from torch import Tensor
from yaml import YAMLError

from negclap.audio import Samples, Waveform, as_waveform, read_excerpt, resample
from negclap.errors import InputError
from negclap.models.audio_encoders import AudioEncoder
from negclap.models.clap import NegClap
from negclap.models.text_encoders import TextEncoder

Embeddings = npt.NDArray[np.float32]
_AT_ONCE = 64


class Encoder:
    """A model to use: unit embeddings of audio and of texts, on the CPU or one GPU.

    Args:
        model: The trained model.
        excerpt_s: Seconds of audio that it was trained on.
        threshold: Cosine from which on a text fits, chosen on validation; NaN if none was.

    Attributes:
        sample_rate: Hz of the audio that it hears.
        dim: Size of the joint space.
    """

    def __init__(self, model: NegClap, excerpt_s: float, threshold: float = float("nan")) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = model.eval().to(self.device)
        self.excerpt_s = excerpt_s
        self.threshold = threshold
        self.sample_rate = model.audio_encoder.sample_rate
        self.dim = model.text_projection.out_features

    @torch.inference_mode()
    def encode_text(self, texts: Sequence[str]) -> Embeddings:
        """Texts to ``(n, dim)`` float32, unit length."""
        chunks = [texts[i : i + 4 * _AT_ONCE] for i in range(0, len(texts), 4 * _AT_ONCE)]
        return self._joined([self._embed_text(chunk) for chunk in chunks])

    def _embed_text(self, texts: Sequence[str]) -> Tensor:
        tokens = self.model.text_encoder.tokenize(texts)
        return self.model.embed_text({name: t.to(self.device) for name, t in tokens.items()})

    @torch.inference_mode()
    def encode_audio(
        self,
        audio: Sequence[Path | str] | Samples,
        sample_rate: int | None = None,
    ) -> Embeddings:
        """Audio to ``(n, dim)`` float32, unit length.

        Args:
            audio: Paths, of which the first `excerpt_s` seconds are heard; or ``(n, samples)``,
                floats in [-1, 1] or 16-bit numbers.
            sample_rate: Hz of an array; None takes it to be the model's own.
        """
        if isinstance(audio, np.ndarray):
            waveforms = [_at_rate(row, sample_rate, self.sample_rate) for row in audio]
        else:
            waveforms = [
                read_excerpt(Path(path), 0.0, self.excerpt_s, self.sample_rate) for path in audio
            ]
        chunks = [waveforms[i : i + _AT_ONCE] for i in range(0, len(waveforms), _AT_ONCE)]
        return self._joined(
            [
                self.model.embed_audio(torch.from_numpy(np.stack(chunk)).to(self.device))
                for chunk in chunks
            ]
        )

    def _joined(self, parts: list[Tensor]) -> Embeddings:
        joined = torch.cat(parts) if parts else torch.empty(0, self.dim)
        array: Embeddings = joined.cpu().numpy()
        return array


def _at_rate(row: Samples, given: int | None, wanted: int) -> Waveform:
    waveform = np.ascontiguousarray(as_waveform(row))
    return waveform if given is None else resample(waveform, given, wanted)


def load(run: Path | str) -> Encoder:
    """The best model of a run folder.

    Raises:
        InputError: If the folder holds no configuration or no checkpoint.
    """
    folder = Path(run)
    config_path, checkpoint = folder / "config.yaml", folder / "checkpoints" / "best.ckpt"
    for path in (config_path, checkpoint):
        if not path.is_file():
            raise InputError(f"{path}: not there; {folder} is no run folder of negclap fit")
    try:
        config: Any = OmegaConf.to_container(OmegaConf.load(config_path))
        towers = {name: config["model"][name] for name in ("audio_encoder", "text_encoder")}
        embed_dim, excerpt_s = config["model"]["embed_dim"], config["data"]["excerpt_s"]
    except (OSError, ValueError, YAMLError, KeyError, TypeError) as error:
        raise InputError(f"{config_path}: not a run's configuration ({error!r})") from None
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--audio_encoder", type=AudioEncoder)
    parser.add_argument("--text_encoder", type=TextEncoder)
    try:
        built = parser.instantiate_classes(parser.parse_object(towers))
        model = NegClap(built.audio_encoder, built.text_encoder, embed_dim)
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
        threshold = float(state["threshold"])
        model.load_state_dict(
            {
                name.removeprefix("model."): value
                for name, value in state.items()
                if name.startswith("model.")
            }
        )
    except (ArgumentError, OSError, RuntimeError, UnpicklingError, KeyError, EOFError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise InputError(f"{checkpoint}: not a checkpoint of {config_path} ({reason})") from None
    return Encoder(model, excerpt_s, threshold)
