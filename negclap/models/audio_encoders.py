"""Audio encoders: waveforms to one vector per clip.

Every encoder takes ``(batch, samples)``, float or int16, and returns ``(batch, dim)``. It contains
the log-mel front end and SpecAugment. Input statistics are fitted once, on training clips, and
never per batch, so that they are equal on all ranks and for any micro-batch size.
"""

from abc import ABC, abstractmethod
from pathlib import Path
from pickle import UnpicklingError

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from negclap.errors import InputError, reason
from negclap.models.frontend import LogMel, MelConfig, SpecAugment
from negclap.models.htsat import Htsat
from negclap.models.hub import from_pretrained

_MIN_FRAMES = 32  # the product of ConvEncoder's strides in time
_STEM_BANDS = 32  # bands after ConvEncoder's first layer
_EPSILON = 1e-3  # added to variances; a band without energy has none


class AudioEncoder(nn.Module, ABC):
    """Base class of the audio encoders, with `sample_rate` in Hz and the output's size `dim`.

    Attributes:
        calibrated: Scalar bool, whether the input statistics have been fitted.
        pretrained: Whether the encoder started from pretrained weights.
    """

    sample_rate: int
    dim: int
    calibrated: Tensor
    pretrained: bool = False

    def __init__(
        self, mel: MelConfig, augment: SpecAugment, log_mel: type[LogMel] = LogMel
    ) -> None:
        super().__init__()
        self.sample_rate = mel.sample_rate
        self.mel = mel
        self.log_mel = log_mel(mel, augment)
        self.register_buffer("calibrated", torch.tensor(False))

    @abstractmethod
    def forward(self, waveform: Tensor) -> Tensor:
        """Encode ``(batch, samples)`` to ``(batch, dim)``."""

    @abstractmethod
    def set_statistics(self, mean: Tensor, variance: Tensor) -> None:
        """Set mean and variance of each of the `calibrated_values`, both ``(k,)``."""

    @torch.no_grad()
    def calibrate(self, waveforms: Tensor) -> None:
        """Fit the input statistics on ``(n, samples)`` training clips, unless already fitted."""
        if self.calibrated:
            return
        training = self.training
        self.eval()  # without SpecAugment
        values = torch.cat([self.calibrated_values(part) for part in waveforms.split(32)])
        self.train(training)
        self.fit_statistics(values)

    def fit_statistics(self, values: Tensor) -> None:
        """Fit the input statistics on some `calibrated_values`."""
        self.set_statistics(values.mean(dim=0), values.var(dim=0) + _EPSILON)
        self.calibrated.fill_(True)

    def calibrated_values(self, waveforms: Tensor) -> Tensor:
        """Return the values ``(n, k)`` whose k statistics are fitted: here the mel bands, in dB."""
        levels: Tensor = self.log_mel(waveforms)
        return levels.flatten(0, 1)


DEFAULT_MEL = MelConfig()
NO_AUGMENT = SpecAugment()


class ConvEncoder(AudioEncoder):
    """A small convolutional encoder for CPUs and short clips: four stages of ConvNeXt-like blocks.

    Time is pooled by mean and maximum. Frequency is not pooled, because register and timbre depend
    on it.

    Args:
        dim: Size of the output.
        widths: Channels per stage.
        depths: Blocks per stage.
        dropout: Dropout rate before the output layer.
        mel: Configuration of the log-mel front end.
        augment: SpecAugment.
    """

    def __init__(
        self,
        dim: int = 256,
        widths: tuple[int, int, int, int] = (32, 64, 128, 256),
        depths: tuple[int, int, int, int] = (1, 1, 2, 1),
        dropout: float = 0.1,
        mel: MelConfig = DEFAULT_MEL,
        augment: SpecAugment = NO_AUGMENT,
    ) -> None:
        super().__init__(mel, augment)
        if mel.n_mels % (2 * _STEM_BANDS):  # an odd stride would drop a band at the edge
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
        self.layers = nn.Sequential(*layers)
        self.layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in stubs
        features = 2 * widths[-1] * (_STEM_BANDS // 8)
        head = (nn.LayerNorm(features), nn.Dropout(dropout), nn.Linear(features, dim))
        self.head = nn.Sequential(*head)

    def set_statistics(self, mean: Tensor, variance: Tensor) -> None:
        """Set the mean per band, and one common scale, which preserves loudness differences."""
        self.mean.copy_(mean)
        self.scale.copy_(variance.mean().sqrt().expand_as(variance))

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode ``(batch, samples)`` to ``(batch, dim)``.

        Raises:
            InputError: If the clips are shorter than 32 frames.
        """
        spectrogram = (self.log_mel(waveform) - self.mean) / self.scale
        if (n := spectrogram.shape[1]) < _MIN_FRAMES:
            raise InputError(f"clips have {n} frames, ConvEncoder needs at least {_MIN_FRAMES}")
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
        update: Tensor = self.layers(features)
        return features + update


HTSAT_MEL = MelConfig(
    sample_rate=48_000, n_fft=1024, hop_length=480, n_mels=64, f_min=50.0, f_max=14_000.0
)
"""The front end of `ClapFeatureExtractor`; a model with it can be exported as a ClapModel."""


class HtsatEncoder(AudioEncoder):
    """HTS-AT (`Htsat`) behind a log-mel front end, with a fixed input norm.

    Args:
        path: Folder or hub name of a ClapAudioModel or ClapModel; None starts from scratch.
        overrides: Fields of `ClapAudioConfig` for a model from scratch.
        augment: SpecAugment.
        mel: Configuration of the log-mel front end.
        repeat_to_s: Repeat shorter clips as often as they fit into this many seconds, then pad
            with zeros, as LAION's models do ("repeatpad"). None leaves clips as they are.
        load_weights: False builds the pretrained model without its weights, to load others.
    """

    def __init__(
        self,
        path: Path | None = None,
        overrides: dict[str, int | float | list[int]] | None = None,
        augment: SpecAugment = NO_AUGMENT,
        mel: MelConfig = HTSAT_MEL,
        repeat_to_s: float | None = None,
        load_weights: bool = True,
    ) -> None:
        super().__init__(mel, augment)
        from transformers import ClapAudioConfig  # takes seconds to import

        if path is not None and overrides:
            raise InputError("HtsatEncoder: got path and overrides, expected at most one of them")
        self.pretrained = path is not None
        self.repeat_to_s = repeat_to_s
        if path is None:
            config = ClapAudioConfig(**{"num_mel_bins": mel.n_mels, **(overrides or {})})
            self.model = Htsat(config)
        else:
            self.model = _pretrained(path, load_weights)
            self.calibrated.fill_(True)
        self.dim = int(self.model.config.hidden_size)

    def set_statistics(self, mean: Tensor, variance: Tensor) -> None:
        """Set the running statistics of the input BatchNorm."""
        norm = self.model.input_norm
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode ``(batch, samples)``, at most 10 s (`spec_size` frames), to ``(batch, dim)``."""
        if self.repeat_to_s is not None:
            waveform = _repeat_pad(waveform, round(self.repeat_to_s * self.sample_rate))
        pooled: Tensor = self.model(self.log_mel(waveform))
        return pooled


def _repeat_pad(waveform: Tensor, samples: int) -> Tensor:
    """Repeat ``(batch, n)`` as often as it fits into ``samples``, then pad with zeros."""
    length = waveform.shape[1]
    if length >= samples:
        return waveform
    return F.pad(waveform.repeat(1, samples // length), (0, samples % length))


def _pretrained(path: Path, load_weights: bool) -> Htsat:
    """Return the audio model of a ClapAudioModel or ClapModel."""
    from transformers import AutoConfig, ClapAudioModel, ClapModel  # takes seconds to import

    try:
        config = AutoConfig.from_pretrained(str(path))
        is_clap = config.model_type == "clap"
        ours = Htsat(config.audio_config if is_clap else config)
        if not load_weights:
            return ours
        kind = ClapModel if is_clap else ClapAudioModel
        model, info = from_pretrained(kind, path, output_loading_info=True)
    except (OSError, ValueError, UnpicklingError) as error:
        raise InputError(f"audio encoder {path}: {reason(error)}") from None
    except InputError as error:
        raise InputError(f"audio encoder {path}: {error}") from None
    if missing := sorted(info["missing_keys"]):
        raise InputError(f"audio encoder {path}: no weights for {missing[0]!r}")
    ours.load_state_dict((model.audio_model if is_clap else model).state_dict())
    return ours
