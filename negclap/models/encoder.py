"""A model to use, without Lightning: `encode_audio` and `encode_text`, whatever is behind them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from negclap.audio import Samples, Waveform, as_waveform, read_excerpt, resample
from negclap.errors import InputError
from negclap.models.clap import NegClap

Embeddings = npt.NDArray[np.float32]
_CLIPS_AT_ONCE = 64
_TEXTS_AT_ONCE = 256


class Model(Protocol):
    """What a model must have to be measured; any class with these three will do.

    Attributes:
        sample_rate: Hz of the audio that it hears.
    """

    sample_rate: int

    def encode_audio(self, audio: Any) -> Any:
        """``(n, samples)`` float32 at its sample rate to ``(n, dim)`` unit embeddings."""

    def encode_text(self, texts: Any) -> Any:
        """A list of texts to ``(n, dim)`` unit embeddings."""


class Encoder(ABC):
    """A model to use: unit embeddings of audio and of texts.

    Args:
        sample_rate: Hz of the audio that it hears.
        dim: Size of the joint space.
        excerpt_s: Seconds that it hears at a time.
        threshold: Cosine from which on a text fits, chosen on validation; NaN if none was.
    """

    def __init__(
        self, sample_rate: int, dim: int, excerpt_s: float, threshold: float = float("nan")
    ) -> None:
        self.sample_rate = sample_rate
        self.dim = dim
        self.excerpt_s = excerpt_s
        self.threshold = threshold

    @abstractmethod
    def _embed_audio(self, waveforms: npt.NDArray[np.float32]) -> Tensor:
        """``(n, samples)`` at its sample rate to ``(n, dim)``, unit length."""

    @abstractmethod
    def _embed_text(self, texts: Sequence[str]) -> Tensor:
        """Texts to ``(n, dim)``, unit length."""

    @torch.inference_mode()
    def encode_text(self, texts: Sequence[str]) -> Embeddings:
        """Texts to ``(n, dim)`` float32, unit length.

        >>> model = negclap.load("runs/mine")
        >>> model.encode_text(["calm piano, no drums", "drums"]).shape
        (2, 16)
        """
        if isinstance(texts, str):
            raise TypeError("encode_text takes a list of texts, got one text")
        chunks = [texts[i : i + _TEXTS_AT_ONCE] for i in range(0, len(texts), _TEXTS_AT_ONCE)]
        return self._joined([self._embed_text(chunk) for chunk in chunks])

    @torch.inference_mode()
    def encode_audio(
        self, audio: Sequence[Path | str] | Samples, sample_rate: int | None = None
    ) -> Embeddings:
        """Audio to ``(n, dim)`` float32, unit length.

        Args:
            audio: Paths, of which the first `excerpt_s` seconds are heard; or ``(n, samples)``,
                floats in [-1, 1] or 16-bit numbers.
            sample_rate: Hz of an array; None takes it to be the model's own.

        Raises:
            InputError: If a file cannot be read, is silent, or too short, or an array is no audio.

        >>> model = negclap.load("runs/mine")
        >>> model.encode_audio(["song.wav"]).shape
        (1, 16)
        >>> noise = np.random.default_rng(0).standard_normal((3, 5 * 22_050), dtype=np.float32)
        >>> model.encode_audio(0.1 * noise, sample_rate=22_050).shape
        (3, 16)
        """
        if isinstance(audio, str | Path):
            raise TypeError("encode_audio takes a list of paths, got one path")
        if isinstance(audio, np.ndarray) and (audio.ndim != 2 or not np.isfinite(audio).all()):
            what = f"of shape {audio.shape}" if audio.ndim != 2 else "with NaN or infinite samples"
            raise InputError(f"an array {what}, expected (n, samples)")
        parts = []
        for i in range(0, len(audio), _CLIPS_AT_ONCE):
            chunk = audio[i : i + _CLIPS_AT_ONCE]
            parts.append(self._embed_audio(np.stack([self._heard(x, sample_rate) for x in chunk])))
        return self._joined(parts)

    def _heard(self, clip: Any, given: int | None) -> Waveform:
        if isinstance(clip, np.ndarray):
            if clip.dtype != np.int16 and clip.dtype.kind != "f":
                raise InputError(f"an array of {clip.dtype}, expected floats in [-1, 1] or int16")
            waveform = np.ascontiguousarray(as_waveform(clip))
            return waveform if given is None else resample(waveform, given, self.sample_rate)
        return read_excerpt(Path(clip), 0.0, self.excerpt_s, self.sample_rate)

    def _joined(self, parts: list[Tensor]) -> Embeddings:
        joined = torch.cat(parts) if parts else torch.empty(0, self.dim)
        array: Embeddings = joined.float().cpu().numpy()
        return array


class NegClapEncoder(Encoder):
    """A `NegClap` to use, on the CPU or one GPU.

    Args:
        model: The trained model.
        excerpt_s: Seconds of audio that it was trained on.
        threshold: Cosine from which on a text fits.
    """

    def __init__(self, model: NegClap, excerpt_s: float, threshold: float = float("nan")) -> None:
        super().__init__(model.audio_encoder.sample_rate, model.embed_dim, excerpt_s, threshold)
        self.device = device()
        self.model = model.eval().to(self.device)

    def _embed_audio(self, waveforms: npt.NDArray[np.float32]) -> Tensor:
        return self.model.embed_audio(torch.from_numpy(waveforms).to(self.device))

    def _embed_text(self, texts: Sequence[str]) -> Tensor:
        tokens = self.model.text_encoder.tokenize(texts)
        return self.model.embed_text({name: t.to(self.device) for name, t in tokens.items()})


def device() -> torch.device:
    """Where a model to use lives."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
