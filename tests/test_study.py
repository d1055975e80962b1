import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_small_study_runs_reports_and_resumes(tmp_path):
    """`make study SMALL=1`, into a folder of the test's own."""
    command = [sys.executable, "experiments/study/study.py", "--small", "--out", str(tmp_path)]
    for _ in range(2):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "[8/8]" in done.stdout
    results = json.loads((tmp_path / "report" / "recipes" / "results.json").read_text())
    assert list(results) == ["baseline", "combined", "negclap"]
    for picture in ("recipes/comparison.png", "ablations/comparison.png", "p/axis.png"):
        assert (tmp_path / "report" / picture).stat().st_size > 10_000
