"""`Htsat` against ClapAudioModel of `transformers`, which is its oracle."""

import pytest
import torch
from transformers import ClapAudioConfig, ClapAudioModel

from negclap.errors import InputError
from negclap.models.htsat import Htsat

# Four stages with shifted windows; the last has one window, which is not shifted.
SMALL = {
    "spec_size": 128,
    "num_mel_bins": 32,
    "window_size": 4,
    "patch_embeds_hidden_size": 8,
    "hidden_size": 64,
    "depths": [2, 2, 3, 2],
    "num_attention_heads": [1, 2, 2, 4],
    "hidden_dropout_prob": 0.0,
}
FRAMES = 500  # of 512


def both(**fields):
    """Return the two models with equal weights, none of them at its start."""
    torch.manual_seed(0)
    config = ClapAudioConfig(**{**SMALL, **fields})
    theirs = ClapAudioModel(config)
    for parameter in theirs.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    norm = theirs.audio_encoder.batch_norm
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    ours = Htsat(config)
    ours.load_state_dict(theirs.state_dict())
    return ours.eval(), theirs.eval()


def encode(theirs, spectrogram):
    return theirs(input_features=spectrogram[:, None]).pooler_output


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"qkv_bias": False, "enable_patch_layer_norm": False, "mlp_ratio": 2.0},
        {"patch_size": [2, 2], "patch_stride": [2, 2], "window_size": 8},
        {"depths": [1, 2], "num_attention_heads": [2, 4], "hidden_size": 16},
    ],
)
@pytest.mark.parametrize("frames", [FRAMES, 512, 30])
def test_outputs_and_gradients_are_those_of_transformers(fields, frames):
    ours, theirs = both(**fields)
    spectrogram = 20 * torch.randn(3, frames, 32) - 30
    expected = encode(theirs, spectrogram)
    output = ours(spectrogram)
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(ours(spectrogram), expected, atol=1e-5, rtol=1e-5)

    direction = torch.randn_like(expected)
    (expected * direction).sum().backward()
    (output * direction).sum().backward()
    gradients = dict(theirs.named_parameters())
    largest = max(float(each.grad.abs().max()) for each in gradients.values())
    for name, parameter in ours.named_parameters():
        difference = (parameter.grad - gradients[name].grad).abs().max()
        assert difference <= 1e-5 * largest, name


def test_weights_load_in_both_directions():
    ours, theirs = both()
    again = ClapAudioModel(theirs.config)
    again.load_state_dict(ours.state_dict())
    values = again.state_dict()
    assert all(torch.equal(value, values[name]) for name, value in ours.state_dict().items())


def test_weights_start_as_in_transformers():
    config = ClapAudioConfig(**{**SMALL, "hidden_size": 32, "initializer_factor": 2.0})
    torch.manual_seed(0)
    ours, theirs = Htsat(config).state_dict(), ClapAudioModel(config).state_dict()
    assert ours.keys() == theirs.keys()
    drawn = {name: value for name, value in theirs.items() if value.float().std() > 0}
    assert all(
        torch.equal(value, ours[name]) for name, value in theirs.items() if name not in drawn
    )
    for name, value in drawn.items():
        if value.numel() > 1000:  # the spread of fewer values is uncertain
            assert float(ours[name].float().std()) == pytest.approx(
                float(value.float().std()), rel=0.15
            )


def test_the_input_norm_is_fixed_in_training():
    ours, _ = both()
    spectrogram = torch.randn(2, FRAMES, 32)
    before = {name: value.clone() for name, value in ours.named_buffers()}
    torch.testing.assert_close(ours.train()(spectrogram), ours.eval()(spectrogram))
    assert all(torch.equal(value, before[name]) for name, value in ours.named_buffers())


@pytest.mark.parametrize(
    "field", ["hidden_dropout_prob", "attention_probs_dropout_prob", "drop_path_rate"]
)
def test_dropout_acts_in_training_alone(field):
    ours, theirs = both(**{field: 0.5})
    spectrogram = torch.randn(2, FRAMES, 32)
    expected = encode(theirs, spectrogram)
    torch.testing.assert_close(ours(spectrogram), expected, atol=1e-5, rtol=1e-5)
    first, second = (ours.train()(spectrogram) for _ in range(2))
    assert not torch.allclose(first, second)


def test_stochastic_depth_keeps_the_mean_of_an_update():
    ours, _ = both(drop_path_rate=0.5)
    block = ours.audio_encoder.layers[-1].blocks[-1].train()
    update = block._drop_path(torch.ones(4000, 2, 3))
    assert update.unique().tolist() == [0.0, 2.0]
    assert float(update.mean()) == pytest.approx(1.0, abs=0.05)
    assert torch.equal(update, update[:, :1, :1].expand(-1, 2, 3))  # whole clips


def test_the_encoder_is_one_graph():
    ours, _ = both()
    spectrogram = torch.randn(2, FRAMES, 32)
    compiled = torch.compile(ours.train(), backend="aot_eager", fullgraph=True)
    output = compiled(spectrogram)
    torch.testing.assert_close(output, ours(spectrogram))
    output.sum().backward()
    assert all(parameter.grad is not None for parameter in ours.parameters())


def test_too_many_frames_are_reported():
    ours, _ = both()
    with pytest.raises(ValueError, match="got 513 frames, expected at most 512"):
        ours(torch.randn(1, 513, 32))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"enable_fusion": True, "fusion_type": "aff_2d"}, "fusion models are not supported"),
        ({"hidden_act": "relu"}, "hidden_act 'relu' is not supported, expected 'gelu'"),
        ({"patch_size": 7}, r"patches of \(7, 7\) in steps of \(4, 4\)"),
        ({"num_mel_bins": 80}, "an image of 128 rows for 80 bands"),
        ({"window_size": 3}, "32 tokens a side in stage 1 for windows of 3"),
        ({"window_size": 8}, "4 tokens a side in stage 4 for windows of 8"),
    ],
)
def test_unsupported_configurations_are_named(fields, message):
    with pytest.raises(InputError, match=message):
        Htsat(ClapAudioConfig(**{**SMALL, **fields}))
