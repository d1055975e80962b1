"""Run a W&B sweep on this machine, without an account.

Trials are drawn by Optuna's TPE sampler and stored in ``study.db``, so an interrupted sweep can be
resumed. Each trial trains in its own process and folder.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import optuna
import yaml

from negclap.errors import InputError, reason
from negclap.evaluation.plots import plot_pareto
from negclap.evaluation.suite import understanding_score
from negclap.storage import write_json

Value = str | int | float | bool | None

RETRIEVAL = "recall@10/original"
"""The metric of plain retrieval that trials are compared by, besides understanding."""
_MAX_FAILURES = 3
_DRAWN = re.compile(r"\$\{(?:env|interpreter|program|args\w*)\}")
_ENVIRONMENT = re.compile(r"\$\{envvar:(\w+)\}")


@dataclass(frozen=True)
class Sweep:
    """A W&B sweep file: how to draw the value of each option.

    ``command`` has the arguments of ``negclap`` before the drawn ones, ``metric`` is the key of
    ``validation.json`` to optimise.
    """

    command: tuple[str, ...]
    metric: str
    maximise: bool
    parameters: Mapping[str, Mapping[str, Any]]

    @classmethod
    def read(cls, path: Path) -> "Sweep":
        """Read the YAML.

        Raises:
            InputError: If it is not a sweep, or has an unsupported distribution.
        """
        try:
            data = yaml.safe_load(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(f"{path}: no such file") from None
        except yaml.YAMLError as error:
            raise InputError(f"{path}: not YAML ({reason(error)})") from None
        if not isinstance(data, dict):
            raise InputError(f"{path}: not a sweep, got {type(data).__name__}, expected a mapping")
        metric = _entry(path, data, "metric", dict, "{name: val/..., goal: maximize}")
        goal = _entry(path, metric, "goal", str, "maximize or minimize", "metric.goal")
        if goal not in ("maximize", "minimize"):
            raise InputError(f"{path}: goal is {goal!r}, expected 'maximize' or 'minimize'")
        name = _entry(path, metric, "name", str, "a key of validation.json", "metric.name")
        if (method := data.get("method", "bayes")) not in ("bayes", "random"):
            raise InputError(f"{path}: method is {method!r}, expected 'bayes' (drawn by Optuna)")
        command = _entry(path, data, "command", list, "the arguments of negclap, as in [fit, ...]")
        given = _entry(path, data, "parameters", dict, "how to draw each option")
        parameters = dict(_flat(path, given))
        sweep = cls(
            _arguments(path, [str(part) for part in command]),
            name.removeprefix("val/"),
            goal == "maximize",
            parameters,
        )
        for option, spec in parameters.items():
            value = _any_value(path, option, spec)
            sweep.draw(optuna.trial.FixedTrial({option: value}), only=option)
        return sweep

    def draw(self, trial: optuna.trial.BaseTrial, only: str | None = None) -> dict[str, Value]:
        """Draw a value of every parameter, or of ``only`` one."""
        names = self.parameters if only is None else (only,)
        try:
            return {name: _draw(trial, name, self.parameters[name]) for name in names}
        except ValueError as error:  # Optuna's, about bounds
            raise InputError(f"parameter {', '.join(names)}: {error}") from None

    def arguments(self, values: Mapping[str, Value], run_dir: Path) -> list[str]:
        """Return the arguments of ``negclap`` for a trial; the W&B logger is left out."""
        fixed = [part for part in self.command if "configs/loggers/wandb" not in part]
        drawn = [f"--{name}={_as_argument(value)}" for name, value in values.items()]
        return [*fixed, *drawn, f"--run_dir={run_dir}"]


def _entry(
    path: Path, data: Mapping[str, Any], key: str, kind: type, expected: str, place: str = ""
) -> Any:
    """Return an entry of the file that must be there."""
    if not isinstance(value := data.get(key), kind):
        got = f"is {value!r}" if key in data else "is missing"
        raise InputError(f"{path}: {place or key} {got}, expected {expected}")
    return value


def _flat(path: Path, parameters: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield name and specification of each parameter; nested ones have dots in their names."""
    for key, spec in parameters.items():
        name = f"{above}{key}"
        if not isinstance(spec, dict):
            raise InputError(f"{path}: parameter {name!r} is {spec!r}, expected a mapping")
        if isinstance(inner := spec.get("parameters"), dict):
            yield from _flat(path, inner, f"{name}.")
        else:
            yield name, spec


def _arguments(path: Path, command: Sequence[str]) -> tuple[str, ...]:
    """Return the arguments of ``negclap`` in a command, without W&B's placeholders.

    Those that W&B replaces by the drawn options, ``${args}`` and its variants, are left out, since
    drawn options follow; ``${envvar:NAME}`` is that variable of the environment.
    """
    start = command.index("fit") if "fit" in command else 0
    fixed = []
    for part in command[start:]:
        if match := _ENVIRONMENT.fullmatch(part):
            if match[1] not in os.environ:
                raise InputError(f"{path}: command has {part}, and {match[1]} is not set")
            fixed.append(os.environ[match[1]])
        elif not _DRAWN.fullmatch(part):
            fixed.append(part)
    return tuple(fixed)


def _as_argument(value: object) -> str:
    """Return a value as an option of ``negclap fit`` takes it: null and true, not None and True."""
    return value if isinstance(value, str) else json.dumps(value)


def _any_value(path: Path, name: str, spec: Mapping[str, Any]) -> Value:
    """Return a value that the specification allows."""
    if "probabilities" in spec:
        raise InputError(f"{path}: parameter {name!r} has probabilities, which are not supported")
    for key in ("min", "max"):
        if isinstance(bound := spec.get(key), str):
            hint = f"; write {float(bound)!r}" if _is_number(bound) else ""
            raise InputError(
                f"{path}: parameter {name!r}: {key} is the text {bound!r}, expected a number{hint}"
            )
    allowed: list[Value] = [spec[key] for key in ("value", "min") if key in spec]
    allowed += spec.get("values", ())
    allowed = [_choice(value) for value in allowed]
    if not allowed:
        raise InputError(f"{path}: parameter {name!r} has no value, values, or min and max")
    return allowed[0]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _draw(trial: optuna.trial.BaseTrial, name: str, spec: Mapping[str, Any]) -> Any:
    match spec:
        case {"value": value}:
            return trial.suggest_categorical(name, [_choice(value)])
        case {"values": values}:
            return trial.suggest_categorical(name, [_choice(value) for value in values])
        case {"distribution": "log_uniform_values", "min": low, "max": high}:
            return trial.suggest_float(name, low, high, log=True)
        case {"distribution": "int_uniform", "min": low, "max": high}:
            return trial.suggest_int(name, low, high)
        case {"min": int(low), "max": int(high)} if "distribution" not in spec:  # as in W&B
            return trial.suggest_int(name, low, high)
        case {"min": low, "max": high} if spec.get("distribution", "uniform") == "uniform":
            return trial.suggest_float(name, low, high)
    raise InputError(f"parameter {name!r}: cannot be drawn from {dict(spec)}")


def _choice(value: Any) -> Value:
    """Return a value that Optuna can store: a list or mapping becomes JSON."""
    choice: Value = json.dumps(value) if isinstance(value, list | dict) else value
    return choice


class Trial(NamedTuple):
    """A drawn trial: Optuna's handle, the values by option, and the run folder."""

    handle: optuna.Trial
    values: dict[str, Value]
    folder: Path

    @property
    def log(self) -> Path:
        """The file with the output of the training process."""
        return self.folder / "output.log"


class LocalSweep:
    """A sweep in a folder: ``study.db``, ``trial-0000/``, ..., ``trials.json``, ``pareto.png``.

    It resumes a sweep that is there. ``arguments`` of ``negclap fit`` follow those of each trial.

    Raises:
        InputError: If the folder contains another sweep.
    """

    def __init__(
        self, sweep: Sweep, out: Path, arguments: Sequence[str] = (), seed: int = 0
    ) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.sweep = sweep
        self.out = out
        self.arguments = list(arguments)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.study = optuna.create_study(
            storage=f"sqlite:///{out / 'study.db'}",
            study_name="sweep",
            load_if_exists=True,
            direction="maximize" if sweep.maximise else "minimize",
            sampler=optuna.samplers.TPESampler(seed=seed + len(list(out.glob("trial-*")))),
        )
        description = json.dumps(asdict(sweep), sort_keys=True) + json.dumps(self.arguments)
        if self.study.user_attrs.get("sweep", description) != description:
            raise InputError(f"{out}: contains trials of another sweep; choose another folder")
        self.study.set_user_attr("sweep", description)
        self._failures = 0

    @property
    def finished(self) -> int:
        """Number of finished trials."""
        return len(self._finished_trials())

    def _finished_trials(self) -> list[optuna.trial.FrozenTrial]:
        return self.study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))

    def draw(self) -> Trial:
        """Draw the next trial."""
        trial = self.study.ask()
        return Trial(trial, self.sweep.draw(trial), self.out / f"trial-{trial.number:04d}")

    def train(self, trial: Trial) -> bool:
        """Train a trial in its own process, and return whether it succeeded.

        A trial whose loss diverges is a result; several failures in a row are a mistake.

        Raises:
            InputError: If three trials failed in a row, or the run does not have the metric.
        """
        arguments = [*self.sweep.arguments(trial.values, trial.folder), *self.arguments]
        metrics = _train(arguments, trial)
        if metrics is None:
            self.study.tell(trial.handle, state=optuna.trial.TrialState.FAIL)
            self._failures += 1
            if self._failures == _MAX_FAILURES:
                raise InputError(f"{_MAX_FAILURES} trials failed in a row; see {trial.log}")
            return False
        self._failures = 0
        if self.sweep.metric not in metrics:
            self.study.tell(trial.handle, state=optuna.trial.TrialState.FAIL)
            raise InputError(f"no metric {self.sweep.metric!r}, expected one of {sorted(metrics)}")
        trial.handle.set_user_attr("metrics", metrics)
        self.study.tell(trial.handle, metrics[self.sweep.metric])
        return True

    def save(self) -> list[dict[str, Any]]:
        """Write ``trials.json`` and ``pareto.png``, and return the finished trials, best first.

        Each has ``trial`` (number), ``score`` (the optimised metric), ``retrieval`` (`RETRIEVAL`),
        ``understanding`` and ``parameters``.
        """
        entries = [
            {
                "trial": trial.number,
                "score": trial.value,
                "retrieval": trial.user_attrs["metrics"][RETRIEVAL],
                "understanding": understanding_score(trial.user_attrs["metrics"], recall_floor=0.0),
                "parameters": trial.params,
            }
            for trial in self._finished_trials()
        ]
        if entries:
            write_json(self.out / "trials.json", entries)
            points = {str(e["trial"]): (e["retrieval"], e["understanding"]) for e in entries}
            plot_pareto(points, self.out / "pareto.png")
        return sorted(entries, key=lambda entry: entry["score"], reverse=self.sweep.maximise)


def _train(arguments: list[str], trial: Trial) -> dict[str, float] | None:
    """Return the validation metrics of a run, or None if it failed."""
    trial.folder.mkdir(parents=True, exist_ok=True)
    with trial.log.open("w") as log:
        command = [sys.executable, "-m", "negclap.cli", *arguments]
        status = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False)
    if status.returncode:
        return None
    metrics: dict[str, float] = json.loads((trial.folder / "validation.json").read_text())
    return metrics
