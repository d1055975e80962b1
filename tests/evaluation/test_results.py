"""Results of runs: their files, and `negclap report`."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from negclap.cli import main
from negclap.errors import InputError
from negclap.evaluation.comparison import compare
from negclap.evaluation.metrics.scores import Scores
from negclap.evaluation.results import HEADLINE, SUMMARY, read_results, slug, write_results
from negclap.evaluation.suite import Estimate, Suite

TRACKS = torch.arange(40)


def write_run(folder, method, seed, *, value=0.5, suite=None, exam="0", assumed=False):
    """Write results of which each headline metric has the value, and random scores."""
    generator = torch.Generator().manual_seed(seed)
    estimates = {key: Estimate(value, 0.1, 0.9, 40, 0.5, 1.0) for key in HEADLINE}
    scores = {
        "chain": Scores(torch.rand(40, generator=generator), TRACKS),
        "median_rank/original": Scores(torch.rand(40, generator=generator), TRACKS),
        "exclusion/joint@10": Scores(torch.ones(40), TRACKS, torch.full((40,), 0.1)),
        "true_absence": Scores(torch.empty(0), torch.empty(0, dtype=torch.long)),
        "cue/no/true_absence": Scores(torch.ones(40), TRACKS),
    }
    subject = SimpleNamespace(fingerprint=exam, assumed=assumed)
    write_results(folder, estimates, scores, subject, suite or Suite(), method=method, seed=seed)
    return folder


def complaint(capfd, arguments):
    """Run a command that fails, and return its message."""
    assert main(arguments) == 2
    captured = capfd.readouterr()
    assert "Traceback" not in captured.err
    (line,) = captured.err.strip().splitlines()
    return line


# ------------------------------------------------------------------------------- one run


def test_results_name_their_method_and_seed_first(tmp_path):
    write_run(tmp_path, "no absence", 3, assumed=True)
    results = json.loads((tmp_path / "results.json").read_text())
    assert list(results)[:2] == ["method", "seed"]
    assert (results["method"], results["seed"]) == ("no absence", 3)
    assert results["suite/gallery_size"] == 512
    assert results["chain"] == 0.5
    assert results["chain/oracle"] == 1.0
    assert results["assumed_absence"] == 1.0


def test_results_are_read_as_they_were_written(tmp_path):
    read = read_results(write_run(tmp_path, "any", 2))
    assert (read.method, read.seed, read.exam, read.source) == ("any", 2, "0", tmp_path)
    assert all(isinstance(value, float | int) for value in read.metrics.values())
    assert list(read.scores) == ["median_rank/original", "chain", "exclusion/joint@10"]
    assert torch.equal(read.scores["chain"].items, TRACKS)
    assert read.scores["chain"].weights is None
    assert torch.equal(read.scores["exclusion/joint@10"].weights, torch.full((40,), 0.1))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("results.json", None, "results.json: no such file; run negclap test first"),
        ("results.json", b"{", "results.json: not JSON"),
        ("results.json", b'{"chain": 0.5}', "names no method and seed; run negclap test again"),
        ("scores.npz", None, "scores.npz: no such file; run negclap test again"),
        ("scores.npz", b"PK", "scores.npz: not valid"),
    ],
)
def test_missing_and_broken_files_are_errors(tmp_path, capfd, name, content, message):
    path = write_run(tmp_path, "any", 0) / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert message in complaint(capfd, ["report", str(tmp_path)])


def test_scores_without_an_exam_are_an_error(tmp_path):
    np.savez(write_run(tmp_path, "any", 0) / "scores.npz", chain=np.ones(3))
    with pytest.raises(InputError, match="not valid"):
        read_results(tmp_path)


def test_folder_names_have_no_spaces_and_signs():
    assert slug("p=0.2 k=0.0001") == "p-0.2-k-0.0001"
    assert slug("larger_clap_music + boolean") == "larger_clap_music-boolean"
    assert slug("minilm, seen words (1)") == "minilm-seen-words-1"


# --------------------------------------------------------------------------- several runs


def test_seeds_of_a_method_are_averaged(tmp_path, capsys):
    folders = [
        write_run(tmp_path / "x-1", "combined", 0, value=0.0),
        write_run(tmp_path / "y-2", "combined", 1, value=0.1),
        write_run(tmp_path / "combined-3", "other", 0, value=0.2),
    ]
    out = tmp_path / "out"
    assert main(["report", *map(str, folders), "--out", str(out)]) == 0
    means = json.loads((out / "results.json").read_text())
    assert list(means) == ["combined", "other"]
    assert means["combined"]["chain"] == pytest.approx(0.05)
    assert means["other"]["chain"] == pytest.approx(0.2)
    assert "chain/low" not in means["combined"]
    assert not {"method", "seed"} & means["combined"].keys()
    half_width = 12.706 * 0.05  # Student's t, one degree of freedom, times the standard error
    widths = json.loads((out / "half_widths.json").read_text())
    assert widths["combined"]["chain"] == pytest.approx(half_width, abs=1e-3)
    assert list(widths) == ["combined"]
    assert f"| `chain` | 0.050 ± {half_width:.3f} | 0.200 " in (out / "table.md").read_text()
    assert (out / "comparison.png").stat().st_size > 10_000
    assert "combined (2 runs)" in " ".join(capsys.readouterr().out.split())


def test_folder_names_say_nothing_about_method_and_seed(tmp_path):
    folders = [write_run(tmp_path / f"msd-{n}", f"{n} captions", 0) for n in (10, 30)]
    summaries = compare([read_results(folder) for folder in folders]).summaries
    assert {name: summary.runs for name, summary in summaries.items()} == {
        "10 captions": 1, "30 captions": 1,
    }  # fmt: skip


def test_methods_are_compared_with_the_first_on_the_same_tracks(tmp_path):
    one, other = (read_results(write_run(tmp_path / f"{i}", f"{i}", i)) for i in range(2))
    (found,) = compare([one, other]).differences.values()
    assert list(found) == ["chain", "exclusion/joint@10"]  # medians are not compared
    expected = other.scores["chain"].values.mean() - one.scores["chain"].values.mean()
    assert found["chain"].value == pytest.approx(float(expected))
    assert found["chain"].low <= found["chain"].value <= found["chain"].high
    assert found["exclusion/joint@10"] == (0.0, 0.0, 0.0)


def test_two_runs_of_one_method_and_seed_are_an_error(tmp_path, capfd):
    folders = [write_run(tmp_path / name, "msd", 0) for name in ("a", "b")]
    line = complaint(capfd, ["report", *map(str, folders)])
    assert f"{folders[0]} and {folders[1]}: both are method 'msd', seed 0" in line
    assert f"NAME={folders[1]}" in line


def test_a_run_can_be_renamed(tmp_path, capsys):
    folders = [write_run(tmp_path / name, "msd", 0) for name in ("a", "b")]
    out = tmp_path / "out"
    assert main(["report", str(folders[0]), f"more data={folders[1]}", f"--out={out}"]) == 0
    assert list(json.loads((out / "results.json").read_text())) == ["msd", "more data"]
    assert "more data minus msd" in capsys.readouterr().out


def test_results_of_other_settings_are_not_compared(tmp_path, capfd):
    folders = [
        write_run(tmp_path / f"{size}", f"{size}", 0, suite=Suite(gallery_size=size))
        for size in (512, 256)
    ]
    line = complaint(capfd, ["report", *map(str, folders)])
    assert "results of different test settings cannot be compared" in line
    assert "suite/gallery_size 256" in line


def test_results_of_other_exams_are_not_compared(tmp_path, capfd):
    folders = [write_run(tmp_path / exam, exam, 0, exam=exam) for exam in ("one", "two")]
    line = complaint(capfd, ["report", *map(str, folders)])
    assert f"{folders[0]} and {folders[1]}: results of different exams" in line


def test_tables_are_short_without_all(tmp_path, capsys):
    folder = write_run(tmp_path / "run", "any", 0)
    short = {key for keys in SUMMARY.values() for key in keys}
    for arguments, expected in (([], short), (["--all"], set(HEADLINE))):
        out = tmp_path / "out"
        assert main(["report", str(folder), "--out", str(out), *arguments]) == 0
        printed = set(capsys.readouterr().out.replace("│", " ").split())
        assert {key for key in HEADLINE if key in printed} == expected
        table = (out / "table.md").read_text()
        assert all(f"| `{key}` |" in table for key in HEADLINE)


def test_assumed_absence_is_marked(tmp_path, capsys):
    folder = write_run(tmp_path / "run", "any", 0, assumed=True)
    assert main(["report", str(folder), "--out", str(tmp_path / "out")]) == 0
    assert "assumed" in capsys.readouterr().out
    assert "assumed" in (tmp_path / "out" / "table.md").read_text()
