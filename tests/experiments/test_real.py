"""experiments/real in miniature."""

import json
import sys

import controls
import methods
import mir1k
import numpy as np
import pytest
import sentences
import soundfile as sf
import stored_features
import torch
import train

from negclap.audio import read_excerpt
from negclap.cli import main as cli
from negclap.data.tracks import read_manifest
from negclap.models.musicnn import MusicnnEncoder
from negclap.rng import stream
from negclap.text.detect import find_negations
from negclap.text.vocabulary import music_vocabulary
from tests.data.stems import sets


def test_controls_of_mixes(tmp_path, monkeypatch, capsys):
    sets.folder(tmp_path / "set")
    data, out = tmp_path / "data", tmp_path / "out"
    sizes = ["--validation_mixes=24", "--test_mixes=48", "--excerpt_s=3", "--groups={test: [d]}"]
    assert not cli(["prepare", "stems", f"--audio={tmp_path / 'set'}", f"--out={data}", *sizes])
    monkeypatch.setattr(sys, "argv", ["controls.py", str(data / "manifest.jsonl"), f"--out={out}"])
    monkeypatch.setattr(controls, "LEAST_MIXES", 5)
    controls.main()
    found = json.loads((out / "controls.json").read_text())
    assert {"audio_ceiling", "true_absence", "paired/exchanged"} <= {*found["probe"]}
    assert -1 <= found["built-in"]["no X against parts"] <= 1
    assert "no X against parts" in capsys.readouterr().out


def test_methods_on_stored_outputs(tmp_path, monkeypatch, capsys):
    sets.folder(tmp_path / "set")
    data, pool, out = tmp_path / "data", tmp_path / "pool.npz", tmp_path / "out"
    sizes = ["--validation_mixes=16", "--test_mixes=24", "--excerpt_s=3", "--groups={test: [d]}"]
    assert not cli(["prepare", "stems", f"--audio={tmp_path / 'set'}", f"--out={data}", *sizes])
    monkeypatch.setattr(train, "POOL_S", 3.0)
    monkeypatch.setattr(methods, "EXCERPT_S", 3.0)
    train.read_pool(data, pool, 32, 1)
    small = ["--trainer.max_epochs=1", "--trainer.check_val_every_n_epoch=1",
             "--data.batch_size=8", "--trainer.enable_progress_bar=false"]  # fmt: skip
    arguments = ["methods.py", str(data), str(pool), f"--out={out}", "--condition=sentences"]
    monkeypatch.setattr(sys, "argv", [*arguments, "--seeds=1", "--only=combined", *small])
    methods.main()
    written = out / "sentences"
    results = json.loads((written / "methods" / "combined-0" / "results.json").read_text())
    assert {"true_absence", "audio_ceiling", "paired/exchanged"} <= {*results}
    assert (written / "report" / "methods" / "table.md").is_file()
    assert "combined" in (written / "report" / "methods" / "by_song.md").read_text()
    tracks = read_manifest(written / "set" / "manifest.jsonl")
    texts = [caption.text for track in tracks for caption in track.captions]
    assert all(text.count(".") >= 2 for text in texts)
    # What the encoder passes on is what musicnn returns for the mix.
    (track, *_) = tracks.split("test")
    stored = np.load(written / "set" / track.audio)
    waveform = read_excerpt(data / "mixes" / f"{track.track_id}.wav", 0.0, 3.0, 16_000)
    encoder = MusicnnEncoder().eval()
    encoder.fit_statistics(torch.from_numpy(np.load(pool)["hidden"]).float())
    with torch.inference_mode():
        expected = encoder(torch.from_numpy(waveform)[None])[0].numpy()
    passed = stored_features.StoredFeatures().eval()(torch.from_numpy(stored)[None])[0].numpy()
    np.testing.assert_allclose(passed, expected.clip(-32, 32), atol=1e-4)


def test_sentences_mention_their_tags_and_no_others():
    tags = ("drums", "acoustic guitar", "vocals", "piano", "violin")
    vocabulary = music_vocabulary()
    for seed in range(50):
        text = sentences.sentences(tags, stream(seed))
        assert 2 <= text.count(".") <= 5
        found = {mention.tag for mention in vocabulary.find(text)} & {*tags}
        assert 1 <= len(found) <= 4
        assert not find_negations(text)
    assert sentences.sentences((), stream(0)).count(".") in (1, 2)


def test_singing_against_its_absence(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for singer in ("ann", "bob"):
        noise = 0.1 * rng.standard_normal((4 * 16_000, 2))
        sf.write(tmp_path / f"{singer}_1_01.wav", noise, 16_000)
    arguments = ["mir1k.py", str(tmp_path), f"--out={tmp_path / 'out'}"]
    monkeypatch.setattr(sys, "argv", arguments)
    mir1k.main()
    found = json.loads((tmp_path / "out" / "mir1k.json").read_text())
    assert found["couples"] == 2
    assert {*found["right"]} == {*mir1k.WITH, *mir1k.WITHOUT}
    assert {*found["right"].values()} <= {0.0, 0.5, 1.0}


def test_a_folder_without_excerpts_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["mir1k.py", str(tmp_path), "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"no \.wav files, expected MIR-1K's Wavfile"):
        mir1k.main()
