"""Callbacks: only what Lightning lacks."""

import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning_utilities.core.rank_zero import rank_zero_warn

from negclap.evaluation.results import write_json
from negclap.models.clap import MAX_SCALE
from negclap.training.module import NegClapModule
from negclap.training.resume import is_trial

_PACKAGES = ("negclap", "torch", "torchaudio", "lightning", "transformers", "torchmetrics")


class RunRecord(pl.Callback):
    """Leaves in the run folder what it takes to do the run again: ``environment.json``.

    The resolved configuration is written by Lightning's SaveConfigCallback.
    """

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Write the git revision, the versions and the command."""
        if stage == "fit" and trainer.is_global_zero and not is_trial(trainer):
            folder = Path(trainer.default_root_dir)
            folder.mkdir(parents=True, exist_ok=True)
            record = {
                "command": sys.argv,
                "git_revision": _git_revision(),
                "python": platform.python_version(),
                "machine": platform.platform(),
                "world_size": trainer.world_size,
                "versions": {name: version(name) for name in _PACKAGES},
            }
            write_json(folder / "environment.json", record)


def _git_revision() -> str | None:
    """The revision of the sources, "-dirty" behind it if they were changed; None without git."""
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


class DataWait(pl.Callback):
    """Logs ``train/data_wait``: the share of its time that training waits for batches.

    Near 0 the loader keeps up; near 1 it is what takes the time: more workers, or shards.
    """

    def __init__(self) -> None:
        self._began = self._ended = 0.0

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """A batch is there; how long did it take beside the step before?"""
        now = time.perf_counter()
        if self._ended > self._began:
            wait, step = now - self._ended, self._ended - self._began
            pl_module.log("train/data_wait", wait / (wait + step), batch_size=1)
        self._began = now

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any
    ) -> None:
        """The step is done."""
        self._ended = time.perf_counter()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """What lies between epochs is no waiting."""
        self._began = self._ended = 0.0

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Nor is a validation."""
        self._began = self._ended = 0.0


class FailureSigns(pl.Callback):
    """Watches for the ways in which contrastive training is known to fail; one line each.

    Args:
        collapse_cosine: Mean cosine between different clips above which embeddings collapsed.
        discrimination: Original-vs-fully accuracy that a model trained on negation should pass
            after the warm-up epochs.
        warmup_epochs: Epochs before discrimination is judged.
        retrieval_drop: Share of its best value below which affirmative mAP@10 has fallen.
    """

    def __init__(
        self,
        collapse_cosine: float = 0.95,
        discrimination: float = 0.6,
        warmup_epochs: int = 3,
        retrieval_drop: float = 0.8,
    ) -> None:
        self.collapse_cosine = collapse_cosine
        self.discrimination = discrimination
        self.warmup_epochs = warmup_epochs
        self.retrieval_drop = retrieval_drop
        self.best_map = 0.0

    def state_dict(self) -> dict[str, Any]:
        """Kept in the checkpoint."""
        return {"best_map": self.best_map}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Taken from the checkpoint."""
        self.best_map = state_dict["best_map"]

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Judge the epoch."""
        assert isinstance(pl_module, NegClapModule)
        data = pl_module.data
        negates = bool(pl_module.text_kinds or data.insert.p or data.exclude.share)
        figures = {key: float(value) for key, value in trainer.callback_metrics.items()}
        scale = float(pl_module.model.scale.detach())
        for sign in self.signs(figures, scale, trainer.current_epoch, negates):
            rank_zero_warn(f"epoch {trainer.current_epoch}: {sign}")

    def signs(
        self, figures: dict[str, float], scale: float, epoch: int, negates: bool
    ) -> list[str]:
        """The failure signs in the figures of a validation epoch, each in one line.

        Args:
            figures: By key, as they are logged.
            scale: Inverse temperature.
            epoch: Counted from 0.
            negates: Whether the model is trained on negation at all.
        """
        found = []
        if scale >= MAX_SCALE * 0.999:
            found.append(f"the temperature is at its clamp (scale {scale:.1f})")
        spread = figures.get("val/mean_cosine", 0.0)
        if spread > self.collapse_cosine:
            found.append(f"audio embeddings collapse (mean cosine {spread:.3f} between clips)")
        accuracy = figures.get("val/pairwise/original_vs_fully", 1.0)
        judged = negates and epoch + 1 > self.warmup_epochs
        if judged and accuracy < self.discrimination:
            found.append(
                f"original and fully negated captions are hardly told apart ({accuracy:.3f})"
            )
        current = figures.get("val/map@10/mean", 0.0)
        if current < self.retrieval_drop * self.best_map:
            found.append(f"affirmative mAP@10 fell to {current:.3f} from {self.best_map:.3f}")
        self.best_map = max(self.best_map, current)
        return found
