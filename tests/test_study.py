import json
import subprocess
import sys
from pathlib import Path

import pytest

from negclap.training_cli import parse

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "experiments" / "study"))

import study  # noqa: E402  # a script, found by the line above

KINDS = {(cell.group, cell.method, cell.name.partition("=")[0]): cell
         for cell in study.cells(small=False, grid=True)}  # fmt: skip


@pytest.mark.parametrize("cell", KINDS.values(), ids=lambda cell: cell.folder)
def test_every_kind_of_cell_parses_and_is_validated_at_its_end(cell, monkeypatch):
    monkeypatch.chdir(ROOT)
    trainer = parse(["fit", *study.arguments_of(cell)]).trainer
    assert trainer.max_epochs % trainer.check_val_every_n_epoch == 0


def test_ears_that_are_not_there_are_named(tmp_path):
    cell = next(cell for cell in KINDS.values() if cell.ears)
    with pytest.raises(SystemExit, match=r"ears of recipes/negclap-2: run that first"):
        study.run(cell, tmp_path, None, {})


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
