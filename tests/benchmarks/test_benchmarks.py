"""The benchmarks run in miniature, in a copy, so that their results are not overwritten."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        "denials.py",
        "gpu.py --small",
        "htsat.py --batch 1 --rounds 1",
        "losses.py 64",
        "manifest.py 2000",
        "retrieval.py 300",
        "step.py --rounds 1 --batch 8",
        "text.py",
    ],
)
def test_every_benchmark_runs_in_miniature(command, tmp_path):
    shutil.copytree(ROOT / "benchmarks", tmp_path / "benchmarks")
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    script, *arguments = command.split()
    python = [sys.executable, str(tmp_path / "benchmarks" / script), *arguments]
    process = subprocess.run(python, capture_output=True, text=True, cwd=ROOT, timeout=600)
    assert process.returncode == 0, process.stderr
    assert process.stdout.strip()
