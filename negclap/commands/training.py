"""``negclap fit | validate | test | predict``: the LightningCLI.

Apart from `cli` only because Lightning takes seconds to import.
"""

import warnings
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch.callbacks import LearningRateMonitor
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import Logger
from lightning.pytorch.trainer import Trainer

from negclap.commands.tables import print_results
from negclap.errors import InputError
from negclap.training.callbacks import DataWait, FailureSigns, RunRecord
from negclap.training.datamodule import NegClapDataModule
from negclap.training.module import NegClapModule
from negclap.training.resume import (
    BestCheckpoint,
    ResumePoints,
    RunLog,
    WholeCheckpoints,
    goes_on,
    is_whole,
    newest_point,
)


class NegClapCLI(LightningCLI):
    """LightningCLI with one run folder for everything that a run leaves behind.

    ``--run_dir`` holds ``config.yaml`` (resolved), ``environment.json``, ``metrics.csv``,
    ``checkpoints/best.ckpt``, ``last.ckpt`` and ``previous.ckpt``, and after a test
    ``results.json``. Loggers of the configuration (W&B) come on top of the CSV.
    """

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """One folder and the names of its parts."""
        parser.add_argument("--run_dir", type=str, default="runs/default", help="the run's folder")
        parser.add_argument(
            "--save_every_n_steps", type=int, default=200, help="steps between points to go on from"
        )
        parser.add_argument("--all", action="store_true", help="test: print every figure")
        parser.link_arguments("run_dir", "trainer.default_root_dir")
        parser.link_arguments("seed_everything", "data.seed")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Find the checkpoint, and refuse what would fail only after hours.

        Without ``--ckpt_path``, validate, test and predict take the run folder's best one. Fit with
        ``--ckpt_path last`` goes on where the run was stopped, or begins where there is nothing.
        """
        super().parse_arguments(parser, args)
        subcommand = self.config.get("subcommand")
        if subcommand is None:
            return
        config = self.config[subcommand]
        if subcommand == "fit":
            _check_validation_schedule(config.trainer)
            _check_accumulation(config.trainer)
        else:
            _check_run_folder(config)
        if subcommand != "fit" and config.ckpt_path is None:
            config.ckpt_path = str(Path(config.run_dir) / "checkpoints" / "best.ckpt")
        if config.ckpt_path == "last":
            folder = Path(config.run_dir) / "checkpoints"
            point = newest_point(folder)
            if point is None and subcommand != "fit":
                raise InputError(f"{folder}: no whole checkpoint there")
            config.ckpt_path = point and str(point)
        elif config.ckpt_path is not None:
            _check_checkpoint(Path(config.ckpt_path))

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Add the callbacks and the CSV logger that every run has."""
        config = self._get(self.config_init, "trainer")
        folder = Path(config["default_root_dir"])
        given: list[Logger] = _as_list(config["logger"])
        part = "" if self.subcommand in (None, "fit") else str(self.subcommand)
        every = self._get(self.config_init, "save_every_n_steps")
        best = BestCheckpoint(folder / "checkpoints", self._goes_on(folder))
        own = [best, LearningRateMonitor("step"), RunRecord(), FailureSigns()]
        own += [ResumePoints(folder, every), DataWait()]
        kwargs["callbacks"] = [*_as_list(config["callbacks"]), *own]
        kwargs["plugins"] = [*_as_list(config["plugins"]), WholeCheckpoints()]
        kwargs["logger"] = [RunLog(folder, part, self._goes_on(folder)), *given]
        trainer: Trainer = super().instantiate_trainer(**kwargs)
        return trainer

    def after_test(self) -> None:
        """Print the results; `negclap test` has written them."""
        if self.trainer.is_global_zero:
            print_results(
                Path(self.trainer.default_root_dir) / "results.json", self._get(self.config, "all")
            )

    def _goes_on(self, folder: Path) -> bool:
        """Whether this is a training that goes on."""
        return self.subcommand == "fit" and goes_on(folder, self._get(self.config, "ckpt_path"))


class RunConfig(SaveConfigCallback):
    """``config.yaml`` of a run folder: what the run is, not where it went on."""

    def __init__(self, parser: Any, config: Any, **kwargs: Any) -> None:
        config = config.clone()
        if "ckpt_path" in config:  # not where a caller of `parse` runs the trainer itself
            config.ckpt_path = None
        super().__init__(parser, config, **kwargs)


def _check_checkpoint(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"{path}: no checkpoint there")
    if not is_whole(path):
        raise InputError(f"{path}: not a checkpoint, or a torn one")


def _check_run_folder(config: Any) -> None:
    """A run folder that was renamed would test, and write into, the one of its old name."""
    for file in map(Path, config.get("config") or ()):
        is_run = file.name == "config.yaml" and (file.parent / "checkpoints").is_dir()
        moved = is_run and file.parent.resolve() != Path(config.run_dir).resolve()
        if moved and yaml.safe_load(file.read_text())["run_dir"] == config.run_dir:
            raise InputError(
                f"{file} is of the run folder {config.run_dir}; was it moved? "
                f"Say --run_dir {file.parent}"
            )


def _check_validation_schedule(trainer: Any) -> None:
    """Checkpoints are selected on validation: the last epoch must have one."""
    epochs, every = trainer.max_epochs, trainer.check_val_every_n_epoch
    if epochs and epochs > 0 and every and epochs % every:
        raise InputError(
            f"trainer.max_epochs is {epochs}, no multiple of trainer.check_val_every_n_epoch "
            f"{every}: the last epochs would never be validated or saved"
        )


def _check_accumulation(trainer: Any) -> None:
    """Gradients of small batches add up to the average small batch, not to a large one."""
    if trainer.accumulate_grad_batches > 1:
        raise InputError(
            f"trainer.accumulate_grad_batches is {trainer.accumulate_grad_batches}: a clip would "
            "still be told only from those of its own small batch, since negatives do not "
            "accumulate; raise data.batch_size and set model.micro_batch_size instead"
        )


def _as_list(given: Any) -> list[Any]:
    if given is None or isinstance(given, bool):
        return []
    return list(given) if isinstance(given, list) else [given]


def parse(arguments: list[str], run: bool = False) -> NegClapCLI:
    """Parse the arguments of a subcommand and instantiate all that they name; ``run`` it, too."""
    return NegClapCLI(
        NegClapModule,
        NegClapDataModule,
        args=arguments if run else arguments[1:],
        run=run,
        save_config_callback=RunConfig,
        seed_everything_default=0,
        parser_kwargs={"parser_mode": "omegaconf+"},
        save_config_kwargs={"overwrite": True},
        # The data module has its own sampling plan.
        trainer_defaults={"use_distributed_sampler": False, "num_sanity_val_steps": 0},
    )


def run(arguments: list[str]) -> None:
    """Run one subcommand.

    Raises:
        InputError: On a user's mistake in the data, the configuration's values or the checkpoint.
    """
    for noise in ("LightningCLI's args parameter", "Experiment logs directory", ".*LeafSpec"):
        warnings.filterwarnings("ignore", message=noise)
    parse(arguments, run=True)
