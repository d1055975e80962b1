"""A negclap model as an `mteb` model, for mteb's audio-text retrieval tasks.

    import mteb
    from negclap.models.mteb_model import MtebModel

    tasks = mteb.get_tasks(tasks=["ClothoT2ARetrieval"])
    mteb.evaluate(MtebModel("runs/mine"), tasks)

Needs the package mteb (``pip install negclap[mteb]``).
"""

from pathlib import Path
from typing import Any

import numpy as np
from mteb.models import ModelMeta
from mteb.models.abs_encoder import AbsEncoder
from mteb.models.modality_collators import AudioCollator
from mteb.models.model_meta import ScoringFunction

import negclap
from negclap.models.encoder import Embeddings


class MtebModel(AbsEncoder):  # type: ignore[misc]  # mteb ships no types, so its class is Any
    """A model with mteb's interface.

    The first `excerpt_s` seconds of each clip are encoded, as mteb does with other models. Shorter
    clips are repeated.

    Args:
        source: See `negclap.load`.
    """

    def __init__(self, source: str | Path) -> None:
        self.model = negclap.load(source)
        self.mteb_model_meta = ModelMeta.create_empty(
            {
                "name": f"negclap/{Path(source).name}",
                "revision": negclap.__version__,
                "embed_dim": self.model.dim,
                "modalities": ["audio", "text"],
                "framework": ["PyTorch"],
                "similarity_fn_name": ScoringFunction.COSINE,
            }
        )

    def encode(self, inputs: Any, **_: Any) -> Embeddings:
        """Encode n texts or clips to ``(n, dim)``, unit length.

        Args:
            inputs: mteb's DataLoader, whose batches have "text" or "audio". Clips may have any
                sample rate.
        """
        samples = round(self.model.excerpt_s * self.model.sample_rate)
        if "audio" in inputs.dataset.column_names:
            inputs.collate_fn = AudioCollator(
                target_sampling_rate=self.model.sample_rate, max_samples=samples
            )
        parts = [self._encode(batch, samples) for batch in inputs]
        return np.concatenate(parts) if parts else self.model.encode_text([])

    def _encode(self, batch: Any, samples: int) -> Embeddings:
        if "audio" not in batch:
            return self.model.encode_text(list(batch["text"]))
        clips = [np.asarray(clip["array"], dtype=np.float32) for clip in batch["audio"]]
        return self.model.encode_audio(np.stack([np.resize(clip, samples) for clip in clips]))
