"""Going on where a run was stopped: points to go on from, written whole, found again.

A point is a Lightning checkpoint that is taken after a step that neither ends an epoch nor is
followed by a validation, so a run that goes on has always the same kind of state to go on from:
what follows (the rest of the epoch, its validation) happens once more, with the same outcome. The
order of items is a function of the epoch, random numbers are one of the step (`NegClapModule`), so
nothing else has to be kept.
"""

import csv
import os
import zipfile
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning_utilities.core.rank_zero import rank_zero_info, rank_zero_warn

from negclap.errors import InputError
from negclap.storage import is_remote, writing

LAST, _PREVIOUS, _NEXT = "last.ckpt", "previous.ckpt", "next.ckpt"
_OF_A_RUN = ("best.ckpt", LAST, _PREVIOUS, _NEXT)
_FIGURES = ("validation.json", "results.json", "scores.npz")


def goes_on(run: Path, ckpt_path: str | Path | None) -> bool:
    """Whether a training from this checkpoint is the run in this folder, going on."""
    folder = (run / "checkpoints").resolve()
    return ckpt_path is not None and Path(ckpt_path).resolve().parent == folder


class ResumePoints(pl.Callback):
    """Keeps ``last.ckpt`` and ``previous.ckpt``, the one before, in the run's checkpoints.

    Args:
        run: The run folder.
        every_n_steps: Optimiser steps between two points, or some more.
    """

    def __init__(self, run: Path, every_n_steps: int) -> None:
        if every_n_steps < 1:
            raise InputError(f"save_every_n_steps is {every_n_steps}, expected at least 1")
        self.run = run
        self.folder = run / "checkpoints"
        self.every_n_steps = every_n_steps
        self.saved_at = 0
        self._unwritten_logs = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count from here; tell the log where a run goes on, or forget the run of before."""
        self.saved_at = trainer.global_step
        if not trainer.is_global_zero or is_trial(trainer):
            return
        if not goes_on(self.run, trainer.ckpt_path):
            old = [self.folder / name for name in _OF_A_RUN]
            for path in (*old, *(self.run / name for name in _FIGURES)):
                path.unlink(missing_ok=True)
            return
        for logger in trainer.loggers:
            if isinstance(logger, RunLog):
                logger.go_on_at(trainer.global_step)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any
    ) -> None:
        """Save where it is time, unless the epoch ends or a validation follows."""
        due = trainer.global_step - self.saved_at >= self.every_n_steps
        if (
            due
            and not is_trial(trainer)
            and not trainer.is_last_batch
            and not _is_before_validation(trainer)
        ):
            self._save(trainer)
            self._unwritten_logs = True

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any
    ) -> None:
        """Write the log of the step that was saved; Lightning logs it after the callbacks."""
        if self._unwritten_logs:
            for logger in trainer.loggers:
                logger.save()
            self._unwritten_logs = False

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """So that a run that is done is found to be done."""
        if not is_trial(trainer):
            self._save(trainer)

    def _save(self, trainer: pl.Trainer) -> None:
        trainer.save_checkpoint(self.folder / _NEXT)
        if trainer.is_global_zero:
            last = self.folder / LAST
            if last.exists():
                last.replace(self.folder / _PREVIOUS)
            (self.folder / _NEXT).replace(last)
        self.saved_at = trainer.global_step


class BestCheckpoint(ModelCheckpoint):
    """``best.ckpt``, also of a run that goes on after its folder was moved.

    Lightning forgets the best score where the folder has another name than it had.

    Args:
        folder: Of the checkpoints.
        goes_on: Whether there may be one to go on from.
    """

    def __init__(self, folder: Path, goes_on: bool) -> None:
        super().__init__(
            folder,
            "best",
            monitor="val/map@10/mean",
            mode="max",
            enable_version_counter=False,  # a new run in the folder replaces the old one's files
        )
        self._goes_on = goes_on

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Taken from the checkpoint, with the files where they are now."""
        if self._goes_on:
            here = str(self.dirpath)
            was = str(state_dict["dirpath"])

            def moved(path: str) -> str:
                return path.replace(was, here, 1) if path.startswith(was) else path

            paths = ("best_model_path", "kth_best_model_path", "last_model_path")
            best = state_dict["best_k_models"].items()
            state_dict = {
                **state_dict,
                **{name: moved(state_dict[name]) for name in paths},
                "best_k_models": {moved(path): score for path, score in best},
                "dirpath": here,
            }
        super().load_state_dict(state_dict)


def is_trial(trainer: pl.Trainer) -> bool:
    """Whether Lightning only tries the code and keeps nothing."""
    return bool(trainer.fast_dev_run)  # type: ignore[attr-defined]  # Lightning sets it from outside of the class


def _is_before_validation(trainer: pl.Trainer) -> bool:
    """Whether a validation inside an epoch is due after this step."""
    loop = trainer.fit_loop
    within_epoch = trainer.check_val_every_n_epoch is not None
    done = 1 + (loop.batch_idx if within_epoch else loop.total_batch_idx)
    every = trainer.val_check_batch
    return isinstance(every, int) and done % every == 0


def newest_point(folder: Path) -> Path | None:
    """The newest checkpoint to go on from that is whole; None where there is none."""
    points = [folder / name for name in (_NEXT, LAST, _PREVIOUS)]
    there = sorted(filter(Path.is_file, points), key=lambda path: path.stat().st_mtime)
    for path in reversed(there):
        if is_whole(path):
            return path
        rank_zero_warn(f"{path}: a torn checkpoint, the one before it is taken")
    return None


def is_whole(path: Path) -> bool:
    """Whether a checkpoint's bytes are all there, as its check sums say."""
    try:
        with zipfile.ZipFile(path) as file:
            return file.testzip() is None
    except (OSError, zipfile.BadZipFile, EOFError):
        return False


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint under another name, in its own folder, and renames it when it is whole.

    (Lightning writes to the system's temporary folder, from where it may have to be copied.)
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write it.

        Raises:
            InputError: If it cannot be written, since the disk is full, say; nothing else is lost.
        """
        if is_remote(str(path)):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        target = Path(path)
        partial = target.with_name(target.name + ".partial")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        except (OSError, RuntimeError) as error:  # torch has its own for a disk that is full
            partial.unlink(missing_ok=True)
            reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
            raise InputError(
                f"{target}: cannot be written ({reason}); checkpoints before it are as they were"
            ) from None


class RunLog(CSVLogger):
    """``metrics.csv`` of a run folder; a run that goes on keeps the rows of the steps before.

    Args:
        folder: The run folder.
        part: Folder below it, of a part of a run that is no training.
        goes_on: Whether there may be rows to keep.
    """

    def __init__(self, folder: Path, part: str, goes_on: bool) -> None:
        super().__init__(str(folder), name="", version=part)
        self._path = folder / part / "metrics.csv"
        self._goes_on = goes_on

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """Lightning's writer, which deletes the file when it is made."""
        kept = self._path.with_name("metrics.before.csv")
        if self._experiment is None and not self._goes_on:
            kept.unlink(missing_ok=True)
        elif self._experiment is None:
            if self._path.is_file() and not kept.is_file():
                self._path.replace(kept)
            rows = _read_rows(kept)
            self._experiment = super().experiment
            self._experiment.metrics = rows
            self._experiment.save()
            kept.unlink(missing_ok=True)
        return super().experiment

    def go_on_at(self, step: int) -> None:
        """Forget the rows of a step and of those behind it."""
        rows = [row for row in _read_rows(self._path) if int(row["step"]) < step]
        with writing(self._path) as file:
            writer = csv.DictWriter(file, self.experiment.metrics_keys)
            writer.writeheader()
            writer.writerows(rows)
        rank_zero_info(f"going on at step {step}")


def _read_rows(path: Path) -> list[dict[str, Any]]:
    """Whole rows; a kill may have cut the last one."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        whole = [row for row in csv.DictReader(file) if (row.get("step") or "").isdigit()]
    return [{key: v for key, v in row.items() if key and v} for row in whole]
