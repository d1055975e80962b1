"""`negclap.load` reproduces models of other libraries, and runs no code from files."""

import pickle
import shutil
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import AutoProcessor, ClapModel

import negclap
from negclap.errors import InputError
from tests.conftest import save_clap

RATE = 48_000
TEXTS = ["no drums", "calm piano without any drums or vocals", "rock"]

ADAPTER = """
import numpy as np

class Loudness:
    sample_rate = 8_000
    excerpt_s = 2.0
    def encode_audio(self, waveforms):
        return np.stack([np.sqrt((waveforms**2).mean(1)), np.ones(len(waveforms))], axis=1)
    def encode_text(self, texts):
        return np.array([[len(text.split()), 1] for text in texts])

class Wrong(Loudness):
    dim = 3

class TextOnly:
    sample_rate = 8_000
    encode_text = None
"""


class Malicious:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (Path("/tmp/negclap-was-here").touch, ())


def noise(seconds, n=3):
    draw = np.random.default_rng(0).standard_normal((n, round(seconds * RATE)))
    return (0.1 * draw).astype(np.float32)


@torch.inference_mode()
def embed_with_transformers(folder, waveforms):
    """Embed texts and clips one at a time."""
    model, processor = (
        ClapModel.from_pretrained(folder).eval(),
        AutoProcessor.from_pretrained(folder),
    )
    texts = [processor.tokenizer(text, return_tensors="pt") for text in TEXTS]
    clips = [
        processor.feature_extractor(clip, sampling_rate=RATE, return_tensors="pt")
        for clip in waveforms
    ]
    return [
        F.normalize(torch.cat([method(**one).pooler_output for one in given]), dim=-1).numpy()
        for method, given in ((model.get_text_features, texts), (model.get_audio_features, clips))
    ]


@pytest.mark.parametrize("fusion", [False, True])
@pytest.mark.parametrize("seconds", [4.0, 10.0])
def test_a_clap_model_equals_transformers(tmp_path, fusion, seconds):
    folder = save_clap(tmp_path, fusion)
    model = negclap.load(folder)
    texts, clips = embed_with_transformers(folder, noise(seconds))
    np.testing.assert_allclose(model.encode_text(TEXTS), texts, atol=1e-5)
    np.testing.assert_allclose(model.encode_audio(noise(seconds)), clips, atol=1e-5)
    assert (model.sample_rate, model.dim, model.excerpt_s) == (RATE, 24, 10.0)


def test_clips_that_a_clap_model_would_crop_at_random_are_rejected(clap_folder):
    with pytest.raises(InputError, match=r"clips last 11.0 s, this ClapModel takes at most 10 s"):
        negclap.load(clap_folder).encode_audio(noise(11.0))


def test_a_class_in_a_file_is_loaded(tmp_path, chorales, tracks):
    (tmp_path / "adapter.py").write_text(ADAPTER)
    model = negclap.load(f"{tmp_path / 'adapter.py'}:Loudness")
    assert (model.dim, model.excerpt_s) == (2, 2.0)
    embeddings = model.encode_audio([chorales / track.audio for track in tracks[:3]])
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-6)
    assert model.encode_text(TEXTS).shape == (3, 2)
    for name, message in {
        "Wrong": r"encode_text returned shape \(1, 2\), expected \(1, 3\)",
        "TextOnly": "has no encode_audio",
        "Missing": "has no class 'Missing'",
    }.items():
        with pytest.raises(InputError, match=message):
            negclap.load(f"{tmp_path / 'adapter.py'}:{name}").encode_text(["x"])
    with pytest.raises(InputError, match=r"nothing\.py: no such file"):
        negclap.load("nothing.py:Model")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("class M(:", "SyntaxError"),
        ("import nothing_of_this_name", "ModuleNotFoundError"),
        ("raise SystemExit(7)", "SystemExit"),
        ("M = 3", "has no class 'M'"),
        ("class M:\n    def __init__(self, needed): pass", "TypeError"),
        ("class M:\n    sample_rate = 0\n    dim = 2", "has no encode_audio"),
        (f"{ADAPTER}\nclass M(Loudness):\n    sample_rate = -5", "sample_rate is -5"),
        (f"{ADAPTER}\nclass M(Loudness):\n    excerpt_s = 'long'", "excerpt_s is 'long'"),
        (f"{ADAPTER}\nclass M(Loudness):\n    def encode_text(self, texts): return 1 / 0",
         "encode_text: ZeroDivisionError"),
    ],
)  # fmt: skip
def test_errors_of_a_custom_class_are_reported_in_one_line(tmp_path, code, message):
    (tmp_path / "adapter.py").write_text(code)
    with pytest.raises(InputError, match=message) as error:
        negclap.load(f"{tmp_path / 'adapter.py'}:M").encode_text(["x"])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("checkpoints/best.ckpt", b"\x80\x02junk"),
        ("checkpoints/best.ckpt", b""),
        (
            "config.yaml",
            b"model: {audio_encoder: null, text_encoder: 3, embed_dim: x}\ndata: {excerpt_s: 4}",
        ),
        ("config.yaml", b"model: 3"),
    ],
)
def test_a_broken_run_is_reported_in_one_line(tiny_run, tmp_path, path, data):
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    (run / path).write_bytes(data)
    with pytest.raises(InputError) as error:
        negclap.load(run)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (
            np.zeros(16_000, np.float32),
            r"has shape \(16000,\), expected \(n, samples\)",
        ),
        (np.full((1, 16_000), np.nan, np.float32), "has NaN or infinite samples"),
        (np.ones((1, 64_000), np.int32), "audio array of int32, expected floats"),
    ],
)
def test_invalid_audio_arrays_are_rejected(tiny_run, array, message):
    with pytest.raises(InputError, match=message):
        negclap.load(tiny_run).encode_audio(array)


class FakeClapModule(torch.nn.Module):
    """The used part of LAION's `CLAP_Module`."""

    def __init__(self, enable_fusion, amodel):
        super().__init__()
        self.given = (enable_fusion, amodel)
        self.model = torch.nn.Linear(512, 512)

    def get_audio_embedding_from_data(self, x, use_tensor):
        assert use_tensor
        return self.model(x[:, :512])

    def get_text_embedding(self, x, use_tensor):
        assert use_tensor
        features = self.model(torch.stack([torch.full((512,), float(len(text))) for text in x]))
        return features.squeeze(0)  # as the original does for a single text


@pytest.mark.parametrize("kind", ["run", "clap"])
def test_the_end_of_a_long_text_is_known_not_to_be_read(tiny_run, clap_folder, kind):
    model = negclap.load(tiny_run if kind == "run" else clap_folder)
    text = "A calm piece for piano and strings. " * 20 + "Absolutely no drums."
    unread = model.unread(text)
    assert text.endswith(unread)
    assert "no drums." in unread
    read = text[: -len(unread)]
    np.testing.assert_allclose(*model.encode_text([text, read]), atol=1e-5)
    assert np.abs(np.subtract(*model.encode_text([text, read[:-30]]))).max() > 1e-4
    assert model.unread(read.strip()) == ""
    assert model.unread("") == model.unread("no drums") == ""


@pytest.fixture
def laion_clap(monkeypatch):
    module = types.ModuleType("laion_clap")
    module.CLAP_Module = FakeClapModule
    monkeypatch.setitem(sys.modules, "laion_clap", module)


def test_a_laion_checkpoint_is_loaded_into_laions_module(laion_clap, tmp_path):
    weights = torch.nn.Linear(512, 512).state_dict()
    path = tmp_path / "music_audioset_epoch_15.pt"
    state = {f"module.{name}": value for name, value in weights.items()}
    torch.save({"epoch": 3, "best": np.float64(0.5), "state_dict": state}, path)
    model = negclap.load(path)
    assert model.module.given == (False, "HTSAT-base")
    one = model.encode_text(["ab"])
    assert one.shape == (1, 512)
    expected = torch.full((1, 512), 2.0) @ weights["weight"].T + weights["bias"]
    np.testing.assert_allclose(one, F.normalize(expected, dim=-1).numpy(), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(model.encode_audio(noise(1.0)), axis=1), 1, atol=1e-5)
    torch.save({"state_dict": {"module.other": torch.ones(1)}}, path)
    message = "are not those of HTSAT-base without fusion, which the name .* 'fusion' for a fusion"
    with pytest.raises(InputError, match=message) as error:
        negclap.load(path)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize("value", [np.int64(3), np.float32(0.5), np.bool_(True), np.uint8(1)])
def test_a_laion_checkpoint_may_have_any_numpy_scalar(laion_clap, tmp_path, value):
    weights = torch.nn.Linear(512, 512).state_dict()
    torch.save({"epoch": value, "state_dict": weights}, tmp_path / "a.pt")
    torch.save(weights, tmp_path / "bare.pt")
    texts = [negclap.load(tmp_path / name).encode_text(["ab"]) for name in ("a.pt", "bare.pt")]
    np.testing.assert_array_equal(*texts)


@pytest.mark.parametrize("content", [{}, {"state_dict": 3}, [1, 2], {"model": {"a": 1}}])
def test_other_checkpoints_are_reported_in_one_line(laion_clap, tmp_path, content):
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(InputError, match=r"not a LAION-CLAP checkpoint \(no state_dict\)"):
        negclap.load(tmp_path / "a.pt")


def test_objects_in_a_laion_checkpoint_are_reported_without_pytorchs_advice(laion_clap, tmp_path):
    torch.save({"state_dict": {}, "args": types.SimpleNamespace(a=1)}, tmp_path / "a.pt")
    with pytest.raises(InputError, match="objects other than tensors and numbers") as error:
        negclap.load(tmp_path / "a.pt")
    assert "weights_only" not in str(error.value)


def test_clips_that_laion_clap_would_crop_at_random_are_rejected(laion_clap, tmp_path):
    torch.save({"state_dict": torch.nn.Linear(512, 512).state_dict()}, tmp_path / "a.pt")
    model = negclap.load(tmp_path / "a.pt")
    for samples in (20 * RATE, 10 * RATE + 1):
        with pytest.raises(InputError, match="this LAION-CLAP model takes at most 10 s"):
            model.encode_audio(0.1 * np.ones((1, samples), np.float32))
    assert model.encode_audio(0.1 * np.ones((1, 10 * RATE), np.float32)).shape == (1, 512)


def test_a_missing_laion_clap_package_is_reported(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "laion_clap", None)
    with pytest.raises(InputError, match="pip install laion_clap"):
        negclap.load(tmp_path / "x.pt")


def test_a_malicious_pickle_is_rejected(laion_clap, tiny_run, clap_folder, tmp_path):
    harm = Path("/tmp/negclap-was-here")
    harm.unlink(missing_ok=True)
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.yaml").write_bytes((tiny_run / "config.yaml").read_bytes())
    clap = tmp_path / "clap"
    clap.mkdir()
    for file in clap_folder.iterdir():
        if file.suffix == ".json":
            (clap / file.name).write_bytes(file.read_bytes())
    for victim, file in (
        (run, run / "checkpoints" / "best.ckpt"),
        (clap, clap / "pytorch_model.bin"),
        (tmp_path / "laion.pt", tmp_path / "laion.pt"),
    ):
        file.write_bytes(pickle.dumps({"state_dict": Malicious()}))
        with pytest.raises(InputError):
            negclap.load(victim)
        torch.save({"state_dict": Malicious()}, file)
        with pytest.raises(InputError):
            negclap.load(victim)
    assert not harm.exists()
    torch.load(tmp_path / "run" / "checkpoints" / "best.ckpt", weights_only=False)
    assert harm.exists()  # the same pickle runs its code if it is read without weights_only
    harm.unlink()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "neither a run folder .* nor a model"),
        ({"config.json": "{"}, "not the configuration of a model"),
        ({"config.json": '{"model_type": "bert"}'}, "model_type is 'bert'"),
        ({"config.json": '{"model_type": "clap"}'}, "not a ClapModel with its processor"),
        ({"config.json": '{"model_type": "negclap"}'}, "not an exported model"),
    ],
)
def test_invalid_sources_are_reported_in_one_line(tmp_path, files, message):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message) as error:
        negclap.load(tmp_path)
    assert "\n" not in str(error.value)


def test_an_unknown_name_is_reported_in_one_line():
    with pytest.raises(InputError, match=r"nobody/nothing: no such folder, and no such model"):
        negclap.load("nobody/nothing")
