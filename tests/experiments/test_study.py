import json
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import study
import torch
from records import Records

from negclap.commands import teach
from negclap.commands.training import parse
from negclap.errors import InputError
from negclap.evaluation.comparison import compare
from negclap.evaluation.metrics.scores import Scores
from negclap.evaluation.results import read_results, write_results
from negclap.evaluation.suite import Suite

ROOT = Path(__file__).parents[2]

EVERY = list(study.cells(small=False, grid=True))
KINDS = {(cell.group, cell.overlay, cell.title.partition("=")[0]): cell for cell in EVERY}
OTHER_RECIPE = {"towers/minilm-0"}  # trained with an earlier recipe, shown in docs/results.md


@pytest.mark.parametrize("cell", KINDS.values(), ids=lambda cell: cell.folder)
def test_every_kind_of_cell_parses_and_is_validated_at_its_end(cell, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    if cell.is_taught:
        command = study.Study(tmp_path, tmp_path).training(cell, tmp_path / "out", "")
        options = teach.parser().parse_args(command[1:])
        assert Path(options.model) == tmp_path / cell.audio_from.folder
        return
    trainer = parse(["fit", *study.arguments_of(cell), f"--method={cell.title}"]).trainer
    assert trainer.max_epochs % trainer.check_val_every_n_epoch == 0


def test_folders_are_slugs_and_no_two_cells_share_one():
    folders = [cell.folder for cell in EVERY]
    assert len(set(folders)) == len(folders)
    assert not [folder for folder in folders if set(folder) & set(" =,")]
    assert {"ablations/no-absence-0", "p/p-0.2-0", "k/k-0.0001-0"} <= set(folders)


def test_a_cell_with_a_record_is_finished(tmp_path):
    kept = study.Study(tmp_path / "runs", tmp_path / "report")
    tower = next(cell for cell in EVERY if cell.group == "towers")
    assert kept.missing([tower]) == [tower.audio_from, tower]
    assert kept.missing([tower.audio_from, tower]) == [tower.audio_from, tower]
    describe(kept.records.folder, tower.audio_from, kept.recipe(tower.audio_from))
    assert kept.missing([tower.audio_from]) == []


def test_an_audio_encoder_without_checkpoint_is_trained_again(tmp_path):
    kept = study.Study(tmp_path / "runs", tmp_path / "report")
    tower = next(cell for cell in EVERY if cell.group == "towers")
    describe(kept.records.folder, tower.audio_from, kept.recipe(tower.audio_from))
    assert kept.missing([tower]) == [tower.audio_from, tower]
    describe(kept.out, tower.audio_from, kept.recipe(tower.audio_from))
    assert kept.missing([tower]) == [tower]


def test_the_name_of_the_method_is_no_part_of_the_recipe(tmp_path):
    kept = study.Study(tmp_path / "runs", tmp_path / "report")
    for cell in EVERY:
        assert not [config for config in kept.recipe(cell)["configs"] if "method" in config]


def test_a_record_of_another_recipe_is_reported_and_left_out(tmp_path, capsys):
    kept = study.Study(tmp_path / "runs", tmp_path / "report")
    chosen = [cell for cell in EVERY if cell.group == "k"]
    for cell in chosen:
        describe(kept.records.folder, cell, kept.recipe(cell))
    describe(kept.records.folder, chosen[1], kept.recipe(chosen[1]) | {"configs": []})
    assert kept.finished("k", EVERY) == [cell for cell in chosen if cell is not chosen[1]]
    assert f"trained with another recipe: {chosen[1].folder}" in capsys.readouterr().out


def test_an_interrupted_study_starts_no_other_cell(tmp_path, monkeypatch):
    kept = study.Study(tmp_path / "runs", tmp_path / "report")
    started = []

    def stop(self, cell, environment):
        started.append(cell)
        time.sleep(0.2)
        raise SystemExit("failed")

    monkeypatch.setattr(study.Study, "run", stop)
    with pytest.raises(SystemExit):
        kept.run_all([cell for cell in KINDS.values() if not cell.audio_from], 1)
    assert len(started) <= 2


def describe(folder, cell, recipe):
    (folder / cell.folder).mkdir(parents=True, exist_ok=True)
    (folder / cell.folder / "cell.json").write_text(json.dumps({"recipe": recipe}))


def test_records_give_the_differences_of_the_runs(tmp_path):
    runs = [write_run(tmp_path / f"run{i}", method, i) for i, method in enumerate("aabb")]
    kept = Records(tmp_path / "cells")
    cells = [f"group/cell-{i}" for i in range(len(runs))]
    for cell, run in zip(cells, runs, strict=True):
        kept.add(cell, run, {"recipe": {}})
    expected = compare([read_results(run) for run in runs])
    found = compare(kept.read(cells))
    assert found.summaries == expected.summaries
    assert list(found.differences["b"]) == ["chain", "exclusion/joint@10"]
    for key, difference in found.differences["b"].items():
        assert difference == pytest.approx(expected.differences["b"][key], abs=1e-9)
    assert (tmp_path / "cells" / "group" / "scores.npz.xz").stat().st_size < 20_000


def test_a_cell_that_is_run_again_replaces_its_own_scores_only(tmp_path):
    kept = Records(tmp_path / "cells")
    cells = ["group/no-1", "group/no-10"]
    for seed, cell in enumerate(cells):
        kept.add(cell, write_run(tmp_path / "run", "no", seed), {})
    first, other = kept.read(cells)
    kept.add(cells[0], write_run(tmp_path / "run", "no", 5), {})
    again, same = kept.read(cells)
    assert (again.seed, same.seed) == (5, 1)
    assert not torch.equal(again.scores["chain"].values, first.scores["chain"].values)
    assert torch.equal(same.scores["chain"].values, other.scores["chain"].values)


def test_the_scores_of_a_group_are_the_same_bytes_in_any_order(tmp_path):
    runs = {f"group/{seed}": write_run(tmp_path / f"{seed}", "any", seed) for seed in range(2)}
    written = []
    for name, cells in (("one", list(runs)), ("other", list(runs)[::-1])):
        kept = Records(tmp_path / name)
        for cell in cells:
            kept.add(cell, runs[cell], {})
        written.append((tmp_path / name / "group" / "scores.npz.xz").read_bytes())
    assert written[0] == written[1]


def test_a_record_without_scores_is_an_error(tmp_path):
    kept = Records(tmp_path / "cells")
    kept.add("group/cell-0", write_run(tmp_path / "run", "any", 0), {})
    (tmp_path / "cells" / "group" / "scores.npz.xz").unlink()
    with pytest.raises(InputError, match="no scores of group/cell-0; run it again"):
        kept.read(["group/cell-0"])


def write_run(folder, method, seed):
    """Write results with several scores per track, weighted ones among them."""
    generator = torch.Generator().manual_seed(seed)
    tracks = torch.randint(50, (400,), generator=generator)
    values = torch.rand(400, generator=generator)
    weights = torch.randint(1, 3, (400,), generator=generator) * 0.1
    scores = {
        "chain": Scores(values.round(), tracks),
        "median_rank/original": Scores(values, tracks),
        "exclusion/auc": Scores(values, tracks),
        "exclusion/joint@10": Scores(values.round(), tracks, weights),
    }
    exam = SimpleNamespace(fingerprint="0", assumed=False)
    write_results(folder, {}, scores, exam, Suite(), method=method, seed=seed)
    return folder


def test_every_record_of_the_repository_is_of_a_cell_and_its_recipe():
    kept = study.Study(ROOT / "runs" / "none", study.HERE)
    by_folder = {cell.folder: cell for cell in EVERY}
    folders = {path.parent for path in kept.records.folder.glob("*/*/cell.json")}
    names = {f"{folder.parent.name}/{folder.name}" for folder in folders}
    assert len(names) > 50
    assert names <= by_folder.keys()
    assert {n for n in names if not kept.is_recorded(by_folder[n])} == OTHER_RECIPE
    for run in kept.records.read(sorted(names)):
        cell = by_folder[f"{run.source.parent.name}/{run.source.name}"]
        described = json.loads((run.source / "cell.json").read_text())
        assert (run.method, run.seed) == (cell.title, cell.seed)
        assert [described[key] for key in ("group", "title", "seed")] == [
            cell.group, cell.title, cell.seed,
        ]  # fmt: skip


def test_the_records_of_the_repository_are_small():
    files = [path for path in study.HERE.rglob("*") if path.is_file()]
    assert not [path for path in files if path.suffix == ".npz"]
    assert sum(path.stat().st_size for path in files if path.suffix == ".xz") < 3_000_000


@pytest.mark.slow
def test_the_small_study_runs_reports_and_resumes(tmp_path):
    """`make study SMALL=1`, into a folder of the test's own."""
    command = [sys.executable, "experiments/study/study.py", "--small", "--out", str(tmp_path)]
    first, again = (
        subprocess.run(
            command,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for _ in range(2)
    )
    assert "[10/10]" in first
    assert "10 cells, 0 to run" in again
    results = json.loads((tmp_path / "report" / "recipes" / "results.json").read_text())
    assert list(results) == ["baseline", "combined", "negclap", "taught", "negclap + taught"]
    for picture in ("recipes/comparison.png", "ablations/comparison.png", "p/axis.png"):
        assert (tmp_path / "report" / picture).stat().st_size > 10_000
