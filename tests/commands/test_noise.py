"""Training commands print what helps the user, and nothing else of Lightning."""

import logging
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from negclap.commands import noise
from negclap.commands.noise import silence_framework


@pytest.fixture
def silenced(monkeypatch):
    """Silence the framework, and restore warnings and loggers afterwards."""
    for logger in noise._loggers():
        monkeypatch.setattr(logger, "filters", [])
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    with warnings.catch_warnings():
        silence_framework()
        yield


def record(level, path, message):
    return logging.LogRecord("lightning.pytorch", level, path, 1, message, (), None)


@pytest.mark.parametrize(
    ("level", "path", "message", "useful"),
    [
        (logging.INFO, "/site/lightning/pytorch/trainer.py", "GPU available: False", False),
        (logging.INFO, "/site/lightning/pytorch/trainer.py", "Tip: buy something", False),
        (logging.INFO, "/site/lightning/x.py", "Loaded model weights from the checkpoint", True),
        (logging.WARNING, "/site/lightning/pytorch/trainer.py", "something is wrong", True),
        (logging.INFO, noise.__file__, "resuming at step 8", True),
    ],
)
def test_only_useful_messages_remain(level, path, message, useful):
    assert noise._is_useful(record(level, path, message)) is useful


def test_messages_are_recorded_with_the_file_that_logs_them(silenced, caplog, monkeypatch):
    """Otherwise negclap's own `rank_zero_info` would be hidden, too."""
    for logger in noise._loggers():
        monkeypatch.setattr(logger, "propagate", True)
    with caplog.at_level(logging.INFO):
        rank_zero_info("hello")
        monkeypatch.setattr(noise, "_PACKAGE", str(Path(__file__).parent))
        rank_zero_info("hello again")
    assert [(found.message, found.pathname) for found in caplog.records] == [
        ("hello again", __file__)
    ]


def test_our_own_warnings_are_one_line(silenced):
    assert warnings.formatwarning("epoch 0: x", UserWarning, noise.__file__, 1) == (
        "negclap: warning: epoch 0: x\n"
    )
    assert "FutureWarning: y" in warnings.formatwarning("y", FutureWarning, "/site/torch.py", 1)


def test_fit_and_test_print_no_tips(tiny_args, tmp_path):
    module = [sys.executable, "-m", "negclap.cli"]
    for command in (["fit", *tiny_args, f"--run_dir={tmp_path}"], ["test", "-c", "config.yaml"]):
        done = subprocess.run([*module, *command], check=True, capture_output=True, cwd=tmp_path)
        printed = done.stderr.decode()
        for useless in ("Seed set", "available", "Tip", "weights_only", "bottleneck", "stopped"):
            assert useless not in printed
    assert "Loaded model weights from the checkpoint" in printed
