"""negclap as a library: examples that run, a quick import, a wheel that works anywhere."""

import doctest
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

import negclap
import negclap.evaluation.metrics.streaming
import negclap.models.encoder
import negclap.search
import negclap.training.datamodule
from negclap.models.text_encoders import TextEncoder
from tests.data.stems.sets import write

ROOT = Path(__file__).parents[1]


@pytest.fixture
def library(tiny_run, chorales, tmp_path, monkeypatch):
    """A working directory as the examples have it."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mine").symlink_to(tiny_run)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "tiny").symlink_to(chorales)
    (tmp_path / "music").mkdir()
    for i, name in enumerate(("song.wav", "other.wav", "music/a.wav", "music/b.wav")):
        noise = np.random.default_rng(i).standard_normal(5 * 16_000)
        sf.write(tmp_path / name, 0.1 * noise, 16_000)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "module",
    [
        negclap,
        negclap.evaluation.metrics.streaming,
        negclap.models.encoder,
        negclap.search,
        negclap.training.datamodule,
    ],
)
def test_examples_of_docstrings_run(library, module):
    tokenize = TextEncoder(scratch=(16, 1)).tokenize
    names = {"negclap": negclap, "np": np, "tokenize": tokenize}
    found = doctest.testmod(module, extraglobs=names, optionflags=doctest.ELLIPSIS)
    assert found.attempted > 0
    assert found.failed == 0


def test_the_import_is_light():
    """Torch, transformers and Lightning are loaded when a model is."""
    code = "import sys, negclap, negclap.cli; print(sorted({m.split('.')[0] for m in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "transformers", "lightning", "numpy", "scipy", "matplotlib", "rich"}
    assert not heavy & set(eval(done.stdout))


def test_it_is_typed():
    assert (Path(negclap.__file__).parent / "py.typed").is_file()


def test_the_wheel_works_outside_the_repository(tiny_run, tmp_path):
    built = tmp_path / "dist"
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", f"--outdir={built}", ROOT]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = built.glob("negclap-*.whl")
    target = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run([*install, f"--target={target}", wheel], check=True, capture_output=True)
    away = tmp_path / "away"
    away.mkdir()
    code = (
        "import negclap; print(negclap.__file__); "
        f"print(negclap.load({str(tiny_run)!r}).encode_text(['no drums']).shape)"
    )
    environment = os.environ | {"PYTHONPATH": str(target)}
    python = [sys.executable, "-c", code]
    done = subprocess.run(
        python, cwd=away, env=environment, capture_output=True, text=True, check=True
    )
    where, shape = done.stdout.strip().splitlines()
    assert Path(where).is_relative_to(target)
    assert shape == "(1, 16)"
    assert (target / "negclap" / "py.typed").is_file()
    music = away / "music"
    for name, hz in (("low", 110.0), ("high", 880.0)):
        write(music / f"{name}.wav", hz, seconds=10.0)
    commands = (
        (["--help"], "search"),
        (["index", "music", "--out", "my.index"], "2 tracks, 2 windows; 2 encoded now"),
        (["search", "my.index", "rock without vocals"], "high.wav"),
    )
    for arguments, printed in commands:
        command = subprocess.run(
            [sys.executable, target / "bin" / "negclap", *arguments],
            cwd=away,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert printed in " ".join(command.stdout.split())
