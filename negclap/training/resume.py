"""Resume an interrupted run: checkpoints, and logs that continue.

A checkpoint to resume from is saved after a step that neither ends an epoch nor precedes a
validation: the rest of the epoch and its validation run again, with the same outcome. The order of
items depends on the epoch, random numbers on the step, so no other state needs to be saved.
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
from torch import Tensor

from negclap.data.loading import PlanLoader, PlanSampler
from negclap.errors import InputError, reason
from negclap.storage import atomic_write, is_remote

LAST, _PREVIOUS, _NEXT = "last.ckpt", "previous.ckpt", "next.ckpt"
_CHECKPOINTS = ("best.ckpt", LAST, _PREVIOUS, _NEXT)
_RESULTS = ("validation.json", "results.json", "scores.npz")


def is_resuming(run: Path, ckpt_path: str | Path | None) -> bool:
    """Whether training from this checkpoint continues the run in the folder ``run``."""
    folder = (run / "checkpoints").resolve()
    return ckpt_path is not None and Path(ckpt_path).resolve().parent == folder


def is_dev_run(trainer: pl.Trainer) -> bool:
    """Whether this is a ``fast_dev_run``, which must not write into the run folder."""
    return bool(trainer.fast_dev_run)  # type: ignore[attr-defined]  # set from outside the class


def newest_checkpoint(folder: Path) -> Path | None:
    """Return the newest intact checkpoint to resume from, or None."""
    candidates = [folder / name for name in (_NEXT, LAST, _PREVIOUS)]
    existing = sorted(filter(Path.is_file, candidates), key=lambda path: path.stat().st_mtime)
    for path in reversed(existing):
        if is_intact(path):
            return path
        rank_zero_warn(f"{path} is damaged; trying the checkpoint before it")
    return None


def is_intact(path: Path) -> bool:
    """Whether a checkpoint is complete and its checksums match."""
    try:
        with zipfile.ZipFile(path) as file:
            return file.testzip() is None
    except (OSError, zipfile.BadZipFile, EOFError):
        return False


def check_same_shapes(saved: dict[str, Tensor], own: dict[str, Tensor]) -> None:
    """Reject the state of a checkpoint of another configuration, naming the first difference.

    Raises:
        InputError: If names or shapes differ.
    """
    for name in sorted(saved.keys() ^ own.keys()):
        owner = "the checkpoint" if name in saved else "the configured model"
        raise InputError(f"checkpoint of another configuration: only {owner} has {name!r}")
    for name, tensor in own.items():
        if tensor.shape != saved[name].shape:
            raise InputError(
                f"checkpoint of another configuration: {name!r} has shape "
                f"{tuple(saved[name].shape)}, the configured model's is {tuple(tensor.shape)}"
            )


def check_has_epochs_left(path: Path, max_epochs: int | None) -> None:
    """Reject a checkpoint of a run that has trained for more epochs than are asked for.

    Raises:
        InputError: If it has.
    """
    # memory-mapped: the weights are not read
    state = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    done = state["loops"]["fit_loop"]["epoch_progress"]["current"]["completed"]
    if max_epochs is not None and 0 <= max_epochs < done:
        raise InputError(
            f"{path}: has trained for {done} epochs, expected at most trainer.max_epochs "
            f"{max_epochs}; nothing was changed"
        )


class ResumeCheckpoints(pl.Callback):
    """Keep two checkpoints to resume from: ``last.ckpt``, and ``previous.ckpt`` before it.

    Between two of them are ``every_n_steps`` optimiser steps, or some more at the end of an epoch.
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
        """Trim the log to the resumed step, or delete the files of an earlier run."""
        self.saved_at = trainer.global_step
        _follow_schedule(trainer)
        if not trainer.is_global_zero or is_dev_run(trainer):
            return
        for path in self.folder.glob("*.ckpt.*.partial"):  # of a save that was killed
            path.unlink()
        if not is_resuming(self.run, trainer.ckpt_path):
            for path in (
                *map(self.folder.joinpath, _CHECKPOINTS),
                *map(self.run.joinpath, _RESULTS),
            ):
                path.unlink(missing_ok=True)
            return
        for logger in trainer.loggers:
            if isinstance(logger, ResumableCSVLogger):
                logger.resume_at(trainer.global_step)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Save a checkpoint if it is due, unless the epoch ends or a validation follows."""
        due = trainer.global_step - self.saved_at >= self.every_n_steps
        barred = is_dev_run(trainer) or trainer.is_last_batch or _is_before_validation(trainer)
        if due and not barred:
            self._save(trainer)
            self._unwritten_logs = True

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Write the log of the saved step, which Lightning logs only after the callbacks."""
        if self._unwritten_logs:
            for logger in trainer.loggers:
                logger.save()
            self._unwritten_logs = False

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the end of the run, so that resuming a finished run trains no further."""
        if not is_dev_run(trainer):
            self._save(trainer)

    def _save(self, trainer: pl.Trainer) -> None:
        trainer.save_checkpoint(self.folder / _NEXT)
        if trainer.is_global_zero:
            last = self.folder / LAST
            if last.exists():
                last.replace(self.folder / _PREVIOUS)
            (self.folder / _NEXT).replace(last)
        self.saved_at = trainer.global_step


def _follow_schedule(trainer: pl.Trainer) -> None:
    """Set the learning rates to those of the schedule, if the checkpoint is of another one.

    A schedule depends on the number of all steps, so a run that is made longer has another one.
    """
    for config in trainer.lr_scheduler_configs:
        scheduler: Any = config.scheduler
        factors = [factor(scheduler.last_epoch) for factor in scheduler.lr_lambdas]
        rates = [base * its for base, its in zip(scheduler.base_lrs, factors, strict=True)]
        before, now = max(scheduler.get_last_lr()), max(rates)
        if abs(now - before) > 1e-3 * max(scheduler.base_lrs):
            rank_zero_warn(
                f"the learning rate goes from {before:.2g} to {now:.2g} at step "
                f"{scheduler.last_epoch}: the schedule is of another number of steps than before"
            )
            scheduler._last_lr = rates  # has no setter
            for group, rate in zip(scheduler.optimizer.param_groups, rates, strict=True):
                group["lr"] = rate


def _is_before_validation(trainer: pl.Trainer) -> bool:
    """Whether a validation inside an epoch is due after this step."""
    loop = trainer.fit_loop
    within_epoch = trainer.check_val_every_n_epoch is not None
    done = 1 + (loop.batch_idx if within_epoch else loop.total_batch_idx)
    every = trainer.val_check_batch
    return isinstance(every, int) and done % every == 0


class BestCheckpoint(ModelCheckpoint):
    """Keep ``best.ckpt``, the checkpoint with the largest value of the ``monitor`` in validation.

    Lightning discards the best score when the folder has been moved; with ``resume``, this callback
    keeps it.
    """

    def __init__(self, folder: Path, monitor: str, resume: bool) -> None:
        super().__init__(
            folder,
            "best",
            monitor=monitor,
            mode="max",
            enable_version_counter=False,  # a new run replaces the files of an old one
        )
        self._resume = resume

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state, with paths in the present folder."""
        if self._resume:
            folder, old_folder = str(self.dirpath), str(state_dict["dirpath"])

            def moved(path: str) -> str:
                return path.replace(old_folder, folder, 1) if path.startswith(old_folder) else path

            paths = ("best_model_path", "kth_best_model_path", "last_model_path")
            best = {moved(path): score for path, score in state_dict["best_k_models"].items()}
            state_dict = {
                **state_dict,
                **{name: moved(state_dict[name]) for name in paths},
                "best_k_models": best,
                "dirpath": folder,
            }
        super().load_state_dict(state_dict)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write local checkpoints with `atomic_write`, so that no file is ever incomplete.

    Lightning's own plugin writes to the system's temporary folder, which may be another disk.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint; an `InputError` if it cannot be written (the disk is full)."""
        if is_remote(str(path)):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        target = Path(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(target, "wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
        except (OSError, RuntimeError) as error:  # torch raises RuntimeError when a disk is full
            cause = getattr(error, "strerror", None) or reason(error)
            raise InputError(
                f"{target}: cannot be written ({cause}); earlier checkpoints are kept"
            ) from None


class ResumableCSVLogger(CSVLogger):
    """Write ``metrics.csv`` into a subfolder ("" for training) of the run folder.

    With ``resume``, it appends to the rows that are there.
    """

    def __init__(self, folder: Path, subfolder: str, resume: bool) -> None:
        super().__init__(str(folder), name="", version=subfolder)
        self._path = folder / subfolder / "metrics.csv"
        self._resume = resume

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """Lightning's writer; it deletes an existing file, so its rows are set aside before."""
        backup = self._path.with_name("metrics.before.csv")
        if self._experiment is None and not self._resume:
            backup.unlink(missing_ok=True)
        elif self._experiment is None:
            if self._path.is_file() and not backup.is_file():
                self._path.replace(backup)
            rows = _read_rows(backup)
            self._experiment = super().experiment
            self._experiment.metrics = rows
            self._experiment.save()
            backup.unlink(missing_ok=True)
        return super().experiment

    def resume_at(self, step: int) -> None:
        """Drop the rows from this step on."""
        rows = [row for row in _read_rows(self._path) if int(row["step"]) < step]
        with atomic_write(self._path) as file:
            writer = csv.DictWriter(file, self.experiment.metrics_keys)
            writer.writeheader()
            writer.writerows(rows)
        rank_zero_info(f"resuming at step {step}")


def _read_rows(path: Path) -> list[dict[str, Any]]:
    """Read the complete rows; a kill may have cut off the last one."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        complete = [row for row in csv.DictReader(file) if (row.get("step") or "").isdigit()]
    return [{key: v for key, v in row.items() if key and v} for row in complete]


class ResumableLoader(PlanLoader):
    """A loader that can resume within an epoch; Lightning saves its state in checkpoints."""

    progress: Any  # Lightning's count of the batches of this epoch

    def state_dict(self) -> dict[str, int]:
        """Return the epoch and the number of batches trained on; workers may have loaded more."""
        sampler = self._plan()
        return {"epoch": sampler.epoch, "batches": self.progress.ready, **self._batch()}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Skip the batches trained on.

        Raises:
            InputError: If the batch size has changed: some tracks would be used twice or never.
        """
        batch = self._batch()
        saved = {name: state.get(name, value) for name, value in batch.items()}
        if saved != batch:
            raise InputError(
                f"the checkpoint is from the middle of an epoch with {saved}, this run has "
                f"{batch}; resume with the same values"
            )
        self._plan().begin_at(state["epoch"], state["batches"])

    def _plan(self) -> PlanSampler:
        assert isinstance(self.sampler, PlanSampler)
        return self.sampler

    def _batch(self) -> dict[str, int]:
        return {"batch_size": self._plan().batch_size, "processes": self._plan().world_size}
