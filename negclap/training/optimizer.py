"""AdamW's groups of parameters, and the learning rate over the steps of a training."""

import math
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def parameter_groups(
    module: nn.Module, rates: dict[str, float], rate: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Trained parameters by rate and decay; biases, norms, scalars and embeddings have no decay.

    Args:
        module: Whose parameters.
        rates: Rate by a part of a parameter's name ("text_encoder."), of what has one of its own.
        rate: Of all others.
        weight_decay: Of matrices and kernels.
    """
    embeddings = {
        id(p) for m in module.modules() if isinstance(m, nn.Embedding) for p in m.parameters()
    }
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            own = next((value for part, value in rates.items() if part in name), rate)
            decayed = parameter.ndim > 1 and id(parameter) not in embeddings
            groups.setdefault((own, weight_decay if decayed else 0.0), []).append(parameter)
    return [
        {"params": parameters, "lr": own, "weight_decay": decay}
        for (own, decay), parameters in groups.items()
    ]


def warmup_cosine(optimizer: Optimizer, steps: int, warmup_fraction: float) -> LambdaLR:
    """Rates that rise over a share of the steps, then fall to 0 as a cosine."""
    warmup = max(1, round(warmup_fraction * steps))

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))

    return LambdaLR(optimizer, factor)


def training_steps(batches: int, limit: float, epochs: int, max_steps: int) -> int:
    """How many steps a training has, at least 1.

    Args:
        batches: Batches of an epoch.
        limit: Of them so many (int) or such a share (float).
        epochs: -1 for no end.
        max_steps: -1 for no end.
    """
    batches = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
    ends = [steps for steps in (batches * epochs, max_steps) if steps > 0]
    return max(1, min(ends, default=1))
