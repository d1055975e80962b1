"""A negclap model as an `mteb` model, for mteb's audio-text retrieval tasks (docs/use.md)."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from mteb.models import ModelMeta
from mteb.models.abs_encoder import AbsEncoder
from mteb.models.modality_collators import AudioCollator
from mteb.models.model_meta import ScoringFunction

import negclap
from negclap.errors import InputError
from negclap.models.encoder import Embeddings


class MtebModel(AbsEncoder):  # type: ignore[misc]  # mteb has no types: its class is Any
    """A model with mteb's interface, given a source for `negclap.load`.

    The first `excerpt_s` seconds of each clip are encoded, as mteb does with other models. Shorter
    clips are repeated.
    """

    def __init__(self, source: str | Path) -> None:
        self.model = negclap.load(source)
        description = {
            "name": f"negclap/{Path(source).name}",
            "revision": negclap.__version__,
            "embed_dim": self.model.dim,
            "modalities": ["audio", "text"],
            "framework": ["PyTorch"],
            "similarity_fn_name": ScoringFunction.COSINE,
        }
        self.mteb_model_meta = ModelMeta.create_empty(description)

    def encode(self, inputs: Any, **_: Any) -> Embeddings:
        """Encode n texts or clips of mteb's DataLoader to ``(n, dim)``, unit length.

        Its batches have "text" or "audio"; clips may have any sample rate.
        """
        rate = self.model.sample_rate
        samples = round(self.model.excerpt_s * rate)
        if "audio" in inputs.dataset.column_names:
            collate = AudioCollator(target_sampling_rate=rate, max_samples=samples)
            inputs.collate_fn = partial(_collate, collate=collate)
        parts = [self._encode(batch, samples) for batch in inputs]
        return np.concatenate(parts) if parts else self.model.encode_text([])

    def _encode(self, batch: Any, samples: int) -> Embeddings:
        if "audio" not in batch:
            return self.model.encode_text(list(batch["text"]))
        clips = [np.asarray(clip["array"], dtype=np.float32) for clip in batch["audio"]]
        return self.model.encode_audio(np.stack([np.resize(clip, samples) for clip in clips]))


def _collate(rows: list[dict[str, Any]], collate: Callable[[Any], Any]) -> Any:
    """Collate rows whose audio has been checked.

    Raises:
        InputError: If the audio of a row is missing or empty; the message has the row.
    """
    for row in rows:
        audio = row.get("audio")
        if audio is None or (isinstance(audio, Mapping) and not len(audio.get("array", ()))):
            others = {key: value for key, value in row.items() if key != "audio"}
            problem = "no audio" if audio is None else "audio without samples"
            raise InputError(f"an item of the task has {problem}; its other columns: {others}")
    return collate(rows)
