"""experiments/real in miniature."""

import json
import sys

import controls
import mir1k
import numpy as np
import pytest
import soundfile as sf

from negclap.cli import main as cli
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
