"""Waveform to normalised log-mel spectrogram, on device, with SpecAugment. The only torchaudio."""

from dataclasses import dataclass

import torch
import torchaudio
from torch import Tensor, nn

from negclap.errors import InputError

_CLIPS_AT_ONCE = 4  # on a CPU, so that the spectra stay in its cache: twice as fast


@dataclass(frozen=True)
class MelConfig:
    """A log-mel spectrogram. Defaults are negclap's, not the paper's.

    They resolve low notes: with 64 bands and windows of 1024 samples, a voice among other
    instruments is heard worse (experiments/study).

    Attributes:
        sample_rate: Hz.
        n_fft: Samples per window.
        hop_length: Samples between frames.
        n_mels: Bands, Slaney scale and norm, as librosa's defaults.
        f_min: Lower edge, Hz.
        f_max: Upper edge, Hz.
    """

    sample_rate: int = 16_000
    n_fft: int = 2048
    hop_length: int = 640
    n_mels: int = 128
    f_min: float = 50.0
    f_max: float = 8_000.0

    def __post_init__(self) -> None:
        """Refuse sizes that are not positive, and a band that the sample rate cannot hold."""
        if min(self.sample_rate, self.n_fft, self.hop_length, self.n_mels) < 1:
            raise InputError(f"{self}: expected positive sizes")
        if not 0 <= self.f_min < self.f_max <= self.sample_rate / 2:
            raise InputError(
                f"mel band {self.f_min} to {self.f_max} Hz does not fit a sample rate of "
                f"{self.sample_rate} Hz"
            )


@dataclass(frozen=True)
class SpecAugment:
    """Masking of training spectrograms (Park et al. 2019); 0 switches a mask off.

    Attributes:
        time_frames: Longest masked stretch, in frames.
        mel_bands: Widest masked stretch, in bands.
    """

    time_frames: int = 0
    mel_bands: int = 0


class LogMel(nn.Module):
    """``(batch, samples)`` to ``(batch, frames, n_mels)`` in dB, 10 log10(max(power, 1e-10)).

    Args:
        mel: The spectrogram.
        augment: SpecAugment, in training mode only. Masked places take the spectrogram's mean.
    """

    def __init__(self, mel: MelConfig, augment: SpecAugment) -> None:
        super().__init__()
        self.mel = torchaudio.transforms.MelSpectrogram(
            sample_rate=mel.sample_rate,
            n_fft=mel.n_fft,
            hop_length=mel.hop_length,
            f_min=mel.f_min,
            f_max=mel.f_max,
            n_mels=mel.n_mels,
            power=None,  # its |z| ** 2 takes a root first
            norm="slaney",
            mel_scale="slaney",
        )
        self.augment = augment

    def forward(self, waveform: Tensor) -> Tensor:
        """The spectrogram, in dB, of float samples in [-1, 1] or of 16-bit ones."""
        if waveform.dtype == torch.int16:
            waveform = waveform * 2**-15
        with torch.autocast(waveform.device.type, enabled=False):  # FFT and logarithm need float32
            power = self._power_of_all(waveform.float()).transpose(1, 2)
            decibels = 10.0 * torch.log10(power.clamp(min=1e-10))
        return self._mask(decibels) if self.training else decibels

    def _power_of_all(self, waveform: Tensor) -> Tensor:
        if torch.compiler.is_exporting() or not waveform.is_cpu:  # exports are for any batch
            return self._power(waveform)
        return torch.cat([self._power(part) for part in waveform.split(_CLIPS_AT_ONCE)])

    def _power(self, waveform: Tensor) -> Tensor:
        """``(batch, samples)`` to ``(batch, n_mels, frames)``."""
        spectrum = self.mel.spectrogram(waveform)
        power: Tensor = self.mel.mel_scale(spectrum.real.square() + spectrum.imag.square())
        return power

    def _mask(self, spectrogram: Tensor) -> Tensor:
        fill = spectrogram.mean(dim=(1, 2), keepdim=True)
        for dim, longest in ((1, self.augment.time_frames), (2, self.augment.mel_bands)):
            if longest:
                spectrogram = torch.where(_stretch(spectrogram, dim, longest), fill, spectrogram)
        return spectrogram


def _stretch(spectrogram: Tensor, dim: int, longest: int) -> Tensor:
    """A mask of one random stretch per item along ``dim``, broadcastable to the spectrogram."""
    batch, size = spectrogram.shape[0], spectrogram.shape[dim]
    device = spectrogram.device
    length = torch.rand(batch, 1, device=device) * min(longest, size)
    start = torch.rand(batch, 1, device=device) * (size - length)
    place = torch.arange(size, device=device)
    mask = (place >= start) & (place < start + length)
    return mask.unsqueeze(2) if dim == 1 else mask.unsqueeze(1)
