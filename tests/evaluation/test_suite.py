"""The six toy models have the scores that they should, and the suite's bookkeeping is right."""

from itertools import cycle

import pytest
import torch
import torch.nn.functional as F

from negclap.errors import InputError
from negclap.evaluation.exam import TwinClip, build_exam
from negclap.evaluation.metrics import NegationRetrieval, PairwiseAccuracy
from negclap.evaluation.metrics.retrieval import draw_galleries
from negclap.evaluation.metrics.toys import TOYS
from negclap.evaluation.suite import Evaluation, Suite, understanding_score
from negclap.text.probes import LEVELS


@pytest.fixture(scope="module")
def exam(exam_clips):
    return exam_clips[0]


@pytest.fixture(scope="module")
def values(exam):
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
def test_constant_model_scores_chance(values, key):
    assert values["constant"][key] == pytest.approx(CHANCE[key], abs=1e-6)


def test_bag_of_words_retrieves_without_understanding_negation(values):
    bag, oracle = values["bag of words"], values["oracle"]
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


def test_repeller_passes_only_the_papers_protocols(values):
    repeller = values["repeller"]
    assert repeller["pairwise/original_vs_fully"] == 1.0
    assert repeller["true_absence"] == 0.5
    assert repeller["scope/swap"] == 0.5
    assert repeller["paired/without"] == 0.5
    assert repeller["exclusion/auc"] == 0.5


def test_cue_counter_passes_only_the_chain(values):
    counter = values["cue counter"]
    assert counter["chain"] == 1.0
    assert counter["true_absence"] == 0.5
    assert counter["paired"] == 0.25
    assert counter["scope/accuracy"] == 0.5


def test_flipper_passes_true_absence_and_fails_exclusion(values):
    flipper = values["flipper"]
    assert flipper["true_absence"] == 1.0
    assert flipper["pairwise/half_vs_fully"] == 0.5
    assert flipper["paired"] == 1.0
    assert flipper["exclusion/precision@5"] < 0.1
    assert flipper["exclusion/joint@5"] < 0.1
    assert flipper["scope/swap"] == 0.5


def test_oracle_is_always_right(values):
    for key, value in values["oracle"].items():
        perfect = key.startswith(
            ("paired", "scope", "cue/", "double_negation", "lexicalised", "pseudo", "chain")
        ) and not key.endswith(("auc", "precision@5", "joint@5", "violation@5"))
        if perfect or key in ("true_absence", "audio_ceiling", "threshold/f1", "exclusion/auc"):
            assert value == pytest.approx(1.0), key
    assert values["oracle"]["exclusion/joint@5"] == 1.0
    assert values["oracle"]["exclusion/violation@5"] == 0.0
    assert values["oracle"]["pairwise/original_vs_half"] == 1.0
    assert abs(values["oracle"]["true_absence/shuffled"] - 0.5) < 0.2  # about 90 probes


def test_only_the_oracle_passes_all_headline_metrics(values):
    """Each other toy fails at least one of them."""
    keys = ("true_absence", "exclusion/joint@5", "scope/accuracy", "paired")
    for name, of_toy in values.items():
        assert (min(of_toy[key] for key in keys) > 0.9) == (name == "oracle"), name


def test_estimates_have_n_chance_oracle_and_interval(exam):
    suite = Suite(gallery_size=64, galleries=2, at=5)
    results = suite.run_toy(exam, TOYS["bag of words"])
    estimates = suite.estimates(exam, results)
    assert estimates.keys() == results.values.keys()
    assert estimates["chain"].chance == pytest.approx(1 / 6)
    assert estimates["chain"].oracle == 1.0
    assert estimates["true_absence"].n == sum(p.absence is not None for p in exam.probes)
    assert estimates["exclusion/joint@5"].oracle == 1.0
    assert 0 < estimates["exclusion/joint@5"].chance < 0.5
    assert estimates["paired"].n == len(exam.twins)
    low, value, high = (getattr(estimates["map@10/original"], k) for k in ("low", "value", "high"))
    assert low < value < high
    assert estimates["median_rank/original"].low is None
    assert estimates["guard/effective_rank"].chance is None


def test_split_without_twins_has_no_metrics_of_twins(exam, chorales, tracks):
    clips = [track for track in tracks if track.split == "train"]
    captions = [track.captions[0].text for track in clips]
    without_twins = build_exam(clips, captions, exam.vocabulary, seed=0)
    keys = Suite(64, 1).run_toy(without_twins, TOYS["oracle"]).values.keys()
    assert "true_absence" in keys
    assert not any("paired" in key for key in keys)


def test_kinds_of_twins_are_scored_apart(exam_clips):
    exam, clips = exam_clips
    captions = [track.captions[0].text for track in clips]
    rows = {track.track_id: row for row, track in enumerate(clips)}
    twins = [
        TwinClip(track, rows[track.meta["twin_of"]], track.meta["toggled"], kind)
        for track, kind in zip(exam.twin_tracks, cycle(("added", "exchanged")), strict=False)
    ]
    kinds = build_exam(clips, captions, exam.vocabulary, seed=0, at=5, twins=twins)
    scores = {name: Suite(64, 1, at=5).run_toy(kinds, toy) for name, toy in TOYS.items()}
    flipper = scores["flipper"]
    together = sum(flipper.scores[f"paired/{k}"].values.sum() for k in ("added", "exchanged"))
    assert together == flipper.scores["paired"].values.sum()
    assert flipper.scores["paired/added"].n == (len(twins) + 1) // 2
    for twin in kinds.twins:
        ((absent, has),) = twin.control.claims
        assert not has
        for own, row in (twin.has, twin.lacks):
            clip = kinds.tracks[row] if own else kinds.twin_tracks[row]
            assert absent in clip.absent_tags
    assert scores["oracle"].values["paired/control"] == 0.5
    assert scores["constant"].values["paired/control"] == 0.5


def test_low_recall_lowers_the_understanding_score():
    metrics = {"true_absence": 1.0, "scope/accuracy": 0.8, "exclusion/joint@10": 0.6}
    good = understanding_score(metrics | {"recall@10/original": 0.5}, recall_floor=0.4)
    assert good == pytest.approx(0.8)
    poor = understanding_score(metrics | {"recall@10/original": 0.1}, recall_floor=0.4)
    assert poor == pytest.approx(0.2)
    assert understanding_score({"recall@10/original": 0.5}, 0.4) == 0.0


def random_clips(n=40, d=8, seed=0):
    """Return arguments of `update` for random clips; a third has no half negated caption."""
    generator = torch.Generator().manual_seed(seed)
    texts = {level: F.normalize(torch.randn(n, d, generator=generator), dim=1) for level in LEVELS}
    mask = {level: torch.ones(n, dtype=torch.bool) for level in LEVELS}
    mask["half"][::3] = False
    return F.normalize(torch.randn(n, d, generator=generator), dim=1), texts, torch.arange(n), mask


def select(clips, rows):
    audio, texts, ids, mask = clips
    texts, mask = ({level: column[rows] for level, column in of.items()} for of in (texts, mask))
    return audio[rows], texts, ids[rows], mask


@pytest.mark.parametrize("metric", [lambda: NegationRetrieval(16, 3), PairwiseAccuracy])
def test_metric_is_independent_of_order_batches_and_duplicates(metric):
    clips = random_clips()
    at_once, in_batches = metric(), metric()
    at_once.update(*clips)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    for rows in (*order.split(7), order[:5]):
        in_batches.update(*select(clips, rows))
    assert in_batches.compute() == at_once.compute()


def test_retrieval_matches_a_naive_loop():
    audio, texts, _, mask = clips = random_clips()
    metric = NegationRetrieval(16, 3, seed=5)
    metric.update(*clips)
    hits = []
    for gallery in draw_galleries(40, 16, 3, 5):
        for i in gallery:
            if mask["half"][i]:
                scores = audio[gallery] @ texts["half"][i]
                hits.append(float((scores > audio[i] @ texts["half"][i] + 1e-6).sum() < 5))
    assert float(metric.compute()["recall@5/half"]) == pytest.approx(sum(hits) / len(hits))


def test_pairwise_accuracy_matches_a_naive_loop():
    audio, texts, _, mask = clips = random_clips()
    metric = PairwiseAccuracy()
    metric.update(*clips)
    right = [
        float(audio[i] @ texts["original"][i] > audio[i] @ texts["half"][i])
        for i in range(40)
        if mask["half"][i]
    ]
    accuracy = float(metric.compute()["pairwise/original_vs_half"])
    assert accuracy == pytest.approx(sum(right) / len(right))


def test_level_without_captions_is_left_out():
    audio, texts, ids, mask = random_clips()
    mask["half"][:] = False
    for metric in (NegationRetrieval(16, 3), PairwiseAccuracy()):
        metric.update(audio, texts, ids, mask)
        assert not any("half" in key or key == "chain" for key in metric.compute())


@pytest.mark.parametrize("metric", [NegationRetrieval, PairwiseAccuracy])
def test_nan_in_audio_is_an_error(metric):
    audio, *rest = random_clips()
    audio[3] = float("nan")
    with pytest.raises(InputError, match="NaN"):
        metric().update(audio, *rest)


def test_texts_are_embedded_once_and_values_are_independent_of_batches(exam):
    texts = []

    def embed(statements):
        texts.extend(one.text for one in statements)
        generator = torch.Generator().manual_seed(len(statements))
        return F.normalize(torch.randn(len(statements), 8, generator=generator), dim=1)

    audio = F.normalize(torch.randn(len(exam.tracks), 8), dim=1)
    at_once = Suite(16, 3).run(exam, audio, audio[:0], embed)
    assert sorted(texts) == sorted(exam.statements())
    evaluation = Evaluation(Suite(16, 3))
    evaluation.begin(exam, embed)
    for rows in torch.randperm(len(audio)).split(7):
        evaluation.update(audio[rows], rows)
    assert evaluation.compute(exam).values == pytest.approx(at_once.values)


def test_unreadable_clips_are_not_evaluated(exam, exam_clips):
    """The exam is replaced by one about fewer clips after the texts were embedded."""
    clips = exam_clips[1][::2]
    captions = [track.captions[0].text for track in clips]
    fewer = build_exam(clips, captions, exam.vocabulary, seed=0, at=5)
    known = exam.statements() | fewer.statements()
    columns = {name: index for index, name in enumerate(exam.vocabulary.names)}
    bag = TOYS["bag of words"]

    def embed(statements):
        return torch.stack([bag.text(known[one.text], columns) for one in statements])

    audio = torch.stack([bag.clip(track, columns) for track in exam.tracks])
    evaluation = Evaluation(Suite(16, 3, at=5))
    evaluation.begin(exam, embed)
    rows = torch.arange(0, len(exam.tracks), 2)
    evaluation.update(audio[rows], rows)
    assert evaluation.rows() == (rows.tolist(), [])
    expected = Suite(16, 3, at=5).run(fewer, audio[rows], audio[:0], embed).values
    assert evaluation.compute(fewer).values == pytest.approx(expected)
