import math

import pytest
import torch
import torch.nn.functional as F

from negclap.evaluation.baselines import boolean, embed_with, spherical, take_apart


@pytest.mark.parametrize(
    ("text", "affirmed", "negated"),
    [
        ("slow piano, no drums", "slow piano", ("drums",)),
        ("piano without drums or vocals, not fast", "piano", ("fast", "drums", "vocals")),
        ("no drums, with piano", "with piano", ("drums",)),
        ("no drums", "music", ("drums",)),
        ("slow piano", "slow piano", ()),
        ("not only piano but drums", "not only piano but drums", ()),
    ],
)
def test_texts_are_taken_apart(vocabulary, text, affirmed, negated):
    assert take_apart(text, vocabulary) == (affirmed, negated)


def unit(n, seed, d=5):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(n, d, generator=generator, dtype=torch.float64), dim=1)


def test_boolean_is_the_difference_of_the_scores():
    a, b, clips = unit(4, 0), unit(4, 1), unit(4, 2)
    combined = (boolean(a, b, 0.3) * clips).sum(1)
    torch.testing.assert_close(combined, (a * clips).sum(1) - 0.3 * (b * clips).sum(1))


def test_spherical_composition_has_the_angles_of_its_definition():
    a, n = unit(200, 0), unit(200, 1)
    tau = 0.8
    m = spherical(a, n, tau)
    torch.testing.assert_close(m.norm(dim=1), torch.ones(200, dtype=torch.float64))
    for ai, ni, mi in zip(a, n, m, strict=True):
        theta = math.acos(float(ai @ ni))
        if theta >= 2 * math.acos(tau):
            torch.testing.assert_close(mi, ai)
        else:  # the naive formula of the paper, and the angle that it means
            delta = math.acos(tau) + theta / 2
            naive = math.cos(delta) * ni + math.sin(delta) / math.sin(theta) * (ai - (ai @ ni) * ni)
            torch.testing.assert_close(mi, naive)
            assert math.acos(float(mi @ ni)) == pytest.approx(delta)


def test_wrapped_encoders_leave_affirmative_texts_alone(vocabulary):
    def embed(texts):
        return torch.stack([unit(1, sum(map(ord, t)))[0] for t in texts])

    texts = ["slow piano", "slow piano, no drums"]
    for method, parameter in (("boolean", 0.5), ("spherical", 0.9), ("removal", 0.0)):
        got = embed_with(method, parameter, embed, vocabulary)(texts)
        torch.testing.assert_close(got[0], embed(["slow piano"])[0])
    removed = embed_with("removal", 0.0, embed, vocabulary)(texts)
    torch.testing.assert_close(removed[0], removed[1])
    lowered = embed_with("boolean", 0.5, embed, vocabulary)(texts)[1]
    a, b = embed(["slow piano", "drums"])
    torch.testing.assert_close(lowered, a - 0.5 * b)
