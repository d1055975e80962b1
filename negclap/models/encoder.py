"""The interface of every model: `encode_audio` and `encode_text`."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
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
Curves = Mapping[str, Sequence[float]]
"""Slope and intercept per tag: a clip whose cosine with the tag's name is s has the tag with
probability 1 / (1 + exp(-slope s - intercept)), if it is as likely to have it as not."""
_AUDIO_BATCH_SIZE = 64
TEXT_BATCH_SIZE = 256


def chunks(items: Any, size: int) -> Iterator[Any]:
    """Split a sequence or array into parts of at most ``size`` items."""
    return (items[start : start + size] for start in range(0, len(items), size))


class Model(Protocol):
    """The interface that a class needs so that negclap can load and evaluate it.

    ``sample_rate`` is that of the input, in Hz. Optional attributes are ``dim``, the size of the
    embeddings, and ``excerpt_s``, the seconds of audio per clip (10 by default).
    """

    sample_rate: int

    def encode_audio(self, audio: Any) -> Any:
        """Encode ``(n, samples)`` float32 at the sample rate to ``(n, dim)``."""

    def encode_text(self, texts: Any) -> Any:
        """Encode a list of n texts to ``(n, dim)``."""


class Encoder(ABC):
    """A loaded model, which encodes audio and texts to unit vectors.

    Args:
        sample_rate: Sample rate of the audio encoder, Hz.
        dim: Size of the joint space.
        excerpt_s: Seconds of audio per clip.
        threshold: Smallest cosine at which a text counts as true of a clip; NaN if unknown.
        curves: Tags whose cosines are calibrated.
    """

    def __init__(
        self,
        sample_rate: int,
        dim: int,
        excerpt_s: float,
        threshold: float = float("nan"),
        curves: Curves | None = None,
    ) -> None:
        self.sample_rate = sample_rate
        self.dim = dim
        self.excerpt_s = excerpt_s
        self.threshold = threshold
        self.curves = curves or {}

    @abstractmethod
    def _embed_audio(self, waveforms: npt.NDArray[np.float32]) -> Tensor:
        """Encode ``(n, samples)`` at the model's sample rate to ``(n, dim)``, unit length."""

    @abstractmethod
    def _embed_text(self, texts: Sequence[str]) -> Tensor:
        """Encode n texts to ``(n, dim)``, unit length."""

    def unread(self, text: str) -> str:
        """Return the end of a text that the model does not read, as far as that is known."""
        del text
        return ""

    @torch.inference_mode()
    def encode_text(self, texts: Sequence[str]) -> Embeddings:
        """Encode n texts to ``(n, dim)`` float32, unit length.

        >>> model = negclap.load("runs/mine")
        >>> model.encode_text(["calm piano, no drums", "drums"]).shape
        (2, 16)
        """
        if isinstance(texts, str):
            raise TypeError("encode_text expects a list of texts, got a string")
        parts = [self._embed_text(chunk) for chunk in chunks(texts, TEXT_BATCH_SIZE)]
        return self._to_array(parts)

    @torch.inference_mode()
    def encode_audio(
        self, audio: Sequence[Path | str] | Samples, sample_rate: int | None = None
    ) -> Embeddings:
        """Encode n clips to ``(n, dim)`` float32, unit length.

        Args:
            audio: Paths, whose first `excerpt_s` seconds are encoded; or an array
                ``(n, samples)`` of int16, or of floats in [-1, 1].
            sample_rate: Sample rate of an array, Hz; None means the model's.

        Raises:
            InputError: If a file is unreadable, silent or too short, or an array is not as above.

        >>> model = negclap.load("runs/mine")
        >>> model.encode_audio(["song.wav"]).shape
        (1, 16)
        >>> noise = np.random.default_rng(0).standard_normal((3, 5 * 22_050), dtype=np.float32)
        >>> model.encode_audio(0.1 * noise, sample_rate=22_050).shape
        (3, 16)
        """
        if isinstance(audio, str | Path):
            raise TypeError("encode_audio expects a list of paths or an array, got one path")
        if isinstance(audio, np.ndarray):
            if audio.ndim != 2:
                raise InputError(f"audio array has shape {audio.shape}, expected (n, samples)")
            if not np.isfinite(audio).all():
                raise InputError("audio array has NaN or infinite samples, expected finite ones")
        parts = [
            self._embed_audio(np.stack([self._waveform(clip, sample_rate) for clip in chunk]))
            for chunk in chunks(audio, _AUDIO_BATCH_SIZE)
        ]
        return self._to_array(parts)

    def _waveform(self, clip: Any, sample_rate: int | None) -> Waveform:
        """Read a file, or convert and resample a row of an array."""
        if not isinstance(clip, np.ndarray):
            return read_excerpt(Path(clip), 0.0, self.excerpt_s, self.sample_rate)
        if clip.dtype != np.int16 and clip.dtype.kind != "f":
            raise InputError(f"audio array of {clip.dtype}, expected floats in [-1, 1] or int16")
        waveform = np.ascontiguousarray(as_waveform(clip))
        rate = self.sample_rate if sample_rate is None else sample_rate
        return resample(waveform, rate, self.sample_rate)

    def _to_array(self, parts: list[Tensor]) -> Embeddings:
        joined = torch.cat(parts) if parts else torch.empty(0, self.dim)
        array: Embeddings = joined.float().cpu().numpy()
        return array


class NegClapEncoder(Encoder):
    """A trained `NegClap` model as an `Encoder`, on the GPU if there is one."""

    def __init__(
        self,
        model: NegClap,
        excerpt_s: float,
        threshold: float = float("nan"),
        curves: Curves | None = None,
    ) -> None:
        rate = model.audio_encoder.sample_rate
        super().__init__(rate, model.embed_dim, excerpt_s, threshold, curves)
        self.device = default_device()
        self.model = model.eval().to(self.device)

    def _embed_audio(self, waveforms: npt.NDArray[np.float32]) -> Tensor:
        return self.model.embed_audio(torch.from_numpy(waveforms).to(self.device))

    def _embed_text(self, texts: Sequence[str]) -> Tensor:
        tokens = self.model.text_encoder.tokenize(texts)
        return self.model.embed_text({name: t.to(self.device) for name, t in tokens.items()})

    def unread(self, text: str) -> str:
        """Return the end of a text that the model does not read."""
        return self.model.text_encoder.unread(text)


def default_device() -> torch.device:
    """Return the GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
