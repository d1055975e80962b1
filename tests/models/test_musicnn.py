import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from constant_filters import LEAST, LOUDEST, without_constants
from musicnn.convert import ALL, WHEEL, convert, main, read_checkpoint
from musicnn.golden import RATE, STARTS, clip
from safetensors.torch import load_file

from negclap.errors import InputError
from negclap.models.musicnn import (
    NETS,
    PATCH,
    WEIGHTS,
    Musicnn,
    MusicnnEncoder,
    _Pooled,
    load_musicnn,
)

GOLDEN = np.load(Path(__file__).with_name("musicnn.npz"))
"""What musicnn's code and TensorFlow 2.15 compute (experiments/musicnn/golden.py)."""


@pytest.fixture(scope="module")
def encoder():
    return MusicnnEncoder().eval()


@pytest.fixture(scope="module")
def patches(encoder):
    levels = encoder.log_mel(torch.from_numpy(clip())[None])[0]
    return torch.stack([levels[start : start + PATCH] for start in STARTS])


def test_levels_are_those_of_librosa(patches):
    assert np.abs(patches[1, :4].numpy() - GOLDEN["levels"]).max() < 1e-4


@pytest.mark.parametrize("net", NETS)
def test_outputs_are_those_of_tensorflow(patches, net):
    model = load_musicnn(net)
    with torch.inference_mode():
        hidden = model(patches)
        assert np.abs(hidden.numpy() - GOLDEN[f"{net}/penultimate"]).max() < 1e-4
        assert np.abs(model.tags(hidden).numpy() - GOLDEN[f"{net}/logits"]).max() < 1e-4


@pytest.mark.parametrize(("frames", "bands"), [(7, 5), (8, 1), (1, 3)])
def test_pooled_convolution_equals_a_plain_one(frames, bands):
    layer = _Pooled(frames, bands, 6)
    generator = torch.Generator().manual_seed(0)
    for value in (layer.weight, layer.bias, layer.norm.weight, layer.norm.bias):
        torch.nn.init.normal_(value, generator=generator)  # some scales of the norm are negative
    x = torch.randn(2, 20, 9, generator=generator)
    kernel = layer.weight.T.reshape(6, 1, frames, bands)
    before = (frames - 1) // 2
    padded = F.pad(x[:, None], (0, 0, before, frames - 1 - before))
    convolved = F.relu(F.conv2d(padded, kernel, layer.bias)).permute(0, 2, 3, 1)
    expected = layer.norm(convolved).amax(dim=2)
    assert (layer.norm.scale < 0).any()
    torch.testing.assert_close(layer(x), expected)


def whole_net(vary):
    """A random net with all filters, of which each third has weights if they are to vary."""
    generator = torch.Generator().manual_seed(0)
    net = Musicnn(ALL).eval()
    for value in net.parameters():
        torch.nn.init.normal_(value, std=0.2, generator=generator)
    for layer in (*net.timbral, *net.temporal):
        filters = torch.arange(len(layer.bias))
        layer.weight.data[:, filters % 3 != vary] = 0
        layer.bias.data[filters % 5 == 0] = -300.0  # never opens, whatever it reads
    net.middle[0].convolution.weight.data[:, -1] = 0
    return net


@pytest.mark.parametrize("frames", [20, PATCH])
def test_a_net_without_its_constants_has_the_same_outputs(frames):
    whole = whole_net(vary=1)
    filters, weights = without_constants(whole)
    for count, every in zip(filters, ALL, strict=True):
        assert every // 5 < count < every // 3
    small = Musicnn(filters).eval()
    small.load_state_dict(weights)
    levels = LOUDEST * torch.rand(2, frames, 96, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        torch.testing.assert_close(small(levels), whole(levels), atol=1e-3, rtol=1e-5)


def test_filters_that_ship_vary(encoder):
    for net in encoder.nets:
        filters = tuple(len(layer.bias) for layer in (*net.timbral, *net.temporal))
        as_whole = Musicnn(filters)
        as_whole.load_state_dict(net.state_dict())
        assert without_constants(as_whole)[0] == filters
        assert LEAST > 0


def test_an_excerpt_is_the_mean_of_its_patches(encoder):
    waveform = torch.from_numpy(np.tile(clip(), 3))[None, : 10 * RATE]
    levels = encoder.log_mel(waveform)
    frames = levels.shape[1]
    starts = (0, round((frames - PATCH) / 2), frames - PATCH)
    with torch.inference_mode():
        each = [
            torch.cat([net(levels[:, start : start + PATCH]) for net in encoder.nets], dim=1)
            for start in starts
        ]
        torch.testing.assert_close(encoder(waveform), torch.stack(each).mean(dim=0))


@pytest.mark.parametrize(("seconds", "patches"), [(1.0, 1), (3.0, 1), (6.1, 2), (10.0, 3)])
def test_number_of_patches_follows_from_the_length(encoder, seconds, patches):
    levels = encoder.log_mel(torch.zeros(1, round(seconds * RATE)))
    assert encoder.cut(levels).shape[1] == patches


def test_calibration_normalises_the_outputs():
    encoder = MusicnnEncoder(nets=("MSD_musicnn",))
    waveforms = torch.from_numpy(np.stack([clip()[i * 4000 :][: 3 * RATE] for i in range(4)]))
    encoder.calibrate(waveforms)
    encoded = encoder(waveforms)
    torch.testing.assert_close(encoded.mean(dim=0), torch.zeros(200), atol=1e-4, rtol=0)
    assert encoded.std(dim=0).max() <= 1.001
    assert encoder.calibrated


@pytest.mark.parametrize("trained", [False, True])
def test_weights_are_trained_only_if_wanted(trained):
    encoder = MusicnnEncoder(nets=("MTT_musicnn",), trained=trained)
    encoded = encoder(torch.from_numpy(clip())[None])
    assert encoded.requires_grad == trained
    assert all(parameter.requires_grad == trained for parameter in encoder.parameters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"nets": ()}, "nets is (), expected different ones of MTT_musicnn, MSD_musicnn"),
        ({"nets": ("MTT_musicnn",) * 2}, "expected different ones"),
        ({"patches": 0}, "patches is 0, expected at least 1"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(InputError) as caught:
        MusicnnEncoder(**arguments)
    assert message in str(caught.value)


def varint(value):
    found = b""
    while value > 127:
        found += bytes([value & 127 | 128])
        value >>= 7
    return found + bytes([value])


def entry(shape, offset):
    dims = b"".join(b"\x12" + varint(len(dim := b"\x08" + varint(size))) + dim for size in shape)
    size = 4 * int(np.prod(shape))
    return (
        *(b"\x08\x01\x12", varint(len(dims)), dims, b"\x20", varint(offset)),
        *(b"\x28", varint(size), b"\x35", bytes(4)),
    )


def block(items):
    """A LevelDB block in which each key names only how it differs from the last."""
    found, last = b"", b""
    for key, value in items:
        shared = 0
        while shared < min(len(key), len(last)) and key[shared] == last[shared]:
            shared += 1
        rest = key[shared:]
        found += varint(shared) + varint(len(rest)) + varint(len(value)) + rest + value
        last = key
    return found + bytes(4) + (1).to_bytes(4, "little")


def checkpoint(variables):
    """Write the files of a checkpoint as TensorFlow does: return index and data."""
    items, data = [(b"", b"\x08\x01")], b""
    for name, array in sorted(variables.items()):
        items.append((name.encode(), b"".join(entry(array.shape, len(data)))))
        data += array.astype("<f4").tobytes()
    values = block(items)
    index = block([(b"z", varint(0) + varint(len(values)))])
    footer = varint(0) + varint(0) + varint(len(values) + 5) + varint(len(index))
    magic = (0xDB4775248B80FB57).to_bytes(8, "little")
    return values + bytes(5) + index + bytes(5) + footer.ljust(40, b"\0") + magic, data


VARIABLES = {
    "conv2d/kernel": np.arange(24.0).reshape(2, 3, 1, 4),
    "conv2d/bias": np.arange(4.0),
    "conv2d_1/bias": np.arange(300.0),  # its size takes two bytes
}


def test_checkpoints_are_read_without_tensorflow():
    found = read_checkpoint(*checkpoint(VARIABLES))
    assert found.keys() == VARIABLES.keys()
    for name, array in VARIABLES.items():
        np.testing.assert_array_equal(found[name], array)


def test_broken_checkpoints_are_named():
    index, data = checkpoint(VARIABLES)
    with pytest.raises(InputError, match="no LevelDB table"):
        read_checkpoint(index[:-1], data)
    with pytest.raises(InputError, match=r"conv2d_1/bias: .* does not fit"):
        read_checkpoint(index, data[:-4])
    with pytest.raises(InputError, match="no variable 'batch_normalization/gamma'"):
        convert(VARIABLES)


def shapes():
    """The variables of a tagger's checkpoint."""
    norms = (1, 204, 204, 51, 51, 51, 64, 64, 64, 1506, 200)
    kernels = ((7, 38, 204), (7, 67, 204), (128, 1, 51), (64, 1, 51), (32, 1, 51))
    kernels = (*((*sizes[:2], 1, sizes[2]) for sizes in kernels), (7, 561, 1, 64))
    convolutions = (*kernels, (7, 64, 1, 64), (7, 64, 1, 64))
    layers = {
        "batch_normalization": [
            dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), (n,)) for n in norms
        ],
        "conv2d": [{"kernel": kernel, "bias": kernel[-1:]} for kernel in convolutions],
        "dense": [{"kernel": k, "bias": k[-1:]} for k in ((1506, 200), (200, 50))],
    }
    for kind, each in layers.items():
        for number, variables in enumerate(each):
            name = f"{kind}_{number}" if number else kind
            yield from ((f"{name}/{variable}", shape) for variable, shape in variables.items())


def test_a_wheel_is_converted(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    variables = {name: rng.standard_normal(shape, np.float32) for name, shape in shapes()}
    variables = {n: abs(v) if n.endswith("variance") else v for n, v in variables.items()}
    index, data = checkpoint(variables)
    path = tmp_path / WHEEL
    with zipfile.ZipFile(path, "w") as wheel:
        for net in NETS:
            wheel.writestr(f"musicnn/{net}/.index", index)
            wheel.writestr(f"musicnn/{net}/.data-00000-of-00001", data)
        wheel.writestr("musicnn-0.1.0.dist-info/LICENSE.md", "ISC")
    monkeypatch.setattr("sys.argv", ["convert.py", str(path), "--out", str(tmp_path)])
    main()
    weights = load_file(tmp_path / "MTT_musicnn.safetensors")
    assert (tmp_path / "LICENSE.md").read_text() == "ISC"
    kernel = variables["conv2d_1/kernel"]
    assert weights["timbral.1.weight"][2 * 67 + 5, 3] == kernel[2, 5, 0, 3]
    assert (
        weights["middle.0.convolution.weight"][3, 5, 2] == variables["conv2d_5/kernel"][2, 5, 0, 3]
    )
    assert weights["tags.weight"][3, 5] == variables["dense_1/kernel"][5, 3]
    assert (
        weights["pooled_norm.running_var"][9]
        == variables["batch_normalization_9/moving_variance"][9]
    )


def test_a_wheel_of_another_version_is_refused(tmp_path, monkeypatch):
    wheel = tmp_path / "musicnn-0.2.0-py3-none-any.whl"
    monkeypatch.setattr("sys.argv", ["convert.py", str(wheel)])
    with pytest.raises(SystemExit, match=r"0\.2\.0-py3-none-any\.whl: expected musicnn-0\.1\.0"):
        main()


def test_licence_ships_with_the_weights():
    assert "Permission to use, copy, modify" in (WEIGHTS / "LICENSE.md").read_text()
