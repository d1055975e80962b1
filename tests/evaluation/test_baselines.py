import math

import pytest
import torch
import torch.nn.functional as F

from negclap.evaluation.baselines import boolean, embed_parts, spherical, split_negations


@pytest.mark.parametrize(
    ("text", "affirmed", "negated"),
    [
        ("slow piano, no drums", "slow piano", ("drums",)),
        ("piano without drums or vocals, not fast", "piano", ("drums", "vocals", "fast")),
        ("no drums, with piano", "with piano", ("drums",)),
        ("no drums", "music", ("drums",)),
        ("slow piano", "slow piano", ()),
        ("not only piano but drums", "not only piano but drums", ()),
    ],
)
def test_texts_are_split_at_their_negations(vocabulary, text, affirmed, negated):
    assert split_negations(text, vocabulary) == (affirmed, negated)


def unit(n, seed, d=5):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(n, d, generator=generator, dtype=torch.float64), dim=1)


def test_boolean_similarity_is_the_difference_of_similarities():
    a, b, clips = unit(4, 0), unit(4, 1), unit(4, 2)
    combined = (boolean(a, b, 0.3) * clips).sum(1)
    torch.testing.assert_close(combined, (a * clips).sum(1) - 0.3 * (b * clips).sum(1))


def test_spherical_composition_matches_its_definition():
    a, n = unit(200, 0), unit(200, 1)
    tau = 0.8
    m = spherical(a, n, tau)
    torch.testing.assert_close(m.norm(dim=1), torch.ones(200, dtype=torch.float64))
    for ai, ni, mi in zip(a, n, m, strict=True):
        theta = math.acos(float(ai @ ni))
        if theta >= 2 * math.acos(tau):
            torch.testing.assert_close(mi, ai)
        else:  # the formula of the paper, and the angle that it defines
            delta = math.acos(tau) + theta / 2
            away = (ai - (ai @ ni) * ni) / math.sin(theta)
            torch.testing.assert_close(mi, math.cos(delta) * ni + math.sin(delta) * away)
            assert math.acos(float(mi @ ni)) == pytest.approx(delta)


def test_affirmative_texts_are_unchanged(vocabulary):
    def embed(texts):
        return torch.stack([unit(1, sum(map(ord, t)))[0] for t in texts])

    parts = embed_parts(["slow piano", "slow piano, no drums"], embed, vocabulary)
    for method, parameter in (("boolean", 0.5), ("spherical", 0.9), ("removal", 0.0)):
        combined = parts.combine(method, parameter)
        torch.testing.assert_close(combined[0], embed(["slow piano"])[0])
    removed = parts.combine("removal", 0.0)
    torch.testing.assert_close(removed[0], removed[1])
    subtracted = parts.combine("boolean", 0.5)[1]
    a, b = embed(["slow piano", "drums"])
    torch.testing.assert_close(subtracted, a - 0.5 * b)
