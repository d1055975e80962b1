"""``negclap fit | validate | test | predict``: the LightningCLI.

Not part of `cli`, because Lightning takes seconds to import.
"""

from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.callbacks import Callback, LearningRateMonitor
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.trainer import Trainer
from omegaconf.errors import OmegaConfBaseException

from negclap.commands.configs import arrange
from negclap.commands.noise import silence_framework
from negclap.commands.tables import print_results
from negclap.errors import InputError, reason
from negclap.training.callbacks import DataWait, HealthCheck, SaveEnvironment
from negclap.training.datamodule import NegClapDataModule
from negclap.training.lesson_data import LessonDataModule
from negclap.training.module import NegClapModule
from negclap.training.resume import (
    AtomicCheckpointIO,
    BestCheckpoint,
    ResumableCSVLogger,
    ResumeCheckpoints,
    check_has_epochs_left,
    is_intact,
    is_resuming,
    newest_checkpoint,
)
from negclap.training.teaching import TeachModule


class NegClapCLI(LightningCLI):
    """LightningCLI with one folder for all files of a run.

    ``--run_dir`` contains ``config.yaml`` (resolved), ``environment.json``, ``metrics.csv``,
    ``checkpoints/best.ckpt``, ``last.ckpt`` and ``previous.ckpt``, and after a test
    ``results.json``. Loggers of the configuration (W&B) are used in addition to the CSV.
    """

    passed_on: tuple[str, ...] = ("sample_rate", "tokenize", "text_kinds", "unread")
    """What the data module gets from the model."""
    monitor = "val/map@10/mean"
    """Metric of validation that selects the best checkpoint."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options of a run, and pass on the values that several parts share."""
        add = parser.add_argument
        add("--run_dir", type=str, default="runs/default", help="Folder of the run.")
        add("--save_every_n_steps", type=int, default=200, help="Steps between checkpoints.")
        add("--all", action="store_true", help="Print all metrics, not the most important ones.")
        add("--method", default="", help="Name in tables; by default that of the run folder.")
        parser.link_arguments("run_dir", "trainer.default_root_dir")
        parser.link_arguments("seed_everything", "data.seed")
        parser.link_arguments("method", "model.method")
        for name in self.passed_on:
            parser.link_arguments(f"model.{name}", f"data.{name}", apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Find the checkpoint, and reject configurations that would fail only after hours.

        Without ``--ckpt_path``, validate, test and predict use the best checkpoint of the run. With
        ``--ckpt_path last``, fit resumes an interrupted run, or starts a new one.
        """
        try:
            super().parse_arguments(parser, args)
        except OmegaConfBaseException as error:
            place = (error.full_key or "").partition(".")[2]  # without the subcommand
            raise InputError(
                f"{place}: {reason(error)}; keys are found relative to the place "
                "where they stand: ${.name} is beside it, ${..data.seed} one level up"
            ) from None
        subcommand = self.config.get("subcommand")
        if subcommand is None:
            return
        config = self.config[subcommand]
        folder = Path(config.run_dir) / "checkpoints"
        if subcommand == "fit":
            _check_validation_schedule(config.trainer)
            _check_accumulation(config.trainer)
        else:
            _check_run_folder(config)
            if config.ckpt_path is None:
                config.ckpt_path = str(folder / "best.ckpt")
        if subcommand == "validate":
            config.verbose = False  # `after_validate` prints
        if config.ckpt_path == "last":
            newest = newest_checkpoint(folder)
            if newest is None and subcommand != "fit":
                raise InputError(f"{folder}: no intact checkpoint; train with negclap fit first")
            config.ckpt_path = newest and str(newest)
        elif config.ckpt_path is not None:
            _check_checkpoint(Path(config.ckpt_path))
        if subcommand == "fit" and is_resuming(Path(config.run_dir), config.ckpt_path):
            check_has_epochs_left(Path(config.ckpt_path), config.trainer.max_epochs)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Add the callbacks, the CSV logger and the checkpoint plugin that every run has."""
        config = self._get(self.config_init, "trainer")
        folder = Path(config["default_root_dir"])
        subfolder = "" if self.subcommand in (None, "fit") else str(self.subcommand)
        checkpoint = self._get(self.config, "ckpt_path")
        resume = self.subcommand == "fit" and is_resuming(folder, checkpoint)
        logger = ResumableCSVLogger(folder, subfolder, resume)
        kwargs["callbacks"] = [
            *_as_list(config["callbacks"]),
            BestCheckpoint(folder / "checkpoints", self.monitor, resume),
            LearningRateMonitor("step"),
            SaveEnvironment(),
            *self.health_checks(),
            ResumeCheckpoints(folder, self._get(self.config_init, "save_every_n_steps")),
            DataWait(),
        ]
        kwargs["plugins"] = [*_as_list(config["plugins"]), AtomicCheckpointIO()]
        kwargs["logger"] = [logger, *_as_list(config["logger"])]
        trainer: Trainer = super().instantiate_trainer(**kwargs)
        return trainer

    def health_checks(self) -> list[Callback]:
        """Return the callbacks that warn of failures of this kind of training."""
        return [HealthCheck()]

    def after_validate(self) -> None:
        """Print what the validation has written."""
        self._print("validation.json", "validation")

    def after_test(self) -> None:
        """Print what the test has written."""
        self._print("results.json", "test")

    def _print(self, name: str, split: str) -> None:
        if self.trainer.is_global_zero:
            path = Path(self.trainer.default_root_dir) / name
            print_results(path, split, self._get(self.config, "all"))


class TeachCLI(NegClapCLI):
    """The same for teaching, whose data are texts alone."""

    passed_on = ("tokenize",)
    monitor = "val/agreement"

    def health_checks(self) -> list[Callback]:
        """Return none: those of training watch audio."""
        return []


class SaveRunConfig(SaveConfigCallback):
    """Write ``config.yaml`` of a run folder, without the checkpoint that the run resumed from."""

    def __init__(self, parser: Any, config: Any, **kwargs: Any) -> None:
        config = config.clone()
        if "ckpt_path" in config:  # absent if a caller of `parse` runs the trainer
            config.ckpt_path = None
        config.pop("all", None)  # an option of a command, not of a run
        super().__init__(parser, config, **kwargs)


def _check_checkpoint(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint")
    if not is_intact(path):
        raise InputError(f"{path}: not a checkpoint, or a damaged one")


def _check_run_folder(config: Any) -> None:
    """Reject a moved run folder: its config.yaml names the old one, which would be used."""
    for file in map(Path, config.get("config") or ()):
        is_run = file.name == "config.yaml" and (file.parent / "checkpoints").is_dir()
        moved = is_run and file.parent.resolve() != Path(config.run_dir).resolve()
        if moved and yaml.safe_load(file.read_text())["run_dir"] == config.run_dir:
            raise InputError(
                f"{file}: run_dir is {config.run_dir}; if the folder was moved, pass "
                f"--run_dir {file.parent}"
            )


def _check_validation_schedule(trainer: Any) -> None:
    """Reject a training whose last epochs have no validation, which selects the checkpoint."""
    epochs, every = trainer.max_epochs, trainer.check_val_every_n_epoch
    if epochs and epochs > 0 and every and epochs % every:
        raise InputError(
            f"trainer.max_epochs is {epochs}, not a multiple of trainer.check_val_every_n_epoch "
            f"{every}: the last epochs would never be validated or saved"
        )


def _check_accumulation(trainer: Any) -> None:
    """Reject gradient accumulation: the loss of a large batch is not the mean of small ones."""
    if trainer.accumulate_grad_batches > 1:
        raise InputError(
            f"trainer.accumulate_grad_batches is {trainer.accumulate_grad_batches}, expected 1: "
            "negatives do not accumulate over batches; for a larger batch in the same memory, "
            "raise data.batch_size and set model.micro_batch_size"
        )


def _as_list(value: Any) -> list[Any]:
    if value is None or isinstance(value, bool):
        return []
    return list(value) if isinstance(value, list) else [value]


def parse(arguments: list[str], run: bool = False) -> NegClapCLI:
    """Parse the arguments of a subcommand, instantiate its objects, and ``run`` it if asked to."""
    return _parse(NegClapCLI, NegClapModule, NegClapDataModule, arguments, run)


def parse_teaching(arguments: list[str], run: bool = False) -> NegClapCLI:
    """Do the same for ``fit`` of a teaching."""
    return _parse(TeachCLI, TeachModule, LessonDataModule, arguments, run)


def _parse(
    cli: type[NegClapCLI],
    module: type[LightningModule],
    data: type[LightningDataModule],
    arguments: list[str],
    run: bool,
) -> NegClapCLI:
    return cli(
        module,
        data,
        args=arrange(arguments if run else arguments[1:]),
        run=run,
        save_config_callback=SaveRunConfig,
        seed_everything_default=0,
        parser_kwargs={"parser_mode": "omegaconf+", "exit_on_error": False, "allow_abbrev": False},
        save_config_kwargs={"overwrite": True},
        # the data module has its own sampler
        trainer_defaults={"use_distributed_sampler": False, "num_sanity_val_steps": 0},
    )


def run(arguments: list[str]) -> None:
    """Run one subcommand.

    Raises:
        ArgumentError: If an argument or a key of a configuration is not valid.
        InputError: On a user's mistake in the data, the configuration's values or the checkpoint.
    """
    silence_framework()
    parse(arguments, run=True)


def teach(arguments: list[str]) -> NegClapCLI:
    """Run the training of a teaching, given the arguments of its ``fit``."""
    silence_framework()
    return parse_teaching(["fit", *arguments], run=True)
