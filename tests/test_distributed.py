"""Two processes give the loss, the gradients and the metrics of one process."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from negclap import distributed
from negclap.data.batch import collate
from tests.conftest import CONFIGS
from tests.test_module import full_batch, in_form, make_module

B = 8


class _Loss(nn.Module):
    """The whole training step of some rows of a global batch, with every term of the loss."""

    def __init__(self, form):
        super().__init__()
        self.module = make_module(in_form(form))

    def forward(self, rows):
        clips, _ = full_batch(self.module)
        # Roles are unevenly given, and the second half repeats the texts of the first.
        doubled = [*clips, *(replace(clip, waveform=clip.waveform[::-1].copy()) for clip in clips)]
        chosen = [doubled[row] for row in rows]
        return self.module.training_step(
            collate(chosen, self.module.model.text_encoder.tokenize), 0
        )


def worker(rank, world, form, store, target):
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world)
    torch.set_num_threads(1)
    module = nn.parallel.DistributedDataParallel(_Loss(form))
    per_rank = B // world
    loss = module(range(rank * per_rank, (rank + 1) * per_rank))
    loss.backward()
    average = loss.detach().clone()
    dist.all_reduce(average)
    if rank == 0:
        gradients = [p.grad for p in module.parameters()]
        torch.save((average / world, gradients), target)
    dist.destroy_process_group()


@pytest.mark.parametrize(
    ("world", "form"),
    [
        (2, "dense"),
        (2, "tiled"),
        (2, "sigmoid"),
        pytest.param(4, "dense", marks=pytest.mark.slow),
        pytest.param(4, "tiled", marks=pytest.mark.slow),
    ],
)
def test_loss_and_gradients_are_those_of_one_process(tmp_path, world, form):
    alone = _Loss(form)
    loss = alone(range(B))
    loss.backward()
    mp.spawn(worker, (world, form, tmp_path / "store", tmp_path / "out.pt"), nprocs=world)
    theirs, gradients = torch.load(tmp_path / "out.pt")
    torch.testing.assert_close(theirs, loss.detach(), atol=1e-5, rtol=0)
    for mine, other in zip((p.grad for p in alone.parameters()), gradients, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-5, rtol=0)


def test_alone_everything_is_the_identity():
    rows = torch.randn(3, 2, requires_grad=True)
    assert distributed.gather_with_gradient(rows) is rows
    assert distributed.gather(rows) is rows
    assert distributed.rank() == 0
    assert distributed.global_mean(torch.tensor([1.0, 3.0])).item() == 2.0
    assert distributed.global_mean(torch.tensor([])).item() == 0.0


def negclap(*arguments):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "negclap.cli", *map(str, arguments)]
    subprocess.run(command, check=True, env=environment, cwd=Path(__file__).parents[1], timeout=300)


def test_training_and_testing_on_two_processes(tiny_args, tmp_path):
    """DDP by the CLI: the losses of one process, and its test metrics on an uneven split."""
    method = ["-c", CONFIGS / "methods" / "combined.yaml"]
    exact = [
        "--model.audio_encoder.init_args.dropout=0",
        "--model.text_encoder.init_args.dropout=0",
    ]
    two = ["--trainer.strategy=ddp", "--trainer.devices=2", "--trainer.accelerator=cpu"]
    runs = {"one": ["--data.batch_size=16"], "two": ["--data.batch_size=8", *two]}
    for name, extra in runs.items():
        negclap("fit", *tiny_args, *method, *exact, *extra, f"--run_dir={tmp_path / name}")
    one, other = (_losses(tmp_path / name / "metrics.csv") for name in runs)
    assert len(one) == len(other) == 4
    assert other == pytest.approx(one, abs=1e-4)
    checkpoint = f"--ckpt_path={tmp_path / 'one' / 'checkpoints' / 'best.ckpt'}"
    for name, extra in (("one", []), ("two", two)):
        config = tmp_path / "one" / "config.yaml"
        negclap("test", "-c", config, checkpoint, *extra, "--run_dir", tmp_path / f"test-{name}")
    alone, together = (
        json.loads((tmp_path / f"test-{name}" / "results.json").read_text())
        for name in ("one", "two")
    )
    assert alone["recall@10/original/n"] % 2 == 1
    for key, value in alone.items():
        exact_key = not key.startswith(("margin", "mean_cosine", "threshold"))
        assert together[key] == (value if exact_key else pytest.approx(value, abs=1e-5)), key


def _losses(path):
    import csv

    with path.open() as file:
        return [float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]
