"""Low-rank adapters (LoRA, arXiv 2106.09685) in pretrained towers, by `peft`."""

from dataclasses import dataclass

from torch import nn

from negclap.errors import InputError, reason
from negclap.models.clap import NegClap, Tower


@dataclass(frozen=True)
class Lora:
    """Adapters in the attention of towers; all else in those towers is kept as it is.

    Attributes:
        towers: Which towers get them.
        rank: Of the adapters.
        alpha: Their scale is alpha / rank.
        dropout: Before an adapter, in training.
        layers: Names of the linear layers that get one.
    """

    towers: tuple[Tower, ...] = ("text",)
    rank: int = 8
    alpha: int = 16
    dropout: float = 0.0
    layers: tuple[str, ...] = ("query", "value")

    def add_to(self, model: NegClap) -> None:
        """Put the adapters in, and freeze what stands around them; projections are trained.

        Raises:
            InputError: If `peft` is not installed, or a tower has no such layers.
        """
        try:
            from peft import LoraConfig, inject_adapter_in_model
        except ImportError:
            raise InputError("model.lora needs the package peft: pip install peft") from None
        config = LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=list(self.layers),
        )
        for tower in self.towers:
            encoder = model.audio_encoder if tower == "audio" else model.text_encoder
            try:
                encoder.requires_grad_(False)
                inject_adapter_in_model(config, encoder)
            except ValueError as error:
                raise InputError(f"model.lora: the {tower} tower has no {reason(error)}") from None


def merge(module: nn.Module) -> None:
    """Add adapters to the weights that they adapt, and take them out."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, child in module.named_children():
        if isinstance(child, BaseTunerLayer):
            child.merge()
            setattr(module, name, child.get_base_layer())
        else:
            merge(child)
