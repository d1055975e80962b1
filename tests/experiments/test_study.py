import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from negclap.commands.training import parse

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "experiments" / "study"))

import study  # noqa: E402  # a script, found by the line above

KINDS = {(cell.group, cell.method, cell.name.partition("=")[0]): cell
         for cell in study.cells(small=False, grid=True)}  # fmt: skip


@pytest.mark.parametrize("cell", KINDS.values(), ids=lambda cell: cell.folder)
def test_every_kind_of_cell_parses_and_is_validated_at_its_end(cell, monkeypatch):
    monkeypatch.chdir(ROOT)
    trainer = parse(["fit", *study.arguments_of(cell)]).trainer
    assert trainer.max_epochs % trainer.check_val_every_n_epoch == 0


def test_a_recorded_cell_is_done_and_its_ears_are_run_again_where_they_are_not(tmp_path):
    kept = study.Study(tmp_path / "runs", tmp_path / "report")
    tower = next(cell for cell in KINDS.values() if cell.ears)
    assert kept.missing([tower.ears, tower]) == kept.missing([tower]) == [tower.ears, tower]
    record(kept.records, tower.ears, kept.recipe(tower.ears))
    assert kept.missing([tower.ears]) == []
    assert kept.missing([tower]) == [tower.ears, tower]
    record(kept.out, tower.ears, kept.recipe(tower.ears))
    assert kept.missing([tower]) == [tower]
    record(kept.records, tower, kept.recipe(tower) | {"arguments": ["another one"]})
    assert kept.missing([tower]) == [tower]


def test_a_record_of_another_recipe_is_told_and_left_out(tmp_path, capsys):
    kept = study.Study(tmp_path / "runs", tmp_path / "report")
    every = [cell for cell in study.cells(small=False, grid=False) if cell.group == "k"]
    for cell in every:
        record(kept.records, cell, kept.recipe(cell))
    record(kept.records, every[1], kept.recipe(every[1]) | {"configs": []})
    found = study.finished("k", kept, every)
    assert found == [kept.records / cell.folder for cell in every if cell is not every[1]]
    assert f"run with another recipe: {every[1].folder}" in capsys.readouterr().out


def test_an_interrupted_study_begins_no_other_cell(tmp_path, monkeypatch):
    kept = study.Study(tmp_path / "runs", tmp_path / "report")
    begun = []

    def stop(self, cell, environment):
        begun.append(cell)
        time.sleep(0.2)
        raise SystemExit("failed")

    monkeypatch.setattr(study.Study, "run", stop)
    with pytest.raises(SystemExit):
        kept.run_all([cell for cell in KINDS.values() if not cell.ears], 1)
    assert len(begun) <= 2


def record(folder, cell, recipe):
    (folder / cell.folder).mkdir(parents=True, exist_ok=True)
    (folder / cell.folder / "cell.json").write_text(json.dumps({"recipe": recipe}))


def test_the_records_of_the_repository_are_of_cells_that_the_study_has():
    folders = {path.parent for path in (study.HERE / "cells").glob("*/*/results.json")}
    known = {study.HERE / "cells" / cell.folder for cell in study.cells(small=False, grid=True)}
    assert folders <= known


@pytest.mark.slow
def test_the_small_study_runs_reports_and_resumes(tmp_path):
    """`make study SMALL=1`, into a folder of the test's own."""
    command = [sys.executable, "experiments/study/study.py", "--small", "--out", str(tmp_path)]
    first, again = (
        subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    )
    assert "[8/8]" in first
    assert "8 cells, 0 to be run" in again
    results = json.loads((tmp_path / "report" / "recipes" / "results.json").read_text())
    assert list(results) == ["baseline", "combined", "negclap"]
    for picture in ("recipes/comparison.png", "ablations/comparison.png", "p/axis.png"):
        assert (tmp_path / "report" / picture).stat().st_size > 10_000
