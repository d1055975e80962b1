"""The six toy models that show what each figure can be gamed by, and the suite's book-keeping."""

import pytest
import torch
import torch.nn.functional as F

from negclap.evaluation.exam import build_exam
from negclap.evaluation.metrics.classes import NegationRetrieval, PairwiseAccuracy, TrueAbsence
from negclap.evaluation.metrics.toys import TOYS
from negclap.evaluation.suite import ROLES, NegationSuite, Suite, understanding_score


@pytest.fixture(scope="module")
def exam(exam_clips):
    return exam_clips[0]


@pytest.fixture(scope="module")
def figures(exam):
    suite = Suite(gallery_size=64, galleries=3, at=5)
    return {name: suite.run_toy(exam, toy).values for name, toy in TOYS.items()}


CHANCE = {
    "recall@10/original": 10 / 64,
    "a2t/recall@1/original": 1 / 64,
    "map@10/half": sum(1 / r for r in range(1, 11)) / 64,
    "median_rank/fully": 65 / 2,
    "pairwise/original_vs_fully": 1 / 2,
    "pairwise/half_vs_fully": 1 / 2,
    "chain": 1 / 6,
    "true_absence": 1 / 2,
    "true_absence/shuffled": 1 / 2,
    "audio_ceiling": 1 / 2,
    "paired": 1 / 4,
    "paired/with": 1 / 2,
    "exclusion/auc": 1 / 2,
    "scope/accuracy": 1 / 2,
    "scope/swap": 1 / 2,
    "scope/or": 1 / 2,
    "double_negation": 1 / 2,
    "lexicalised/instrumental": 1 / 2,
    "pseudo/not_only": 1 / 2,
    "cue/-less/true_absence": 1 / 2,
    "cue/worst_seen/true_absence": 1 / 2,
    "mean_cosine": 1.0,
}


@pytest.mark.parametrize("key", CHANCE)
def test_constant_scores_chance_everywhere(figures, key):
    assert figures["constant"][key] == pytest.approx(CHANCE[key], abs=1e-6)


def test_bag_of_words_retrieves_and_understands_nothing(figures):
    bag, oracle = figures["bag of words"], figures["oracle"]
    assert bag["recall@10/original"] > 0.8 * oracle["recall@10/original"]
    assert bag["recall@10/original"] == bag["recall@10/fully"]
    for pair in ("original_vs_fully", "original_vs_half", "half_vs_fully"):
        assert bag[f"pairwise/{pair}"] == 0.5
    assert bag["chain"] == pytest.approx(1 / 6)
    assert bag["true_absence"] == 0.0
    assert bag["audio_ceiling"] == 1.0
    assert bag["paired"] == 0.0
    assert bag["paired/with"] == 1.0
    assert bag["scope/swap"] == 0.5
    assert bag["lexicalised/instrumental"] == 0.0
    assert bag["exclusion/violation@5"] > 0.9
    assert bag["exclusion/joint@5"] < 0.1
    assert bag["exclusion/plain/joint@5"] > bag["exclusion/joint@5"]


def test_repeller_passes_the_papers_protocols_and_nothing_else(figures):
    repeller = figures["repeller"]
    assert repeller["pairwise/original_vs_fully"] == 1.0
    assert repeller["true_absence"] == 0.5
    assert repeller["scope/swap"] == 0.5
    assert repeller["paired/without"] == 0.5
    assert repeller["exclusion/auc"] == 0.5


def test_cue_counter_passes_the_chain_and_nothing_else(figures):
    counter = figures["cue counter"]
    assert counter["chain"] == 1.0
    assert counter["true_absence"] == 0.5
    assert counter["paired"] == 0.25
    assert counter["scope/accuracy"] == 0.5


def test_flipper_passes_true_absence_and_fails_what_asks_for_the_rest(figures):
    flipper = figures["flipper"]
    assert flipper["true_absence"] == 1.0
    assert flipper["pairwise/half_vs_fully"] == 0.5
    assert flipper["paired"] == 1.0
    assert flipper["exclusion/precision@5"] < 0.1
    assert flipper["exclusion/joint@5"] < 0.1
    assert flipper["scope/swap"] == 0.5


def test_oracle_is_right_wherever_truth_decides(figures):
    for key, value in figures["oracle"].items():
        perfect = key.startswith(
            ("paired", "scope", "cue/", "double_negation", "lexicalised", "pseudo", "chain")
        ) and not key.endswith(("auc", "precision@5", "joint@5", "violation@5"))
        if perfect or key in ("true_absence", "audio_ceiling", "threshold/f1", "exclusion/auc"):
            assert value == pytest.approx(1.0), key
    assert figures["oracle"]["exclusion/joint@5"] == 1.0
    assert figures["oracle"]["exclusion/violation@5"] == 0.0
    assert figures["oracle"]["pairwise/original_vs_half"] == 1.0
    assert abs(figures["oracle"]["true_absence/shuffled"] - 0.5) < 0.2  # some 90 probes


def test_no_toy_but_the_oracle_passes_everything(figures):
    """The headline figures together: each toy fails at least one of them badly."""
    keys = ("true_absence", "exclusion/joint@5", "scope/accuracy", "paired")
    for name, scores in figures.items():
        assert (min(scores[key] for key in keys) > 0.9) == (name == "oracle"), name


def test_estimates_name_n_chance_oracle_and_interval(exam):
    suite = Suite(gallery_size=64, galleries=2, at=5)
    results = suite.run_toy(exam, TOYS["bag of words"])
    estimates = suite.estimates(exam, results)
    assert estimates.keys() == results.values.keys()
    assert estimates["chain"].chance == pytest.approx(1 / 6)
    assert estimates["chain"].oracle == 1.0
    assert estimates["true_absence"].n == sum("absence_true" in p for p in exam.probes)
    assert estimates["exclusion/joint@5"].oracle == 1.0
    assert 0 < estimates["exclusion/joint@5"].chance < 0.5
    assert estimates["paired"].n == len(exam.twins)
    low, value, high = (getattr(estimates["map@10/original"], k) for k in ("low", "value", "high"))
    assert low < value < high
    assert estimates["median_rank/original"].low is None
    assert estimates["guard/effective_rank"].chance is None


def test_a_split_without_twins_leaves_them_out(exam, chorales, tracks):
    clips = [track for track in tracks if track.split == "train"]
    captions = [track.captions[0].text for track in clips]
    alone = build_exam(clips, captions, exam.vocabulary, seed=0)
    values = Suite(64, 1).run_toy(alone, TOYS["oracle"]).values
    assert "true_absence" in values
    assert not any("paired" in key for key in values)


def test_the_understanding_score_cannot_be_bought_with_recall():
    figures = {"true_absence": 1.0, "scope/accuracy": 0.8, "exclusion/joint@10": 0.6}
    good = understanding_score(figures | {"recall@10/original": 0.5}, recall_floor=0.4)
    assert good == pytest.approx(0.8)
    poor = understanding_score(figures | {"recall@10/original": 0.1}, recall_floor=0.4)
    assert poor == pytest.approx(0.2)
    assert understanding_score({"recall@10/original": 0.5}, 0.4) == 0.0


def random_world(n=40, d=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    texts = {role: F.normalize(torch.randn(n, d, generator=generator), dim=1) for role in ROLES}
    texts["half"][::3] = float("nan")
    for role in ROLES[3:]:
        texts[role][::5] = float("nan")
    return torch.arange(n), F.normalize(torch.randn(n, d, generator=generator), dim=1), texts


def test_order_batches_and_repetitions_change_nothing():
    ids, audio, texts = random_world()
    whole, parts = NegationSuite(16, 3), NegationSuite(16, 3)
    whole.update(ids, audio, texts)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    for rows in (*order.split(7), order[:5]):
        parts.update(ids[rows], audio[rows], {role: text[rows] for role, text in texts.items()})
    whole.threshold.choose(), parts.threshold.choose()
    assert parts.compute() == whole.compute()


def test_galleries_match_a_naive_loop():
    ids, audio, texts = random_world()
    metric = NegationRetrieval(16, 3, seed=5)
    metric.update(ids, audio, {level: texts[level] for level in ("original", "half", "fully")})
    hits = []
    from negclap.evaluation.metrics.retrieval import draw_galleries

    for gallery in draw_galleries(40, 16, 3, 5):
        for i in gallery:
            if not texts["half"][i].isnan().any():
                scores = audio[gallery] @ texts["half"][i]
                hits.append(float((scores > audio[i] @ texts["half"][i] + 1e-6).sum() < 5))
    assert float(metric.compute()["recall@5/half"]) == pytest.approx(sum(hits) / len(hits))


def test_unknown_absence_leaves_its_figures_out():
    ids, audio, texts = random_world()
    suite = NegationSuite(16, 3)
    suite.update(ids, audio, {level: texts[level] for level in ("original", "half", "fully")})
    figures = suite.compute()
    assert "chain" in figures
    assert not any("absence" in key or "ceiling" in key for key in figures)


@pytest.mark.parametrize("metric", [NegationRetrieval, PairwiseAccuracy, TrueAbsence])
def test_nan_in_audio_is_an_error(metric):
    from negclap.errors import InputError

    ids, audio, texts = random_world()
    audio[3] = float("nan")
    with pytest.raises(InputError, match="NaN"):
        metric().update(ids, audio, texts)
