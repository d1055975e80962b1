"""musicnn (Pons and Serra 2019): convolutional music taggers, trained on MagnaTagATune and MSD.

The weights are those of the package musicnn 0.1.0, converted by experiments/musicnn/convert.py; the
folder weights/ has its licence. Most of the first filters never vary, so the conversion has made
constants of them. The others are written as matrix products, because convolutions with one input
channel are slow on CPUs.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from negclap.errors import InputError
from negclap.models.audio_encoders import NO_AUGMENT, AudioEncoder
from negclap.models.frontend import LogMel, MelConfig, SpecAugment

Net = Literal["MTT_musicnn", "MSD_musicnn"]
Layer = Literal["hidden", "pooled"]
NETS: tuple[Net, ...] = ("MTT_musicnn", "MSD_musicnn")
"""The taggers: trained on MagnaTagATune and on the Million Song Dataset."""
WEIGHTS = Path(__file__).with_name("weights") / "musicnn"
MUSICNN_MEL = MelConfig(
    sample_rate=16_000, n_fft=512, hop_length=256, n_mels=96, f_min=0.0, f_max=8_000.0
)
PATCH = 187
"""Frames of a patch, about 3 s: the length of the nets' training."""
_EPSILON = 1e-3  # of TensorFlow's batch norm
_FILTERS: dict[Net, tuple[int, ...]] = {
    "MTT_musicnn": (118, 81, 38, 37, 47),
    "MSD_musicnn": (23, 14, 3, 7, 17),
}
"""Filters that vary, of 204, 204, 51, 51 and 51: two timbral and three temporal layers."""
_TIMBRAL, _TEMPORAL = (0.4, 0.7), (128, 64, 32)  # shares of bands, and frames, of their kernels
_MIDDLE, _HIDDEN, _TAGS = 64, 200, 50
_PATCHES_PER_PART = 3  # their windows fit into a CPU's cache
_AROUND = 7  # frames of the kernels of timbral and middle layers


class MusicnnLogMel(LogMel):
    """The nets' spectrogram, log10(10000 power + 1)."""

    def compress(self, power: Tensor) -> Tensor:
        """Transform power to musicnn's levels."""
        return torch.log10(10_000 * power + 1)


class _Norm(nn.Module):
    """A batch norm with fixed statistics, over the last dimension."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))
        self.running_mean: Tensor
        self.running_var: Tensor

    @property
    def scale(self) -> Tensor:
        scale: Tensor = self.weight * torch.rsqrt(self.running_var + _EPSILON)
        return scale

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.running_mean) * self.scale + self.bias


class _Pooled(nn.Module):
    """A convolution, ReLU, norm, and the maximum over all bands, as one matrix product.

    Args:
        frames: Frames of the kernel.
        bands: Bands of the kernel.
        filters: Number of filters.
    """

    def __init__(self, frames: int, bands: int, filters: int) -> None:
        super().__init__()
        self.frames, self.bands = frames, bands
        self.weight = nn.Parameter(torch.zeros(frames * bands, filters))
        self.bias = nn.Parameter(torch.zeros(filters))
        self.norm = _Norm(filters)

    def forward(self, x: Tensor) -> Tensor:
        """Transform ``(batch, frames, bands)`` to ``(batch, frames, filters)``."""
        before = (self.frames - 1) // 2  # as TensorFlow pads
        padded = F.pad(x, (0, 0, before, self.frames - 1 - before))
        # One row for each place of the kernel: (batch, frames, bands, size of the kernel).
        rows = padded.unfold(1, self.frames, 1).unfold(2, self.bands, 1).flatten(3)
        # ReLU and norm rise with the product, or fall with it where the norm's scale is negative.
        # So the maximum comes first: the other steps then have a tenth of the numbers to read.
        sign = self.norm.scale.sign()
        highest = sign * (rows @ (self.weight * sign)).amax(dim=2)
        pooled: Tensor = self.norm(F.relu(highest + self.bias))
        return pooled


class _Middle(nn.Module):
    """A convolution over time, ReLU and norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(width, _MIDDLE, _AROUND, padding=_AROUND // 2)
        self.norm = _Norm(_MIDDLE)

    def forward(self, x: Tensor) -> Tensor:
        """Transform ``(batch, frames, width)`` to ``(batch, frames, 64)``."""
        convolved = F.relu(self.convolution(x.transpose(1, 2)))
        normed: Tensor = self.norm(convolved.transpose(1, 2))
        return normed


class Musicnn(nn.Module):
    """One tagger without its training: dropout is left out, batch norms have fixed statistics.

    Args:
        filters: Number of filters of each timbral and temporal layer.
        n_mels: Bands of the spectrogram.

    Attributes:
        width: Size of what `pool` returns.
    """

    def __init__(self, filters: Sequence[int], n_mels: int = MUSICNN_MEL.n_mels) -> None:
        super().__init__()
        sizes = [(_AROUND, int(share * n_mels)) for share in _TIMBRAL]
        sizes += [(frames, 1) for frames in _TEMPORAL]
        layers = [_Pooled(*size, count) for size, count in zip(sizes, filters, strict=True)]
        front = sum(filters)
        self.width = 2 * (front + 3 * _MIDDLE)
        self.normalize = _Norm(1)
        self.timbral = nn.ModuleList(layers[: len(_TIMBRAL)])
        self.temporal = nn.ModuleList(layers[len(_TIMBRAL) :])
        self.middle = nn.ModuleList(_Middle(width) for width in (front + 1, _MIDDLE, _MIDDLE))
        self.pooled_norm = _Norm(self.width)
        self.hidden = nn.Linear(self.width, _HIDDEN)
        self.hidden_norm = _Norm(_HIDDEN)
        self.tags = nn.Linear(_HIDDEN, _TAGS)

    def pool(self, levels: Tensor) -> Tensor:
        """Return maximum and mean of each channel over time, normalised, ``(batch, width)``.

        Args:
            levels: ``(batch, frames, 96)``
        """
        x = self.normalize(levels.unsqueeze(-1)).squeeze(-1)
        front = torch.cat([layer(x) for layer in (*self.timbral, *self.temporal)], dim=2)
        # The channel of ones has the constant filters: not in a bias, as padding has them not.
        state: Tensor = self.middle[0](F.pad(front, (0, 1), value=1.0))
        layers = [front, state]
        for layer in self.middle[1:]:
            state = state + layer(state)
            layers.append(state)
        channels = torch.cat(layers, dim=2)
        pooled = torch.stack((channels.amax(dim=1), channels.mean(dim=1)), dim=2).flatten(1)
        normed: Tensor = self.pooled_norm(pooled)
        return normed

    def forward(self, levels: Tensor) -> Tensor:
        """Encode levels ``(batch, frames, 96)`` to the penultimate layer, ``(batch, 200)``.

        ``tags`` maps it to the logits of the net's 50 tags.
        """
        return self.head(self.pool(levels))

    def head(self, pooled: Tensor) -> Tensor:
        """Return the penultimate layer, ``(batch, 200)``, of what `pool` returned."""
        hidden: Tensor = self.hidden_norm(F.relu(self.hidden(pooled)))
        return hidden


def load_musicnn(net: Net) -> Musicnn:
    """Return a tagger with the weights that ship."""
    model = Musicnn(_FILTERS[net])
    model.load_state_dict(load_file(WEIGHTS / f"{net}.safetensors"))
    return model


class MusicnnEncoder(AudioEncoder):
    """A layer of musicnn's taggers, averaged over patches of 3 s.

    `calibrate` fits mean and scale of each output on training clips. They are part of the model
    from then on: sources of music differ in them, and a searched collection must not decide.

    Args:
        nets: The taggers.
        layer: The penultimate one, "hidden", 400 numbers; or what it is made of, "pooled", 1,538:
            maximum and mean over time of each channel. They tell instruments apart better.
        patches: Patches per excerpt, spread evenly; None takes as many as fit without overlap.
        trained: Train the taggers too; their output alone is used otherwise.
        augment: SpecAugment.
        load_weights: False leaves the taggers without their weights, to load others.

    Raises:
        InputError: If no tagger is given, or one twice.
    """

    def __init__(
        self,
        nets: tuple[Net, ...] = NETS,
        layer: Layer = "hidden",
        patches: int | None = None,
        trained: bool = False,
        augment: SpecAugment = NO_AUGMENT,
        load_weights: bool = True,
    ) -> None:
        super().__init__(MUSICNN_MEL, augment, MusicnnLogMel)
        if not nets or len({*nets}) < len(nets):
            raise InputError(f"nets is {nets}, expected different ones of {', '.join(NETS)}")
        if patches is not None and patches < 1:
            raise InputError(f"patches is {patches}, expected at least 1")
        self.names = nets
        self.patches = patches
        made = [load_musicnn(net) if load_weights else Musicnn(_FILTERS[net]) for net in nets]
        self.nets = nn.ModuleList(made).requires_grad_(trained)
        self.pretrained = True
        self.layer: Layer = layer
        self.dim = sum(net.width if layer == "pooled" else _HIDDEN for net in made)
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.zeros(self.dim))
        self.register_buffer("scale", torch.ones(self.dim))

    def set_statistics(self, mean: Tensor, variance: Tensor) -> None:
        """Set mean and variance of each output, both ``(dim,)``."""
        self.mean.copy_(mean)
        self.scale.copy_(variance.sqrt())

    def calibrated_values(self, waveforms: Tensor) -> Tensor:
        """Return the outputs before their normalisation, ``(n, dim)``."""
        return self._encode(waveforms)

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode ``(batch, samples)`` to ``(batch, dim)``."""
        return (self._encode(waveform) - self.mean) / self.scale

    def _encode(self, waveform: Tensor) -> Tensor:
        patches = self.cut(self.log_mel(waveform))
        rows = patches.flatten(0, 1)
        whole = torch.compiler.is_exporting() or not rows.is_cpu  # exports take any batch size
        parts = (rows,) if whole else rows.split(_PATCHES_PER_PART)
        outputs = [torch.cat([self._layer(net, part) for net in self.nets], 1) for part in parts]
        encoded = torch.cat(outputs)
        return encoded.view(*patches.shape[:2], -1).mean(dim=1)

    def _layer(self, net: nn.Module, patches: Tensor) -> Tensor:
        assert isinstance(net, Musicnn)
        return net.pool(patches) if self.layer == "pooled" else net(patches)

    def cut(self, levels: Tensor) -> Tensor:
        """Cut levels ``(batch, frames, bands)`` into patches ``(batch, n, at most 187, bands)``."""
        frames = levels.shape[1]
        length = min(PATCH, frames)
        count = self.patches or max(1, frames // PATCH)
        last = frames - length
        middle = [round(last / 2)]
        starts = [round(last * i / (count - 1)) for i in range(count)] if count > 1 else middle
        return torch.stack([levels[:, start : start + length] for start in starts], dim=1)
