"""An audio encoder whose input is already encoded: musicnn's outputs in place of waveforms."""

from torch import Tensor

from negclap.models.audio_encoders import NO_AUGMENT, AudioEncoder
from negclap.models.musicnn import MUSICNN_MEL

SCALE = 32.0
"""Stored numbers are normalised outputs divided by this, as audio must lie in [-1, 1]."""


class StoredFeatures(AudioEncoder):
    """Passes ``(batch, dim)`` on, with noise in training.

    Args:
        dim: Numbers of a clip.
        noise: Standard deviation of the noise.
    """

    def __init__(self, dim: int = 400, noise: float = 1.0) -> None:
        super().__init__(MUSICNN_MEL, NO_AUGMENT)
        self.dim = dim
        self.noise = noise
        self.pretrained = True
        self.calibrated.fill_(True)

    def set_statistics(self, mean: Tensor, variance: Tensor) -> None:
        """Do nothing: the numbers are normalised already."""

    def forward(self, waveform: Tensor) -> Tensor:
        """Return ``(batch, dim)`` normalised outputs."""
        features = waveform * SCALE
        if self.training:
            features = features + self.noise * features.new_empty(features.shape).normal_()
        return features
