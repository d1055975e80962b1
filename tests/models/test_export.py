"""`negclap export` in all formats, and fine-tuning of a ClapModel."""

import json
import shutil

import numpy as np
import pytest
import torch
import yaml
from transformers import AutoTokenizer

import negclap
from negclap.cli import main
from negclap.errors import InputError
from negclap.models.checkpoint import TrainedModel
from negclap.models.clap import NegClap
from negclap.models.clap_model import write_clap_model
from negclap.models.description import Description
from negclap.models.exported import read_exported, write_exported
from tests.conftest import CONFIGS, TINY_HTSAT, save_clap
from tests.models.test_pretrained import ADAPTER

LONG = "calm piano and a slow violin without any drums or vocals, " * 30  # is truncated
TEXTS = ["no drums", "calm piano without any drums or vocals", "rock", LONG]


def noise(model, seconds=4.0, n=3):
    draw = np.random.default_rng(0).standard_normal((n, round(seconds * model.sample_rate)))
    return (0.1 * draw).astype(np.float32)


def assert_same(ours, theirs, tolerance=0.0):
    for mine, other in (
        (ours.encode_text(TEXTS), theirs.encode_text(TEXTS)),
        (ours.encode_audio(noise(ours)), theirs.encode_audio(noise(ours))),
    ):
        np.testing.assert_allclose(other, mine, atol=tolerance, rtol=0)


@pytest.fixture(scope="module")
def finetuned(tiny_args, clap_folder, tmp_path_factory):
    """Fine-tuned tiny ClapModels: "whole", and "adapted" with frozen audio and LoRA in the text."""
    folder = tmp_path_factory.mktemp("finetuned")
    methods = [f"-c={CONFIGS / 'methods' / name}.yaml" for name in ("negclap", "finetune_clap")]
    methods = [part for method in methods for part in method.split("=", 1)]
    kept = [a for a in tiny_args if not a.startswith("--model.")]
    extra = {
        "whole": [],
        "adapted": ["--model.freeze=[audio]", "--model.lora.towers=[text]", "--model.lora.rank=2"],
    }
    for name, options in extra.items():
        given = [f"--model.clap={clap_folder}", "--model.embed_dim=24", *options]
        run = folder / name
        assert main(["fit", *kept, *methods, *given, f"--run_dir={run}"]) == 0
    return folder


@pytest.mark.parametrize("text", ["scratch", "pretrained"])
@pytest.mark.parametrize("audio", ["conv", "htsat"])
def test_an_export_has_the_same_embeddings_bit_by_bit(tmp_path, clap_folder, audio, text):
    encoders = {
        "conv": {"class_path": "negclap.models.audio_encoders.ConvEncoder",
                 "init_args": {"dim": 8, "widths": [8, 8, 8, 8], "depths": [1, 1, 1, 1]}},
        "htsat": {"class_path": "negclap.models.audio_encoders.HtsatEncoder",
                  "init_args": {"overrides": TINY_HTSAT}},
        "scratch": {"class_path": "negclap.models.text_encoders.TextEncoder",
                    "init_args": {"scratch": [8, 1]}},
        "pretrained": {"class_path": "negclap.models.text_encoders.TextEncoder",
                       "init_args": {"name": str(clap_folder), "layers": 1}},
    }  # fmt: skip
    description = Description(encoders[audio], encoders[text], 8, 4.0, threshold=0.25)
    trained = TrainedModel(description.build(), description, {})
    write_exported(trained, tmp_path)
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} <= {
        ".json", ".safetensors", ".txt"}  # fmt: skip
    assert_same(trained.encoder(), negclap.load(tmp_path))
    assert negclap.load(tmp_path).threshold == 0.25
    assert read_exported(tmp_path).description.excerpt_s == 4.0


def test_a_run_is_exported_with_a_model_card(tiny_run, tmp_path, capsys):
    out = tmp_path / "mine"
    assert main(["export", str(tiny_run), str(out)]) == 0
    model = negclap.load(out)
    assert_same(negclap.load(tiny_run), model)
    assert isinstance(model.model, NegClap)
    card = (out / "README.md").read_text()
    results = json.loads((tiny_run / "results.json").read_text())
    assert f"| `true_absence` | {results['true_absence']:.3f} |" in card
    for part in (
        "exclusion 1",
        "TextEncoder, from scratch",
        "2 exclusion captions",
        "chorales",
    ):
        assert part in card, part
    _, front, _ = card.split("---\n", 2)
    assert yaml.safe_load(front)["library_name"] == "negclap"
    (out / "model.safetensors").write_bytes(b"broken")
    assert main(["export", str(tiny_run), str(out)]) == 0  # replaces the earlier export
    assert_same(negclap.load(tiny_run), negclap.load(out))
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_an_export_replaces_only_an_earlier_export(tiny_run, tmp_path, capsys, monkeypatch):
    (tmp_path / "README.md").touch()  # of another project
    for name in ("README.md", "thesis.tex"):
        (tmp_path / name).touch()
        assert main(["export", str(tiny_run), str(tmp_path)]) == 2
        assert "contains more than an earlier export" in capsys.readouterr().err
        assert (tmp_path / name).exists()
    out = tmp_path / "out"
    assert main(["export", str(tiny_run), str(out)]) == 0
    (out / "notes.md").write_text("mine")
    assert main(["export", str(tiny_run), str(out)]) == 2
    assert (out / "notes.md").read_text() == "mine"
    (out / "notes.md").unlink()
    monkeypatch.chdir(out)  # the working directory can be replaced
    assert main(["export", str(tiny_run), "../out"]) == 0
    assert (out / "config.json").exists()


def test_a_run_is_not_overwritten_by_its_export(tiny_run, tmp_path, capsys):
    run = tmp_path / "runs" / "mine"
    shutil.copytree(tiny_run, run)
    for out in (run, run.parent):
        assert main(["export", str(run), str(out)]) == 2
        assert "contains the model itself" in capsys.readouterr().err
    assert (run / "checkpoints" / "best.ckpt").exists()


@pytest.mark.parametrize("text", ["{", "[]"])
def test_broken_results_are_reported_in_one_line(tiny_run, tmp_path, capsys, text):
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    (run / "results.json").write_text(text)
    assert main(["export", str(run), str(tmp_path / "out")]) == 2
    assert "results.json" in capsys.readouterr().err


@pytest.mark.parametrize("broken", ["model.safetensors", "config.json", "text/tokenizer.json"])
def test_a_broken_export_is_reported_in_one_line(tiny_run, tmp_path, broken):
    assert main(["export", str(tiny_run), str(tmp_path / "out")]) == 0
    (tmp_path / "out" / broken).write_bytes(b"{")
    with pytest.raises(InputError) as error:
        negclap.load(tmp_path / "out")
    assert "\n" not in str(error.value)


def test_torch_programs_return_the_same_embeddings(tiny_run, tmp_path):
    assert main(["export", str(tiny_run), str(tmp_path / "out"), "--format", "torch"]) == 0
    model = negclap.load(tiny_run)
    audio = torch.export.load(tmp_path / "out" / "audio.pt2").module()
    text = torch.export.load(tmp_path / "out" / "text.pt2").module()
    waveforms = noise(model, n=5)
    embeddings = audio(torch.from_numpy(waveforms)).detach().numpy()
    np.testing.assert_allclose(embeddings, model.encode_audio(waveforms), atol=1e-5)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out" / "text")
    tokens = tokenizer(TEXTS, padding=True, truncation=True, return_tensors="pt")
    embeddings = text(tokens["input_ids"], tokens["attention_mask"]).detach().numpy()
    np.testing.assert_allclose(embeddings, model.encode_text(TEXTS), atol=1e-5)


def test_fine_tuning_starts_from_a_clap_model_and_exports_one(finetuned, clap_folder, tmp_path):
    before, after = negclap.load(clap_folder), negclap.load(finetuned / "whole")
    change = np.abs(before.encode_text(TEXTS) - after.encode_text(TEXTS)).max()
    assert 0 < change < 0.1  # of a few small steps
    assert (
        np.abs(before.encode_audio(noise(before)) - after.encode_audio(noise(before))).max() < 0.1
    )
    assert main(["export", str(finetuned / "whole"), str(tmp_path / "c"), "--format", "clap"]) == 0
    exported = negclap.load(tmp_path / "c")
    assert type(exported).__name__ == "ClapEncoder"
    assert_same(after, exported, 1e-5)


def test_a_frozen_encoder_keeps_its_embeddings_and_adapters_are_merged(finetuned, clap_folder):
    before, after = negclap.load(clap_folder), negclap.load(finetuned / "adapted")
    clips = noise(before, 10.0)
    np.testing.assert_allclose(after.encode_audio(clips), before.encode_audio(clips), atol=1e-5)
    assert np.abs(before.encode_text(TEXTS) - after.encode_text(TEXTS)).max() > 1e-4
    names = [name for name, _ in after.model.named_modules()]
    assert not any("lora" in name for name in names)
    state = torch.load(finetuned / "adapted" / "checkpoints" / "best.ckpt", weights_only=True)
    layer = "model.text_encoder.model.encoder.layer.0.attention.self.query"
    weights, pretrained = state["state_dict"], negclap.load(clap_folder).model.text_model
    base = pretrained.encoder.layer[0].attention.self.query.weight
    assert torch.equal(weights[f"{layer}.base_layer.weight"], base.detach())
    assert weights[f"{layer}.lora_B.default.weight"].abs().max() > 0
    low_rank = weights[f"{layer}.lora_B.default.weight"] @ weights[f"{layer}.lora_A.default.weight"]
    merged = after.model.text_encoder.model.encoder.layer[0].attention.self.query.weight
    torch.testing.assert_close(merged.cpu(), base + 16 / 2 * low_rank)


def test_a_linear_projection_is_exported_to_a_clap_model(clap_folder, tmp_path):
    """From scratch, as in configs/msd.yaml."""
    audio = {"class_path": "negclap.models.audio_encoders.HtsatEncoder",
             "init_args": {"overrides": TINY_HTSAT}}  # fmt: skip
    text = {"class_path": "negclap.models.text_encoders.TextEncoder",
            "init_args": {"name": str(clap_folder), "pooling": "pooler"}}  # fmt: skip
    description = Description(audio, text, 8, 4.0)
    trained = TrainedModel(description.build(), description, {})
    write_clap_model(trained, tmp_path)
    assert_same(trained.encoder(), negclap.load(tmp_path), 1e-5)


def test_the_clap_format_rejects_other_architectures(tiny_run, tmp_path, capsys):
    assert main(["export", str(tiny_run), str(tmp_path / "out"), "--format", "clap"]) == 2
    assert "a ClapModel needs HtsatEncoder as audio encoder" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model.embed_dim=8"], "do not fit; set model.projection to mlp"),
        (["--model.freeze=[audio,text]"], "both encoders are frozen"),
        (["--model.audio_encoder.init_args.mel.f_min=0"], "has the front end MelConfig("),
        (["--model.lora.layers=[nothing]"], "model.lora: text encoder: Target modules"),
    ],
)
def test_invalid_fine_tuning_options_are_reported_in_one_line(
    tiny_args, clap_folder, tmp_path, capsys, options, message
):
    kept = [a for a in tiny_args if not a.startswith("--model.")]
    config = str(CONFIGS / "methods" / "finetune_clap.yaml")
    given = [f"--model.clap={clap_folder}", "--model.embed_dim=24", *options]
    assert main(["fit", *kept, "-c", config, *given, f"--run_dir={tmp_path}"]) == 2
    assert message in capsys.readouterr().err.strip().splitlines()[-1]


def test_push_uploads_the_folder(tiny_run, tmp_path, monkeypatch, capsys):
    calls = []

    class Hub:
        def create_repo(self, name, private, exist_ok):
            calls.append((name, private))
            return f"hub/{name}"

        def upload_folder(self, repo_id, folder_path):
            calls.append((repo_id, sorted(path.name for path in folder_path.iterdir())))

    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    arguments = ["export", str(tiny_run), str(tmp_path / "out"), "--push_to_hub", "me/mine"]
    assert main([*arguments, "--private"]) == 0
    files = [".negclap-export", "README.md", "config.json", "model.safetensors", "text"]
    assert calls == [("me/mine", True), ("me/mine", files)]
    assert "uploaded to hub/me/mine" in capsys.readouterr().out


def test_a_folder_without_a_model_is_reported_in_one_line(tmp_path, capsys):
    assert main(["export", str(tmp_path), str(tmp_path / "out")]) == 2
    assert "neither a run folder (no config.yaml) nor a model" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["negclap", "clap"])
def test_a_clap_model_is_exported(clap_folder, tmp_path, form):
    assert main(["export", str(clap_folder), str(tmp_path / "out"), "--format", form]) == 0
    exported = negclap.load(tmp_path / "out")
    assert_same(negclap.load(clap_folder), exported, 1e-5)
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"converted by `negclap export` from `{clap_folder}`" in card
    assert "Recipe" not in card


@pytest.mark.parametrize("form", ["negclap", "clap"])
def test_others_can_read_an_export(clap_folder, tmp_path, form):
    assert main(["export", str(clap_folder), str(tmp_path / "out"), "--format", form]) == 0
    plain = tmp_path / "plain"
    plain.touch()
    modes = {path.stat().st_mode for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert modes == {plain.stat().st_mode}


def test_an_export_is_exported_again(tiny_run, tmp_path):
    first, second = (str(tmp_path / name) for name in ("first", "second"))
    assert main(["export", str(tiny_run), first]) == 0
    assert main(["export", first, second]) == 0
    assert_same(negclap.load(tiny_run), negclap.load(second))
    assert main(["export", first, first]) == 2


def test_models_that_cannot_be_exported_are_reported_in_one_line(clap_folder, tmp_path, capsys):
    (tmp_path / "adapter.py").write_text(ADAPTER)
    model = f"{tmp_path / 'adapter.py'}:Loudness"
    assert main(["export", model, str(tmp_path / "out")]) == 2
    assert "adapter.py:Loudness: this model cannot be exported" in capsys.readouterr().err
    fusion = save_clap(tmp_path / "fusion", fusion=True)
    assert main(["export", str(fusion), str(tmp_path / "out")]) == 2
    assert "fusion models are not supported" in capsys.readouterr().err
    other = shutil.copytree(clap_folder, tmp_path / "other")
    config = json.loads((other / "config.json").read_text()) | {"projection_hidden_act": "gelu"}
    (other / "config.json").write_text(json.dumps(config))
    assert main(["export", str(other), str(tmp_path / "out")]) == 2
    assert "its projections have 'gelu', expected 'relu'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
