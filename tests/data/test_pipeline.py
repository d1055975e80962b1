"""The complete pipeline on LP-MusicCaps-MSD: prepare, shards, fit, test."""

import json

import pytest

from negclap.cli import main
from negclap.data.tracks import read_manifest

from ..conftest import CONFIGS

TINY = (
    "--trainer.max_epochs=1",
    "--data.validation_split=valid",
    "--data.batch_size=10",
    "--data.exclude.absent_from=tags",
    "--data.cooccurrence=true",
)


@pytest.mark.parametrize("method", ["combined", "negclap"])
def test_prepare_shards_fit_test(msd, tmp_path, tiny_args, method):
    arguments = ["--metadata", str(msd.metadata), "--audio", str(msd.audio)]
    assert main(["prepare", "lp-musiccaps-msd", *arguments, "--out", str(tmp_path / "m")]) == 0
    packed = ["--manifest", str(tmp_path / "m" / "manifest.jsonl"), "--out", str(tmp_path / "s")]
    shards = ["prepare", "shards", *packed, "--format", "s16", "--tracks_per_shard", "16"]
    assert main([*shards, "--part", "1/2"]) == 0
    assert main([*shards, "--part", "2/2"]) == 0
    run = tmp_path / "run"
    method_config = str(CONFIGS / "methods" / f"{method}.yaml")
    data = f"--data.manifest={tmp_path / 's' / 'manifest.jsonl'}"
    fit = ["fit", *tiny_args, "-c", method_config, data, *TINY, f"--run_dir={run}"]
    assert main(fit) == 0
    assert main(["test", "-c", str(run / "config.yaml")]) == 0
    results = json.loads((run / "results.json").read_text())
    assert results["assumed_absence"] == 1
    assert 0 <= results["recall@10/original"] <= 1


def test_attribute_predictions_are_rejected_in_training_with_negation(
    msd, tmp_path, tiny_args, capfd
):
    arguments = ["--metadata", str(msd.metadata), "--audio", str(msd.audio)]
    kinds = ["--captions", "[writing,attribute_prediction]"]
    assert main(["prepare", "lp-musiccaps-msd", *arguments, *kinds, "--out", str(tmp_path)]) == 0
    tracks = read_manifest(tmp_path / "manifest.jsonl")
    assert len(tracks.with_caption_kind("attribute_prediction")) == 60
    assert len(tracks[:7].with_caption_kind("attribute_prediction")) == 7
    assert len(tracks.with_caption_kind("summary")) == 0
    fit = ["fit", *tiny_args, f"--data.manifest={tmp_path / 'manifest.jsonl'}", *TINY]
    assert main([*fit, "--data.insert.p=0.5", f"--run_dir={tmp_path / 'run'}"]) == 2
    assert "whose attributes may be false" in capfd.readouterr().err
