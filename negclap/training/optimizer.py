"""AdamW's parameter groups, and the learning rate schedule."""

import math
from typing import Any

import lightning.pytorch as pl
import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def parameter_groups(
    module: nn.Module, rates: dict[str, float], rate: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Group the trained parameters by learning rate and weight decay.

    ``rates`` are those of parameters whose name contains the key ("text_encoder."), ``rate`` that
    of all others. Biases, norms, scalars and embeddings have no decay.
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
    """Return a schedule with a linear warm-up, then cosine decay to 0."""
    warmup = max(1, round(warmup_fraction * steps))

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))

    return LambdaLR(optimizer, factor)


def configure(
    trainer: pl.Trainer, groups: list[dict[str, Any]], batches_per_epoch: int, warmup: float
) -> Any:
    """Return AdamW for parameter groups and its schedule by step, as Lightning expects them.

    ``warmup`` is the fraction of all steps.
    """
    # Lightning does not clip gradients that a fused optimizer might still have to unscale
    clipped = trainer.gradient_clip_val and trainer.precision in ("16-mixed", "bf16-mixed")
    optimizer = torch.optim.AdamW(groups, fused=not clipped)
    # Lightning's own estimate would load training data before a resumed run knows its epoch
    limits = trainer.limit_train_batches, trainer.max_epochs or -1, trainer.max_steps
    steps = training_steps(batches_per_epoch, *limits)
    return [optimizer], [{"scheduler": warmup_cosine(optimizer, steps, warmup), "interval": "step"}]


def training_steps(batches: int, limit: float, epochs: int, max_steps: int) -> int:
    """Return the number of training steps, at least 1.

    ``limit`` is the largest number of batches per epoch (int) or a fraction of them (float);
    ``epochs`` and ``max_steps`` may be -1, for no limit.
    """
    batches = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
    limits = [steps for steps in (batches * epochs, max_steps) if steps > 0]
    return max(1, min(limits, default=1))
