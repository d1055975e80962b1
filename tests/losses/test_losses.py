import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from negclap.errors import InputError
from negclap.losses import (
    ContrastiveTerm,
    DissimilarityTerm,
    LossTerms,
    Pairs,
    Term,
    contrastive_loss,
    dissimilarity,
)
from negclap.losses.contrastive import dense, one_direction, sigmoid, tiled


def embeddings(n, d=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(n, d, generator=generator, dtype=torch.float64), dim=1)


def naive_contrastive(rows, columns, scale, keys):
    """The loss as a loop over rows."""
    total = 0.0
    for i, row in enumerate(rows):
        negatives = [j for j in range(len(columns)) if j == i or keys[j] != keys[i]]
        exponents = torch.stack([torch.exp(scale * (row @ columns[j])) for j in negatives])
        total = total - torch.log(torch.exp(scale * (row @ columns[i])) / exponents.sum())
    return total / len(rows)


@given(st.integers(1, 9), st.integers(0, 100), st.sampled_from([1.0, 14.0, 100.0]))
def test_one_direction_equals_the_naive_loop(n, seed, scale):
    audio, text = embeddings(n, seed=seed), embeddings(n, seed=seed + 1)
    keys = torch.randint(4, (n,), generator=torch.Generator().manual_seed(seed))
    value = one_direction(audio, text, torch.tensor(scale), keys, keys)
    assert value.item() == pytest.approx(
        naive_contrastive(audio, text, scale, keys).item(), abs=1e-9
    )


def test_equal_captions_are_not_negatives():
    audio = embeddings(4)
    text = audio[[0, 0, 2, 3]]
    scale = torch.tensor(100.0)
    distinct = one_direction(audio, text, scale, torch.arange(4), torch.arange(4))
    keys = torch.tensor([0, 0, 2, 3])
    masked = one_direction(audio, text, scale, keys, keys)
    assert masked < distinct


def test_the_loss_of_all_rows_is_the_mean_over_the_ranks():
    audio, text, keys = embeddings(6), embeddings(6, seed=1), torch.tensor([0, 1, 2, 0, 4, 5])
    scale = torch.tensor(10.0)
    whole = one_direction(audio, text, scale, keys, keys)
    parts = [
        one_direction(audio[i : i + 2], text, scale, keys[i : i + 2], keys, offset=i)
        for i in (0, 2, 4)
    ]
    assert torch.stack(parts).mean().item() == pytest.approx(whole.item())


def test_gradients_of_one_direction_are_correct():
    audio, text = embeddings(4).requires_grad_(), embeddings(4, seed=1).requires_grad_()
    scale = torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    keys = torch.tensor([0, 1, 1, 3])
    assert torch.autograd.gradcheck(
        lambda a, t, s: one_direction(a, t, s, keys, keys), (audio, text, scale)
    )


B = 11
KEYS = torch.tensor([0, 1, 0, 3, 4, 4, 4, 7, 8, 9, 10])
EXTRAS = {"none": (), "own": ("own",), "shared": ("shared",), "both": ("own", "shared")}
RANKS = {"all": slice(0, B), "first": slice(0, 4), "last": slice(7, B)}


def make_pairs(rows=RANKS["all"], extras=(), dtype=torch.float64):
    """Pairs of one of several ranks, or of the only one, and the leaves of their graph."""
    audio, text = embeddings(B), embeddings(B, seed=1)
    leaves = {"all_audio": audio, "all_text": text}
    fixed = {}
    if rows != RANKS["all"]:
        leaves |= {"audio": audio[rows], "text": text[rows]}
    if "own" in extras:
        own = embeddings(3 * B, seed=2).reshape(B, 3, -1)[rows]
        leaves["own"] = own
        exists = torch.ones(len(own), 3, dtype=torch.bool)
        exists[0], exists[2, 1] = False, False
        fixed["own_given"] = exists
    if "shared" in extras:
        leaves["shared"] = embeddings(5, seed=3)
    leaves = {name: leaf.to(dtype, copy=True).requires_grad_() for name, leaf in leaves.items()}
    single_rank = {"audio": leaves["all_audio"], "text": leaves["all_text"]}
    keys = {"keys": KEYS[rows], "all_keys": KEYS, "offset": rows.start}
    return Pairs(**(single_rank | leaves | keys | fixed)), list(leaves.values())


def naive_negatives(pairs, i):
    """The negative texts of clip i of this rank, and the negative clips of its text."""
    others = [j for j in range(len(pairs.all_keys)) if pairs.all_keys[j] != pairs.keys[i]]
    texts = [pairs.all_text[j] for j in others]
    if pairs.own is not None:
        texts += list(pairs.own[i][pairs.own_given[i]])
    if pairs.shared is not None:
        texts += list(pairs.shared)
    return texts, [pairs.all_audio[j] for j in others]


def naive_clip(pairs, scale, _):
    def nll(anchor, pair, negatives):
        others = sum(torch.exp(scale * (anchor @ each)) for each in negatives)
        true = torch.exp(scale * (anchor @ pair))
        return -torch.log(true / (true + others))

    total = 0.0
    for i, (audio, text) in enumerate(zip(pairs.audio, pairs.text, strict=True)):
        texts, clips = naive_negatives(pairs, i)
        total = total + nll(audio, pairs.all_text[pairs.offset + i], texts)
        total = total + nll(text, pairs.all_audio[pairs.offset + i], clips)
    return total / (2 * len(pairs.keys))


def naive_sigmoid(pairs, scale, bias):
    total = 0.0
    for i, audio in enumerate(pairs.audio):
        own = pairs.all_text[pairs.offset + i]
        total = total - torch.log(torch.sigmoid(scale * (audio @ own) + bias))
        for text in naive_negatives(pairs, i)[0]:
            total = total - torch.log(torch.sigmoid(-(scale * (audio @ text) + bias)))
    return total / len(pairs.keys)


FORMS = {
    "dense": (lambda pairs, scale, bias, block: dense(pairs, scale), naive_clip),
    "tiled": (lambda pairs, scale, bias, block: tiled(pairs, scale, block), naive_clip),
    "sigmoid": (sigmoid, naive_sigmoid),
}


def scalars(dtype=torch.float64):
    return [torch.tensor(value, dtype=dtype, requires_grad=True) for value in (14.0, -3.0)]


def with_gradients(loss, pairs, leaves, scale, bias, *block):
    value = loss(pairs, scale, bias, *block)
    wanted = [*leaves, scale, bias]
    gradients = torch.autograd.grad(value, wanted, allow_unused=True, materialize_grads=True)
    return [value.detach(), *gradients]


@pytest.mark.parametrize("extras", EXTRAS.values(), ids=EXTRAS)
@pytest.mark.parametrize("rows", RANKS.values(), ids=RANKS)
@pytest.mark.parametrize("form", FORMS)
def test_value_and_gradients_equal_the_naive_loop_in_float64(form, rows, extras):
    loss, naive = FORMS[form]
    expected = with_gradients(naive, *make_pairs(rows, extras), *scalars())
    for block in (1, 3, 64):
        pairs = make_pairs(rows, extras, torch.float32)
        got = with_gradients(loss, *pairs, *scalars(torch.float32), block)
        for mine, theirs in zip(got, expected, strict=True):
            torch.testing.assert_close(mine, theirs.float(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("form", ["tiled", "sigmoid"])
def test_gradients_of_tiled_forms_are_correct(form):
    pairs, leaves = make_pairs(RANKS["last"], ("shared",))
    names = ("all_audio", "all_text", "audio", "text", "shared")

    def loss(scale, bias, *tensors):
        return FORMS[form][0](
            replace(pairs, **dict(zip(names, tensors, strict=True))), scale, bias, 3
        )

    assert torch.autograd.gradcheck(loss, (*scalars(), *leaves), fast_mode=True)


@pytest.mark.parametrize("form", ["tiled", "sigmoid"])
def test_the_loss_of_all_pairs_is_the_mean_over_the_ranks(form):
    loss = FORMS[form][0]
    whole = make_pairs(extras=("own",))[0]
    names = ("audio", "text", "keys", "own", "own_given")
    parts = [
        replace(
            whole,
            **{name: getattr(whole, name)[i : i + 1] for name in names},
            offset=i,
        )
        for i in range(B)
    ]
    values = torch.stack([loss(part, *scalars(), 4) for part in parts])
    torch.testing.assert_close(values.mean(), loss(whole, *scalars(), 4))


@pytest.mark.parametrize("form", ["tiled", "sigmoid"])
def test_autocast_does_not_affect_either_pass(form):
    pairs, leaves = make_pairs(extras=("shared",), dtype=torch.float32)
    arguments = (FORMS[form][0], pairs, leaves, *scalars(torch.float32), 4)
    expected = with_gradients(*arguments)
    with torch.autocast("cpu", torch.bfloat16):
        got = with_gradients(*arguments)
    torch.testing.assert_close(got, expected, atol=0, rtol=0)


@pytest.mark.parametrize("form", FORMS)
def test_without_negatives_values_and_gradients_are_finite(form):
    pairs, leaves = make_pairs(dtype=torch.float32)
    keys = torch.zeros(B, dtype=torch.long)
    pairs = replace(pairs, keys=keys, all_keys=keys)
    value, *gradients = with_gradients(FORMS[form][0], pairs, leaves, *scalars(torch.float32), 4)
    if form == "sigmoid":
        assert value > 0
    else:
        assert value == 0
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


class _Largest(TorchDispatchMode):
    """Records the number of elements of the largest result of any operation."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        sizes = [leaf.numel() for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor)]
        self.elements = max(self.elements, *sizes, 0)
        return out


@pytest.mark.parametrize(
    ("form", "is_tiled"), [("dense", False), ("tiled", True), ("sigmoid", True)]
)
def test_only_the_dense_form_has_all_logits_in_memory(form, is_tiled):
    n, d, block = 64, 4, 16
    audio, text = embeddings(n, d).requires_grad_(), embeddings(n, d, seed=1).requires_grad_()
    pairs = Pairs(audio, text, audio, text, torch.arange(n), torch.arange(n))
    with _Largest() as largest:
        FORMS[form][0](pairs, *scalars(), block).backward()
    assert largest.elements == (max(block * block, n * d) if is_tiled else n * n)


def test_the_term_selects_the_form():
    pairs, (scale, bias) = make_pairs()[0], scalars()
    assert contrastive_loss(pairs, scale, ContrastiveTerm(1.0)) == dense(pairs, scale)
    term = ContrastiveTerm(1.0, form="tiled", block=3)
    assert contrastive_loss(pairs, scale, term) == tiled(pairs, scale, 3)
    term = ContrastiveTerm(1.0, form="sigmoid", block=3)
    assert contrastive_loss(pairs, scale, term, bias) == sigmoid(pairs, scale, bias, 3)


def test_the_sigmoid_loss_of_a_single_pair():
    """-log sigmoid(scale + bias), with a cosine of 1."""
    one = torch.ones(1, 1)
    pairs = Pairs(one, one, one, one, torch.zeros(1).long(), torch.zeros(1).long())
    value = sigmoid(pairs, torch.tensor(10.0), torch.tensor(-10.0), 512)
    assert value.item() == pytest.approx(math.log(2))


def test_an_empty_tile_is_rejected():
    with pytest.raises(InputError, match="block is 0"):
        ContrastiveTerm(block=0)


def test_dissimilarity_is_the_cosine_of_equation_1():
    a, b = embeddings(3), embeddings(3, seed=1)
    torch.testing.assert_close(dissimilarity(a, b), F.cosine_similarity(a, b))
    torch.testing.assert_close(dissimilarity(a, a), torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(dissimilarity(a, -a), -torch.ones(3, dtype=torch.float64))


def test_dissimilarity_has_no_gradient_below_its_floor():
    a = embeddings(1).requires_grad_()
    assert dissimilarity(a, -a.detach(), floor=0.2).item() == 0.0
    assert dissimilarity(a, a.detach(), floor=0.2).item() == pytest.approx(0.8)
    dissimilarity(a, -a.detach(), floor=0.2).sum().backward()
    assert not a.grad.any()


def test_the_weight_rises_during_warm_up():
    term = Term(weight=2.0, warmup_steps=3)
    assert [term.weight_at(step) for step in range(5)] == [0.5, 1.0, 1.5, 2.0, 2.0]
    assert Term(weight=2.0).weight_at(0) == 2.0
    assert LossTerms().dissimilarity.weight_at(100) == 0.0


@pytest.mark.parametrize("term", [Term, DissimilarityTerm])
def test_negative_weights_are_rejected(term):
    with pytest.raises(InputError, match=r"weight -0.1"):
        term(weight=-0.1)
