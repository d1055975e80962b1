"""Low-rank adapters (LoRA, arXiv 2106.09685) in pretrained encoders, using `peft`."""

from dataclasses import dataclass

from torch import nn

from negclap.errors import InputError, reason
from negclap.models.clap import NegClap, Tower


@dataclass(frozen=True)
class Lora:
    """Adapters in the attention layers of encoders, whose own weights are frozen.

    Attributes:
        towers: Which encoders get adapters, "audio" or "text".
        rank: Rank of the adapters.
        alpha: Adapters are scaled by alpha / rank.
        dropout: Dropout rate before each adapter, in training.
        layers: Names of the linear layers to adapt.
    """

    towers: tuple[Tower, ...] = ("text",)
    rank: int = 8
    alpha: int = 16
    dropout: float = 0.0
    layers: tuple[str, ...] = ("query", "value")

    def add_to(self, model: NegClap) -> None:
        """Insert the adapters and freeze the rest of the encoders; projections stay trainable.

        Raises:
            InputError: If `peft` is not installed, or an encoder has no such layers.
        """
        for tower in self.towers:
            self.adapt(model.audio_encoder if tower == "audio" else model.text_encoder, tower)

    def adapt(self, encoder: nn.Module, tower: Tower) -> None:
        """Insert the adapters into one encoder, and freeze the rest of it; see `add_to`."""
        try:
            from peft import LoraConfig, inject_adapter_in_model
        except ImportError:
            message = "model.lora needs the package peft: pip install negclap[lora]"
            raise InputError(message) from None
        scaling = {"r": self.rank, "lora_alpha": self.alpha, "lora_dropout": self.dropout}
        config = LoraConfig(**scaling, target_modules=list(self.layers))
        try:
            encoder.requires_grad_(False)
            inject_adapter_in_model(config, encoder)
        except ValueError as error:
            raise InputError(f"model.lora: {tower} encoder: {reason(error)}") from None


def merge(module: nn.Module) -> None:
    """Add the adapters to the weights of their layers, and remove them."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, child in module.named_children():
        if isinstance(child, BaseTunerLayer):
            child.merge()
            setattr(module, name, child.get_base_layer())
        else:
            merge(child)
