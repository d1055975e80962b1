"""`negclap fit`, `validate`, `test` and `predict` on the tiny set, and their error messages."""

import csv
import json

import numpy as np
import pytest
import soundfile as sf
import torch
import yaml

import negclap
from negclap.cli import main
from negclap.commands.training import parse
from negclap.data.manifest import write_manifest
from negclap.data.tracks import read_manifest
from negclap.evaluation.plots import PLOT_NAMES
from negclap.models.clap import NegClap
from tests.conftest import CONFIGS

COMBINED = ["-c", str(CONFIGS / "methods" / "combined.yaml")]


@pytest.fixture(scope="module")
def run(tiny_args, tmp_path_factory):
    """A run folder after `fit` and `test`."""
    folder = tmp_path_factory.mktemp("run") / "combined"
    assert main(["fit", *tiny_args, *COMBINED, f"--run_dir={folder}"]) == 0
    checkpoint = f"--ckpt_path={folder / 'checkpoints' / 'best.ckpt'}"
    assert main(["test", "-c", str(folder / "config.yaml"), checkpoint]) == 0
    return folder


def test_the_run_folder_has_what_reproduces_the_run(run):
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["model"]["losses"]["dissimilarity"]["weight"] == 0.1
    assert config["data"]["insert"]["p"] == 0.6
    environment = json.loads((run / "environment.json").read_text())
    assert environment["versions"]["torch"] == torch.__version__.split("+")[0]
    assert environment["git_revision"]
    assert (run / "checkpoints" / "last.ckpt").exists()
    with (run / "metrics.csv").open() as file:
        columns = next(csv.reader(file))
    for key in (
        "train/loss/contrastive",
        "train/loss/dissimilarity",
        "val/map@10/mean",
        "val/chain",
    ):
        assert key in columns


def test_results_have_chance_and_oracle(run):
    results = json.loads((run / "results.json").read_text())
    for level in ("original", "half", "fully"):
        for name in ("recall@10", "map@10", "median_rank"):
            assert f"{name}/{level}" in results
    for key in ("recall@10/original", "pairwise/half_vs_fully", "chain", "true_absence"):
        assert 0 <= results[key] <= 1
        assert f"{key}/chance" in results
        assert f"{key}/oracle" in results
        assert results[f"{key}/low"] <= results[key] <= results[f"{key}/high"]
    assert results["true_absence/oracle"] == 1.0
    assert "threshold/f1" in results
    assert "a2t/recall@10/original" in results


def test_gradients_are_clipped_in_half_precision(tiny_args, tmp_path):
    precision = ["--trainer.precision=bf16-mixed", "--trainer.max_steps=2"]
    assert main(["fit", *tiny_args, *COMBINED, *precision, f"--run_dir={tmp_path / 'half'}"]) == 0


def test_validate_and_predict(run):
    checkpoint = f"--ckpt_path={run / 'checkpoints' / 'best.ckpt'}"
    assert main(["validate", "-c", str(run / "config.yaml"), checkpoint]) == 0
    assert main(["predict", "-c", str(run / "config.yaml"), checkpoint]) == 0
    embeddings = np.load(run / "embeddings-0.npz")
    assert (
        embeddings["audio"].shape == embeddings["text"].shape == (len(embeddings["track_ids"]), 16)
    )


def test_without_a_checkpoint_the_best_of_the_run_is_loaded(run, tmp_path, complaint):
    before = json.loads((run / "results.json").read_text())
    (run / "results.json").unlink()
    assert main(["test", "-c", str(run / "config.yaml")]) == 0
    assert json.loads((run / "results.json").read_text()) == before
    status, line = complaint(["test", "-c", str(run / "config.yaml"), f"--run_dir={tmp_path}"])
    assert status == 2
    assert "no such checkpoint" in line


def test_a_second_run_in_a_folder_replaces_the_first(tiny_args, tmp_path):
    for seed in ("0", "1"):
        assert main(["fit", *tiny_args, f"--run_dir={tmp_path}", f"--seed_everything={seed}"]) == 0
    checkpoints = {path.name: path for path in (tmp_path / "checkpoints").iterdir()}
    assert set(checkpoints) == {"best.ckpt", "last.ckpt"}
    best, last = (
        torch.load(checkpoints[f"{name}.ckpt"])["state_dict"] for name in ("best", "last")
    )
    assert torch.equal(best["model.log_scale"], last["model.log_scale"])


def test_wandb_logs_offline_without_an_account(tiny_args, tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    overlay = ["-c", str(CONFIGS / "loggers" / "wandb.yaml")]
    assert main(["fit", *tiny_args, *overlay, f"--run_dir={tmp_path}"]) == 0
    assert list((tmp_path / "wandb").glob("offline-run-*/*.wandb"))
    assert main(["test", "-c", str(tmp_path / "config.yaml")]) == 0
    logged = (tmp_path / "wandb").glob("offline-run-*/files/media/images/test/pictures_*.png")
    assert len(list(logged)) == len(PLOT_NAMES)
    assert (tmp_path / "metrics.csv").exists()


def test_print_config_prints_the_resolved_configuration(tiny_args, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["fit", *tiny_args, *COMBINED, "--print_config"])
    assert stop.value.code in (0, None)
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["data"]["insert"]["p"] == 0.6


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--data.manifest=/nowhere/m.jsonl", "/nowhere/m.jsonl: manifest not found"),
        ("--data.insert.p=1.5", "data.insert.p is 1.5"),
        ("--model.losses.dissimilarity.weight=-1", "weight -1"),
        ("--data.batch_size=0", "data.batch_size is 0"),
        ("--data.batch_size=4000", "do not fill a batch"),
        ("--data.excerpt_s=-1", "data.excerpt_s is -1"),
        ("--data.excerpt_s=60", "shorter than the excerpts of 60"),
        ("--data.max_bad_fraction=2", "data.max_bad_fraction is 2"),
        ("--data.test_split=x --data.train_split=nothing", "no track of split 'nothing'"),
        ("--model.temperature=0.0001", "temperature is 0.0001"),
        ("--data.num_workers=-1", "data.num_workers is -1"),
        ("--trainer.max_epochs=3 --trainer.check_val_every_n_epoch=2", "not a multiple of"),
        ("--trainer.accumulate_grad_batches=2", "negatives do not accumulate"),
        ("--model.micro_batch_size=0", "model.micro_batch_size is 0"),
        ("--model.losses.contrastive.weight=0", "all weights are 0"),
        ("--data.no_such_key=1", "no_such_key"),
        ("--model.text_encoder.init_args.name=/nowhere/bert", "/nowhere/bert"),
    ],
)
def test_a_mistake_is_one_line(complaint, tiny_args, tmp_path, argument, message):
    status, line = complaint(["fit", *tiny_args, *argument.split(), f"--run_dir={tmp_path}"])
    assert status == 2
    assert message in line


def test_unknown_yaml_keys_are_named(complaint, tiny_args, tmp_path):
    overlay = tmp_path / "bad.yaml"
    overlay.write_text("data:\n  insrt:\n    p: 0.5\n")
    status, line = complaint(["fit", *tiny_args, "-c", str(overlay), f"--run_dir={tmp_path}"])
    assert status == 2
    assert "insrt" in line


@pytest.fixture
def damaged_set(chorales, tracks, tmp_path):
    """A copy of the tiny set's manifest that points to the same audio, but for one broken file."""
    folder = tmp_path / "damaged"
    (folder / "audio").mkdir(parents=True)
    clips = [track for track in tracks if track.split in ("train", "validation")]
    for track in clips:
        (folder / track.audio).symlink_to(chorales / track.audio)
    (folder / "vocabulary.json").write_text((chorales / "vocabulary.json").read_text())
    write_manifest(folder / "manifest.jsonl", clips)
    victim = folder / read_manifest(folder / "manifest.jsonl")[3].audio
    victim.unlink()
    sf.write(victim, np.zeros(80_000, np.float32), 16_000)
    return folder


@pytest.mark.parametrize("workers", [0, 1])
def test_bad_audio_names_its_track_from_any_process(
    complaint, tiny_args, damaged_set, tmp_path, workers
):
    arguments = [
        f"--data.manifest={damaged_set / 'manifest.jsonl'}",
        f"--data.num_workers={workers}",
    ]
    status, line = complaint(
        ["fit", *tiny_args, *arguments, "--data.batch_size=8", f"--run_dir={tmp_path / 'r'}"]
    )
    assert status == 2
    assert line.startswith("negclap: error: track 'train-00003': ")
    assert line.count("error") == 1
    assert "silent" in line


def test_skipped_audio_is_reported_and_limited(complaint, tiny_args, damaged_set, tmp_path):
    manifest = damaged_set / "manifest.jsonl"
    n_train = sum(track.split == "train" for track in read_manifest(manifest))
    arguments = [
        f"--data.manifest={manifest}",
        "--data.on_bad_audio=skip",
        f"--data.batch_size={n_train}",  # no track is left out of the epoch
        f"--run_dir={tmp_path / 'r'}",
    ]
    with pytest.warns(UserWarning, match="1 unreadable tracks in the train split"):
        assert main(["fit", *tiny_args, *arguments, "--data.max_bad_fraction=0.1"]) == 0
    status, line = complaint(["fit", *tiny_args, *arguments, "--data.max_bad_fraction=0.001"])
    assert status == 2
    assert "data.max_bad_fraction is 0.001" in line


def test_the_audio_encoder_of_another_run_is_loaded_and_frozen(run, tiny_args, tmp_path, complaint):
    """Only the text tower is trained (LiT); the result is a run like any other."""
    audio_run = f"--model.audio_run={run}"
    assert main(["fit", *tiny_args, audio_run, f"--run_dir={tmp_path / 'lit'}"]) == 0
    ours, theirs = negclap.load(tmp_path / "lit"), negclap.load(run)
    noise = np.random.default_rng(0).normal(0, 0.1, (2, 64_000)).astype(np.float32)
    np.testing.assert_array_equal(ours.encode_audio(noise), theirs.encode_audio(noise))
    assert np.abs(ours.encode_text(["piano"]) - theirs.encode_text(["piano"])).max() > 1e-3

    for other, message in (
        ("--model.embed_dim=8", "audio encoder does not fit: size mismatch for"),
        (
            "--model.audio_encoder.init_args.mel.hop_length=320",
            "audio encoder has the front end MelConfig(",
        ),
    ):
        status, line = complaint(
            ["fit", *tiny_args, audio_run, other, f"--run_dir={tmp_path / 'other'}"]
        )
        assert status == 2
        assert message in line


def test_a_frozen_audio_encoder_stays_in_eval_mode_and_is_loaded_once(
    run, tiny_args, tmp_path, monkeypatch
):
    cli = parse(["fit", *tiny_args, f"--model.audio_run={run}", f"--run_dir={tmp_path}"])
    modes = []
    step = cli.model.training_step

    def observed(batch, batch_idx):
        encoders = (cli.model.model.audio_encoder, cli.model.model.text_encoder)
        modes.append(tuple(encoder.training for encoder in encoders))
        return step(batch, batch_idx)

    cli.model.training_step = observed
    cli.trainer.fit_loop.max_epochs = 2  # the second follows a validation
    cli.trainer.fit(cli.model, cli.datamodule)
    assert set(modes) == {(False, True)}
    assert len(modes) > 2
    monkeypatch.setattr(NegClap, "copy_audio_tower", lambda *_: pytest.fail("taken on a resume"))
    resumed = parse(["fit", *tiny_args, f"--model.audio_run={run}", f"--run_dir={tmp_path}"])
    resumed.trainer.fit_loop.max_epochs = 2
    resumed.trainer.fit(resumed.model, resumed.datamodule, ckpt_path="last")


def test_a_checkpoint_of_another_configuration_is_rejected(complaint, run):
    checkpoint = f"--ckpt_path={run / 'checkpoints' / 'best.ckpt'}"
    arguments = ["test", "-c", str(run / "config.yaml"), checkpoint]
    status, line = complaint([*arguments, "--model.embed_dim=8"])
    assert status == 2
    assert "checkpoint of another configuration" in line
    assert "(16," in line


def test_a_missing_or_truncated_checkpoint_is_named(complaint, run, tmp_path):
    arguments = ["test", "-c", str(run / "config.yaml")]
    status, line = complaint([*arguments, "--ckpt_path=/nowhere/best.ckpt"])
    assert status == 2
    assert "/nowhere/best.ckpt" in line
    torn = tmp_path / "torn.ckpt"
    torn.write_bytes((run / "checkpoints" / "best.ckpt").read_bytes()[:1000])
    status, line = complaint([*arguments, f"--ckpt_path={torn}"])
    assert status == 2
    assert "torn.ckpt" in line
