"""Sweeps over loss weights, with W&B's agent and on this machine."""

import json
import os
import subprocess
import sys

import optuna
import pytest
import yaml

from negclap.cli import main
from negclap.commands.training import parse
from negclap.errors import InputError
from negclap.training.sweep import LocalSweep, Sweep
from tests.conftest import CONFIGS

SWEEP = CONFIGS / "sweeps" / "loss_weights.yaml"


def corners(parameters):
    """Yield a base and variants of it that set one parameter to one of its values or bounds."""
    ends = {
        name: [spec["value"]]
        if "value" in spec
        else spec.get("values") or [spec["min"], spec["max"]]
        for name, spec in parameters.items()
    }
    base = {name: values[0] for name, values in ends.items()}
    yield base
    yield {name: values[-1] for name, values in ends.items()}
    for name, values in ends.items():
        for value in values:
            yield base | {name: value}


def test_agent_arguments_are_parsed_for_all_values(chorales, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_SWEEP_ID", "abc")
    data = yaml.safe_load(SWEEP.read_text())
    assert data["method"] == "bayes"
    assert data["metric"] == {"name": "val/understanding", "goal": "maximize"}
    command = data["command"][data["command"].index("fit") :]
    folders = set()
    for number, values in enumerate(corners(data["parameters"])):
        monkeypatch.setenv("WANDB_RUN_ID", f"run{number}")
        drawn = [f"--{name}={value}" for name, value in values.items()]
        at = command.index("${args}")
        arguments = [*command[:at], *drawn, *command[at + 1 :]]
        monkeypatch.chdir(CONFIGS.parent)
        cli = parse([*arguments, f"--data.manifest={chorales / 'manifest.jsonl'}"])
        folders.add(cli.config.run_dir)
        losses = cli.model.losses
        assert losses.graded_margin.weight == values["model.losses.graded_margin.weight"]
        assert cli.datamodule.insert.p == values["data.insert.p"]
        assert cli.model.recall_floor > 0  # no mix wins by giving up retrieval
    assert folders == {f"runs/sweeps/abc/run{i}" for i in range(len(folders))}
    assert len(folders) > 10


def test_local_sweep_runs_a_trial_and_is_resumed(tiny_args, tmp_path, monkeypatch):
    out = tmp_path / "sweep"
    monkeypatch.chdir(CONFIGS.parent)
    arguments = ["sweep", str(SWEEP), "--out", str(out), "--fit", *tiny_args]
    assert main([*arguments[:2], "--trials", "1", *arguments[2:]]) == 0
    trials = json.loads((out / "trials.json").read_text())
    assert len(trials) == 1
    metrics = json.loads((out / "trial-0000" / "validation.json").read_text())
    assert trials[0]["score"] == pytest.approx(metrics["understanding"])
    assert trials[0]["parameters"].keys() == yaml.safe_load(SWEEP.read_text())["parameters"].keys()
    assert (out / "pareto.png").stat().st_size > 5_000
    before = (out / "trial-0000" / "validation.json").stat().st_mtime_ns
    assert main([*arguments[:2], "--trials", "1", *arguments[2:]]) == 0  # nothing is left to do
    assert (out / "trial-0000" / "validation.json").stat().st_mtime_ns == before
    assert not (out / "trial-0001").exists()
    other = tmp_path / "other.yaml"
    other.write_text(SWEEP.read_text().replace("max: 0.5", "max: 0.6"))
    with pytest.raises(InputError, match="contains trials of another sweep"):
        LocalSweep(Sweep.read(other), out)


def test_repeated_failures_stop_a_local_sweep(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", "false")  # a command that fails
    sweep = LocalSweep(Sweep.read(SWEEP), tmp_path)
    assert not sweep.train(sweep.draw())
    assert not sweep.train(sweep.draw())
    with pytest.raises(InputError, match=r"3 trials failed in a row; see .*output\.log"):
        sweep.train(sweep.draw())
    assert sweep.finished == 0
    assert sweep.save() == []


def test_agent_run_logs_offline_into_its_own_folder(tiny_args, tmp_path):
    """The command that `wandb agent` starts, in its own process, without an account."""
    # wandb sets environment variables when another test uses it
    environment = {name: v for name, v in os.environ.items() if not name.startswith("WANDB")}
    environment |= {"WANDB_SWEEP_ID": "abc", "WANDB_RUN_ID": "r1", "WANDB_MODE": "offline"}
    environment |= {"PYTHONPATH": str(CONFIGS.parent)}
    overlay = f"--config={CONFIGS / 'loggers' / 'wandb_sweep.yaml'}"
    command = [sys.executable, "-m", "negclap.cli", "fit", *tiny_args, overlay]
    subprocess.run(command, env=environment, cwd=tmp_path, check=True, capture_output=True)
    folder = tmp_path / "runs" / "sweeps" / "abc" / "r1"
    assert "understanding" in json.loads((folder / "validation.json").read_text())
    assert list((folder / "wandb").glob("offline-run-*-r1/*.wandb"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metric": {"name": "x", "goal": "up"}}, "goal is 'up'"),
        ({"parameters": {"a": {"distribution": "normal", "mu": 0}}}, "parameter 'a' has no value"),
        ({"parameters": {"a": {"distribution": "q_beta", "min": 0, "max": 1}}}, "cannot be drawn"),
        ({"parameters": {"a": 3}}, "parameter 'a' is 3"),
        ({"parameters": {"a": {"min": 1.0, "max": 0.0}}}, "parameter a: .*low <= high"),
        ({"command": None}, r"command is None, expected the arguments of negclap"),
        ({"command": "negclap fit"}, "command is 'negclap fit', expected the arguments"),
        ({"metric": {"name": "x"}}, "metric.goal is missing, expected maximize or minimize"),
        ({"metric": None}, "metric is None, expected"),
        ({"method": "grid"}, "method is 'grid', expected 'bayes'"),
        ({"command": ["fit", "${envvar:NEGCLAP_NOT_SET}"]}, "and NEGCLAP_NOT_SET is not set"),
        ({"parameters": {"a": {"values": [1, 2], "probabilities": [0.1, 0.9]}}}, "probabilities"),
        (
            {"parameters": {"a": {"distribution": "uniform", "min": "1e-4", "max": 0.1}}},
            "parameter 'a': min is the text '1e-4', expected a number; write 0.0001",
        ),
        ({"parameters": {"a": {"min": 0, "max": "much"}}}, "max is the text 'much', expected a n"),
        ({"parameters": {"a": {"parameters": {"b": 3}}}}, "parameter 'a.b' is 3"),
    ],
)
def test_invalid_sweep_is_an_error(tmp_path, change, message):
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(SWEEP.read_text()) | change))
    with pytest.raises(InputError, match=message):
        Sweep.read(path)


@pytest.mark.parametrize("text", ["[]", "command: [fit", "3"])
def test_a_file_that_is_no_sweep_is_reported_in_one_line(tmp_path, text):
    path = tmp_path / "sweep.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"sweep\.yaml: not ") as error:
        Sweep.read(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("args", ["args", "args_no_boolean_flags", "args_no_hyphens", "args_json"])
def test_a_file_of_wandb_is_drawn_as_meant(tmp_path, monkeypatch, args):
    monkeypatch.setenv("NEGCLAP_CONFIG", "configs/chorales.yaml")
    command = ["${env}", "${interpreter}", "${program}", "fit", "-c", "${envvar:NEGCLAP_CONFIG}"]
    parameters = {
        "model.floor": {"values": [None]},
        "data": {"parameters": {"cooccurrence": {"value": True}, "name": {"value": "x y"}}},
        "model.widths": {"value": [8, 16]},
    }
    sweep = yaml.safe_load(SWEEP.read_text()) | {"parameters": parameters}
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(sweep | {"command": [*command, f"${{{args}}}"]}))
    sweep = Sweep.read(path)
    values = sweep.draw(optuna.create_study().ask())
    *arguments, run_dir = sweep.arguments(values, tmp_path)
    assert arguments[:3] == ["fit", "-c", "configs/chorales.yaml"]
    assert {*arguments[3:]} == {
        "--model.floor=null", "--data.cooccurrence=true", "--data.name=x y",
        "--model.widths=[8, 16]",
    }  # fmt: skip
    assert run_dir == f"--run_dir={tmp_path}"


def test_draws_stay_within_bounds():
    sweep = Sweep.read(SWEEP)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(20):
        for name, value in sweep.draw(study.ask()).items():
            spec = sweep.parameters[name]
            if "min" not in spec:
                assert value in spec.get("values", [spec.get("value")])
            else:
                assert spec["min"] <= value <= spec["max"]
