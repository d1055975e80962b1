import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def make(*arguments):
    command = ["make", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout


def test_help_explains_every_target():
    printed = make("help")
    for line in (ROOT / "Makefile").read_text().splitlines():
        if line.startswith(".PHONY: "):
            assert line.removeprefix(".PHONY: ") in printed


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["demo"],
            "report runs/demo/baseline runs/demo/combined runs/demo/negclap runs/demo/taught",
        ),
        (["demo"], "negclap teach --model runs/demo/baseline"),
        (["train", "METHOD=insert", "SEED=3"], "configs/methods/insert.yaml"),
        (["train-ddp", "GPUS=2"], "--trainer.strategy ddp --trainer.devices 2"),
        (["train", "DATA=msd"], "configs/msd.yaml"),
        (["train-nodes", "NODES=4", "GPUS=8", "HEAD=node1:29400"], "--rdzv-endpoint node1:29400"),
        (["train-nodes", "NODES=4", "GPUS=8"], "--trainer.devices 8 --trainer.num_nodes 4"),
    ],
)
def test_targets_run_the_documented_commands(arguments, expected):
    assert expected in make("--dry-run", *arguments)
