"""Untrained models and batches of noise, for the benchmarks that do training steps."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from transformers import RobertaConfig, RobertaModel

from negclap.commands.training import NegClapCLI, parse
from negclap.data.batch import Batch, Clip, collate
from negclap.data.manifest import Track
from negclap.data.sources.chorales.arrangement import VOCABULARY
from negclap.data.training_texts import TrainingTexts
from negclap.models.text_encoders import TextEncoder

CONFIGS = Path(__file__).parents[1] / "configs"


def make_cli(config: str, method: str, arguments: Sequence[str] = ()) -> NegClapCLI:
    """Return the model and data module of ``negclap fit``, with logging disabled."""
    files = (f"{config}.yaml", f"methods/{method}.yaml")
    cli = parse(["fit", *(f"--config={CONFIGS / file}" for file in files), *arguments])
    cli.model.log = lambda *_, **__: None
    return cli


def make_batch(cli: NegClapCLI, tracks: Sequence[Track], epoch: int = 0) -> Batch:
    """Return a batch of noise with the texts that the method trains on."""
    module, data = cli.model, cli.datamodule
    texts = TrainingTexts(VOCABULARY, data.insert, data.exclude, 0, module.text_kinds)
    rng = np.random.default_rng(epoch)
    samples = round(data.excerpt_s * module.sample_rate)
    clips = [
        Clip(i, t.track_id, rng.normal(0, 0.1, samples).astype(np.float32), texts(t, epoch))
        for i, t in enumerate(tracks)
    ]
    return collate(clips, module.tokenize)


def save_roberta(folder: str, **config: Any) -> None:
    """Write a RoBERTa model with random weights, and a tokenizer."""
    RobertaModel(RobertaConfig(**config)).save_pretrained(folder)
    TextEncoder(scratch=(16, 1)).tokenizer.save_pretrained(folder)
