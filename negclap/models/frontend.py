"""Log-mel spectrogram with SpecAugment, computed on the model's device. Wraps torchaudio."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
import torchaudio
from torch import Tensor, nn

from negclap.errors import InputError

_CLIPS_PER_PART = 4  # their spectra fit into a CPU's cache: twice as fast


@dataclass(frozen=True)
class MelConfig:
    """Configuration of a log-mel spectrogram.

    The defaults are negclap's. They resolve low notes: with 64 bands and windows of 1024 samples,
    models detect vocals among other instruments less well (experiments/study).

    Attributes:
        sample_rate: Hz.
        n_fft: Samples per window.
        hop_length: Samples between frames.
        n_mels: Mel bands, with Slaney's scale and norm as in librosa's defaults.
        f_min: Lower edge of the lowest band, Hz.
        f_max: Upper edge of the highest band, Hz.
    """

    sample_rate: int = 16_000
    n_fft: int = 2048
    hop_length: int = 640
    n_mels: int = 128
    f_min: float = 50.0
    f_max: float = 8_000.0

    def __post_init__(self) -> None:
        """Check that sizes are positive and that the bands lie below the Nyquist frequency."""
        if min(self.sample_rate, self.n_fft, self.hop_length, self.n_mels) < 1:
            raise InputError(f"{self}: expected positive sizes")
        if not 0 <= self.f_min < self.f_max <= self.sample_rate / 2:
            expected = f"a range within 0 to {self.sample_rate / 2} Hz (half the sample rate)"
            raise InputError(f"mel bands from {self.f_min} to {self.f_max} Hz, expected {expected}")


@dataclass(frozen=True)
class SpecAugment:
    """Masks in training spectrograms (Park et al. 2019); 0 disables a mask.

    Attributes:
        time_frames: Maximum length of the time mask, in frames.
        mel_bands: Maximum width of the frequency mask, in bands.
    """

    time_frames: int = 0
    mel_bands: int = 0


class LogMel(nn.Module):
    """Log-mel spectrogram in dB, 10 log10(max(power, 1e-10)).

    Args:
        mel: Configuration of the spectrogram.
        augment: Masks, applied in training mode only. They are filled with the spectrogram's mean.
    """

    def __init__(self, mel: MelConfig, augment: SpecAugment) -> None:
        super().__init__()
        self.mel = torchaudio.transforms.MelSpectrogram(
            **asdict(mel),
            power=None,  # torchaudio's |z| ** 2 computes a square root first
            norm="slaney",
            mel_scale="slaney",
        )
        self.augment = augment

    def forward(self, waveform: Tensor) -> Tensor:
        """Transform ``(batch, samples)``, int16 or in [-1, 1], to ``(batch, frames, n_mels)``."""
        if waveform.dtype == torch.int16:
            waveform = waveform * 2**-15
        with torch.autocast(waveform.device.type, enabled=False):  # FFT and log need float32
            levels = self.compress(self._power(waveform.float()).transpose(1, 2))
        return self._mask(levels) if self.training else levels

    def compress(self, power: Tensor) -> Tensor:
        """Transform power to dB."""
        return 10.0 * torch.log10(power.clamp(min=1e-10))

    def _power(self, waveform: Tensor) -> Tensor:
        """Transform ``(batch, samples)`` to ``(batch, n_mels, frames)``."""
        if torch.compiler.is_exporting() or not waveform.is_cpu:  # exports take any batch size
            return self._power_of_part(waveform)
        return torch.cat([self._power_of_part(part) for part in waveform.split(_CLIPS_PER_PART)])

    def _power_of_part(self, waveform: Tensor) -> Tensor:
        spectrum = self.mel.spectrogram(waveform)
        power: Tensor = self.mel.mel_scale(spectrum.real.square() + spectrum.imag.square())
        return power

    def _mask(self, spectrogram: Tensor) -> Tensor:
        fill = spectrogram.mean(dim=(1, 2), keepdim=True)
        for dim, longest in ((1, self.augment.time_frames), (2, self.augment.mel_bands)):
            if longest:
                mask = _random_mask(spectrogram, dim, longest)
                spectrogram = torch.where(mask, fill, spectrogram)
        return spectrogram


class ConvLogMel(LogMel):
    """A spectrogram by convolutions with cosines and sines, without a Fourier transform.

    Args:
        mel: Configuration of the spectrogram.
        compress: Compresses its power.
    """

    waves: Tensor

    def __init__(self, mel: MelConfig, compress: Callable[[Tensor], Tensor]) -> None:
        super().__init__(mel, SpecAugment())
        self._compress = compress
        sample, frequency = torch.arange(mel.n_fft), torch.arange(mel.n_fft // 2 + 1)
        steps = torch.outer(frequency, sample) % mel.n_fft  # exact, unlike a large angle
        angles = steps.double() * (2 * torch.pi / mel.n_fft)
        waves = torch.cat((angles.cos(), angles.sin())) * self.mel.spectrogram.window
        self.register_buffer("waves", waves.float().unsqueeze(1))

    def compress(self, power: Tensor) -> Tensor:
        """Transform power as the other front end does."""
        return self._compress(power)

    def _power_of_part(self, waveform: Tensor) -> Tensor:
        half, hop = self.mel.n_fft // 2, self.mel.hop_length
        padded = F.pad(waveform.unsqueeze(1), (half, half), mode="reflect")
        real, imaginary = F.conv1d(padded, self.waves, stride=hop).chunk(2, dim=1)
        power: Tensor = self.mel.mel_scale(real.square() + imaginary.square())
        return power


def _random_mask(spectrogram: Tensor, dim: int, longest: int) -> Tensor:
    """Mask one random interval of each item along ``dim``; broadcastable to the spectrogram."""
    batch, size, device = len(spectrogram), spectrogram.shape[dim], spectrogram.device
    length = torch.rand(batch, 1, device=device) * min(longest, size)
    start = torch.rand(batch, 1, device=device) * (size - length)
    position = torch.arange(size, device=device)
    mask = (position >= start) & (position < start + length)
    return mask.unsqueeze(3 - dim)
