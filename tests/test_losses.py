import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from negclap.errors import InputError
from negclap.losses import DissimilarityTerm, LossTerms, Term, contrastive, dissimilarity


def embeddings(n, d=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(n, d, generator=generator, dtype=torch.float64), dim=1)


def naive_contrastive(rows, columns, scale, keys):
    """Row by row, in float64, with Python's own sums."""
    total = 0.0
    for i, row in enumerate(rows):
        negatives = [j for j in range(len(columns)) if j == i or keys[j] != keys[i]]
        exponents = torch.stack([torch.exp(scale * (row @ columns[j])) for j in negatives])
        total = total - torch.log(torch.exp(scale * (row @ columns[i])) / exponents.sum())
    return total / len(rows)


@given(st.integers(1, 9), st.integers(0, 100), st.sampled_from([1.0, 14.0, 100.0]))
def test_contrastive_equals_the_naive_loop(n, seed, scale):
    audio, text = embeddings(n, seed=seed), embeddings(n, seed=seed + 1)
    keys = torch.randint(4, (n,), generator=torch.Generator().manual_seed(seed))
    value = contrastive(audio, text, torch.tensor(scale), keys, keys)
    assert value.item() == pytest.approx(
        naive_contrastive(audio, text, scale, keys).item(), abs=1e-9
    )


def test_same_captions_are_not_each_others_negatives():
    audio = embeddings(4)
    text = audio[[0, 0, 2, 3]]
    scale = torch.tensor(100.0)
    distinct = contrastive(audio, text, scale, torch.arange(4), torch.arange(4))
    keys = torch.tensor([0, 0, 2, 3])
    masked = contrastive(audio, text, scale, keys, keys)
    assert masked < distinct


def test_shards_of_rows_average_to_the_whole():
    audio, text, keys = embeddings(6), embeddings(6, seed=1), torch.tensor([0, 1, 2, 0, 4, 5])
    scale = torch.tensor(10.0)
    whole = contrastive(audio, text, scale, keys, keys)
    parts = [
        contrastive(audio[i : i + 2], text, scale, keys[i : i + 2], keys, offset=i)
        for i in (0, 2, 4)
    ]
    assert torch.stack(parts).mean().item() == pytest.approx(whole.item())


def test_gradients_are_right():
    audio, text = embeddings(4).requires_grad_(), embeddings(4, seed=1).requires_grad_()
    scale = torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    keys = torch.tensor([0, 1, 1, 3])
    assert torch.autograd.gradcheck(
        lambda a, t, s: contrastive(a, t, s, keys, keys), (audio, text, scale)
    )


def test_dissimilarity_is_the_cosine_of_equation_1():
    a, b = embeddings(3), embeddings(3, seed=1)
    torch.testing.assert_close(dissimilarity(a, b), F.cosine_similarity(a, b))
    torch.testing.assert_close(dissimilarity(a, a), torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(dissimilarity(a, -a), -torch.ones(3, dtype=torch.float64))


def test_hinge_stops_at_its_floor():
    a = embeddings(1).requires_grad_()
    assert dissimilarity(a, -a.detach(), floor=0.2).item() == 0.0
    assert dissimilarity(a, a.detach(), floor=0.2).item() == pytest.approx(0.8)
    dissimilarity(a, -a.detach(), floor=0.2).sum().backward()
    assert not a.grad.any()


def test_warm_up_rises_to_the_weight():
    term = Term(weight=2.0, warmup_steps=3)
    assert [term.weight_at(step) for step in range(5)] == [0.5, 1.0, 1.5, 2.0, 2.0]
    assert Term(weight=2.0).weight_at(0) == 2.0
    assert LossTerms().dissimilarity.weight_at(100) == 0.0


@pytest.mark.parametrize("term", [Term, DissimilarityTerm])
def test_negative_weights_are_refused(term):
    with pytest.raises(InputError, match=r"weight -0.1"):
        term(weight=-0.1)
