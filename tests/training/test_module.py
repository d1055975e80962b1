import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from negclap.data.batch import Clip, ClipTexts, ExclusionTexts, collate
from negclap.errors import InputError
from negclap.losses import (
    ContrastiveTerm,
    DissimilarityTerm,
    ExclusionTerm,
    GradedMarginTerm,
    LossTerms,
    Term,
)
from negclap.losses.contrastive import one_direction
from negclap.models.audio_encoders import ConvEncoder
from negclap.models.clap import NegClap
from negclap.models.frontend import SpecAugment
from negclap.models.text_encoders import TextEncoder
from negclap.training.module import NegClapModule

CAPTIONS = ["slow piano", "fast drums", "loud flute", "music"]


def make_module(losses):
    torch.manual_seed(0)
    module = NegClapModule(
        ConvEncoder(dim=8, widths=(8, 8, 8, 8), depths=(1, 1, 1, 1), dropout=0.0),
        TextEncoder(scratch=(16, 1), dropout=0.0),
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
            ClipTexts(f"{text}, no harp", text, fully=f"not {text}" if i < 3 else None),
        )
        for i, text in enumerate(CAPTIONS)
    ]
    return collate(clips, module.model.text_encoder.tokenize)


def combined(weight=0.1):
    return LossTerms(dissimilarity=DissimilarityTerm(weight=weight))


def test_training_step_is_the_weighted_sum_of_its_terms():
    module = make_module(combined(0.1))
    batch = make_batch(module)
    total = module.training_step(batch, 0)
    audio = module.model.embed_audio(batch.waveform)

    def text(texts):
        return module.model.embed_text(module.model.text_encoder.tokenize(texts))

    inserted = text([f"{caption}, no harp" for caption in CAPTIONS])
    keys = torch.arange(4)
    scale = module.model.scale
    clap = one_direction(audio, inserted, scale, keys, keys)
    clap = (clap + one_direction(inserted, audio, scale, keys, keys)) / 2
    named = CAPTIONS[:3]  # "music" names no tag
    cosine = F.cosine_similarity(text(named), text([f"not {caption}" for caption in named])).mean()
    torch.testing.assert_close(total, clap + 0.1 * cosine)
    assert module.logged["train/loss/contrastive"] == pytest.approx(clap.item())
    assert module.logged["train/loss/dissimilarity"] == pytest.approx(cosine.item())


EVERYTHING = LossTerms(
    dissimilarity=DissimilarityTerm(weight=0.1),
    graded_margin=GradedMarginTerm(weight=0.5),
    absence=Term(weight=1.0),
    exclusion=ExclusionTerm(weight=1.0, negatives="own"),
    choice=Term(weight=1.0),
)


def full_batch(module):
    """Return four clips with texts of all roles, some of them missing, and their batch."""
    rng = np.random.default_rng(0)
    texts = [
        ClipTexts(
            "slow piano",
            "slow piano",
            "slow no piano",
            "not slow no piano",
            "slow piano, no harp",
            "slow piano, no drums",
            (
                ExclusionTexts(
                    "piano, no harp", ("no piano, no harp", "piano, harp", "no piano, harp")
                ),
            ),
        ),
        ClipTexts(
            "fast drums",
            "fast drums",
            fully="not fast no drums",
            exclusions=(
                ExclusionTexts(
                    "drums, not slow", ("no drums, not slow", "drums, slow", "no drums, slow")
                ),
            ),
        ),
        ClipTexts("music", "music", exclusions=(ExclusionTexts("music"),)),
        ClipTexts(
            "flute and harp",
            "flute and harp",
            "flute and no harp",
            "no flute and no harp",
            exclusions=(
                ExclusionTexts(
                    "flute without piano",
                    ("without flute or piano", "flute and piano", "piano without flute"),
                ),
            ),
        ),
    ]
    clips = [
        Clip(i, f"t{i}", rng.normal(0, 0.1, 32_000).astype(np.float32), clip_texts)
        for i, clip_texts in enumerate(texts)
    ]
    return clips, collate(clips, module.model.text_encoder.tokenize)


def test_all_terms_match_naive_loops():
    module = make_module(EVERYTHING)
    clips, batch = full_batch(module)
    total = module.training_step(batch, 0)

    def of(i, role):
        """Return a text of clip i: a field, its exclusion caption, or a false form of it."""
        (exclusion,) = clips[i].texts.exclusions
        match role:
            case "exclusion":
                return exclusion.true
            case int():
                return exclusion.false[role]
        return getattr(clips[i].texts, role)

    with torch.no_grad():
        audio = module.model.embed_audio(batch.waveform)
        tokenize = module.model.text_encoder.tokenize

        def s(i, role, j=None):
            text = of(i if j is None else j, role)
            return float(audio[i] @ module.model.embed_text(tokenize([text]))[0])

        def t(i, role):
            return module.model.embed_text(tokenize([of(i, role)]))[0]

        sigma = float(module.model.scale)
    false = range(3)

    def nll(own, others):
        return -math.log(math.exp(sigma * own) / sum(math.exp(sigma * x) for x in (own, *others)))

    def clap(role, extra):
        rows = range(4)
        to_text = [
            nll(
                s(i, role),
                [s(i, role, j) for j in rows if j != i]
                + ([s(i, kind) for kind in extra] if i in (0, 1, 3) else []),
            )
            for i in rows
        ]
        to_audio = [nll(s(i, role), [s(j, role, i) for j in rows if j != i]) for i in rows]
        return (sum(to_text) + sum(to_audio)) / 8

    def hinge(x):
        return max(0.0, x)

    graded = [
        hinge(0.1 - (s(i, "original") - s(i, "half")))
        + hinge(0.1 - (s(i, "half") - s(i, "fully")))
        + hinge(s(i, "original") - s(i, "fully") - 1.0)
        for i in (0, 3)
    ]
    expected = {
        "contrastive": clap("caption", ()),
        "dissimilarity": sum(float(t(i, "original") @ t(i, "fully")) for i in (0, 1, 3)) / 3,
        "graded_margin": sum(graded) / 2,
        "absence": nll(s(0, "absence_true"), [s(0, "absence_false")]),
        "exclusion": clap("exclusion", false),
        "choice": sum(nll(s(i, "exclusion"), [s(i, k) for k in false]) for i in (0, 1, 3)) / 3,
    }
    for name, value in expected.items():
        assert module.logged[f"train/loss/{name}"] == pytest.approx(value, abs=1e-5), name
    weights = {name: term.weight for name, term in EVERYTHING.by_name().items()}
    assert float(total) == pytest.approx(sum(weights[n] * v for n, v in expected.items()), abs=1e-4)
    total.backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in module.parameters())


def test_shared_negatives_raise_the_loss_most():
    shared = make_module(LossTerms(exclusion=ExclusionTerm(weight=1.0, negatives="shared")))
    own = make_module(LossTerms(exclusion=ExclusionTerm(weight=1.0, negatives="own")))
    none = make_module(LossTerms(exclusion=ExclusionTerm(weight=1.0)))
    for module in (shared, own, none):
        module.training_step(full_batch(module)[1], 0)
    values = [module.logged["train/loss/exclusion"] for module in (shared, own, none)]
    assert values[0] > values[1] > values[2]


def in_form(form, negatives="own", block=3):
    """Return all loss terms, the contrastive ones in a form."""
    contrastive_term = ContrastiveTerm(1.0, form=form, block=block)
    exclusion = ExclusionTerm(1.0, negatives=negatives)
    return replace(EVERYTHING, contrastive=contrastive_term, exclusion=exclusion)


@pytest.mark.parametrize("negatives", ["own", "shared", "none"])
def test_tiled_form_has_the_loss_and_gradients_of_the_dense_form(negatives):
    modules = [make_module(in_form(form, negatives)) for form in ("dense", "tiled")]
    losses = [module.training_step(full_batch(module)[1], 0) for module in modules]
    for loss in losses:
        loss.backward()
    dense, tiled = modules
    torch.testing.assert_close(*losses, atol=1e-5, rtol=0)
    assert tiled.logged == pytest.approx(dense.logged, abs=1e-5)
    assert tiled.state_dict().keys() == dense.state_dict().keys()
    for (name, actual), expected in zip(tiled.named_parameters(), dense.parameters(), strict=True):
        torch.testing.assert_close(actual.grad, expected.grad, atol=1e-5, rtol=0, msg=name)


def test_sigmoid_form_has_a_learned_bias():
    module = make_module(in_form("sigmoid", "none"))
    _, batch = full_batch(module)
    module.training_step(batch, 0).backward()
    assert module.logit_bias.item() == -10.0
    assert module.logit_bias.grad.isfinite()
    assert module.logit_bias.grad != 0
    with torch.no_grad():
        audio = module.model.embed_audio(batch.waveform)
        text = module.model.embed_text(batch.tokens)[batch.rows.caption]
        sign = 2 * torch.eye(4) - 1
        logits = sign * (module.model.scale * audio @ text.T - 10.0)
        expected = -F.logsigmoid(logits).sum() / 4
    assert module.logged["train/loss/contrastive"] == pytest.approx(expected.item(), abs=1e-5)
    only = module.state_dict().keys() ^ make_module(EVERYTHING).state_dict().keys()
    assert only == {"logit_bias"}


@pytest.mark.parametrize("losses", [LossTerms(), combined(), EVERYTHING])
def test_texts_of_a_step_are_encoded_in_one_call(losses, monkeypatch):
    module = make_module(losses)
    _, batch = full_batch(module)
    calls = []
    encode = module.model.embed_text

    def counted(*arguments):
        calls.append(1)
        return encode(*arguments)

    monkeypatch.setattr(module.model, "embed_text", counted)
    module.training_step(batch, 0)
    assert len(calls) == 1


def test_term_with_weight_zero_is_off():
    module = make_module(LossTerms())
    module.training_step(make_batch(module), 0)
    assert "train/loss/dissimilarity" not in module.logged
    assert not module.text_kinds
    assert make_module(combined()).text_kinds == {"levels"}


def test_nan_loss_is_an_error_that_names_the_term():
    module = make_module(combined())
    with torch.no_grad():
        module.model.log_scale.fill_(float("nan"))
    with pytest.raises(InputError, match=r"step 0: loss term 'contrastive' is nan"):
        module.training_step(make_batch(module), 0)


def test_only_matrices_have_weight_decay():
    module = make_module(LossTerms(ContrastiveTerm(1.0, form="sigmoid")))
    groups = module.parameter_groups()
    decayed = {id(p) for group in groups if group["weight_decay"] for p in group["params"]}
    for name, parameter in module.named_parameters():
        exempt = parameter.ndim < 2 or "embeddings" in name
        assert (id(parameter) in decayed) == (not exempt), name
    assert sum(len(group["params"]) for group in groups) == len(list(module.parameters()))
    assert not {id(module.model.log_scale), id(module.logit_bias)} & decayed


def test_pretrained_encoders_have_their_own_learning_rate():
    module = NegClapModule(
        ConvEncoder(dim=8, widths=(8, 8, 8, 8), depths=(1, 1, 1, 1)),
        TextEncoder(layers=1),
        learning_rate=1e-3,
        pretrained_rate=1e-5,
    )
    rates = {id(p): g["lr"] for g in module.parameter_groups() for p in g["params"]}
    for name, parameter in module.named_parameters():
        assert rates[id(parameter)] == (1e-5 if "text_encoder." in name else 1e-3), name


@pytest.mark.parametrize("micro_batch_size", [1, 3, 4, 100])
def test_micro_batches_have_the_gradients_of_the_whole_batch(micro_batch_size):
    gradients = []
    for size in (None, micro_batch_size):
        module = make_module(EVERYTHING)
        module.micro_batch_size = size
        _, batch = full_batch(module)
        module.training_step(batch, 0).backward()
        gradients.append([parameter.grad for parameter in module.parameters()])
    for whole, parts in zip(*gradients, strict=True):
        torch.testing.assert_close(parts, whole, atol=1e-5, rtol=1e-4)


def test_micro_batches_draw_the_same_random_numbers_in_both_passes():
    def gradients(embed):
        torch.manual_seed(0)
        model = NegClap(
            ConvEncoder(8, (8, 8, 8, 8), (1, 1, 1, 1), 0.5, augment=SpecAugment(20, 40)),
            TextEncoder(scratch=(16, 1), dropout=0.5),
            8,
        )
        waveform = torch.randn(4, 32_000, generator=torch.Generator().manual_seed(1))
        tokens = model.text_encoder.tokenize([f"{caption} or not" for caption in CAPTIONS])
        (embed(model, waveform, tokens)).square().sum(dim=0).prod().log().backward()
        return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]

    def without_recomputation(model, waveform, tokens):
        audio = [model.embed_audio(part) for part in waveform.split(2)]
        texts = [{name: t[rows] for name, t in tokens.items()} for rows in ([0, 1], [2, 3])]
        return torch.cat([*audio, *(model.embed_text(part) for part in texts)])

    def with_recomputation(model, waveform, tokens):
        return torch.cat((model.embed_audio(waveform, 2), model.embed_text(tokens, 2)))

    for expected, actual in zip(
        gradients(without_recomputation), gradients(with_recomputation), strict=True
    ):
        torch.testing.assert_close(actual, expected, atol=1e-6, rtol=1e-4)
