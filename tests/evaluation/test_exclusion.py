"""Exclusion retrieval, twins and paired differences match naive loops."""

import pytest
import torch
import torch.nn.functional as F

from negclap.evaluation.metrics.exclusion import (
    effective_rank,
    exclusion_scores,
    paired_scores,
    top_k_credit,
)
from negclap.evaluation.metrics.retrieval import draw_galleries
from negclap.evaluation.metrics.scores import Scores, paired_difference


def unit(n, d=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(n, d, generator=generator), dim=1)


def coins(q, n, seed, p=0.5):
    return torch.rand(q, n, generator=torch.Generator().manual_seed(seed)) < p


def naive_credit(row, k):
    """Return the probability of each item to be in the top k if ties are broken at random."""
    credit = []
    for i, own in enumerate(row):
        above = sum(other > own + 1e-6 for other in row)
        tied = sum(abs(other - own) <= 1e-6 for j, other in enumerate(row) if j != i)
        credit.append(min(1.0, max(0.0, (k - above) / (tied + 1))))
    return credit


@pytest.mark.parametrize("k", [1, 3, 7])
def test_ties_share_credit_in_the_top_k(k):
    sim = torch.tensor(
        [[0.1, 0.5, 0.5, 0.5, 0.9, 0.2, 0.2], [0.3] * 7, [0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]]
    )
    credit = top_k_credit(sim, k)
    expected = torch.tensor([naive_credit(row.tolist(), k) for row in sim])
    torch.testing.assert_close(credit, expected)
    torch.testing.assert_close(credit.sum(dim=1), torch.full((3,), float(k)))


@pytest.mark.parametrize("tied", [False, True])
def test_exclusion_scores_match_a_naive_loop(tied):
    n, q, k = 60, 9, 3
    audio, texts = unit(n), unit(q, seed=1)
    if tied:  # many clips are equal
        audio = audio[torch.randint(6, (n,), generator=torch.Generator().manual_seed(2))]
    wanted, unwanted = coins(q, n, 3), coins(q, n, 4, 0.4)
    absent = ~unwanted & coins(q, n, 5, 0.8)  # unknown for some clips
    galleries = draw_galleries(n, 40, 3, seed=6)
    scores = exclusion_scores(audio, texts, wanted, unwanted, absent, galleries, k)
    naive = {"joint@3": [], "violation@3": [], "precision@3": [], "auc": []}
    for gallery in galleries:
        for i in range(q):
            known = [int(c) for c in gallery if unwanted[i, c] or absent[i, c]]
            good = [c for c in known if wanted[i, c] and absent[i, c]]
            bad = [c for c in known if wanted[i, c] and unwanted[i, c]]
            if len(good) < k or len(bad) < k:
                continue
            sim = {c: float(audio[c] @ texts[i]) for c in known}
            credit = dict(zip(known, naive_credit(list(sim.values()), k), strict=True))
            naive["joint@3"].append(sum(credit[c] for c in good) / k)
            naive["violation@3"].append(sum(credit[c] for c in known if unwanted[i, c]) / k)
            naive["precision@3"].append(sum(credit[c] for c in known if wanted[i, c]) / k)
            wins = [
                (sim[g] > sim[b] + 1e-6) + 0.5 * (abs(sim[g] - sim[b]) <= 1e-6)
                for g in good
                for b in bad
            ]
            naive["auc"].append(sum(wins) / len(wins))
    assert naive["auc"]
    for name, values in naive.items():
        mean = float(scores[name].mean())
        assert mean == pytest.approx(sum(values) / len(values), abs=1e-6), name
        low, high = scores[name].interval(200)
        assert low <= mean <= high
        assert scores[name].n <= n  # tracks, not queries


def test_queries_without_enough_clips_are_left_out():
    audio, texts = unit(20), unit(1, seed=1)
    wanted = torch.ones(1, 20, dtype=torch.bool)
    unwanted = torch.zeros(1, 20, dtype=torch.bool)
    assert exclusion_scores(audio, texts, wanted, unwanted, ~unwanted, [torch.arange(20)], 3) == {}


def test_pair_of_twins_is_right_if_both_texts_are():
    has, lacks = unit(50), unit(50, seed=1)
    affirmed, negated = unit(50, seed=2), unit(50, seed=3)
    scores = paired_scores(has, lacks, affirmed, negated)
    right = [
        (float(a @ h) > float(a @ b), float(n @ b) > float(n @ h))
        for h, b, a, n in zip(has, lacks, affirmed, negated, strict=True)
    ]
    assert float(scores["paired"].mean()) == pytest.approx(sum(x and y for x, y in right) / 50)
    assert float(scores["paired/with"].mean()) == pytest.approx(sum(x for x, _ in right) / 50)
    constant = F.normalize(torch.ones(50, 4), dim=1)
    assert float(paired_scores(constant, constant, constant, constant)["paired"].mean()) == 0.25


def test_paired_difference_resamples_the_same_tracks():
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(400, generator=generator)
    items = torch.arange(400)
    one, other = Scores(values + 0.05, items), Scores(values, items)
    difference = paired_difference(one, other)
    assert difference.value == pytest.approx(0.05, abs=1e-6)
    assert difference.low == pytest.approx(0.05, abs=1e-6)  # the same for all tracks
    assert difference.high == pytest.approx(0.05, abs=1e-6)
    shuffled = Scores(values[torch.randperm(400, generator=generator)] + 0.05, items)
    wide = paired_difference(shuffled, other)
    assert wide.low < 0.03
    assert wide.high > 0.07


def test_mean_of_weighted_scores():
    scores = Scores(torch.tensor([1.0, 0.0, 1.0]), torch.tensor([5, 5, 9]), torch.tensor([3, 1, 2]))
    assert float(scores.mean()) == pytest.approx(5 / 6)
    pooled = Scores.pooled([scores, scores])
    assert float(pooled.mean()) == pytest.approx(5 / 6)
    assert pooled.n == 2


def test_effective_rank_counts_directions():
    assert effective_rank(torch.eye(5)) == pytest.approx(5)
    assert effective_rank(torch.ones(5, 3)) == pytest.approx(1, abs=1e-3)
