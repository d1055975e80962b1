"""The LightningModule: the only place where model, loss, metrics and Lightning meet."""

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
from negclap.data.batch import Batch
from negclap.errors import InputError
from negclap.evaluation.metrics.classes import AudioEmbeddings
from negclap.evaluation.pictures import draw, portray
from negclap.evaluation.results import write_embeddings, write_json, write_results
from negclap.evaluation.suite import NegationSuite, Suite, understanding_score
from negclap.losses import SIGMOID_BIAS, LossTerms
from negclap.models.audio_encoders import AudioEncoder
from negclap.models.checkpoint import read_run
from negclap.models.clap import NegClap, ProjectionKind, Tower
from negclap.models.clap_model import take_projections
from negclap.models.lora import Lora
from negclap.models.text_encoders import TextEncoder
from negclap.rng import derive_seed
from negclap.text.probes import Statement, TextKind
from negclap.training.datamodule import NegClapDataModule
from negclap.training.embedded_texts import EmbeddedTexts
from negclap.training.objective import Objective
from negclap.training.optimizer import parameter_groups, training_steps, warmup_cosine
from negclap.training.resume import is_trial

_TEXTS_AT_ONCE = 256


class NegClapModule(pl.LightningModule):
    """Trains and tests a `NegClap` model.

    Optimiser defaults are negclap's, not stated by the paper.

    Args:
        audio_encoder: The audio tower.
        text_encoder: The text tower.
        losses: Terms of the combined loss.
        embed_dim: Size of the joint space.
        temperature: Initial temperature.
        learning_rate: AdamW's peak rate.
        pretrained_rate: Peak rate of pretrained towers, and of projections from ``clap``.
        weight_decay: AdamW's; biases, norms, embeddings and the scale have none.
        warmup_fraction: Share of all steps over which the rate rises; then it falls as a cosine.
        gallery_size: Clips per retrieval gallery, in validation and test.
        galleries: Random galleries in the test.
        recall_floor: Recall@10 of captions below which ``val/understanding`` is scaled down.
        micro_batch_size: Clips that go through the audio encoder at a time; texts in proportion.
            The loss still sees the whole batch. Costs a second forward pass, saves memory.
        compile_audio: Compile the audio encoder (torch.compile); worth its minutes on GPUs.
        audio_run: A run whose audio tower and projection, of the same shapes, are taken over and
            kept as they are: text tower and scale alone are trained (LiT, arXiv 2111.07991).
        projection: Of each tower's output into the joint space, "linear" or "mlp".
        clap: A `transformers` ClapModel whose projections and scale are taken over; the encoders
            name it, too, for their halves. Fine-tuning: configs/methods/finetune_clap.yaml.
        freeze: Towers that are kept as they are, with their projections.
        lora: Low-rank adapters in pretrained towers; needs the package peft.
    """

    def __init__(
        self,
        audio_encoder: AudioEncoder,
        text_encoder: TextEncoder,
        losses: LossTerms = LossTerms(),  # noqa: B008  # frozen, safe to share
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
        self.validation = NegationSuite(gallery_size, 1)
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
        self.heard = nn.ModuleDict(
            {name: AudioEmbeddings() for name in ("validation", "test", "twins")}
        )
        self.threshold: Tensor
        self.register_buffer("threshold", torch.tensor(float("nan")))
        self.unreadable: dict[str, Counter[str]] = defaultdict(Counter)

    @property
    def text_kinds(self) -> frozenset[TextKind]:
        """What texts training batches must hold besides the captions."""
        return self.losses.text_kinds

    # ---------------------------------------------------------------- training

    def on_fit_start(self) -> None:
        """Take over the audio tower, or fit its input statistics; the same on every rank."""
        begins = not self.trainer.ckpt_path  # else all weights are restored
        if self.audio_run is not None and begins:
            self.model.take_audio_from(read_run(self.audio_run).model)
        if self.clap is not None and begins:
            take_projections(self.model, self.clap)
        data = self.data
        if not self.model.audio_encoder.calibrated:
            self.model.audio_encoder.calibrate(data.calibration_waveforms().to(self.device))
        if self.compile_audio:
            self.model.audio_encoder.compile()  # in place: parameters keep their names

    @property
    def data(self) -> NegClapDataModule:
        """The data module of the trainer; Lightning sets it at run time."""
        data = getattr(self.trainer, "datamodule", None)
        assert isinstance(data, NegClapDataModule)
        return data

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The weighted sum of the loss terms; each is logged raw under ``train/``."""
        self.unreadable["train"].update(batch.unreadable)
        clips = self.micro_batch_size
        n_texts = len(batch.text_keys)
        texts_at_once = clips and math.ceil(clips * n_texts / len(batch.waveform))
        audio = self.model.embed_audio(batch.waveform, clips)
        # The one text call of the step.
        unique_texts = self.model.embed_text(batch.tokens, texts_at_once)
        total = torch.zeros((), device=self.device)
        texts = EmbeddedTexts(batch, unique_texts, distributed.gather_with_gradient(audio))
        for name, weight, value in self.objective.terms(self.global_step, audio, texts):
            if not torch.isfinite(value):
                raise InputError(f"step {self.global_step}: loss term {name!r} is {value.item()}")
            self.log(f"train/loss/{name}", value, batch_size=len(audio), sync_dist=True)
            total = total + weight * value
        self.log("train/loss", total, prog_bar=True, batch_size=len(audio), sync_dist=True)
        self.log("train/scale", self.model.scale, batch_size=len(audio))
        return total

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Random numbers of the step (dropout, SpecAugment) are its own, also after a resume."""
        torch.manual_seed(derive_seed(self.data.seed, "step", self.global_step, self.global_rank))

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Step, then clamp the scale."""
        super().optimizer_step(*args, **kwargs)
        self.model.clamp_scale()

    def configure_optimizers(self) -> Any:
        """AdamW with warm-up and cosine, by step."""
        optimizer = torch.optim.AdamW(
            self.parameter_groups(), fused=self.trainer.precision != "16-mixed"
        )
        # Lightning's own estimate loads the training data before it knows where a run goes on.
        trainer = self.trainer
        steps = training_steps(
            self.data.batches_per_epoch,
            trainer.limit_train_batches,
            trainer.max_epochs or -1,
            trainer.max_steps,
        )
        scheduler = warmup_cosine(optimizer, steps, self.warmup_fraction)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What is trained, by rate and decay."""
        rates = {"lora_": self.learning_rate}  # new weights, also within pretrained towers
        for tower in ("audio_encoder", "text_encoder"):
            if getattr(self.model, tower).pretrained:
                rates[f"{tower}."] = self.pretrained_rate
        if self.clap is not None:
            rates["_projection."] = self.pretrained_rate
        return parameter_groups(self, rates, self.learning_rate, self.weight_decay)

    # ------------------------------------------------- validation, test, predict

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect the embeddings of the clips and their probes."""
        self.unreadable["validation"].update(batch.unreadable)
        audio = self.model.embed_audio(batch.waveform)
        texts = EmbeddedTexts(batch, self.model.embed_text(batch.tokens), audio)
        self.validation.update(batch.index, audio, {role: texts[role] for role in batch.rows})
        self._heard("validation").update(batch.index, audio)

    def on_validation_epoch_end(self) -> None:
        """Choose the similarity threshold; log every figure and write ``validation.json``."""
        self.threshold.fill_(self.validation.threshold.choose())
        figures = self.validation.compute()
        rows, audio = self._gathered("validation")
        exam = self.data.exam_of("validation", rows)
        suite = replace(self.suite, galleries=1)
        figures |= suite.understanding(exam, audio, self.embed_statements)
        figures["understanding"] = understanding_score(figures, self.recall_floor)
        self.log_dict({f"val/{key}": value for key, value in figures.items()}, rank_zero_only=False)
        self.log("val_map10", figures["map@10/mean"], prog_bar=True, logger=False)
        if self.trainer.is_global_zero and not is_trial(self.trainer):
            folder = Path(self.trainer.default_root_dir)
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / "validation.json", {"epoch": self.current_epoch, **figures})
        self.validation.reset()
        self._report_unreadable("validation")

    def embed_statements(self, statements: Sequence[Statement]) -> Tensor:
        """``(n, d)`` unit embeddings of the statements' texts."""
        return self.embed_texts([statement.text for statement in statements])

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """``(n, d)`` unit embeddings."""
        chunks = [texts[i : i + _TEXTS_AT_ONCE] for i in range(0, len(texts), _TEXTS_AT_ONCE)]
        return torch.cat([self._embed_some(chunk) for chunk in chunks])

    def _embed_some(self, texts: Sequence[str]) -> Tensor:
        tokens = self.model.text_encoder.tokenize(texts)
        return self.model.embed_text({name: t.to(self.device) for name, t in tokens.items()})

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Collect the embeddings of the clips, or of their twins."""
        split = "twins" if dataloader_idx else "test"
        self.unreadable[split].update(batch.unreadable)
        self._heard(split).update(batch.index, self.model.embed_audio(batch.waveform))

    def _heard(self, split: str) -> AudioEmbeddings:
        heard = self.heard[split]
        assert isinstance(heard, AudioEmbeddings)
        return heard

    def _gathered(self, split: str) -> tuple[list[int], Tensor]:
        """The rows that could be read, on any rank, and their embeddings."""
        rows, audio = self._heard(split).gathered(self.model.embed_dim)
        return rows.tolist(), audio

    def on_test_epoch_end(self) -> None:
        """Log every figure under ``test/`` and write what a run leaves.

        ``results.json`` holds the figures, ``scores.npz`` the scores per track behind them.
        """
        rows, audio = self._gathered("test")
        twin_rows, twin_audio = self._gathered("twins")
        self._report_unreadable("test")
        self._report_unreadable("twins")
        exam = self.data.exam_of("test", rows, twin_rows)
        results = self.suite.run(
            exam, audio, twin_audio, self.embed_statements, float(self.threshold), together=True
        )
        if not self.trainer.is_global_zero:
            return
        estimates = self.suite.estimates(exam, results)
        folder = Path(self.trainer.default_root_dir)
        for logger in self.loggers:
            logger.log_metrics({f"test/{key}": e.value for key, e in estimates.items()})
        for logger in (one for one in self.loggers if hasattr(one, "log_image")):  # W&B
            portrait = portray(exam, audio, self.embed_texts, results.values)
            drawn = draw({folder.name: portrait}, folder / "pictures")
            logger.log_image("test/pictures", [str(picture) for picture in drawn])
        write_results(folder, estimates, results.scores, exam, self.suite)

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Embeddings of the clips and of their original captions."""
        self.unreadable["test"].update(batch.unreadable)
        return {
            "track_ids": batch.track_ids,
            "audio": self.model.embed_audio(batch.waveform).cpu(),
            "text": self.model.embed_text(batch.tokens)[batch.rows["original"]].cpu(),
        }

    def on_predict_epoch_end(self) -> None:
        """Write ``embeddings-RANK.npz`` into the run folder: track_ids, audio, text.

        Each track once; unreadable ones are reported.
        """
        outputs: Any = self.trainer.predict_loop.predictions
        self._report_unreadable("test")
        target = Path(self.trainer.default_root_dir) / f"embeddings-{self.global_rank}.npz"
        write_embeddings(target, outputs)
        rank_zero_info(f"wrote {target}")

    # ------------------------------------------------------------------- faults

    def on_train_epoch_end(self) -> None:
        """Report unreadable tracks."""
        self._report_unreadable("train")

    def _report_unreadable(self, split: str) -> None:
        """Warn of the tracks that could not be read, and stop if they are too many."""
        data = self.data
        bad = distributed.gather_messages(self.unreadable.pop(split, {}))
        if not bad:
            return
        share = len(bad) / len(data.datasets[split])
        summary = (
            f"{len(bad)} unreadable tracks in the {split} split "
            f"({100 * share:.2f} %), the first: {next(iter(bad))}"
        )
        if share > data.max_bad_fraction:
            raise InputError(f"{summary}; data.max_bad_fraction is {data.max_bad_fraction}")
        rank_zero_warn(summary)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of another configuration, naming the first difference."""
        theirs, ours = checkpoint["state_dict"], self.state_dict()
        for name in sorted(theirs.keys() ^ ours.keys()):
            owner = "the checkpoint" if name in theirs else "the configured model"
            raise InputError(f"checkpoint of another configuration: only {owner} has {name!r}")
        for name, tensor in ours.items():
            if tensor.shape != theirs[name].shape:
                raise InputError(
                    f"checkpoint of another configuration: {name!r} has shape "
                    f"{tuple(theirs[name].shape)}, the configured model's is {tuple(tensor.shape)}"
                )
