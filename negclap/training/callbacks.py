"""Callbacks that Lightning does not have."""

import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning_utilities.core.rank_zero import rank_zero_warn

from negclap.models.clap import MAX_SCALE
from negclap.storage import write_json
from negclap.training.module import NegClapModule
from negclap.training.resume import is_dev_run

_PACKAGES = ("negclap", "torch", "torchaudio", "lightning", "transformers", "torchmetrics")


class SaveEnvironment(pl.Callback):
    """Write ``environment.json`` into the run folder: command, git revision, versions, machine.

    Together with ``config.yaml`` (from Lightning's SaveConfigCallback) it makes a run repeatable.
    """

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Write the file before training."""
        if stage != "fit" or not trainer.is_global_zero or is_dev_run(trainer):
            return
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
    """Return the commit of the sources, with "-dirty" if they were changed; None without git."""
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


class DataWait(pl.Callback):
    """Log ``train/data_wait``: the fraction of training time spent waiting for batches.

    Near 0 the loader keeps up. Near 1 it is the bottleneck: use more workers, or shards.
    """

    def __init__(self) -> None:
        self._step_start = self._step_end = 0.0

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any
    ) -> None:
        """Compare the wait for this batch with the step before it."""
        now = time.perf_counter()
        if self._step_end > self._step_start:
            wait, step = now - self._step_end, self._step_end - self._step_start
            pl_module.log("train/data_wait", wait / (wait + step), batch_size=1)
        self._step_start = now

    def on_train_batch_end(self, *_: Any) -> None:
        """Record the end of the step."""
        self._step_end = time.perf_counter()

    def on_train_epoch_start(self, *_: Any) -> None:
        """Do not count the time between epochs."""
        self._step_start = self._step_end = 0.0

    def on_validation_end(self, *_: Any) -> None:
        """Do not count the time of a validation."""
        self._step_start = self._step_end = 0.0


class HealthCheck(pl.Callback):
    """Warn, after a validation, about known failures of contrastive training.

    Args:
        collapse_cosine: Mean cosine between different clips above which embeddings have collapsed.
        discrimination: Accuracy of original against fully negated captions that a model trained on
            negation should reach after the warm-up epochs.
        warmup_epochs: Epochs before discrimination is checked.
        retrieval_drop: Fraction of its best value below which affirmative mAP@10 has dropped.
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
        """Return the state that a checkpoint keeps."""
        return {"best_map": self.best_map}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state from a checkpoint."""
        self.best_map = state_dict["best_map"]

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the warnings of this epoch."""
        assert isinstance(pl_module, NegClapModule)
        data = pl_module.data
        negates = bool(pl_module.text_kinds or data.insert.p or data.exclude.share)
        metrics = {key: float(value) for key, value in trainer.callback_metrics.items()}
        scale = float(pl_module.model.scale.detach())
        for message in self.check(metrics, scale, trainer.current_epoch, negates):
            rank_zero_warn(f"epoch {trainer.current_epoch}: {message}")

    def check(
        self, metrics: dict[str, float], scale: float, epoch: int, negates: bool
    ) -> list[str]:
        """Return a line for each failure that the metrics of an epoch (from 0) show.

        ``scale`` is the inverse temperature; ``negates`` is whether negation is trained.
        """
        messages = []
        if scale >= MAX_SCALE * 0.999:
            messages.append(f"the scale (inverse temperature) is at its maximum, {scale:.1f}")
        cosine = metrics.get("val/mean_cosine", 0.0)
        if cosine > self.collapse_cosine:
            message = f"audio embeddings have collapsed (mean cosine {cosine:.3f} between clips)"
            messages.append(message)
        accuracy = metrics.get("val/pairwise/original_vs_fully", 1.0)
        if negates and epoch + 1 > self.warmup_epochs and accuracy < self.discrimination:
            messages.append(
                "the model hardly distinguishes original from fully negated captions "
                f"(accuracy {accuracy:.3f})"
            )
        current = metrics.get("val/map@10/mean", 0.0)
        if current < self.retrieval_drop * self.best_map:
            messages.append(f"affirmative mAP@10 dropped from {self.best_map:.3f} to {current:.3f}")
        self.best_map = max(self.best_map, current)
        return messages
