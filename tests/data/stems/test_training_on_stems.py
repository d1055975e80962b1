"""`negclap fit` on mixes of stems, in miniature."""

import json

import pytest

from negclap.cli import main
from tests.conftest import CONFIGS
from tests.data.stems import sets

NEGCLAP = ["-c", str(CONFIGS / "methods" / "negclap.yaml")]


@pytest.fixture(scope="module")
def arguments(tmp_path_factory):
    root = tmp_path_factory.mktemp("stems")
    sets.folder(root / "set")
    sizes = ["--validation_mixes=24", "--test_mixes=32", "--excerpt_s=4", "--groups={test: [d]}"]
    out = root / "out"
    assert not main(["prepare", "stems", f"--audio={root / 'set'}", f"--out={out}", *sizes])
    return [
        *("-c", str(CONFIGS / "stems.yaml"), *NEGCLAP),
        f"--data.manifest={out / 'manifest.jsonl'}",
        *("--data.excerpt_s=4", "--data.batch_size=8", "--data.mixing.mixes=16"),
        *("--data.num_workers=0", "--trainer.max_epochs=2", "--trainer.enable_progress_bar=false"),
        "--model.audio_encoder=negclap.models.audio_encoders.ConvEncoder",
        "--model.audio_encoder.init_args.widths=[8,8,8,8]",
        "--model.audio_encoder.init_args.depths=[1,1,1,1]",
        "--model.text_encoder.init_args.scratch=[16,1]",
        "--model.text_encoder.init_args.trained_layers=null",
    ]


def test_a_model_is_trained_and_tested_on_mixes(arguments, tmp_path):
    run = tmp_path / "run"
    assert not main(["fit", *arguments, f"--run_dir={run}"])
    checkpoint = f"--ckpt_path={run / 'checkpoints' / 'best.ckpt'}"
    assert not main(["test", "-c", str(run / "config.yaml"), checkpoint])
    results = json.loads((run / "results.json").read_text())
    expected = {"paired/added", "paired/exchanged", "paired/control", "true_absence"}
    assert expected <= {*results}
    assert results["paired/control/chance"] == 0.5
    assert results["paired/added/chance"] == 0.25
    assert results["paired/exchanged/oracle"] == 1.0


def test_a_folder_without_stems_is_named(chorales, arguments, tmp_path, capsys):
    manifest = f"--data.manifest={chorales / 'manifest.jsonl'}"
    assert main(["fit", *arguments, manifest, f"--run_dir={tmp_path / 'run'}"]) == 2
    assert "stems.jsonl: not found, expected the songs of" in capsys.readouterr().err
