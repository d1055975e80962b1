import itertools
from unittest import mock

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from negclap.errors import InputError
from negclap.evaluation.metrics import retrieval
from negclap.evaluation.metrics.pairwise import chain, choose_threshold, f1_at
from negclap.evaluation.metrics.retrieval import (
    Ranks,
    average_precision_at,
    draw_galleries,
    expected_rank,
    rank_targets,
    recall_at,
)
from negclap.evaluation.metrics.scores import Scores, beats, check_embeddings


def possible_ranks(scores, target):
    """Return all ranks (from 1) that the target can have if ties are broken at random."""
    own = scores[target]
    above = sum(s > own + 1e-6 for s in scores)
    tied = sum(abs(s - own) <= 1e-6 for s in scores) - 1
    return range(above + 1, above + tied + 2)


@given(
    st.lists(st.sampled_from([0.0, 0.25, 0.5, -0.5]), min_size=1, max_size=12),
    st.data(),
    st.integers(1, 12),
)
@settings(max_examples=200)
def test_expected_values_are_means_over_possible_ranks(scores, data, k):
    target = data.draw(st.integers(0, len(scores) - 1))
    # with one-dimensional "embeddings", the cosines are the scores
    ranks = rank_targets(torch.ones(1, 1), torch.tensor(scores)[:, None], torch.tensor([target]))
    possible = possible_ranks(scores, target)
    n = len(possible)
    assert recall_at(ranks, k).item() == pytest.approx(sum(r <= k for r in possible) / n)
    precision = sum((r <= k) / r for r in possible) / n
    assert average_precision_at(ranks, k).item() == pytest.approx(precision)
    assert expected_rank(ranks).item() == pytest.approx(sum(possible) / n)


def test_ranks_of_a_small_example():
    queries = torch.eye(3)
    items = F.normalize(torch.tensor([[1.0, 0.0, 0.0], [0.9, 0.4, 0.0], [0.0, 0.0, 1.0]]), dim=1)
    ranks = rank_targets(queries, items, torch.tensor([0, 1, 0]))
    assert ranks.above.tolist() == [0, 0, 1]
    assert ranks.tied.tolist() == [0, 0, 1]
    assert recall_at(ranks, 1).tolist() == [1.0, 1.0, 0.0]
    assert recall_at(ranks, 2).tolist() == [1.0, 1.0, 0.5]


def test_negative_cosines_are_ranked():
    queries, items = torch.tensor([[1.0, 0.0]]), torch.tensor([[-0.6, 0.8], [-1.0, 0.0]])
    assert rank_targets(queries, items, torch.tensor([0])).above.tolist() == [0]


def naive_ranks(queries, items, target, tie=1e-6):
    """Count items above and tied in the full similarity matrix, in float64."""
    sim = queries.double() @ items.double().T
    difference = sim - sim.gather(1, target.unsqueeze(1))
    return (difference > tie).sum(dim=1), (difference.abs() <= tie).sum(dim=1) - 1


@given(
    st.integers(0, 40),
    st.integers(1, 40),
    st.integers(1, 17),
    st.sampled_from([torch.float32, torch.bfloat16, torch.float16, torch.float64]),
    st.integers(0, 2**32),
)
@settings(max_examples=300)
def test_ranks_match_the_full_matrix_in_float64(n_queries, n_items, tile, dtype, seed):
    generator = torch.Generator().manual_seed(seed)

    def quarters(n):  # exact products in any order of summation, with many ties
        return torch.randint(-2, 3, (n, 3), generator=generator).to(dtype) / 4

    queries, items = quarters(n_queries), quarters(n_items)
    target = torch.randint(n_items, (n_queries,), generator=generator)
    with mock.patch.object(retrieval, "_TILE", tile):
        ranks = rank_targets(queries, items, target)
    assert all(counts.dtype == torch.int64 for counts in ranks)
    assert all(map(torch.equal, ranks, naive_ranks(queries, items, target)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("d", [8, 127, 512])
def test_copies_of_the_target_in_other_tiles_are_tied(dtype, d):
    """Several tiles of queries and items, the last ones incomplete."""
    tile, generator = retrieval._TILE, torch.Generator().manual_seed(0)
    n, q = 2 * tile + 1, tile + 300
    queries = F.normalize(torch.randn(q, d, generator=generator), dim=1).to(dtype)
    items = F.normalize(torch.randn(n, d, generator=generator), dim=1).to(dtype)
    items[tile + 5], items[2 * tile], items[7] = items[0], items[0], items[tile - 1]
    target = torch.randint(n, (q,), generator=generator)
    target[:4] = torch.tensor([0, tile + 5, 2 * tile, 7])
    ranks = rank_targets(queries, items, target)
    assert ranks.tied[:4].tolist() == [2, 2, 2, 1]
    # rounding in float32 may move an item across the tolerance for ties by less than a fifth of it
    (most, least_tied), (least, most_tied) = (
        naive_ranks(queries, items, target, tie) for tie in (0.8e-6, 1.2e-6)
    )
    assert (least <= ranks.above).all()
    assert (ranks.above <= most).all()
    assert (least_tied <= ranks.tied).all()
    assert (ranks.tied <= most_tied).all()
    assert (least == most).float().mean() > 0.99


def test_ranks_do_not_depend_on_the_other_queries():
    generator = torch.Generator().manual_seed(0)
    queries = F.normalize(torch.randn(1100, 16, generator=generator), dim=1)
    items = F.normalize(torch.randn(700, 16, generator=generator), dim=1)
    target = torch.randint(700, (1100,), generator=generator)
    whole = rank_targets(queries, items, target)
    for rows in (slice(0, 1), slice(333, 1100), slice(1097, 1100)):
        alone = rank_targets(queries[rows], items, target[rows])
        assert torch.equal(alone.above, whole.above[rows])
        assert torch.equal(alone.tied, whole.tied[rows])


def test_constant_model_scores_chance():
    n = 64
    same = F.normalize(torch.ones(n, 4), dim=1)
    ranks = rank_targets(same, same, torch.arange(n))
    assert recall_at(ranks, 10).mean().item() == pytest.approx(10 / n)
    assert expected_rank(ranks).mean().item() == pytest.approx((n + 1) / 2)


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=3, max_size=3))
def test_chain_shares_credit_among_possible_orders(scores):
    orders = [
        order
        for order in itertools.permutations(range(3))
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))
    ]
    expected = ((0, 1, 2) in orders) / len(orders)
    columns = [torch.tensor([score]) for score in scores]
    assert chain(*columns).item() == pytest.approx(expected)


def test_ties_count_half():
    assert beats(torch.tensor([1.0, 0.5, 0.0]), torch.tensor([0.0, 0.5, 1.0])).tolist() == [
        1,
        0.5,
        0,
    ]


@given(
    st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=30),
    st.lists(st.floats(-1, 1, width=32), max_size=30),
)
def test_chosen_threshold_has_the_best_f1(true, false):
    true, false = torch.tensor(true), torch.tensor(false)
    chosen = choose_threshold(true, false)
    best = max(f1_at(float(t), true, false) for t in true)
    assert chosen.f1 == pytest.approx(best)
    assert f1_at(chosen.value, true, false) == pytest.approx(best)


def test_galleries_depend_on_the_seed_and_have_no_duplicates():
    galleries = draw_galleries(2048, 512, 10, seed=1)
    assert len(galleries) == 10
    assert all(len(gallery.unique()) == 512 for gallery in galleries)
    assert all(map(torch.equal, galleries, draw_galleries(2048, 512, 10, seed=1)))
    assert not torch.equal(galleries[0], draw_galleries(2048, 512, 1, seed=2)[0])
    assert [len(gallery) for gallery in draw_galleries(100, 512, 10, seed=1)] == [100]


def test_interval_resamples_tracks_instead_of_values():
    values = torch.tensor([0.0, 1.0] * 50)
    single = Scores(values, torch.arange(100)).interval()
    repeated = Scores(values.repeat(10), torch.arange(100).repeat(10)).interval()
    assert repeated == pytest.approx(single, abs=0.02)
    assert single[0] == pytest.approx(0.4, abs=0.02)
    assert single[1] == pytest.approx(0.6, abs=0.02)


def test_embeddings_with_nan_or_other_lengths_are_errors():
    with pytest.raises(InputError, match="audio embeddings have NaN"):
        check_embeddings("audio", torch.tensor([[float("nan"), 1.0]]))
    with pytest.raises(InputError, match="expected unit length"):
        check_embeddings("audio", torch.tensor([[2.0, 0.0]]))


def test_average_precision_of_a_tie():
    ranks = Ranks(torch.tensor([0]), torch.tensor([1]))
    assert average_precision_at(ranks, 10).item() == pytest.approx((1 + 0.5) / 2)
