"""A run that is killed and resumed equals an uninterrupted run, bit for bit."""

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
from negclap.training.callbacks import HealthCheck
from negclap.training.module import NegClapModule
from negclap.training.resume import (
    AtomicCheckpointIO,
    ResumableCSVLogger,
    is_intact,
    is_resuming,
    newest_checkpoint,
)
from tests.conftest import CONFIGS

STEPS, EPOCHS = 4, 3
KILL_POINTS = ("step", "after step", "save", "validation", "best")


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
    """Kill this process when it has reached a point ``count`` times."""
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
            HealthCheck.on_validation_end = before(HealthCheck.on_validation_end)


def train(arguments, folder, every, point=None, count=0):
    """Run `negclap fit` in its own process, which may be killed; return its exit code."""

    def body():
        torch.set_num_threads(1)
        if point:
            kill_at(point, count)
        run([*arguments, f"--run_dir={folder}", f"--save_every_n_steps={every}"])

    process = multiprocessing.get_context("fork").Process(target=body)
    process.start()
    process.join()
    return process.exitcode


def outcome(folder):
    """Return the rows of the log without timings, the last weights and the best ones."""
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
def uninterrupted(arguments, tmp_path_factory):
    """The folder of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    assert train(arguments, folder, 1) == 0
    return folder


@pytest.mark.parametrize(("point", "count"), [("step", 6), ("save", 2), ("validation", 1)])
def test_resumed_run_equals_uninterrupted_run(uninterrupted, arguments, tmp_path, point, count):
    assert train(arguments, tmp_path, 1, point, count) == -signal.SIGKILL
    assert train(arguments, tmp_path, 1) == 0
    check_same(tmp_path, uninterrupted)
    assert not list((tmp_path / "checkpoints").glob("*.partial"))


@pytest.mark.slow
def test_twenty_kills_at_random_points(uninterrupted, arguments, tmp_path):
    """Each run makes some progress and is killed; checkpoints are saved every two steps."""
    rng = random.Random(0)
    kills = 0
    while kills < 20:
        code = train(arguments, tmp_path, 2, rng.choice(KILL_POINTS), rng.randrange(4))
        assert code in (0, -signal.SIGKILL)
        kills += code != 0
        if code == 0:  # the run finished first: start a new one
            check_same(tmp_path, uninterrupted)
            for path in (tmp_path / "checkpoints").glob("*.ckpt"):
                path.unlink()
    assert train(arguments, tmp_path, 2) == 0
    check_same(tmp_path, uninterrupted)


def test_kill_during_validation_within_an_epoch(arguments, tmp_path):
    often = [*arguments, "--trainer.val_check_interval=0.5"]
    assert train(often, tmp_path / "uninterrupted", 1) == 0
    assert train(often, tmp_path / "killed", 1, "validation", 2) == -signal.SIGKILL
    assert train(often, tmp_path / "killed", 1) == 0
    check_same(tmp_path / "killed", tmp_path / "uninterrupted")


def test_saved_configuration_does_not_name_the_resumed_checkpoint(arguments, tmp_path):
    assert train(arguments, tmp_path, 1, "step", 6) == -signal.SIGKILL
    assert train(arguments, tmp_path, 1) == 0
    assert yaml.safe_load((tmp_path / "config.yaml").read_text())["ckpt_path"] is None


def test_new_run_deletes_files_of_the_earlier_run_at_the_start(uninterrupted, arguments, tmp_path):
    shutil.copytree(uninterrupted, tmp_path / "run")
    (tmp_path / "run" / "results.json").write_text("{}")
    fresh = [argument for argument in arguments if argument != "--ckpt_path=last"]
    assert train(fresh, tmp_path / "run", 100, "step", 1) == -signal.SIGKILL
    assert not list((tmp_path / "run" / "checkpoints").glob("*.ckpt"))
    assert not (tmp_path / "run" / "results.json").exists()
    assert not (tmp_path / "run" / "validation.json").exists()


def test_testing_without_a_checkpoint_is_an_error(arguments, tmp_path):
    with pytest.raises(InputError, match="no intact checkpoint"):
        run(["test", *arguments[1:], f"--run_dir={tmp_path}"])


def test_log_with_a_truncated_row_is_read(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,train/loss\n0,1.5\n1,1.25\n2,")
    log = ResumableCSVLogger(tmp_path, "", resume=True)
    log.experiment.save()
    log.resume_at(2)
    assert (tmp_path / "metrics.csv").read_text().split() == ["step,train/loss", "0,1.5", "1,1.25"]


def test_resuming_a_finished_run_changes_nothing(uninterrupted, arguments):
    before = outcome(uninterrupted)[0]
    assert train(arguments, uninterrupted, 1) == 0
    assert outcome(uninterrupted)[0] == before


def test_damaged_checkpoint_is_skipped(uninterrupted, tmp_path):
    intact = (uninterrupted / "checkpoints" / "last.ckpt").read_bytes()
    assert newest_checkpoint(tmp_path) is None
    (tmp_path / "previous.ckpt").write_bytes(intact)
    damaged = bytearray(intact)
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "last.ckpt").write_bytes(damaged)
    assert is_intact(tmp_path / "previous.ckpt")
    assert not is_intact(tmp_path / "last.ckpt")
    with pytest.warns(UserWarning, match=r"last\.ckpt is damaged"):
        assert newest_checkpoint(tmp_path) == tmp_path / "previous.ckpt"


def test_full_disk_is_an_error_and_earlier_checkpoints_are_kept(tmp_path, monkeypatch):
    target = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"a": 1}, target)
    monkeypatch.setattr(
        torch, "save", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left"))
    )
    with pytest.raises(InputError, match=r"last.ckpt: cannot be written \(No space left"):
        AtomicCheckpointIO().save_checkpoint({"a": 2}, target)
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
    assert torch.load(target, weights_only=True) == {"a": 1}


def test_zero_steps_between_checkpoints_is_an_error(arguments, tmp_path):
    with pytest.raises(InputError, match="save_every_n_steps is 0"):
        run([*arguments, f"--run_dir={Path(tmp_path)}", "--save_every_n_steps=0"])


def test_moved_run_is_resumed(uninterrupted, arguments, tmp_path):
    assert train(arguments, tmp_path / "was", 1, "step", 6) == -signal.SIGKILL
    (tmp_path / "was").rename(tmp_path / "is")
    with pytest.raises(InputError, match="if the folder was moved"):
        run(["test", f"--config={tmp_path / 'is' / 'config.yaml'}"])
    assert train(arguments, tmp_path / "is", 1) == 0
    check_same(uninterrupted, tmp_path / "is")


def test_checkpoint_is_recognised_by_any_form_of_its_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_resuming(Path("runs/mine"), tmp_path / "runs" / "mine" / "checkpoints" / "last.ckpt")
    assert is_resuming(tmp_path / "runs" / "mine", "runs/other/../mine/checkpoints/last.ckpt")
    assert not is_resuming(Path("runs/mine"), "runs/other/checkpoints/last.ckpt")


def test_batch_size_cannot_change_within_an_epoch(arguments, tmp_path):
    assert train(arguments, tmp_path, 1, "step", 6) == -signal.SIGKILL
    with pytest.raises(InputError, match=r"middle of an epoch with .*'batch_size'"):
        run([*arguments, f"--run_dir={tmp_path}", "--data.batch_size=8"])


def test_fast_dev_run_leaves_the_run_folder_unchanged(uninterrupted, arguments, tmp_path):
    shutil.copytree(uninterrupted, tmp_path / "run")
    fresh = [argument for argument in arguments if argument != "--ckpt_path=last"]
    before = contents(tmp_path / "run" / "checkpoints")
    assert {"best.ckpt", "last.ckpt"} <= before.keys()
    run([*fresh, f"--run_dir={tmp_path / 'run'}", "--trainer.fast_dev_run=true"])
    assert contents(tmp_path / "run" / "checkpoints") == before
    for name in ("validation.json", "metrics.csv", "environment.json", "config.yaml"):
        assert (tmp_path / "run" / name).read_bytes() == (uninterrupted / name).read_bytes()


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_finished_run_is_made_longer_with_the_schedule_of_the_longer_run(arguments, tmp_path):
    run([*arguments, f"--run_dir={tmp_path}"])
    at_end = (tmp_path / "config.yaml").read_text()
    with pytest.raises(InputError, match=f"has trained for {EPOCHS} epochs, expected at most"):
        run([*arguments, f"--run_dir={tmp_path}", "--trainer.max_epochs=1"])
    assert (tmp_path / "config.yaml").read_text() == at_end
    with pytest.warns(UserWarning, match="the learning rate goes from 0 to"):
        run([*arguments, f"--run_dir={tmp_path}", f"--trainer.max_epochs={2 * EPOCHS}"])
    whole = tmp_path / "whole"
    run([*arguments, f"--run_dir={whole}", f"--trainer.max_epochs={2 * EPOCHS}"])
    longer, other = (rates_by_step(folder) for folder in (tmp_path, whole))
    for step in range(STEPS * EPOCHS + 1, 2 * STEPS * EPOCHS):
        assert longer[step] == pytest.approx(other[step])


def rates_by_step(folder):
    with (folder / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row.get("lr-AdamW/pg1")]
    return {int(row["step"]): float(row["lr-AdamW/pg1"]) for row in rows}
