"""BERT in torch: MiniLM and its like without `transformers`, which takes seconds to import.

Parameters have the names of `transformers`, so that checkpoints and adapters of either fit.
"""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

_CONFIG, _WEIGHTS = "config.json", "model.safetensors"
_FORM = {"hidden_act": "gelu", "position_embedding_type": "absolute", "is_decoder": False}


@dataclass
class BertConfig:
    """The sizes of a BERT, as in its ``config.json``; the defaults are those of `transformers`."""

    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    vocab_size: int = 30_522
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    initializer_range: float = 0.02
    pad_token_id: int = 0
    model_type: str = "bert"

    @classmethod
    def read(cls, folder: Path) -> "BertConfig | None":
        """Read the configuration of a folder; None if `Bert` cannot be the model in it."""
        path = folder / _CONFIG
        given: Any = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        form = {key: given.get(key, value) for key, value in _FORM.items()}
        if form != _FORM or given.get("model_type") != "bert":
            return None
        names = {field.name for field in fields(cls)}
        return cls(**{key: value for key, value in given.items() if key in names})

    def save_pretrained(self, folder: Path) -> None:
        """Write ``config.json``; the method has this name in `transformers`."""
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"architectures": ["BertModel"], **_FORM, **vars(self)}, indent=1)
        (folder / _CONFIG).write_text(text + "\n", encoding="utf-8")


class Bert(nn.Module):
    """The encoder of BERT (Devlin et al., 2019) with its pooler."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = _Embeddings(config)
        self.encoder: Any = nn.Module()
        layers = [_Layer(config) for _ in range(config.num_hidden_layers)]
        self.encoder.layer = nn.ModuleList(layers)
        self.pooler: Any = nn.Module()
        self.pooler.dense = nn.Linear(config.hidden_size, config.hidden_size)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=config.initializer_range)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    @classmethod
    def load(cls, folder: Path, config: BertConfig) -> "Bert":
        """Load the weights of a folder.

        Raises:
            OSError, ValueError: If the file cannot be read, or lacks more than the pooler.
        """
        try:
            found = load_file(folder / _WEIGHTS)
        except SafetensorError as error:
            raise ValueError(f"{folder / _WEIGHTS}: {error}") from None
        model = cls(config)
        named = {name.removeprefix("bert."): value for name, value in found.items()}
        own = model.state_dict()
        missing = [name for name in own if name not in named and not name.startswith("pooler.")]
        if missing:
            raise ValueError(f"no weights for {missing[0]!r}")
        model.load_state_dict(own | {name: named[name] for name in own if name in named})
        return model

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the word embeddings; the method has this name in `transformers`."""
        return self.embeddings.word_embeddings

    def forward(self, inputs_embeds: Tensor, attention_mask: Tensor) -> SimpleNamespace:
        """Encode word embeddings ``(n, length, width)``; ``attention_mask`` is ``(n, length)``.

        Returns:
            ``last_hidden_state`` ``(n, length, width)``, and ``pooler_output`` ``(n, width)``, of
            the first token, if there is a pooler.
        """
        hidden = self.embeddings(inputs_embeds=inputs_embeds)
        mask = attention_mask.bool()[:, None, None, :]
        for layer in self.encoder.layer:
            hidden = layer(hidden, mask)
        pooled = None if self.pooler is None else torch.tanh(self.pooler.dense(hidden[:, 0]))
        return SimpleNamespace(last_hidden_state=hidden, pooler_output=pooled)


class _Embeddings(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, width, config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, width)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, width)
        self.LayerNorm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, inputs_embeds: Tensor) -> Tensor:
        positions = self.position_embeddings.weight[: inputs_embeds.shape[1]]
        types = self.token_type_embeddings.weight[0]
        hidden: Tensor = self.dropout(self.LayerNorm(inputs_embeds + types + positions))
        return hidden


class _Layer(nn.Module):
    """Attention and a perceptron, each followed by dropout, its input, and layer norm."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        width, wide = config.hidden_size, config.intermediate_size
        self.attention: Any = nn.Module()
        self.attention.self = nn.Module()
        for name in ("query", "key", "value"):
            setattr(self.attention.self, name, nn.Linear(width, width))
        self.attention.output = _Output(width, width, config)
        self.intermediate: Any = nn.Module()
        self.intermediate.dense = nn.Linear(width, wide)
        self.output = _Output(wide, width, config)
        self._heads = config.num_attention_heads
        self._dropout = config.attention_probs_dropout_prob

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        own = self.attention.self
        query, key, value = (
            project(hidden).unflatten(-1, (self._heads, -1)).transpose(1, 2)
            for project in (own.query, own.key, own.value)
        )
        dropout = self._dropout if self.training else 0.0
        seen = F.scaled_dot_product_attention(query, key, value, mask, dropout)
        hidden = self.attention.output(seen.transpose(1, 2).flatten(2), hidden)
        output: Tensor = self.output(F.gelu(self.intermediate.dense(hidden)), hidden)
        return output


class _Output(nn.Module):
    def __init__(self, width: int, output: int, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(width, output)
        self.LayerNorm = nn.LayerNorm(output, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, hidden: Tensor, before: Tensor) -> Tensor:
        output: Tensor = self.LayerNorm(self.dropout(self.dense(hidden)) + before)
        return output
