"""The metrics work in any LightningModule."""

import lightning.pytorch as pl
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from negclap.evaluation.metrics import NegationRetrieval, PairwiseAccuracy
from negclap.text.probes import LEVELS

CLIPS, DIM = 30, 8


class OtherModel(pl.LightningModule):
    """A dual encoder of someone else, with random projections."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.audio = nn.Linear(DIM, DIM)
        self.text = nn.Linear(DIM, DIM)
        self.recall = NegationRetrieval(gallery_size=16, galleries=2)
        self.pairwise = PairwiseAccuracy()

    def validation_step(self, batch, batch_idx):
        ids, clips, *captions = batch
        audio = F.normalize(self.audio(clips), dim=1)
        encoded = (F.normalize(self.text(texts), dim=1) for texts in captions)
        texts = dict(zip(LEVELS, encoded, strict=True))
        self.recall.update(audio, texts, ids)
        self.pairwise.update(audio, texts, ids)

    def on_validation_epoch_end(self):
        self.log_dict(self.recall.compute())
        self.log_dict(self.pairwise.compute())


@pytest.fixture
def trainer(tmp_path):
    return pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )


def loader(batch_size):
    generator = torch.Generator().manual_seed(0)
    columns = torch.randn(4, CLIPS, DIM, generator=generator)
    data = torch.utils.data.TensorDataset(torch.arange(CLIPS), *columns)
    return torch.utils.data.DataLoader(data, batch_size)


def test_metrics_in_another_lightning_module(trainer):
    model = OtherModel()
    (logged,) = trainer.validate(model, loader(batch_size=7), verbose=False)
    assert {"recall@10/original", "map@10/fully", "a2t/recall@1/original"} <= logged.keys()
    assert {"pairwise/original_vs_fully", "chain"} <= logged.keys()
    assert all(0 <= logged[key] <= 1 for key in logged if key.startswith(("recall", "pairwise")))
    (again,) = trainer.validate(model, loader(batch_size=CLIPS), verbose=False)
    assert again == pytest.approx(logged, abs=1e-6)
