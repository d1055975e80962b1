"""Several processes compute the same loss, gradients and metrics as one process."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from torch import nn

from negclap import distributed
from negclap.data.batch import collate
from negclap.evaluation.metrics import NegationRetrieval, retrieval, streaming
from negclap.evaluation.suite import Evaluation, Suite
from negclap.text.probes import LEVELS
from tests.conftest import CONFIGS
from tests.training.test_module import full_batch, in_form, make_module

B = 8


class _Loss(nn.Module):
    """The training step on some rows of a global batch, with all loss terms."""

    def __init__(self, form, frozen):
        super().__init__()
        self.module = make_module(in_form(form))
        if frozen:
            self.module.model.freeze(["audio"])

    def forward(self, rows):
        clips, _ = full_batch(self.module)
        # not all clips have all texts, and the second half repeats the texts of the first
        doubled = [*clips, *(replace(clip, waveform=clip.waveform[::-1].copy()) for clip in clips)]
        chosen = [doubled[row] for row in rows]
        return self.module.training_step(
            collate(chosen, self.module.model.text_encoder.tokenize), 0
        )


def end():
    """End this process immediately.

    Destroying a process group can deadlock: gloo's thread waits for the GIL, and the thread that
    holds the GIL waits for gloo's thread.
    """
    dist.barrier()
    os._exit(0)


def worker(rank, world, form, micro_batch_size, frozen, store, target):
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world)
    torch.set_num_threads(1)
    module = nn.parallel.DistributedDataParallel(_Loss(form, frozen))
    module.module.module.micro_batch_size = micro_batch_size
    per_rank = B // world
    loss = module(range(rank * per_rank, (rank + 1) * per_rank))
    loss.backward()
    average = loss.detach().clone()
    dist.all_reduce(average)
    if rank == 0:
        gradients = [p.grad for p in module.parameters() if p.requires_grad]
        torch.save((average / world, gradients), target)
    end()


@pytest.mark.parametrize(
    ("world", "form", "micro_batch_size", "frozen"),
    [
        (2, "dense", None, False),
        (2, "dense", None, True),
        (2, "tiled", 3, False),
        (2, "sigmoid", None, False),
        pytest.param(4, "dense", None, False, marks=pytest.mark.slow),
        pytest.param(4, "tiled", None, False, marks=pytest.mark.slow),
    ],
)
def test_loss_and_gradients_equal_those_of_one_process(
    tmp_path, world, form, micro_batch_size, frozen
):
    alone = _Loss(form, frozen)
    loss = alone(range(B))
    loss.backward()
    arguments = (world, form, micro_batch_size, frozen, tmp_path / "store", tmp_path / "out.pt")
    mp.spawn(worker, arguments, nprocs=world)
    distributed_loss, gradients = torch.load(tmp_path / "out.pt")
    torch.testing.assert_close(distributed_loss, loss.detach(), atol=1e-5, rtol=0)
    for expected, gradient in zip(
        (p.grad for p in alone.parameters() if p.requires_grad), gradients, strict=True
    ):
        torch.testing.assert_close(gradient, expected)


def test_a_single_process_gathers_nothing():
    rows = torch.randn(3, 2, requires_grad=True)
    assert distributed.gather_with_gradient(rows) is rows
    assert distributed.gather(rows) is rows
    assert distributed.gather_uneven(rows) is rows
    assert distributed.share(7) == (0, 7)
    assert distributed.rank() == 0
    assert distributed.global_mean(torch.tensor([1.0, 3.0])).item() == 2.0
    assert distributed.global_mean(torch.tensor([])).item() == 0.0


CLIPS = 37  # a prime number: no number of processes divides it


def levels_of(rows):
    """Return clips and texts by level of some rows; a third has no half negated caption."""
    generator = torch.Generator().manual_seed(0)
    audio, *texts = F.normalize(torch.randn(4, CLIPS, 8, generator=generator), dim=-1)
    audio[5] = audio[30]  # these are on different ranks
    levels = {name: text[rows] for name, text in zip(LEVELS, texts, strict=True)}
    mask = {name: torch.ones(len(rows), dtype=torch.bool) for name in LEVELS}
    mask["half"] = rows % 3 > 0
    return audio[rows], levels, rows, mask


def embed_at_random(statements):
    generator = torch.Generator().manual_seed(1)
    return F.normalize(torch.randn(len(statements), 8, generator=generator), dim=1)


def values_of(exam, rows, sync):
    """Return metrics and scores on some rows, and how many queries were ranked in each call."""
    queries = []

    def rank_targets(*arguments):
        queries.append(len(arguments[0]))
        return actual(*arguments)

    actual = retrieval.rank_targets
    metric = NegationRetrieval(gallery_size=16, galleries=3)
    evaluation = Evaluation(Suite(16, 3), sync_on_compute=sync)
    audio = embed_at_random(exam.tracks)
    with (
        mock.patch.object(retrieval, "rank_targets", rank_targets),
        mock.patch.object(streaming, "rank_targets", rank_targets),
    ):
        metric.update(*levels_of(rows[rows < CLIPS]))
        computed = {key: float(value) for key, value in metric.compute().items()}
        evaluation.begin(exam, embed_at_random)
        evaluation.update(audio[rows], rows)
        results = evaluation.compute(exam, float("nan"))
    return computed, results.values, results.scores, queries


def metric_worker(rank, world, folder, exam):
    dist.init_process_group(
        "gloo", init_method=f"file://{folder / 'store'}", rank=rank, world_size=world
    )
    torch.set_num_threads(1)
    # unequal shares, and the last rank repeats a clip, as a sampler does
    n = len(exam.tracks)
    bounds = torch.linspace(0, 1, world + 1).square().mul(n).long()
    rows = torch.arange(bounds[rank], bounds[rank + 1])
    rows = torch.cat((rows, rows[:0] if rank < world - 1 else torch.tensor([CLIPS - 1])))
    torch.save(values_of(exam, rows, sync=True), folder / f"{rank}.pt")
    end()


@pytest.mark.parametrize("world", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_ranks_share_the_queries_and_agree(tmp_path, exam_clips, world):
    exam = replace(exam_clips[0], twins=())
    all_rows = torch.arange(len(exam.tracks))
    computed, values, scores, queries = values_of(exam, all_rows, sync=False)
    mp.spawn(metric_worker, (world, tmp_path, exam), nprocs=world)
    shares = []
    for rank in range(world):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=False)
        rank_computed, rank_values, rank_scores, rank_queries = found
        assert rank_computed == pytest.approx(computed, abs=1e-6)
        assert rank_values == pytest.approx(values, abs=1e-6)
        assert rank_scores.keys() == scores.keys()
        for key, expected in scores.items():
            assert torch.equal(rank_scores[key].values, expected.values), key
            assert torch.equal(rank_scores[key].items, expected.items), key
        shares.append(rank_queries)
    assert [sum(parts) for parts in zip(*shares, strict=True)] == queries
    assert all(max(parts) - min(parts) <= 1 for parts in zip(*shares, strict=True))


def negclap(*arguments):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "negclap.cli", *map(str, arguments)]
    subprocess.run(command, check=True, env=environment, cwd=Path(__file__).parents[2])


def test_training_and_testing_on_two_processes(tiny_args, tmp_path):
    """DDP from the command line: the same losses, and test metrics on a split of odd size."""
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


def test_teaching_on_two_processes(clap_folder, tmp_path):
    """The same losses and validation scores as on one process, and one model is written."""
    small = ("data.lessons=64", "data.validation_lessons=17", "trainer.max_epochs=2")
    quiet = ("trainer.enable_progress_bar=false", "trainer.log_every_n_steps=1")
    two = ("trainer.strategy=ddp", "trainer.devices=2", "trainer.accelerator=cpu")
    runs = {"one": ["data.batch_size=16"], "two": ["data.batch_size=8", *two]}
    for name, extra in runs.items():
        out = ("--model", clap_folder, "--out", tmp_path / name, "--layers", "1")
        negclap("teach", *out, *small, *quiet, *extra)
        assert (tmp_path / name / "model.safetensors").is_file()
    one, other = (_losses(tmp_path / f"{name}-training" / "metrics.csv") for name in runs)
    assert len(one) == 8
    assert other == pytest.approx(one, abs=1e-4)
    alone, together = (
        json.loads((tmp_path / f"{name}-training" / "validation.json").read_text()) for name in runs
    )
    assert together["val/agreement"] == pytest.approx(alone["val/agreement"], abs=1e-4)


@pytest.mark.slow
def test_fifty_steps_on_one_two_and_four_processes(tiny_args, tmp_path):
    """All terms of negclap's recipe, started with torchrun as on a cluster."""
    exact = [
        *("-c", CONFIGS / "methods" / "negclap.yaml", "--model.losses.dissimilarity.weight=0.01"),
        *("--model.audio_encoder.init_args.dropout=0", "--model.text_encoder.init_args.dropout=0"),
        *("--data.insert.p=0.6", "--trainer.max_epochs=13", "--trainer.check_val_every_n_epoch=13"),
    ]
    curves = []
    for world in (1, 2, 4):
        folder = tmp_path / str(world)
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command = [
            *(*launch, f"--nproc-per-node={world}", "-m", "negclap.cli", "fit", *tiny_args, *exact),
            *(f"--data.batch_size={16 // world}", "--trainer.strategy=ddp", f"--run_dir={folder}"),
            *("--trainer.accelerator=cpu", f"--trainer.devices={world}"),
        ]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        subprocess.run(list(map(str, command)), check=True, env=environment,
                       cwd=Path(__file__).parents[2])  # fmt: skip
        curves.append(_losses(folder / "metrics.csv"))
    assert len(curves[0]) == 52
    for curve in curves[1:]:
        assert curve == pytest.approx(curves[0], abs=1e-4)


def _losses(path):
    import csv

    with path.open() as file:
        return [float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]
