import numpy as np
import pytest
import torch
import torch.nn.functional as F

from negclap.data.batch import Clip, collate
from negclap.errors import InputError
from negclap.losses import DissimilarityTerm, LossTerms, Term, contrastive
from negclap.models.audio_encoders import ConvEncoder
from negclap.models.text_encoders import TextEncoder
from negclap.module import NegClapModule

CAPTIONS = ["slow piano", "fast drums", "loud flute", "music"]


def make_module(losses):
    torch.manual_seed(0)
    module = NegClapModule(
        ConvEncoder(dim=8, widths=(8, 8, 8, 8), depths=(1, 1, 1, 1), dropout=0.0),
        TextEncoder(scratch=(16, 1, 2), dropout=0.0),
        losses,
        embed_dim=8,
    )
    module.logged = {}
    module.log = lambda name, value, **_: module.logged.update({name: float(value)})
    return module


def make_batch(module):
    rng = np.random.default_rng(0)
    clips = [
        Clip(
            i,
            f"t{i}",
            rng.normal(0, 0.1, 32_000).astype(np.float32),
            {"caption": f"{text}, no harp", "original": text}
            | ({"fully": f"not {text}"} if i < 3 else {}),
        )
        for i, text in enumerate(CAPTIONS)
    ]
    return collate(clips, module.model.text_encoder.tokenize)


def combined(weight=0.1):
    return LossTerms(dissimilarity=DissimilarityTerm(weight=weight))


def test_the_step_is_the_weighted_sum_of_its_terms():
    module = make_module(combined(0.1))
    batch = make_batch(module)
    total = module.training_step(batch, 0)
    audio = module.model.embed_audio(batch.waveform)

    def text(texts):
        return module.model.embed_text(module.model.text_encoder.tokenize(texts))

    inserted = text([f"{caption}, no harp" for caption in CAPTIONS])
    keys = torch.arange(4)
    scale = module.model.scale
    clap = contrastive(audio, inserted, scale, keys, keys)
    clap = (clap + contrastive(inserted, audio, scale, keys, keys)) / 2
    named = CAPTIONS[:3]  # "music" names no tag
    cosine = F.cosine_similarity(text(named), text([f"not {caption}" for caption in named])).mean()
    torch.testing.assert_close(total, clap + 0.1 * cosine)
    assert module.logged["train/loss/contrastive"] == pytest.approx(clap.item())
    assert module.logged["train/loss/dissimilarity"] == pytest.approx(cosine.item())


@pytest.mark.parametrize("losses", [LossTerms(), combined()])
def test_all_texts_of_a_step_go_through_the_encoder_once(losses, monkeypatch):
    module = make_module(losses)
    batch = make_batch(module)
    calls = []
    encode = module.model.embed_text

    def counted(tokens):
        calls.append(1)
        return encode(tokens)

    monkeypatch.setattr(module.model, "embed_text", counted)
    module.training_step(batch, 0)
    assert len(calls) == 1


def test_a_weight_of_zero_switches_its_term_off():
    module = make_module(LossTerms())
    module.training_step(make_batch(module), 0)
    assert "train/loss/dissimilarity" not in module.logged
    assert not module.needs_negated
    assert make_module(combined()).needs_negated


def test_nan_is_an_error_that_names_the_term():
    module = make_module(combined())
    with torch.no_grad():
        module.model.log_scale.fill_(float("nan"))
    with pytest.raises(InputError, match=r"step 0: loss term 'contrastive' is nan"):
        module.training_step(make_batch(module), 0)


def test_only_matrices_decay():
    module = make_module(LossTerms(Term(1.0)))
    groups = module._parameter_groups()
    decayed = {id(p) for group in groups if group["weight_decay"] for p in group["params"]}
    for name, parameter in module.named_parameters():
        exempt = parameter.ndim < 2 or "embeddings" in name
        assert (id(parameter) in decayed) == (not exempt), name
    assert sum(len(group["params"]) for group in groups) == len(list(module.parameters()))
    assert id(module.model.log_scale) not in decayed


def test_pretrained_towers_have_their_own_rate():
    module = NegClapModule(
        ConvEncoder(dim=8, widths=(8, 8, 8, 8), depths=(1, 1, 1, 1)),
        TextEncoder(layers=1),
        learning_rate=1e-3,
        pretrained_rate=1e-5,
    )
    rates = {id(p): g["lr"] for g in module._parameter_groups() for p in g["params"]}
    for name, parameter in module.named_parameters():
        assert rates[id(parameter)] == (1e-5 if "text_encoder." in name else 1e-3), name
