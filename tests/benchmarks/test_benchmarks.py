"""The benchmarks run, in miniature; their own results are left alone."""

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
        "gpu.py --small",
        "losses.py 64",
        "manifest.py 2000",
        "retrieval.py 300",
        "step.py",
        "text.py",
    ],
)
def test_a_benchmark_runs(command, tmp_path):
    shutil.copytree(ROOT / "benchmarks", tmp_path / "benchmarks")
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    script, *arguments = command.split()
    whole = [sys.executable, str(tmp_path / "benchmarks" / script), *arguments]
    done = subprocess.run(whole, capture_output=True, text=True, cwd=ROOT, timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
