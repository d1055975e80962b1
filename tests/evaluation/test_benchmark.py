"""`negclap benchmark` with runs, toys, baselines and any other model."""

import json

import numpy as np
import pytest
import soundfile as sf

import negclap
from negclap.cli import main
from negclap.errors import InputError
from negclap.evaluation.benchmark import BenchmarkData, score, text_embedder
from negclap.evaluation.suite import Suite
from tests.conftest import silent_progress
from tests.models.test_pretrained import ADAPTER


def test_benchmark_and_test_have_the_same_results(tiny_run, chorales, tmp_path):
    out = tmp_path / "out"
    arguments = [f"--model={tiny_run}", f"--data={chorales / 'manifest.jsonl'}"]
    assert main(["benchmark", *arguments, "--toys", "--free", "--out", str(out)]) == 0
    tested = json.loads((tiny_run / "results.json").read_text())
    measured = json.loads((out / "tiny" / "results.json").read_text())
    for key, value in tested.items():
        if key != "method":
            assert measured[key] == pytest.approx(value, abs=1e-5), key
    table = json.loads((out / "results.json").read_text())
    names = [name.split(" + ")[-1].split()[0] for name in table]
    assert names == ["tiny", "boolean", "spherical", "removal",
                     "constant", "bag", "repeller", "cue", "flipper", "oracle"]  # fmt: skip
    assert table["oracle"]["true_absence"] == 1.0
    assert (out / "comparison.png").stat().st_size > 20_000
    differences = json.loads((out / "differences.json").read_text())
    gain = differences["oracle"]["true_absence"]
    assert gain["value"] == pytest.approx(1.0 - measured["true_absence"])
    assert gain["low"] <= gain["value"] <= gain["high"]


def test_loaded_run_encodes_text_and_audio_in_any_form(tiny_run, chorales, tracks):
    model = negclap.load(tiny_run)
    texts = model.encode_text(["slow piano", "no drums"])
    assert texts.shape == (2, model.dim)
    assert texts.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(texts, axis=1), 1, atol=1e-5)
    paths = [chorales / track.audio for track in tracks[:3]]
    expected = model.encode_audio(paths)
    assert expected.shape == (3, model.dim)
    waveforms = np.stack([negclap.audio.read_excerpt(path, 0.0, 4.0, 16_000) for path in paths])
    np.testing.assert_allclose(model.encode_audio(waveforms), expected, atol=1e-5)
    integers = np.round(waveforms * 32_768).astype(np.int16)
    np.testing.assert_allclose(model.encode_audio(integers), expected, atol=1e-4)
    upsampled = np.repeat(waveforms, 2, axis=1)  # roughly the same audio at 32 kHz
    cosines = (model.encode_audio(upsampled, sample_rate=32_000) * expected).sum(axis=1)
    assert (cosines > 0.9).all()
    assert model.encode_text([]).shape == (0, model.dim)


def test_any_class_with_two_encoders_is_evaluated(chorales):
    """A model of ten lines: the loudness of audio, and the number of words of texts."""

    class Loudness:
        sample_rate = 16_000

        def encode_audio(self, audio):
            angle = np.sqrt((audio**2).mean(axis=1, keepdims=True)) * 10
            return np.concatenate([np.cos(angle), np.sin(angle)], axis=1)

        def encode_text(self, texts):
            angle = np.array([[len(text.split()) / 10] for text in texts])
            return np.concatenate([np.cos(angle), np.sin(angle)], axis=1)

    model = Loudness()
    data = BenchmarkData.read(chorales / "manifest.jsonl", 4.0)
    split = data.encode(model, "train", "", silent_progress)
    outcome = score(Suite(64, 2, at=5), split, text_embedder(model))
    assert 0 <= outcome.estimates["true_absence"].value <= 1
    assert outcome.estimates["scope/swap"].value == 0.5
    with pytest.raises(InputError, match="no track of split 'nowhere'"):
        data.encode(model, "nowhere", "", silent_progress)


def test_assumed_absence_is_reported(tiny_run, chorales, tracks, tmp_path, capsys):
    lines = []
    for line in (chorales / "manifest.jsonl").read_text().splitlines():
        entry = json.loads(line)
        entry["audio"] = str(chorales / entry["audio"])
        lines.append(json.dumps(entry | {"absent_tags": None}))
    (tmp_path / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "vocabulary.json").write_bytes((chorales / "vocabulary.json").read_bytes())
    arguments = ["benchmark", f"--model={tiny_run}", f"--data={tmp_path / 'manifest.jsonl'}"]
    assert main([*arguments, "--twin_split", "none", "--out", str(tmp_path / "out")]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "absent tags are not known" in printed
    assert "left out: twins" in printed
    results = json.loads((tmp_path / "out" / "tiny" / "results.json").read_text())
    assert results["assumed_absence"] == 1.0
    assert "assumed" in (tmp_path / "out" / "table.md").read_text()
    assert "true_absence" in results


@pytest.mark.parametrize("missing", ["config.yaml", "checkpoints/best.ckpt"])
def test_incomplete_run_folder_is_an_error(tmp_path, missing):
    (tmp_path / "checkpoints").mkdir()
    for name in {"config.yaml", "checkpoints/best.ckpt"} - {missing}:
        (tmp_path / name).write_text("")
    with pytest.raises(InputError, match=missing):
        negclap.load(tmp_path)


def test_models_of_all_kinds_are_compared(tiny_run, clap_folder, chorales, tmp_path, capsys):
    """A run, a ClapModel and a class, each with its own sample rate and excerpt length."""
    (tmp_path / "adapter.py").write_text(ADAPTER)
    models = [tiny_run, clap_folder, f"{tmp_path / 'adapter.py'}:Loudness"]
    arguments = [*(f"--model={model}" for model in models), f"--data={chorales / 'manifest.jsonl'}"]
    assert main(["benchmark", *arguments, "--galleries=2", f"--out={tmp_path / 'out'}"]) == 0
    table = json.loads((tmp_path / "out" / "results.json").read_text())
    assert list(table) == ["tiny", "tiny-clap", "Loudness"]
    assert len({metrics["map@10/original"] for metrics in table.values()}) == 3
    differences = json.loads((tmp_path / "out" / "differences.json").read_text())
    assert list(differences) == ["tiny-clap", "Loudness"]
    for name, of in differences.items():
        gain = of["recall@10/original"]
        difference = table[name]["recall@10/original"] - table["tiny"]["recall@10/original"]
        assert gain["value"] == pytest.approx(difference, abs=1e-6)
        assert gain["low"] <= gain["value"] <= gain["high"]
    assert main(["benchmark", *arguments, f"--model={tmp_path / 'tiny'}", "--out=x"]) == 2
    assert "would both be called 'tiny'" in capsys.readouterr().err


def test_unreadable_audio_is_an_error_or_left_out(tiny_run, chorales, tmp_path, capsys):
    lines = (chorales / "manifest.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    for entry in entries:
        entry["audio"] = str(chorales / entry["audio"])
    bad = next(entry for entry in entries if entry["split"] == "test")
    bad["audio"] = str(tmp_path / "gone.wav")
    (tmp_path / "manifest.jsonl").write_text("\n".join(map(json.dumps, entries)) + "\n")
    (tmp_path / "vocabulary.json").write_bytes((chorales / "vocabulary.json").read_bytes())
    arguments = [f"--model={tiny_run}", f"--data={tmp_path / 'manifest.jsonl'}", "--galleries=2"]
    assert main(["benchmark", *arguments, f"--out={tmp_path / 'out'}"]) == 2
    assert f"track {bad['track_id']!r}" in capsys.readouterr().err
    assert main(["benchmark", *arguments, "--on_bad_audio=skip", f"--out={tmp_path / 'out'}"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "1 tracks left out" in printed
    assert bad["track_id"] in printed
    data = BenchmarkData.read(tmp_path / "manifest.jsonl", 4.0)._replace(on_bad_audio="skip")
    split = data.encode(negclap.load(tiny_run), "test", "test_twin", silent_progress)
    assert len(split.audio) == sum(entry["split"] == "test" for entry in entries) - 1
    assert len(split.unreadable) == 1
    # silent except for the first second: excerpts of 4 s are valid, those of 1 s are not
    sf.write(tmp_path / "gone.wav", np.pad(np.full(16_000, 0.1), (0, 64_000)), 16_000)
    (tmp_path / "adapter.py").write_text(f"{ADAPTER}    excerpt_s = 1.0\n")
    arguments += ["--on_bad_audio=skip", f"--model={tmp_path / 'adapter.py'}:Loudness"]
    assert main(["benchmark", *arguments, f"--out={tmp_path / 'two'}"]) == 2
    captured = capsys.readouterr()
    assert "silent for" in " ".join(captured.out.split())
    assert "Loudness cannot read the same tracks as tiny" in captured.err
