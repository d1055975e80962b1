"""The LightningModule of teaching: trains the text half of a finished model, without audio."""

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric

import negclap
from negclap.data.batch import Tokenize
from negclap.errors import InputError
from negclap.models.clap import make_projection
from negclap.models.encoder import TEXT_BATCH_SIZE, NegClapEncoder, chunks
from negclap.models.frozen_layers import FrozenOutputs
from negclap.models.lora import Lora
from negclap.models.taught import check_text_encoder
from negclap.models.text_encoders import TextEncoder
from negclap.models.text_tower import TextTower, copy_text_tower
from negclap.progress import Progress, progress, quiet
from negclap.storage import write_json
from negclap.training.lesson_data import LessonBatch, LessonDataModule
from negclap.training.optimizer import configure, parameter_groups
from negclap.training.resume import check_same_shapes, is_dev_run
from negclap.training.teacher import Target, Teacher

DEFAULT_TARGET = Target()


class TeachModule(pl.LightningModule):
    """Teaches negation to the text half of a finished model.

    The loss of a lesson is one minus the cosine of the student's embedding and its target. The
    teacher is a frozen copy of the untaught text half. The student starts as another copy, or is
    another text encoder, which learns the teacher's embeddings at the same time.

    Args:
        teacher: The finished model, as for `negclap.load`.
        text_encoder: Another text encoder for the student; None teaches the model's own.
        trained_layers: Train at most this many upper layers of a pretrained encoder, and the
            projection; null trains all. An encoder from scratch is trained as a whole.
        lora: Low-rank adapters instead, in all layers; requires the package peft.
        target: Where texts that deny should be.
        learning_rate: AdamW's peak learning rate of new weights.
        pretrained_rate: Peak learning rate of weights that the model or the encoder comes with.
        weight_decay: AdamW's weight decay.
        warmup_fraction: Fraction of all steps for the linear warm-up; cosine decay follows.
        method: Name of the method in results and tables.
    """

    def __init__(
        self,
        teacher: str,
        text_encoder: TextEncoder | None = None,
        trained_layers: int | None = 3,
        lora: Lora | None = None,
        target: Target = DEFAULT_TARGET,
        learning_rate: float = 3e-3,
        pretrained_rate: float = 2e-4,
        weight_decay: float = 0.01,
        warmup_fraction: float = 0.1,
        method: str = "taught",
    ) -> None:
        super().__init__()
        model = negclap.load(teacher)
        check_text_encoder(model, teacher, text_encoder)
        untaught = copy_text_tower(model, teacher)
        self._teacher = [untaught.requires_grad_(False)]  # in a list: no part of the checkpoints
        self.target = target
        self.is_new = text_encoder is not None
        if text_encoder is None:
            student = copy_text_tower(model, teacher).requires_grad_(True)
        else:
            kind = model.model.projection if isinstance(model, NegClapEncoder) else "linear"
            projection = make_projection(kind, text_encoder.dim, model.dim)
            student = TextTower(text_encoder, projection)
        self.student = student
        self._choose_trained(trained_layers, lora)
        self.learning_rate = learning_rate
        self.pretrained_rate = pretrained_rate
        self.weight_decay = weight_decay
        self.warmup_fraction = warmup_fraction
        self.method = method
        names = ("agreement", "unseen", "affirmed")
        self.agreement: Any = nn.ModuleDict({name: MeanMetric() for name in names})
        self._targets: dict[str, Tensor] = {}
        self._frozen: dict[str, FrozenOutputs] = {}

    def _choose_trained(self, layers: int | None, lora: Lora | None) -> None:
        encoder = self.student.encoder
        if lora is not None:
            lora.adapt(encoder, "text")
        elif encoder.pretrained and layers is not None:
            encoder.train_layers(min(layers, encoder.n_layers))

    @property
    def tokenize(self) -> Tokenize:
        """The student's tokenizer."""
        return self.student.encoder.tokenize

    @property
    def data(self) -> LessonDataModule:
        """The trainer's data module."""
        data = getattr(self.trainer, "datamodule", None)
        assert isinstance(data, LessonDataModule)
        return data

    def on_fit_start(self) -> None:
        """Compute the targets, and what the frozen layers make of the lessons."""
        (untaught,) = self._teacher
        untaught.to(self.device)
        embed = partial(_embed, untaught, progress=self._progress())
        teacher = Teacher(embed, self.data.vocabulary, self.target)
        with self.trainer.precision_plugin.forward_context():
            self._targets = {
                split: teacher.targets(lessons) for split, lessons in self.data.lessons.items()
            }
            if self.student.encoder.frozen_layers:
                self._frozen = {
                    split: FrozenOutputs(
                        self.student.encoder, [one.text for one in lessons], self._progress()
                    )
                    for split, lessons in self.data.lessons.items()
                }

    def _progress(self) -> Progress:
        shown = self.trainer.is_global_zero and self.trainer.progress_bar_callback is not None
        return progress if shown else quiet

    def _embed(self, batch: LessonBatch, split: str) -> Tensor:
        self.student.eval()  # no dropout: the targets are exact
        if frozen := self._frozen.get(split):
            return self.student.project(frozen.encode(batch.rows.tolist()))
        embedded: Tensor = self.student(batch.tokens)
        return embedded

    def _cosines(self, batch: LessonBatch, split: str) -> Tensor:
        targets = self._targets[split][batch.rows.cpu()].to(self.device)
        return (self._embed(batch, split) * targets).sum(dim=1)

    def training_step(self, batch: LessonBatch, batch_idx: int) -> Tensor:
        """Return one minus the mean cosine of lessons and their targets."""
        loss = 1 - self._cosines(batch, "train").mean()
        if not torch.isfinite(loss):
            raise InputError(f"step {self.global_step}: the loss is {loss.item()}")
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch.rows), sync_dist=True)
        return loss

    def configure_optimizers(self) -> Any:
        """Return AdamW, and its schedule by step."""
        own = self.pretrained_rate if self.student.encoder.pretrained else self.learning_rate
        rates = {
            "lora_": self.learning_rate,
            "encoder.": own,
            "projection.": self.learning_rate if self.is_new else own,
        }
        groups = parameter_groups(self, rates, self.learning_rate, self.weight_decay)
        return configure(self.trainer, groups, self.data.batches_per_epoch, self.warmup_fraction)

    def validation_step(self, batch: LessonBatch, batch_idx: int) -> None:
        """Collect the agreement with the targets, over all lessons and by group.

        ``val/agreement`` is the mean cosine. ``unseen`` has only families of denials that are not
        trained on, ``affirmed`` only texts that deny nothing.
        """
        cosines = self._cosines(batch, "validation")
        lessons = [self.data.lessons["validation"][row] for row in batch.rows.tolist()]
        groups = {
            "agreement": [True] * len(lessons),
            "unseen": [one.family in self.data.unseen for one in lessons],
            "affirmed": [one.kind == "affirmed" for one in lessons],
        }
        for name, chosen in groups.items():
            self.agreement[name].update(cosines, torch.tensor(chosen, device=cosines.device))

    def on_validation_epoch_end(self) -> None:
        """Log the agreement over all processes, and write ``validation.json``."""
        values = {}
        for name, metric in self.agreement.items():
            key = "val/agreement" if name == "agreement" else f"val/agreement/{name}"
            value = float(metric.compute())
            metric.reset()
            if math.isfinite(value):  # no lesson is of this group
                values[key] = value
        self.log_dict(values)
        if self.trainer.is_global_zero and not is_dev_run(self.trainer):
            path = Path(self.trainer.default_root_dir) / "validation.json"
            write_json(path, {"epoch": self.current_epoch, **values})

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Reject a checkpoint of another configuration, naming the first difference."""
        check_same_shapes(checkpoint["state_dict"], self.state_dict())


def _embed(tower: TextTower, texts: Sequence[str], progress: Progress) -> Tensor:
    parts = list(chunks(texts, TEXT_BATCH_SIZE))
    return torch.cat([tower.embed(part) for part in progress("teacher", len(parts), parts)])
