"""The LightningModule: trains, validates and tests a model."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning_utilities.core.rank_zero import rank_zero_info, rank_zero_warn
from torch import Tensor, nn

from negclap import distributed
from negclap.data.batch import Batch, Tokenize
from negclap.errors import InputError
from negclap.evaluation.exam import Exam
from negclap.evaluation.plots import plot_data, plot_models
from negclap.evaluation.results import write_embeddings, write_results
from negclap.evaluation.scoring import cached
from negclap.evaluation.suite import Evaluation, Results, Suite, understanding_score
from negclap.losses import SIGMOID_BIAS, LossTerms
from negclap.models.audio_encoders import AudioEncoder
from negclap.models.checkpoint import read_run
from negclap.models.clap import NegClap, ProjectionKind, Tower
from negclap.models.clap_model import copy_projections
from negclap.models.encoder import TEXT_BATCH_SIZE, chunks
from negclap.models.lora import Lora
from negclap.models.text_encoders import TextEncoder
from negclap.rng import derive_seed
from negclap.storage import write_json
from negclap.text.negate import Unread
from negclap.text.probes import Statement, TextKind
from negclap.training.datamodule import NegClapDataModule
from negclap.training.objective import EmbeddedTexts, Objective
from negclap.training.optimizer import configure, parameter_groups
from negclap.training.resume import check_same_shapes, is_dev_run

DEFAULT_LOSSES = LossTerms()


class NegClapModule(pl.LightningModule):
    """Trains and tests a `NegClap` model.

    The optimiser's defaults are negclap's own; the paper does not state any.

    Args:
        audio_encoder: The audio encoder.
        text_encoder: The text encoder.
        losses: Terms of the loss.
        embed_dim: Dimension of the joint space.
        temperature: Initial temperature of the contrastive loss.
        learning_rate: AdamW's peak learning rate.
        pretrained_rate: Peak learning rate of pretrained encoders, and of projections from
            ``clap``.
        weight_decay: AdamW's weight decay; biases, norms, embeddings and the scale have none.
        warmup_fraction: Fraction of all steps for the linear warm-up; cosine decay follows.
        gallery_size: Clips per retrieval gallery, in validation and test.
        galleries: Number of random galleries in the test; validation has one.
        recall_floor: Recall@10 of original captions below which ``val/understanding`` is scaled
            down.
        micro_batch_size: Clips per forward pass of the audio encoder, and texts in proportion. The
            loss is that of the whole batch. Saves memory at the cost of a second forward pass.
        compile_audio: Compile the audio encoder (torch.compile); worthwhile on GPUs.
        audio_run: Run folder to copy audio encoder and projection from; the shapes must match.
            They are frozen: only text encoder and scale are trained (LiT, arXiv 2111.07991).
        projection: Projection of each encoder's output into the joint space, "linear" or "mlp".
        clap: A `transformers` ClapModel to copy projections and scale from. Each encoder loads its
            own part: give them the same path, as configs/methods/finetune_clap.yaml does.
        freeze: Encoders to keep fixed, with their projections.
        lora: Low-rank adapters in pretrained encoders; requires the package peft.
        method: Name of the method in results and tables; by default that of the run folder.
    """

    def __init__(
        self,
        audio_encoder: AudioEncoder,
        text_encoder: TextEncoder,
        losses: LossTerms = DEFAULT_LOSSES,
        embed_dim: int = 128,
        temperature: float = 0.07,
        learning_rate: float = 1e-3,
        pretrained_rate: float = 1e-4,
        weight_decay: float = 0.05,
        warmup_fraction: float = 0.1,
        gallery_size: int = 512,
        galleries: int = 10,
        recall_floor: float = 0.0,
        micro_batch_size: int | None = None,
        compile_audio: bool = False,
        audio_run: Path | None = None,
        projection: ProjectionKind = "linear",
        clap: Path | None = None,
        freeze: tuple[Tower, ...] = (),
        lora: Lora | None = None,
        method: str = "",
    ) -> None:
        super().__init__()
        self.model = NegClap(audio_encoder, text_encoder, embed_dim, temperature, projection)
        self.losses = losses
        sigmoid = losses.contrastive.form == "sigmoid"
        self.logit_bias = nn.Parameter(torch.tensor(SIGMOID_BIAS)) if sigmoid else None
        self.objective = Objective(self.model, losses, self.logit_bias)
        self.learning_rate = learning_rate
        self.pretrained_rate = pretrained_rate
        self.weight_decay = weight_decay
        self.warmup_fraction = warmup_fraction
        self.method = method
        self.recall_floor = recall_floor
        if micro_batch_size is not None and micro_batch_size < 1:
            raise InputError(
                f"model.micro_batch_size is {micro_batch_size}, expected at least 1 or null"
            )
        self.micro_batch_size = micro_batch_size
        self.compile_audio = compile_audio
        self.audio_run = audio_run
        self.clap = clap
        if lora is not None:
            lora.add_to(self.model)
        self.model.freeze({*freeze, *(("audio",) if audio_run is not None else ())})
        self.suite = Suite(gallery_size, galleries)
        self.validation = Evaluation(replace(self.suite, galleries=1))
        self.test = Evaluation(self.suite)
        self.threshold: Tensor
        self.register_buffer("threshold", torch.tensor(float("nan")))
        self.unreadable: dict[str, Counter[str]] = defaultdict(Counter)

    @property
    def sample_rate(self) -> int:
        """Sample rate of the audio, Hz."""
        return self.model.audio_encoder.sample_rate

    @property
    def tokenize(self) -> Tokenize:
        """The text encoder's tokenizer."""
        return self.model.text_encoder.tokenize

    @property
    def unread(self) -> Unread:
        """Returns the end of a text that the text encoder does not read."""
        return self.model.text_encoder.unread

    @property
    def text_kinds(self) -> frozenset[TextKind]:
        """Kinds of texts that the losses need besides the captions."""
        return self.losses.text_kinds

    def on_fit_start(self) -> None:
        """Copy pretrained weights and fit the input statistics, the same on all processes."""
        is_new = not self.trainer.ckpt_path  # a checkpoint contains all weights
        if self.audio_run is not None and is_new:
            self.model.copy_audio_tower(read_run(self.audio_run).model)
        if self.clap is not None and is_new:
            copy_projections(self.model, self.clap)
        encoder = self.model.audio_encoder
        if not encoder.calibrated:
            encoder.calibrate(self.data.calibration_waveforms().to(self.device))
        if self.compile_audio:
            encoder.compile()  # in place, so that parameters keep their names

    @property
    def data(self) -> NegClapDataModule:
        """The trainer's data module."""
        data = getattr(self.trainer, "datamodule", None)
        assert isinstance(data, NegClapDataModule)
        return data

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the weighted sum of the loss terms; log each of them unweighted."""
        self.unreadable["train"].update(batch.unreadable)
        clips = self.micro_batch_size
        texts_at_once = clips and math.ceil(clips * len(batch.text_keys) / len(batch.waveform))
        audio = self.model.embed_audio(batch.waveform, clips)
        unique_texts = self.model.embed_text(batch.tokens, texts_at_once)
        texts = EmbeddedTexts(batch, unique_texts, distributed.gather_with_gradient(audio))
        total = torch.zeros((), device=self.device)
        for name, weight, value in self.objective.terms(self.global_step, audio, texts):
            if not torch.isfinite(value):
                raise InputError(f"step {self.global_step}: loss term {name!r} is {value.item()}")
            self.log(f"train/loss/{name}", value, batch_size=len(audio), sync_dist=True)
            total = total + weight * value
        self.log("train/loss", total, prog_bar=True, batch_size=len(audio), sync_dist=True)
        self.log("train/scale", self.model.scale, batch_size=len(audio))
        return total

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed dropout and SpecAugment by step, so that a resumed run draws the same numbers."""
        torch.manual_seed(derive_seed(self.data.seed, "step", self.global_step, self.global_rank))

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Take the step, then clamp the scale."""
        super().optimizer_step(*args, **kwargs)
        self.model.clamp_scale()

    def configure_optimizers(self) -> Any:
        """Return AdamW, and its schedule by step."""
        batches = self.data.batches_per_epoch
        return configure(self.trainer, self.parameter_groups(), batches, self.warmup_fraction)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the trained parameters grouped by learning rate and weight decay."""
        rates = {"lora_": self.learning_rate}  # new weights, even in pretrained encoders
        for encoder in ("audio_encoder", "text_encoder"):
            if getattr(self.model, encoder).pretrained:
                rates[f"{encoder}."] = self.pretrained_rate
        if self.clap is not None:
            rates["_projection."] = self.pretrained_rate
        return parameter_groups(self, rates, self.learning_rate, self.weight_decay)

    def on_validation_epoch_start(self) -> None:
        """Embed the texts of the exam."""
        self.validation.begin(self.data.exams["validation"], self.embed_statements)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Embed and collect clips."""
        self.unreadable["validation"].update(batch.unreadable)
        self.validation.update(self.model.embed_audio(batch.waveform), batch.index)

    def on_validation_epoch_end(self) -> None:
        """Compute and log every metric, choose the threshold, write ``validation.json``."""
        exam = self._exam("validation", self.validation)
        values = self.validation.compute(exam).values
        self.threshold.fill_(values.get("threshold", math.nan))
        values["understanding"] = understanding_score(values, self.recall_floor)
        self.log_dict({f"val/{key}": value for key, value in values.items()}, rank_zero_only=False)
        self.log("val_map10", values["map@10/mean"], prog_bar=True, logger=False)
        if self.trainer.is_global_zero and not is_dev_run(self.trainer):
            folder = Path(self.trainer.default_root_dir)
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / "validation.json", {"epoch": self.current_epoch, **values})

    def on_test_epoch_start(self) -> None:
        """Embed the texts of the exam."""
        self.test.begin(self.data.exams["test"], self.embed_statements)

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Embed and collect clips (first loader) or twins (second loader)."""
        self.unreadable["twins" if dataloader_idx else "test"].update(batch.unreadable)
        add = self.test.update_twins if dataloader_idx else self.test.update
        add(self.model.embed_audio(batch.waveform), batch.index)

    def on_test_epoch_end(self) -> None:
        """Compute and log every metric; write ``results.json`` and ``scores.npz``."""
        exam = self._exam("test", self.test)
        results = self.test.compute(exam, float(self.threshold))
        _, audio = self.test.clips.compute()
        if self.trainer.is_global_zero:
            self._write_results(exam, results, audio)

    def _exam(self, split: str, evaluation: Evaluation) -> Exam:
        """Return the exam about the clips that could be read, and report the others."""
        rows, twin_rows = evaluation.rows()
        self._report_unreadable(split)
        if split == "test":
            self._report_unreadable("twins")
        return self.data.exam_of(split, rows, twin_rows)

    def _write_results(self, exam: Exam, results: Results, audio: Tensor) -> None:
        estimates = self.suite.estimates(exam, results)
        folder = Path(self.trainer.default_root_dir)
        for logger in self.loggers:
            logger.log_metrics({f"test/{key}": e.value for key, e in estimates.items()})
        for logger in (one for one in self.loggers if hasattr(one, "log_image")):  # W&B
            data = plot_data(exam, audio, cached(self.embed_texts), results.values)
            paths = plot_models({folder.name: data}, folder / "pictures")
            logger.log_image("test/pictures", [str(path) for path in paths])
        scores, method, seed = results.scores, self.method or folder.name, self.data.seed
        write_results(folder, estimates, scores, exam, self.suite, method=method, seed=seed)

    def embed_statements(self, statements: Sequence[Statement]) -> Tensor:
        """Embed the texts of statements: ``(n, d)``, unit length."""
        return self.embed_texts([statement.text for statement in statements])

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Embed texts: ``(n, d)``, unit length."""
        parts = []
        for chunk in chunks(texts, TEXT_BATCH_SIZE):
            tokens = {name: t.to(self.device) for name, t in self.tokenize(chunk).items()}
            parts.append(self.model.embed_text(tokens))
        return torch.cat(parts)

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Embed clips and their captions."""
        self.unreadable["test"].update(batch.unreadable)
        return {
            "track_ids": batch.track_ids,
            "audio": self.model.embed_audio(batch.waveform).cpu(),
            "text": self.model.embed_text(batch.tokens)[batch.rows.caption].cpu(),
        }

    def on_predict_epoch_end(self) -> None:
        """Write ``embeddings-RANK.npz``: ``track_ids``, ``audio`` and ``text``, each track once."""
        outputs: Any = self.trainer.predict_loop.predictions
        self._report_unreadable("test")
        target = Path(self.trainer.default_root_dir) / f"embeddings-{self.global_rank}.npz"
        write_embeddings(target, outputs)
        rank_zero_info(f"wrote {target}")

    def on_train_epoch_end(self) -> None:
        """Report unreadable tracks."""
        self._report_unreadable("train")

    def _report_unreadable(self, split: str) -> None:
        """Warn of unreadable tracks; raise an InputError if there are too many."""
        bad = distributed.gather_messages(self.unreadable.pop(split, {}))
        if not bad:
            return
        share, limit = len(bad) / len(self.data.datasets[split]), self.data.max_bad_fraction
        summary = (
            f"{len(bad)} unreadable tracks in the {split} split "
            f"({100 * share:.2f} %), the first: {next(iter(bad))}"
        )
        if share > limit:
            raise InputError(f"{summary}; data.max_bad_fraction is {limit}")
        rank_zero_warn(summary)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Reject a checkpoint of another configuration, naming the first difference."""
        check_same_shapes(checkpoint["state_dict"], self.state_dict())
