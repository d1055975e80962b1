"""Texts to token ids by a tokenizer's Rust core, without the second that transformers takes."""

import copy
import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer


def full_tokenizer(source: str) -> Any:
    """The tokenizer of a folder or hub name as `transformers` has it."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(source)


class Words:
    """A tokenizer's core; transformers' wrapper costs as much again at each call.

    Args:
        source: A folder or hub name.
        max_tokens: Longer texts are cut.

    Attributes:
        size: Number of token ids.
        pad_id: The id of padding.

    Raises:
        ValueError: If there is none that is fast and can pad.
    """

    def __init__(self, source: str, max_tokens: int) -> None:
        core, pad_token = _core(source)
        pad_id = None if core is None or pad_token is None else core.token_to_id(pad_token)
        if core is None or pad_id is None:
            raise ValueError("expected a fast tokenizer that can pad")
        self._core = core
        self.pad_id: int = pad_id
        self._core.no_padding()
        self._core.enable_truncation(max_tokens)
        self.size = int(core.get_vocab_size(with_added_tokens=True))

    def ids(self, texts: list[str]) -> list[list[int]]:
        """The token ids of each text, with those that stand around it."""
        return [encoding.ids for encoding in self._core.encode_batch_fast(texts)]


def _core(source: str) -> tuple[Tokenizer | None, str | None]:
    core_file, config_file = (Path(source) / f"tokenizer{end}.json" for end in ("", "_config"))
    config = json.loads(config_file.read_text(encoding="utf-8")) if config_file.is_file() else {}
    pad_token = config.get("pad_token")
    if pad_token is None or not core_file.is_file():  # on a hub, only a vocabulary, or not said
        tokenizer = full_tokenizer(source)
        core = getattr(tokenizer, "backend_tokenizer", None)
        return copy.deepcopy(core), tokenizer.pad_token
    content = pad_token["content"] if isinstance(pad_token, dict) else pad_token
    try:
        return Tokenizer.from_file(str(core_file)), content
    except Exception as error:  # tokenizers raises bare Exception
        raise ValueError(f"tokenizer.json: {error}") from None
