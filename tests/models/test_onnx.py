"""`negclap export --format onnx`: both encoders without torch."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from onnxruntime import InferenceSession
from tokenizers import Tokenizer

import negclap
from negclap.cli import main
from negclap.errors import InputError
from negclap.models.checkpoint import TrainedModel, read_run
from negclap.models.description import Description
from negclap.models.frontend import ConvLogMel, LogMel, MelConfig, SpecAugment
from negclap.models.musicnn import load_musicnn
from negclap.models.onnx_export import check_audio_onnx, check_text_onnx, write_onnx
from negclap.models.text_tower import text_tower
from tests.conftest import TINY_HTSAT
from tests.training.test_teaching import teach

LONG = "calm piano and a slow violin without any drums or vocals, " * 30  # is truncated
TEXTS = ["no drums", "calm piano without any drums or vocals", "rock", LONG, "", "r&b"]
WITHOUT_TORCH = "import sys; sys.modules |= dict.fromkeys(('torch', 'transformers', 'negclap'))\n"


def noise(n, samples):
    draw = np.random.default_rng(n).standard_normal((n, samples), dtype=np.float32)
    return 0.1 * draw


def build(audio, text, projection="linear"):
    configs = {
        "audio_encoder": {"class_path": f"negclap.models.{audio[0]}", "init_args": audio[1]},
        "text_encoder": {"class_path": "negclap.models.text_encoders.TextEncoder",
                         "init_args": text},
    }  # fmt: skip
    description = Description(**configs, embed_dim=16, excerpt_s=4.0, projection=projection)
    torch.manual_seed(0)
    return TrainedModel(description.build(), description, {})


def minilm(_):
    return build(
        ("audio_encoders.ConvEncoder", {"widths": [8, 8, 8, 8], "depths": [1, 1, 1, 1]}),
        {"layers": 1},
    )


def clap(folder):
    """HTS-AT and RoBERTa, as in a run that fine-tunes a ClapModel."""
    text = {"name": str(folder), "pooling": "pooler"}
    return build(("audio_encoders.HtsatEncoder", {"overrides": TINY_HTSAT}), text, "mlp")


@pytest.fixture(scope="module")
def exported(tiny_run, tmp_path_factory):
    """The export of a run from scratch, which replaces one in another format."""
    out = tmp_path_factory.mktemp("onnx") / "mine"
    assert main(["export", str(tiny_run), str(out)]) == 0
    assert main(["export", str(tiny_run), str(out), "--format", "onnx"]) == 0
    return out


def interface(path):
    session = InferenceSession(path)
    ends = [*session.get_inputs(), *session.get_outputs()]
    return {end.name: (end.type, *end.shape) for end in ends}


def assert_same(folder, model, samples):
    """Compare with torch for several numbers of clips and lengths of texts."""
    assert interface(folder / "audio.onnx") == {
        "waveform": ("tensor(float)", "rows", samples),
        "embedding": ("tensor(float)", "rows", model.dim),
    }
    assert interface(folder / "text.onnx") == {
        "input_ids": ("tensor(int64)", "rows", "length"),
        "attention_mask": ("tensor(int64)", "rows", "length"),
        "embedding": ("tensor(float)", "rows", model.dim),
    }
    audio, text = (InferenceSession(folder / f"{name}.onnx") for name in ("audio", "text"))
    for n in (1, 2, 5):
        clips = noise(n, samples)
        (embeddings,) = audio.run(None, {"waveform": clips})
        np.testing.assert_allclose(embeddings, model.encode_audio(clips), atol=1e-4, rtol=0)
    tokenizer = Tokenizer.from_file(str(folder / "text" / "tokenizer.json"))
    for texts in (TEXTS, TEXTS[:3], TEXTS[2:3], TEXTS[4:], TEXTS[3:4] * 7):
        tokens = tokenizer.encode_batch(texts)
        inputs = {"input_ids": [t.ids for t in tokens],
                  "attention_mask": [t.attention_mask for t in tokens]}  # fmt: skip
        (embeddings,) = text.run(None, {name: np.array(rows) for name, rows in inputs.items()})
        np.testing.assert_allclose(embeddings, model.encode_text(texts), atol=1e-4, rtol=0)
        np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)


def test_a_run_from_scratch_has_the_same_embeddings(exported, tiny_run):
    assert_same(exported, negclap.load(tiny_run), 64_000)
    files = {str(path.relative_to(exported)) for path in exported.rglob("*") if path.is_file()}
    assert files == {".negclap-export", "README.md", "audio.onnx", "text.onnx",
                     "text/tokenizer.json"}  # fmt: skip


def musicnn(_):
    made = build(("musicnn.MusicnnEncoder", {"nets": ["MSD_musicnn"]}), {"scratch": [16, 1]})
    made.model.audio_encoder.nets[0].load_state_dict(load_musicnn("MSD_musicnn").state_dict())
    return made


@pytest.mark.parametrize(
    ("make", "samples"), [(minilm, 64_000), (clap, 192_000), (musicnn, 64_000)]
)
def test_pretrained_encoders_have_the_same_embeddings(clap_folder, tmp_path, make, samples):
    trained = make(clap_folder)
    write_onnx(trained, tmp_path)
    assert_same(tmp_path, trained.encoder(), samples)


def test_the_example_of_the_card_runs_without_torch(exported, tiny_run):
    card = (exported / "README.md").read_text()
    for part in ("opset 20", "exactly 64,000", "16,000 Hz", "batch is\ndynamic", "up to 64"):
        assert part in card, part
    example = WITHOUT_TORCH + re.search(r"```python\n(.*?)```", card, re.DOTALL)[1]
    command = [sys.executable, "-c", example]
    done = subprocess.run(command, cwd=exported.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    cosines = np.array(done.stdout.replace("[", " ").replace("]", " ").split(), float)
    model = negclap.load(tiny_run)
    texts = model.encode_text(["calm piano, no drums", "drums"])
    silence = model.encode_audio(np.zeros((1, 64_000), np.float32))
    np.testing.assert_allclose(cosines, (texts @ silence.T)[:, 0], atol=1e-4)


def test_a_second_export_replaces_the_first(exported, tiny_run, tmp_path):
    """In this direction, as an ONNX export takes seconds; the fixture does the other one."""
    second = tmp_path / "second"
    shutil.copytree(exported, second)
    assert main(["export", str(tiny_run), str(second)]) == 0
    assert not list(second.glob("*.onnx"))
    assert negclap.load(second).dim == 16
    assert list(tmp_path.iterdir()) == [second]


def test_files_contain_no_paths_of_this_machine(exported):
    for name in ("audio.onnx", "text.onnx"):
        assert b"site-packages" not in (exported / name).read_bytes()
        assert b"negclap" not in (exported / name).read_bytes()


def test_other_embeddings_than_torchs_are_reported(exported, tiny_run):
    description = read_run(tiny_run).description
    untrained = TrainedModel(description.build(), description, {})
    message = r"^{}\.onnx: embeddings .* differ by .* at most 0.0001".format
    with pytest.raises(InputError, match=message("audio")):
        check_audio_onnx(untrained, exported)
    with pytest.raises(InputError, match=message("text")):
        check_text_onnx(text_tower(untrained.model), exported)


def test_a_taught_clap_model_is_exported(clap_folder, chorales, tmp_path):
    """The whole way of somebody whose server runs a ClapModel in ONNX."""
    taught, out = tmp_path / "taught", tmp_path / "onnx"
    assert teach(clap_folder, taught, "--captions", chorales / "manifest.jsonl") == 0
    for source, target in ((clap_folder, tmp_path / "before"), (taught, out)):
        assert main(["export", str(source), str(target), "--format", "onnx"]) == 0
    model = negclap.load(taught)
    assert_same(out, model, 480_000)
    before, after = (
        InferenceSession(folder / "audio.onnx") for folder in (tmp_path / "before", out)
    )
    clips = {"waveform": noise(2, 480_000)}
    np.testing.assert_array_equal(before.run(None, clips)[0], after.run(None, clips)[0])


def test_the_text_encoder_of_a_laion_checkpoint_is_exported(laion, tmp_path, capsys):
    out = tmp_path / "onnx"
    assert main(["export", str(laion), str(out)]) == 2
    assert "only the text encoder can be exported, by --format onnx" in capsys.readouterr().err
    assert main(["export", str(laion), str(out), "--format", "onnx"]) == 0
    assert not (out / "audio.onnx").exists()
    expected = negclap.load(laion).encode_text(["calm piano, no drums", "drums"])
    card = (out / "README.md").read_text()
    example = re.search(r"```python\n(.*?)```", card, re.DOTALL)[1] + "print(texts.tolist())"
    command = [sys.executable, "-c", WITHOUT_TORCH + example]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(json.loads(done.stdout), expected, atol=1e-4)


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_reported_in_one_line(
    tiny_run, tmp_path, monkeypatch, capsys, package
):
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["export", str(tiny_run), str(tmp_path / "out"), "--format", "onnx"]) == 2
    message = f"format onnx needs the package {package}: pip install negclap[onnx]"
    assert capsys.readouterr().err == f"negclap: error: {message}\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("n_fft", "hop"), [(2048, 640), (1000, 300), (441, 160)])
def test_a_spectrogram_by_convolution_is_the_same(n_fft, hop):
    mel = MelConfig(n_fft=n_fft, hop_length=hop, n_mels=32)
    waveform = torch.from_numpy(noise(3, 16_000))
    plain = LogMel(mel, SpecAugment()).eval()
    ours, fft = ConvLogMel(mel, plain.compress).eval()(waveform), plain(waveform)
    torch.testing.assert_close(ours, fft, atol=1e-2, rtol=0)
