"""`negclap sweep`: the local twin of a W&B sweep, on the same YAML, without an account.

Trials are drawn by Optuna's TPE sampler and kept in ``study.db``: an interrupted sweep goes on
where it stopped. Each trial trains in a process and a folder of its own.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import optuna
import yaml
from rich.console import Console
from rich.table import Table

from negclap.errors import InputError
from negclap.evaluation.results import write_json
from negclap.evaluation.suite import understanding_score

Value = str | int | float | bool
_RETRIEVAL = "recall@10/original"
_MOST_FAILURES = 3


@dataclass(frozen=True)
class Sweep:
    """What a W&B sweep file says.

    Attributes:
        command: Arguments of ``negclap`` before the drawn ones ("fit", "--config=...").
        metric: The figure, as ``validation.json`` names it.
        maximise: Whether more of it is better.
        parameters: By option, how its value is drawn.
    """

    command: tuple[str, ...]
    metric: str
    maximise: bool
    parameters: Mapping[str, Mapping[str, Any]]

    @classmethod
    def read(cls, path: Path) -> "Sweep":
        """Read the YAML.

        Raises:
            InputError: If it is no sweep, or draws in a way that is not known here.
        """
        try:
            data = yaml.safe_load(path.read_text(encoding="utf-8"))
            command = [str(part) for part in data["command"]]
            metric, goal = data["metric"]["name"], data["metric"]["goal"]
            parameters = dict(data["parameters"])
        except FileNotFoundError:
            raise InputError(f"{path}: no such file") from None
        except (yaml.YAMLError, KeyError, TypeError) as error:
            raise InputError(f"{path}: not a sweep ({error!r})") from None
        if goal not in ("maximize", "minimize"):
            raise InputError(f"{path}: goal is {goal!r}, expected 'maximize' or 'minimize'")
        start = command.index("fit") if "fit" in command else 0
        fixed = [part for part in command[start:] if part != "${args}"]
        sweep = cls(tuple(fixed), metric.removeprefix("val/"), goal == "maximize", parameters)
        for name, spec in parameters.items():
            if not isinstance(spec, dict):
                raise InputError(f"{path}: parameter {name!r} is {spec!r}, expected a mapping")
            sweep.draw(optuna.trial.FixedTrial({name: _any_value(path, name, spec)}), only=name)
        return sweep

    def draw(self, trial: optuna.trial.BaseTrial, only: str | None = None) -> dict[str, Value]:
        """A value for every parameter, or for ``only`` one."""
        names = self.parameters if only is None else (only,)
        try:
            return {name: _draw(trial, name, self.parameters[name]) for name in names}
        except ValueError as error:  # Optuna's, of bounds that are none
            raise InputError(f"parameter {', '.join(names)}: {error}") from None

    def arguments(self, values: Mapping[str, Value], run_dir: Path) -> list[str]:
        """The arguments of ``negclap`` for a trial; the W&B logger is left out."""
        fixed = [part for part in self.command if "configs/loggers/wandb" not in part]
        drawn = [f"--{name}={value}" for name, value in values.items()]
        return [*fixed, *drawn, f"--run_dir={run_dir}"]


def _any_value(path: Path, name: str, spec: Mapping[str, Any]) -> Value:
    """A value that the specification allows."""
    for key in ("value", "min"):
        if key in spec:
            found: Value = spec[key]
            return found
    for value in spec.get("values", ()):
        first: Value = value
        return first
    raise InputError(f"{path}: parameter {name!r} has no value, values, or min and max")


def _draw(trial: optuna.trial.BaseTrial, name: str, spec: Mapping[str, Any]) -> Value:
    match spec:
        case {"value": value}:
            fixed: Value = trial.suggest_categorical(name, [value])
            return fixed
        case {"values": values}:
            chosen: Value = trial.suggest_categorical(name, values)
            return chosen
        case {"distribution": "log_uniform_values", "min": low, "max": high}:
            return trial.suggest_float(name, low, high, log=True)
        case {"distribution": "int_uniform", "min": low, "max": high}:
            return trial.suggest_int(name, low, high)
        case {"min": int(low), "max": int(high)} if "distribution" not in spec:  # as W&B has it
            return trial.suggest_int(name, low, high)
        case {"min": low, "max": high} if spec.get("distribution", "uniform") == "uniform":
            return trial.suggest_float(name, low, high)
    raise InputError(f"parameter {name!r}: cannot be drawn from {dict(spec)}")


def run_sweep(sweep: Sweep, out: Path, trials: int, extra: list[str], seed: int = 0) -> None:
    """Run trials until ``trials`` are finished; print and keep them, and draw the Pareto front.

    Args:
        sweep: What is drawn.
        out: The folder: ``study.db``, ``trial-0000/``, ..., ``trials.json``, ``pareto.png``.
        trials: Finished trials to reach, those of earlier calls included.
        extra: Arguments for each run, after all others.
        seed: Of the sampler.
    """
    out.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=f"sqlite:///{out / 'study.db'}",
        study_name="sweep",
        load_if_exists=True,
        direction="maximize" if sweep.maximise else "minimize",
        sampler=optuna.samplers.TPESampler(seed=seed + _finished(out)),
    )
    described = json.dumps(asdict(sweep), sort_keys=True) + json.dumps(extra)
    if study.user_attrs.get("sweep", described) != described:
        raise InputError(f"{out}: holds trials of another sweep; name another folder")
    study.set_user_attr("sweep", described)
    console = Console()
    failed = 0
    while (done := len(study.get_trials(states=(optuna.trial.TrialState.COMPLETE,)))) < trials:
        trial = study.ask()
        folder = out / f"trial-{trial.number:04d}"
        values = sweep.draw(trial)
        console.print(f"trial {trial.number} ({done + 1} of {trials}): {values}", highlight=False)
        figures = _train([*sweep.arguments(values, folder), *extra], folder)
        if figures is None:  # a mix that diverges is a finding; a command that cannot run is not
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            failed += 1
            console.print(f"trial {trial.number} failed, see {folder / 'output.log'}")
            if failed == _MOST_FAILURES:
                raise InputError(
                    f"{failed} trials failed one after the other; the last: {folder / 'output.log'}"
                )
            continue
        failed = 0
        if sweep.metric not in figures:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            raise InputError(f"no figure {sweep.metric!r}, there are {sorted(figures)}")
        trial.set_user_attr("figures", figures)
        study.tell(trial, figures[sweep.metric])
        _report(study, out, sweep.maximise)
    _report(study, out, sweep.maximise)


def _finished(out: Path) -> int:
    return len(list(out.glob("trial-*")))


def _train(arguments: list[str], folder: Path) -> dict[str, float] | None:
    """The validation figures of one run; None if it failed."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "output.log").open("w") as log:
        command = [sys.executable, "-m", "negclap.cli", *arguments]
        status = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False)
    if status.returncode:
        return None
    figures: dict[str, float] = json.loads((folder / "validation.json").read_text())
    return figures


def _report(study: optuna.Study, out: Path, maximise: bool) -> None:
    """The table, ``trials.json`` and the picture of what has been found so far."""
    trials = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    if not trials:
        return
    entries = [
        {
            "trial": trial.number,
            "score": trial.value,
            "retrieval": trial.user_attrs["figures"][_RETRIEVAL],
            "understanding": understanding_score(trial.user_attrs["figures"], recall_floor=0.0),
            "parameters": trial.params,
        }
        for trial in trials
    ]
    write_json(out / "trials.json", entries)
    best = sorted(entries, key=lambda entry: entry["score"], reverse=maximise)[:10]
    table = Table(title="the best trials")
    for column in ("trial", "score", _RETRIEVAL, "understanding"):
        table.add_column(column, justify="right")
    for entry in best:
        figures = (f"{entry[name]:.3f}" for name in ("score", "retrieval", "understanding"))
        table.add_row(str(entry["trial"]), *figures)
    Console().print(table)
    _plot_pareto(entries, out / "pareto.png")


def pareto_front(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that no other beats in both, from the lowest first coordinate to the highest."""
    front = [
        point
        for point in set(points)
        if not any(
            other != point and other[0] >= point[0] and other[1] >= point[1] for other in points
        )
    ]
    return sorted(front)


def _plot_pareto(entries: list[dict[str, Any]], path: Path) -> None:
    from matplotlib.figure import Figure

    points = [(entry["retrieval"], entry["understanding"]) for entry in entries]
    figure = Figure(figsize=(7, 5), layout="constrained")
    axis = figure.subplots()
    axis.scatter(*zip(*points, strict=True), color="#0072B2", label="trials")
    for entry, (x, y) in zip(entries, points, strict=True):
        axis.annotate(str(entry["trial"]), (x, y), xytext=(4, 4), textcoords="offset points")
    axis.plot(*zip(*pareto_front(points), strict=True), "o-", color="#D55E00", label="Pareto front")
    axis.set(
        xlabel="validation Recall@10 of captions (affirmative)",
        ylabel="negation understanding (mean of three figures)",
        title="What the loss weights trade",
    )
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False)
    figure.savefig(path, dpi=130)
