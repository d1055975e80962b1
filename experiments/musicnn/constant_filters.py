"""Make constants of the filters of musicnn that never vary: most of its first ones.

A filter of the first layers reads levels between 0 (silence) and `LOUDEST`. If its output after
ReLU and norm cannot vary by more than `LEAST`, whatever it reads, it is left out. What it adds
becomes a channel of ones in front of the next convolution, and a bias of the hidden layer.
"""

import torch
from torch import Tensor

from negclap.models.musicnn import Musicnn

LOUDEST = 10.0
"""Level of a power of 10^6, as of waveforms that exceed full scale a hundred times."""
LEAST = 1e-6


def without_constants(whole: Musicnn) -> tuple[tuple[int, ...], dict[str, Tensor]]:
    """Return numbers of filters that vary, by layer, and the weights of the net that has them.

    Args:
        whole: The net with all filters; its channel of ones has the weight 0.
    """
    quietest, loudest = whole.normalize(torch.tensor([[0.0], [LOUDEST]])).flatten().tolist()
    varies, values, filters = [], [], []
    state = {name: value.clone() for name, value in whole.state_dict().items()}
    for kind in ("timbral", "temporal"):
        for number, layer in enumerate(getattr(whole, kind)):
            ends = layer.weight * quietest, layer.weight * loudest
            # The lowest and the highest sum of products, whatever the filter reads.
            sums = torch.stack((torch.minimum(*ends).sum(dim=0), torch.maximum(*ends).sum(dim=0)))
            low, high = layer.norm((sums + layer.bias).relu())
            varying = (high - low).abs() > LEAST
            varies.append(varying)
            values.append((low + high) / 2)
            filters.append(int(varying.sum()))
            for name in ("weight", "bias", *(f"norm.{part}" for part in layer.norm.state_dict())):
                key = f"{kind}.{number}.{name}"
                state[key] = state[key][..., varying]
    kept, value = torch.cat(varies), torch.cat(values)
    # The next convolution: (filters, channels, frames), its last channel has ones.
    weight = state["middle.0.convolution.weight"]
    constant = (weight[:, :-1][:, ~kept] * value[~kept, None]).sum(dim=1, keepdim=True)
    state["middle.0.convolution.weight"] = torch.cat((weight[:, :-1][:, kept], constant), dim=1)
    # The hidden layer reads maximum and mean of each channel; both are the constant.
    others = torch.ones(whole.width // 2 - len(kept), dtype=torch.bool)
    both = torch.cat((kept, others)).repeat_interleave(2)
    pooled = torch.cat((value, others.float())).repeat_interleave(2)
    added = whole.hidden.weight[:, ~both] @ whole.pooled_norm(pooled)[~both]
    state["hidden.bias"] += added
    state["hidden.weight"] = state["hidden.weight"][:, both]
    for part in whole.pooled_norm.state_dict():
        state[f"pooled_norm.{part}"] = state[f"pooled_norm.{part}"][both]
    return tuple(filters), {name: value.detach().contiguous() for name, value in state.items()}
