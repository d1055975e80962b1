"""Audio encoders: waveform in, one vector per clip out.

All of them take ``(batch, samples)``, float or 16-bit, at their ``sample_rate`` and return
``(batch, dim)``; the log-mel front end and SpecAugment are inside, on device. Input statistics are
fitted once on training clips (`calibrate`), never per batch, so that ranks and micro-batches cannot
differ.
"""

from abc import ABC, abstractmethod
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from negclap.errors import InputError, reason
from negclap.models.frontend import LogMel, MelConfig, SpecAugment

_MIN_FRAMES = 32  # what the strides of ConvEncoder leave something of
_STEM_BANDS = 32  # what the first layer leaves of the mel bands
_EPSILON = 1e-3  # dB; a band without energy has no variance


class AudioEncoder(nn.Module, ABC):
    """What every audio encoder offers.

    Attributes:
        sample_rate: Hz of the waveforms that it takes.
        mel: Its front end.
        dim: Size of its output.
        calibrated: Whether the input statistics have been fitted.
        pretrained: Whether its weights come from elsewhere.
    """

    sample_rate: int
    mel: MelConfig
    dim: int
    calibrated: Tensor
    pretrained: bool = False

    def __init__(self, mel: MelConfig, augment: SpecAugment) -> None:
        super().__init__()
        self.sample_rate = mel.sample_rate
        self.mel = mel
        self.log_mel = LogMel(mel, augment)
        self.register_buffer("calibrated", torch.tensor(False))

    @abstractmethod
    def forward(self, waveform: Tensor) -> Tensor:
        """``(batch, samples)`` to ``(batch, dim)``."""

    @abstractmethod
    def set_statistics(self, mean: Tensor, variance: Tensor) -> None:
        """Take over the mean and variance per mel band, each ``(n_mels,)``, dB and dB squared."""

    @torch.no_grad()
    def calibrate(self, waveforms: Tensor) -> None:
        """Fit the input statistics on ``(n, samples)`` training clips, in chunks; once."""
        if self.calibrated:
            return
        training, chunks = self.training, []
        self.eval()  # statistics of what is heard, not of what SpecAugment leaves
        for chunk in waveforms.split(32):
            chunks.append(self.log_mel(chunk).flatten(0, 1))
        self.train(training)
        frames = torch.cat(chunks)
        self.set_statistics(frames.mean(dim=0), frames.var(dim=0) + _EPSILON)
        self.calibrated.fill_(True)


class ConvEncoder(AudioEncoder):
    """A small convolutional encoder for CPUs and short clips.

    ConvNeXt-like blocks (depthwise 5 x 5, then pointwise; GroupNorm with one group) in four stages,
    channels_last. Time is pooled (mean and maximum); the frequency axis is kept for the last layer,
    since register and timbre live there.

    Args:
        dim: Output size.
        widths: Channels per stage.
        depths: Blocks per stage.
        dropout: Before the output layer.
        mel: The front end.
        augment: SpecAugment.
    """

    def __init__(
        self,
        dim: int = 256,
        widths: tuple[int, int, int, int] = (32, 64, 128, 256),
        depths: tuple[int, int, int, int] = (1, 1, 2, 1),
        dropout: float = 0.1,
        mel: MelConfig = MelConfig(),  # noqa: B008  # frozen, safe to share
        augment: SpecAugment = SpecAugment(),  # noqa: B008  # frozen, safe to share
    ) -> None:
        super().__init__(mel, augment)
        if mel.n_mels % (2 * _STEM_BANDS):  # an odd stride would lose a band at the edge
            raise InputError(f"n_mels is {mel.n_mels}, ConvEncoder needs a multiple of 64")
        self.dim = dim
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.zeros(mel.n_mels))
        self.register_buffer("scale", torch.ones(mel.n_mels))
        stride = mel.n_mels // _STEM_BANDS
        layers: list[nn.Module] = [
            nn.Conv2d(1, widths[0], (2 * stride, 4), (stride, 4), (stride // 2, 0)),
            nn.GroupNorm(1, widths[0]),
        ]
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            layers += [_ConvBlock(width) for _ in range(depth)]
            if stage < len(widths) - 1:
                layers += [nn.GroupNorm(1, width), nn.Conv2d(width, widths[stage + 1], 2, 2)]
        self.layers = nn.Sequential(*layers).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # stubs lack memory_format alone
        features = 2 * widths[-1] * (_STEM_BANDS // 8)
        self.head = nn.Sequential(
            nn.LayerNorm(features), nn.Dropout(dropout), nn.Linear(features, dim)
        )

    def set_statistics(self, mean: Tensor, variance: Tensor) -> None:
        """See `AudioEncoder`."""
        self.mean.copy_(mean)
        self.scale.copy_(variance.mean().sqrt().expand_as(variance))  # one scale: loudness stays

    def forward(self, waveform: Tensor) -> Tensor:
        """``(batch, samples)`` to ``(batch, dim)``."""
        spectrogram = (self.log_mel(waveform) - self.mean) / self.scale
        if spectrogram.shape[1] < _MIN_FRAMES:
            raise InputError(
                f"a clip of {spectrogram.shape[1]} frames, ConvEncoder needs at least {_MIN_FRAMES}"
            )
        image = spectrogram.unsqueeze(1).to(memory_format=torch.channels_last)
        features = self.layers(image.transpose(2, 3))  # (batch, channels, bands, frames)
        pooled = torch.cat((features.mean(dim=3), features.amax(dim=3)), dim=1)
        embedding: Tensor = self.head(pooled.flatten(1))
        return embedding


class _ConvBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width, width, kernel_size=5, padding=2, groups=width),
            nn.GroupNorm(1, width),
            nn.Conv2d(width, 2 * width, kernel_size=1),
            nn.GELU(),
            nn.Conv2d(2 * width, width, kernel_size=1),
        )

    def forward(self, features: Tensor) -> Tensor:
        changed: Tensor = self.layers(features)
        return features + changed


HTSAT_MEL = MelConfig(
    sample_rate=48_000, n_fft=1024, hop_length=480, n_mels=64, f_min=50.0, f_max=14_000.0
)
"""The front end of `ClapFeatureExtractor`, so that trained towers can be exported."""


class HtsatEncoder(AudioEncoder):
    """HTS-AT as `transformers` has it (`ClapAudioModel`), from scratch or from a local folder.

    Its input BatchNorm runs on fixed statistics: `calibrate` fits them on training clips.

    Args:
        path: A folder or hub name with a ClapAudioModel or ClapModel; None starts from scratch.
        overrides: Configuration of the model from scratch (`ClapAudioConfig` fields).
        augment: SpecAugment.
        mel: The front end.
        repeat_to_s: Shorter clips are repeated as often as they fit into so many seconds, then
            padded with zeros, as LAION's models were trained (`ClapFeatureExtractor`'s
            "repeatpad"). None hears them as they are.
        load_weights: False takes only the shape of a pretrained model, for weights to come.
    """

    model: Any  # a ClapAudioModel

    def __init__(
        self,
        path: Path | None = None,
        overrides: dict[str, int | float | list[int]] | None = None,
        augment: SpecAugment = SpecAugment(),  # noqa: B008  # frozen, safe to share
        mel: MelConfig = HTSAT_MEL,
        repeat_to_s: float | None = None,
        load_weights: bool = True,
    ) -> None:
        super().__init__(mel, augment)
        from transformers import ClapAudioConfig, ClapAudioModel  # seconds, for this tower alone

        if path is not None and overrides:
            raise InputError("HtsatEncoder takes a path or overrides, not both")
        self.pretrained = path is not None
        self.repeat_to_s = repeat_to_s
        if path is None:
            config = ClapAudioConfig(**{"num_mel_bins": mel.n_mels, **(overrides or {})})
            self.model = ClapAudioModel(config)
        else:
            self.model = _clap_audio(path, load_weights)
            self.calibrated.fill_(True)
        self.dim = int(self.model.config.hidden_size)
        self.input_norm.eval()  # also before any train()

    @property
    def input_norm(self) -> nn.BatchNorm2d:
        """The input BatchNorm."""
        norm: nn.BatchNorm2d = self.model.audio_encoder.batch_norm
        return norm

    def train(self, mode: bool = True) -> "HtsatEncoder":
        """Training mode, but for the input BatchNorm, whose statistics are fixed."""
        super().train(mode)
        self.input_norm.eval()
        return self

    def set_statistics(self, mean: Tensor, variance: Tensor) -> None:
        """See `AudioEncoder`."""
        norm = self.input_norm
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)

    def forward(self, waveform: Tensor) -> Tensor:
        """``(batch, samples)`` to ``(batch, dim)``; at most 10 s (`spec_size` frames)."""
        if self.repeat_to_s is not None:
            waveform = repeat_pad(waveform, round(self.repeat_to_s * self.sample_rate))
        features = self.log_mel(waveform).unsqueeze(1)
        pooled: Tensor = self.model(input_features=features).pooler_output
        return pooled


def repeat_pad(waveform: Tensor, samples: int) -> Tensor:
    """``(batch, n)`` to ``(batch, samples)``: repeated as often as it fits, then zeros.

    What is longer stays as it is.
    """
    length = waveform.shape[1]
    if length >= samples:
        return waveform
    repeated = waveform.repeat(1, samples // length)
    return torch.nn.functional.pad(repeated, (0, samples - repeated.shape[1]))


def _clap_audio(path: Path, load_weights: bool) -> Any:
    """The audio model of a folder or hub name, which may hold a whole ClapModel."""
    from transformers import AutoConfig, ClapAudioModel, ClapModel  # seconds, for this tower alone

    try:
        config = AutoConfig.from_pretrained(str(path))
        whole = config.model_type == "clap"
        if not load_weights:
            return ClapAudioModel(config.audio_config if whole else config)
        kind = ClapModel if whole else ClapAudioModel
        model, info = kind.from_pretrained(str(path), output_loading_info=True)
    except (OSError, ValueError, UnpicklingError) as error:
        raise InputError(f"audio encoder {path}: {reason(error)}") from None
    if info["missing_keys"]:
        raise InputError(
            f"audio encoder {path}: no weights for {sorted(info['missing_keys'])[0]!r}"
        )
    audio = (model.audio_model if whole else model).train()  # it comes with dropout off
    if audio.config.enable_fusion:
        raise InputError(f"audio encoder {path}: fusion models are not supported")
    return audio
