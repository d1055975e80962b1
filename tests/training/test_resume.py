"""A run that is killed anywhere and goes on is the run that was never killed, bit for bit."""

import csv
import errno
import multiprocessing
import os
import random
import shutil
import signal
from pathlib import Path

import pytest
import torch
import yaml

from negclap.commands.training import run
from negclap.errors import InputError
from negclap.training.callbacks import FailureSigns
from negclap.training.module import NegClapModule
from negclap.training.resume import RunLog, WholeCheckpoints, goes_on, is_whole, newest_point
from tests.conftest import CONFIGS

STEPS, EPOCHS = 4, 3
POINTS = ("step", "after step", "save", "validation", "best")


@pytest.fixture(scope="module")
def arguments(tiny_args):
    return [
        "fit",
        *tiny_args,
        f"--config={CONFIGS / 'methods' / 'negclap.yaml'}",
        "--data.exclude.share=0.3",
        "--model.audio_encoder.init_args.augment.time_frames=10",
        f"--trainer.max_epochs={EPOCHS}",
        "--ckpt_path=last",
    ]


def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at(point, count):
    """Kill this process when it comes to a point for the count-th time."""
    left = iter(range(count, -1, -1))

    def before(original, act=die):
        def wrapped(*args, **kwargs):
            if next(left, 0) == 0:
                act(*args, **kwargs)
            return original(*args, **kwargs)

        return wrapped

    def tear(checkpoint, file):
        file.write(b"half of a checkpoint")
        file.flush()
        die()

    match point:
        case "step":
            NegClapModule.training_step = before(NegClapModule.training_step)
        case "after step":
            NegClapModule.on_train_batch_start = before(NegClapModule.on_train_batch_start)
        case "save":
            torch.save = before(torch.save, tear)
        case "validation":
            NegClapModule.validation_step = before(NegClapModule.validation_step)
        case "best":
            FailureSigns.on_validation_end = before(FailureSigns.on_validation_end)


def train(arguments, folder, every, point=None, count=0):
    """`negclap fit` in a process of its own that may be killed; its exit code."""

    def body():
        torch.set_num_threads(1)
        if point:
            kill_at(point, count)
        run([*arguments, f"--run_dir={folder}", f"--save_every_n_steps={every}"])

    process = multiprocessing.get_context("fork").Process(target=body)
    process.start()
    process.join(timeout=300)
    return process.exitcode


def outcome(folder):
    """The rows of the log but for what the clock says, and the weights at the end."""
    with (folder / "metrics.csv").open() as file:
        rows = [
            {key: value for key, value in row.items() if value and key != "train/data_wait"}
            for row in csv.DictReader(file)
        ]
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    best = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)
    return rows, checkpoint["state_dict"], best["state_dict"]


def check_same(one, other):
    rows, *weights = outcome(one)
    other_rows, *other_weights = outcome(other)
    assert [float(row["train/loss"]) for row in rows if "train/loss" in row]
    assert sorted(map(str, rows)) == sorted(map(str, other_rows))
    for mine, theirs in zip(weights, other_weights, strict=True):
        assert mine.keys() == theirs.keys()
        for name, tensor in mine.items():
            assert (
                torch.equal(tensor, theirs[name]) or (tensor.isnan() & theirs[name].isnan()).all()
            )


@pytest.fixture(scope="module")
def straight(arguments, tmp_path_factory):
    """The run that was never killed."""
    folder = tmp_path_factory.mktemp("straight")
    assert train(arguments, folder, 1) == 0
    return folder


@pytest.mark.parametrize(("point", "count"), [("step", 6), ("save", 2), ("validation", 1)])
def test_a_killed_run_goes_on_as_if_it_had_not_been(straight, arguments, tmp_path, point, count):
    assert train(arguments, tmp_path, 1, point, count) == -signal.SIGKILL
    assert train(arguments, tmp_path, 1) == 0
    check_same(tmp_path, straight)


@pytest.mark.slow
def test_twenty_kills_at_random_points(straight, arguments, tmp_path):
    """Each run gets some steps ahead and is killed; points to go on from every two steps."""
    rng = random.Random(0)
    kills = 0
    while kills < 20:
        code = train(arguments, tmp_path, 2, rng.choice(POINTS), rng.randrange(4))
        assert code in (0, -signal.SIGKILL)
        kills += code != 0
        if code == 0:  # it came to its end before: begin anew
            check_same(tmp_path, straight)
            for path in (tmp_path / "checkpoints").glob("*.ckpt"):
                path.unlink()
    assert train(arguments, tmp_path, 2) == 0
    check_same(tmp_path, straight)


def test_a_kill_in_a_validation_within_an_epoch(arguments, tmp_path):
    often = [*arguments, "--trainer.val_check_interval=0.5"]
    assert train(often, tmp_path / "straight", 1) == 0
    assert train(often, tmp_path / "killed", 1, "validation", 2) == -signal.SIGKILL
    assert train(often, tmp_path / "killed", 1) == 0
    check_same(tmp_path / "killed", tmp_path / "straight")


def test_a_run_that_went_on_is_tested_on_its_best_checkpoint(arguments, tmp_path):
    assert train(arguments, tmp_path, 1, "step", 6) == -signal.SIGKILL
    assert train(arguments, tmp_path, 1) == 0
    assert yaml.safe_load((tmp_path / "config.yaml").read_text())["ckpt_path"] is None


def test_a_new_run_forgets_the_one_before_it_at_once(straight, arguments, tmp_path):
    shutil.copytree(straight, tmp_path / "run")
    (tmp_path / "run" / "results.json").write_text("{}")
    anew = [argument for argument in arguments if argument != "--ckpt_path=last"]
    assert train(anew, tmp_path / "run", 100, "step", 1) == -signal.SIGKILL
    assert not list((tmp_path / "run" / "checkpoints").glob("*.ckpt"))
    assert not (tmp_path / "run" / "results.json").exists()
    assert not (tmp_path / "run" / "validation.json").exists()


def test_without_a_checkpoint_nothing_is_tested(arguments, tmp_path):
    with pytest.raises(InputError, match="no whole checkpoint there"):
        run(["test", *arguments[1:], f"--run_dir={tmp_path}"])


def test_a_log_that_a_kill_has_cut_is_read(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,train/loss\n0,1.5\n1,1.25\n2,")
    log = RunLog(tmp_path, "", goes_on=True)
    log.experiment.save()
    log.go_on_at(2)
    assert (tmp_path / "metrics.csv").read_text().split() == ["step,train/loss", "0,1.5", "1,1.25"]


def test_a_run_that_is_done_is_left_as_it_is(straight, arguments):
    before = outcome(straight)[0]
    assert train(arguments, straight, 1) == 0
    assert outcome(straight)[0] == before


def test_of_torn_checkpoints_the_one_before_is_taken(straight, tmp_path):
    whole = (straight / "checkpoints" / "last.ckpt").read_bytes()
    assert newest_point(tmp_path) is None
    (tmp_path / "previous.ckpt").write_bytes(whole)
    torn = bytearray(whole)
    torn[len(torn) // 2] ^= 1
    (tmp_path / "last.ckpt").write_bytes(torn)
    assert is_whole(tmp_path / "previous.ckpt")
    assert not is_whole(tmp_path / "last.ckpt")
    assert newest_point(tmp_path) == tmp_path / "previous.ckpt"


def test_a_full_disk_is_named_and_loses_nothing(tmp_path, monkeypatch):
    target = tmp_path / "last.ckpt"
    WholeCheckpoints().save_checkpoint({"a": 1}, target)
    monkeypatch.setattr(
        torch, "save", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left"))
    )
    with pytest.raises(InputError, match=r"last.ckpt: cannot be written \(No space left"):
        WholeCheckpoints().save_checkpoint({"a": 2}, target)
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
    assert torch.load(target, weights_only=True) == {"a": 1}


def test_points_need_steps(arguments, tmp_path):
    with pytest.raises(InputError, match="save_every_n_steps is 0"):
        run([*arguments, f"--run_dir={Path(tmp_path)}", "--save_every_n_steps=0"])


def test_a_run_that_was_moved_goes_on(straight, arguments, tmp_path):
    assert train(arguments, tmp_path / "was", 1, "step", 6) == -signal.SIGKILL
    (tmp_path / "was").rename(tmp_path / "is")
    with pytest.raises(InputError, match="was it moved"):
        run(["test", f"--config={tmp_path / 'is' / 'config.yaml'}"])
    assert train(arguments, tmp_path / "is", 1) == 0
    check_same(straight, tmp_path / "is")


def test_however_the_checkpoint_is_called_it_is_the_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert goes_on(Path("runs/mine"), tmp_path / "runs" / "mine" / "checkpoints" / "last.ckpt")
    assert goes_on(tmp_path / "runs" / "mine", "runs/other/../mine/checkpoints/last.ckpt")
    assert not goes_on(Path("runs/mine"), "runs/other/checkpoints/last.ckpt")


def test_in_an_epoch_batches_stay_as_they_are(arguments, tmp_path):
    assert train(arguments, tmp_path, 1, "step", 6) == -signal.SIGKILL
    with pytest.raises(InputError, match=r"middle of an epoch with .*'batch_size'"):
        run([*arguments, f"--run_dir={tmp_path}", "--data.batch_size=8"])


def test_to_try_the_code_costs_no_run(straight, arguments, tmp_path):
    shutil.copytree(straight, tmp_path / "run")
    anew = [argument for argument in arguments if argument != "--ckpt_path=last"]
    before = contents(tmp_path / "run" / "checkpoints")
    assert {"best.ckpt", "last.ckpt"} <= before.keys()
    run([*anew, f"--run_dir={tmp_path / 'run'}", "--trainer.fast_dev_run=true"])
    assert contents(tmp_path / "run" / "checkpoints") == before
    for name in ("validation.json", "metrics.csv", "environment.json", "config.yaml"):
        assert (tmp_path / "run" / name).read_bytes() == (straight / name).read_bytes()


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}
