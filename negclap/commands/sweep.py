"""`negclap sweep`: search hyperparameters locally."""

from argparse import REMAINDER
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import PositiveInt
from rich.console import Console

from negclap.commands.options import new_parser
from negclap.commands.tables import number, print_table

_SHOWN = 10


def parser() -> ArgumentParser:
    """Return the parser of the command."""
    parser = new_parser("sweep", "Run a W&B sweep on this machine, without an account.")
    add = parser.add_argument
    add("sweep", type=Path, help="YAML file of a W&B sweep.")
    add("--out", type=Path, required=True, help="Folder of the sweep; an existing one resumes.")
    add("--trials", type=PositiveInt, default=20, help="Trials to finish, earlier ones included.")
    add("--seed", type=int, default=0, help="Seed of the sampler.")
    add("--fit", nargs=REMAINDER, default=[], help="All that follows is passed to negclap fit.")
    return parser


def run(options: Namespace) -> None:
    """Run the command."""
    from negclap.training.sweep import LocalSweep, Sweep

    sweep = LocalSweep(Sweep.read(options.sweep), options.out, options.fit, options.seed)
    console = Console(highlight=False)
    _print_best(sweep.save())
    while (finished := sweep.finished) < options.trials:
        trial = sweep.draw()
        name = f"trial {trial.handle.number}"
        console.print(f"{name} ({finished + 1} of {options.trials}): {trial.values}")
        if sweep.train(trial):
            _print_best(sweep.save())
        else:
            console.print(f"{name} failed, see {trial.log}")


def _print_best(trials: Sequence[Mapping[str, Any]]) -> None:
    from negclap.training.sweep import RETRIEVAL

    if trials:
        keys = ("score", "retrieval", "understanding")
        rows = [
            (trial["trial"], *(number(trial[key]) for key in keys)) for trial in trials[:_SHOWN]
        ]
        print_table("the best trials", ("trial", "score", RETRIEVAL, "understanding"), rows)
