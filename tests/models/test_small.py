"""The small form of an export: only what training has changed."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import negclap
from negclap.errors import InputError
from negclap.models.checkpoint import TrainedModel
from negclap.models.description import Description
from negclap.models.exported import write_exported, write_small

TEXTS = ["no drums", "calm piano", "rock without vocals or any guitar at all"]


def build(description):
    """A model with the weights of packages, and the same projections each time."""
    torch.manual_seed(0)
    return TrainedModel(description.build(load_weights=True).eval(), description, {})


def trained(text=None):
    """A model whose text encoder's upper layer and projections have changed."""
    musicnn = {"class_path": "negclap.models.musicnn.MusicnnEncoder",
               "init_args": {"nets": ["MSD_musicnn"]}}  # fmt: skip
    minilm = {"class_path": "negclap.models.text_encoders.TextEncoder",
              "init_args": text or {"layers": 2, "trained_layers": 1}}  # fmt: skip
    made = build(Description(musicnn, minilm, embed_dim=24, excerpt_s=3.0))
    if made.model.text_encoder.pretrained:
        for weight in made.model.text_encoder.model.encoder.layer[-1].parameters():
            weight.data += 0.03 * torch.randn(weight.shape)
    made.model.audio_encoder.mean.fill_(0.5)
    return made


def test_a_small_export_has_the_same_embeddings(tmp_path):
    model = trained()
    write_small(model, tmp_path)
    loaded, expected = negclap.load(tmp_path), model.encoder()
    similar = loaded.encode_text(TEXTS) @ expected.encode_text(TEXTS).T
    assert similar.diagonal().min() > 0.9999
    untrained = build(model.description).encoder().encode_text(TEXTS)
    assert (untrained * expected.encode_text(TEXTS)).sum(axis=1).max() < 0.95
    noise = 0.1 * np.random.default_rng(0).standard_normal((2, 48_000), dtype=np.float32)
    np.testing.assert_array_equal(loaded.encode_audio(noise), expected.encode_audio(noise))


def test_weights_of_packages_are_left_out(tmp_path):
    small, whole = tmp_path / "small", tmp_path / "whole"
    for folder, write in ((small, write_small), (whole, write_exported)):
        folder.mkdir()
        write(trained(), folder)
    found = load_file(small / "model.safetensors")
    assert not any("nets." in name or "embeddings" in name for name in found)
    assert "audio_encoder.mean" in found
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (small, whole)]
    assert sizes[0] < 0.06 * sizes[1]
    assert json.loads((small / "config.json").read_text())["form"] == "small"


def test_other_text_encoders_are_refused(tmp_path):
    with pytest.raises(InputError, match="the small form needs the text encoder minilm"):
        write_small(trained(text={"scratch": [16, 1]}), tmp_path)


def test_broken_files_are_named(tmp_path):
    write_small(trained(), tmp_path)
    path = tmp_path / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    with pytest.raises(InputError, match=r"model\.safetensors: cannot be read"):
        negclap.load(tmp_path)
    path.unlink()
    with pytest.raises(InputError, match=r"model\.safetensors: cannot be read"):
        negclap.load(tmp_path)
