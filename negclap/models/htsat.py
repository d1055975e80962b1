"""HTS-AT (Chen et al., 2022, arXiv 2202.00874) with weights and outputs of `transformers`.

The outputs are those of ``ClapAudioModel``; the work between the matrix products is less:

- The tokens of a stage stay in the order of its attention windows. Half of the blocks move no token
  at all; the others, whose windows are shifted, move each token there and back.
- Queries, keys and values come from one product. The bias of relative positions and the mask of
  shifted windows are one tensor, which goes into ``scaled_dot_product_attention``.
- No gradient passes the interpolation of the spectrogram; patches are cut by views.
- What follows from shapes alone is computed once.

Parameters have the names of `transformers`, so that checkpoints of either fit.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from negclap.errors import InputError

_MASKED = -100.0  # added to the scores of tokens that only a shift brought into one window


class Htsat(nn.Module):
    """The audio encoder of CLAP: a Swin transformer over a spectrogram.

    The statistics of the input norm are fixed, also in training.

    Args:
        config: A `transformers.ClapAudioConfig`.

    Raises:
        InputError: If the configuration is one that `Htsat` does not support.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        _check(config)
        self.config = config
        self.audio_encoder = _Encoder(config)
        # As ClapAudioModel starts.
        std = (2 * config.num_hidden_layers * config.hidden_size) ** -0.5
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                nn.init.normal_(module.weight, std=std * config.initializer_factor)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        self.train()

    @property
    def input_norm(self) -> nn.BatchNorm2d:
        """The norm of the mel bands."""
        return self.audio_encoder.batch_norm

    def train(self, mode: bool = True) -> "Htsat":
        """Set the mode of all but the input norm."""
        super().train(mode)
        self.input_norm.eval()
        return self

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Encode log-mel spectrograms ``(batch, frames, bands)``, in dB, to ``(batch, width)``.

        Raises:
            ValueError: If there are more frames than the model reads.
        """
        pooled: Tensor = self.audio_encoder(spectrogram)
        return pooled


def _check(config: Any) -> None:
    """Raise an InputError if there is something in the configuration that is not supported."""
    if config.enable_fusion:
        raise InputError("fusion models are not supported")
    expected = {
        "hidden_act": "gelu",
        "patch_embed_input_channels": 1,
        "flatten_patch_embeds": True,
    }
    for name, value in expected.items():
        if (got := getattr(config, name)) != value:
            raise InputError(f"HTS-AT with {name} {got!r} is not supported, expected {value!r}")
    size, stride = _pair(config.patch_size), _pair(config.patch_stride)
    if size != stride or size[0] != size[1]:
        raise InputError(f"HTS-AT has patches of {size} in steps of {stride}, expected equal sides")
    if config.spec_size % config.num_mel_bins:
        got = f"an image of {config.spec_size} rows for {config.num_mel_bins} bands"
        raise InputError(f"HTS-AT has {got}, expected a multiple")
    for stage, side in enumerate(_sides(config), start=1):
        if side < 1 or side % config.window_size:
            window = f"windows of {config.window_size}"
            raise InputError(f"HTS-AT has {side} tokens a side in stage {stage} for {window}")


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _sides(config: Any) -> list[int]:
    """Return the number of tokens along a side of each stage's square grid."""
    first = config.spec_size // _pair(config.patch_stride)[0]
    return [first // 2**stage for stage in range(len(config.depths))]


class _Encoder(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.batch_norm = nn.BatchNorm2d(config.num_mel_bins)
        self.patch_embed = _PatchEmbed(config)
        drop_rates = torch.linspace(0, config.drop_path_rate, sum(config.depths)).tolist()
        sides, last = _sides(config), len(config.depths) - 1
        self.layers = nn.ModuleList()
        width = config.patch_embeds_hidden_size
        for stage, (depth, side) in enumerate(zip(config.depths, sides, strict=True)):
            heads, rates = config.num_attention_heads[stage], drop_rates[:depth]
            del drop_rates[:depth]
            blocks = [
                _Block(config, width, heads, side, shifted=i % 2 == 1, drop_rate=rate)
                for i, rate in enumerate(rates)
            ]
            merging = None if stage == last else _PatchMerging(width, side, config.window_size)
            self.layers.append(_Stage(blocks, merging))
            width *= 1 if stage == last else 2
        self.norm = nn.LayerNorm(width)
        self._side, self._spans = config.spec_size, config.spec_size // config.num_mel_bins

    def forward(self, spectrogram: Tensor) -> Tensor:
        tokens = self.patch_embed(self._image(spectrogram))
        for stage in self.layers:
            tokens = stage(tokens)
        pooled: Tensor = self.norm(tokens).mean(dim=1)
        return pooled

    def _image(self, spectrogram: Tensor) -> Tensor:
        """Cut ``(batch, frames, bands)`` into spans of time, one above the other.

        Returns:
            A square image ``(batch, side, side)``. Its rows are the bands of the first span, from
            low to high, then those of the second.
        """
        frames, most = spectrogram.shape[1], self._side * self._spans
        if frames > most:
            raise ValueError(f"HTS-AT got {frames} frames, expected at most {most}")
        level = spectrogram.unsqueeze(1)
        if frames < most:
            size = (most, level.shape[3])
            level = F.interpolate(level, size, mode="bicubic", align_corners=True)
        # The norm comes after the interpolation, whose weights add up to 1: the result is the same,
        # and the interpolation has no parameters before it that need gradients.
        normal = self.batch_norm(level.transpose(1, 3)).transpose(1, 3).squeeze(1)
        image: Tensor = normal.unflatten(1, (self._spans, self._side)).transpose(2, 3)
        return image.flatten(1, 2)


class _PatchEmbed(nn.Module):
    """A linear layer over square patches that do not overlap."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        width = config.patch_embeds_hidden_size
        self._size, self._window = _pair(config.patch_size)[0], config.window_size
        self.proj = nn.Conv2d(1, width, self._size, self._size)
        has_norm = config.enable_patch_layer_norm
        self.norm = nn.LayerNorm(width) if has_norm else nn.Identity()

    def forward(self, image: Tensor) -> Tensor:
        """Encode ``(batch, side, side)`` to tokens ``(batch, tokens, width)``, by windows."""
        rows = image.unflatten(2, (-1, self._size)).unflatten(1, (-1, self._size))
        patches = to_windows(rows.transpose(2, 3).flatten(3), self._window).flatten(1, 2)
        tokens: Tensor = self.norm(F.linear(patches, self.proj.weight.flatten(1), self.proj.bias))
        return tokens


def to_windows(grid: Tensor, window: int) -> Tensor:
    """Return the tokens of grids ``(batch, rows, columns, width)`` by square windows.

    Returns:
        A tensor ``(batch, windows, window ** 2, width)``. Windows, and the tokens in them, are in
        the order of rows.
    """
    split: Tensor = grid.unflatten(2, (-1, window)).unflatten(1, (-1, window))
    return split.transpose(2, 3).flatten(3, 4).flatten(1, 2)


class _Stage(nn.Module):
    def __init__(self, blocks: list["_Block"], merging: "_PatchMerging | None") -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = merging

    def forward(self, tokens: Tensor) -> Tensor:
        for block in self.blocks:
            tokens = block(tokens)
        return tokens if self.downsample is None else self.downsample(tokens)


class _PatchMerging(nn.Module):
    """Merge each square of four tokens into one of twice the width."""

    def __init__(self, width: int, side: int, window: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * width)
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)
        self._windows, self._half = side // window, window // 2

    def forward(self, tokens: Tensor) -> Tensor:
        """Merge tokens ``(batch, tokens, width)``, which are by windows, before and after."""
        # Two by two windows become one. Axes: batch; along rows, then along columns, the new window
        # and the old one in it; along rows, then along columns of the old window, the new token and
        # the old one in it; width.
        split = tokens.view(
            tokens.shape[0],
            *(self._windows // 2, 2, self._windows // 2, 2),
            *(self._half, 2, self._half, 2),
            tokens.shape[2],
        )
        # The four tokens that become one are in the order of columns.
        merged = split.permute(0, 1, 3, 2, 5, 4, 7, 8, 6, 9)
        reduced: Tensor = self.reduction(
            self.norm(merged.reshape(tokens.shape[0], -1, 4 * tokens.shape[2]))
        )
        return reduced


class _Block(nn.Module):
    """Attention within windows, then a perceptron; each is added to its input."""

    def __init__(
        self, config: Any, width: int, heads: int, side: int, shifted: bool, drop_rate: float
    ) -> None:
        super().__init__()
        eps, wide = config.layer_norm_eps, int(config.mlp_ratio * width)
        self.layernorm_before = nn.LayerNorm(width, eps=eps)
        self.attention: Any = nn.Module()
        self.attention.self = _Attention(config, width, heads)
        self.attention.output = nn.Module()
        self.attention.output.dense = nn.Linear(width, width)
        self.layernorm_after = nn.LayerNorm(width, eps=eps)
        self.intermediate: Any = nn.Module()
        self.intermediate.dense = nn.Linear(width, wide)
        self.output: Any = nn.Module()
        self.output.dense = nn.Linear(wide, width)
        self.order: Tensor
        self.back: Tensor
        self.mask: Tensor
        self._dropout = config.hidden_dropout_prob
        self._attention_dropout = config.attention_probs_dropout_prob
        self._drop_rate = drop_rate
        self._shifted = shifted and side > config.window_size  # one window alone is not shifted
        if self._shifted:
            order, mask = shift(side, config.window_size)
            for name, value in (("order", order), ("back", order.argsort()), ("mask", mask)):
                self.register_buffer(name, value, persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        normal, own = self.layernorm_before(tokens), self.attention.self
        if self._shifted:
            seen = own(_reorder(normal, self.order, self.back), self.mask)
        else:
            seen = own(normal, None)
        update = self.attention.output.dense(seen)
        update = F.dropout(update, self._attention_dropout, self.training)
        if self._shifted:
            update = _reorder(update, self.back, self.order)
        tokens = tokens + self._drop_path(update)
        wide = F.gelu(self.intermediate.dense(self.layernorm_after(tokens)))
        return tokens + F.dropout(self.output.dense(wide), self._dropout, self.training)

    def _drop_path(self, update: Tensor) -> Tensor:
        """Drop the update of random clips in training (stochastic depth)."""
        if not self.training or not self._drop_rate:
            return update
        kept = update.new_empty(update.shape[0], 1, 1).bernoulli_(1 - self._drop_rate)
        return update * kept / (1 - self._drop_rate)


def shift(side: int, window: int) -> tuple[Tensor, Tensor]:
    """Return the order of tokens in shifted windows, and the mask of their scores.

    The grid is rolled by half a window, up and to the left. What leaves it comes back at the other
    end, into windows with tokens that are not its neighbours; these do not attend to each other.

    Returns:
        The order ``(tokens,)``, as positions in the order of windows that are not shifted, and the
        mask ``(windows, 1, window ** 2, window ** 2)``.
    """
    half, count = window // 2, side * side
    grid = torch.arange(count).view(1, side, side, 1)
    position = torch.empty(count, dtype=torch.long)
    position[to_windows(grid, window).flatten()] = torch.arange(count)
    order = position[to_windows(grid.roll((-half, -half), (1, 2)), window).flatten()]

    along = torch.arange(side)
    part = (along >= side - window).long() + (along >= side - half).long()
    parts = to_windows((3 * part[:, None] + part).view(1, side, side, 1), window)[0, :, :, 0]
    apart = parts[:, None, :, None] != parts[:, None, None, :]
    return order, apart * _MASKED


class _Reorder(torch.autograd.Function):
    """Tokens ``(batch, tokens, width)`` in another order; ``back`` is the inverse of ``order``."""

    @staticmethod
    def forward(ctx: Any, tokens: Tensor, order: Tensor, back: Tensor) -> Tensor:
        ctx.save_for_backward(order, back)
        return tokens.index_select(1, order)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        # A permutation's gradient is its inverse; that of index_select would add row by row.
        order, back = ctx.saved_tensors
        return _reorder(gradient, back, order), None, None


def _reorder(tokens: Tensor, order: Tensor, back: Tensor) -> Tensor:
    result: Tensor = _Reorder.apply(  # type: ignore[no-untyped-call]  # torch has no types
        tokens, order, back
    )
    return result


class _Attention(nn.Module):
    """Self-attention within windows, with a learned bias for each relative position."""

    relative_position_index: Tensor

    def __init__(self, config: Any, width: int, heads: int) -> None:
        super().__init__()
        window = config.window_size
        for name in ("query", "key", "value"):
            setattr(self, name, nn.Linear(width, width, bias=config.qkv_bias))
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        at = torch.cartesian_prod(torch.arange(window), torch.arange(window))
        apart = at[:, None] - at[None, :] + window - 1
        index = apart[..., 0] * (2 * window - 1) + apart[..., 1]
        self.register_buffer("relative_position_index", index)
        self._heads, self._size = heads, window**2
        self._scale = (width // heads) ** -0.5
        self._dropout = config.attention_probs_dropout_prob

    def forward(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """Let tokens ``(batch, tokens, width)``, by windows, attend to those of their window.

        Args:
            tokens: Normalised tokens.
            mask: Added to the scores, ``(windows, 1, window ** 2, window ** 2)``.
        """
        batch, length, width = tokens.shape
        heads, size = self._heads, self._size
        split = self._project(tokens).view(batch, -1, size, 3, heads, width // heads)
        if mask is None:  # heads of a window have one bias, whichever the window
            joint = split.flatten(0, 1).permute(2, 0, 3, 1, 4)
        else:  # all heads of all windows are heads of a clip
            joint = split.permute(3, 0, 1, 4, 2, 5).flatten(2, 3)
        query, key, value = joint
        bias = self._position_bias(mask).to(query.dtype).expand(query.shape[0], -1, -1, -1)
        seen = self._attend(query, key, value, bias)
        seen = seen.view(batch, -1, heads, size, width // heads)
        return seen.transpose(2, 3).reshape(batch, length, width)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
        """Return the attended values; all are ``(n, heads, size, ...)``."""
        dropout = self._dropout if self.training else 0.0
        if query.is_cuda or not torch.is_grad_enabled():
            return F.scaled_dot_product_attention(query, key, value, bias, dropout, scale=1.0)
        # On CPUs, the function above has no kernel for a bias with a gradient, and is slower.
        weights = (query @ key.transpose(2, 3)).add_(bias).softmax(dim=3)
        return F.dropout(weights, dropout) @ value

    def _project(self, tokens: Tensor) -> Tensor:
        """Return queries, keys and values, one after the other, by one product."""
        layers: tuple[Any, ...] = (self.query, self.key, self.value)
        first, *others = layers
        weight = torch.cat([first.weight * self._scale, *(each.weight for each in others)])
        if first.bias is None:
            return F.linear(tokens, weight)
        bias = torch.cat([first.bias * self._scale, *(each.bias for each in others)])
        return F.linear(tokens, weight, bias)

    def _position_bias(self, mask: Tensor | None) -> Tensor:
        """Return what is added to scores, ``(heads or windows * heads, size, size)``."""
        rows = self.relative_position_bias_table[self.relative_position_index.flatten()]
        bias = rows.view(self._size, self._size, -1).permute(2, 0, 1)
        # The kernels of a GPU need contiguous rows.
        return bias.contiguous() if mask is None else (bias + mask).flatten(0, 1).contiguous()
