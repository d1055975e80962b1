"""The six toy models that show what each figure can be gamed by, and the suite's book-keeping.

Toys work on known tags: a clip is a vector of +1 / -1 (or 1 / 0) per tag, a text a vector made from
its claims.
"""

import pytest
import torch
import torch.nn.functional as F

from negclap.metrics.classes import NegationRetrieval, PairwiseAccuracy, TrueAbsence
from negclap.suite import ROLES, NegationSuite, chance, oracle_scores
from negclap.text.probes import build_probes
from negclap.text.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def world(chorales, tracks):
    """Training clips of the tiny set (there are most), their probes and the vocabulary."""
    vocabulary = Vocabulary.load(chorales / "vocabulary.json")
    clips = [track for track in tracks if track.split == "train"]
    captions = [track.captions[0].text for track in clips]
    return clips, build_probes(clips, captions, vocabulary, seed=0), vocabulary


def run_toy(world, encode_audio, encode_text, gallery_size=512):
    clips, probes, vocabulary = world
    column = {name: i for i, name in enumerate(vocabulary.names)}
    suite = NegationSuite(gallery_size, 10)
    audio = torch.stack([encode_audio(clip, column) for clip in clips])
    missing = torch.full_like(audio[0], float("nan"))
    texts = {
        role: torch.stack(
            [
                encode_text(probe[role].claims, column) if role in probe else missing
                for probe in probes
            ]
        )
        for role in ROLES
    }
    suite.update(torch.arange(len(clips)), audio, texts)
    suite.threshold.choose()
    return suite.compute()


def tag_audio(clip, column, extra=2):
    vector = torch.zeros(len(column) + extra)
    for tag in clip.tags:
        vector[column[tag]] = 1.0
    return F.normalize(vector, dim=0)


def bag(claims, column, extra=2):
    vector = torch.zeros(len(column) + extra)
    for tag, _ in claims:
        vector[column[tag]] = 1.0
    return F.normalize(vector, dim=0)


def test_constant_scores_chance_everywhere(world):
    one = F.normalize(torch.ones(4), dim=0)
    figures = run_toy(world, lambda *_: one, lambda *_: one)
    n = len(world[0])
    for key, value in figures.items():
        expected = chance(key, n)
        if expected is not None:
            assert value == pytest.approx(expected, abs=1e-6), key
    assert figures["mean_cosine"] == pytest.approx(1.0)


def test_bag_of_words_retrieves_and_understands_nothing(world):
    figures = run_toy(world, tag_audio, bag)
    oracle = run_toy(world, *oracle_encoders())
    assert figures["recall@10/original"] > 0.8 * oracle["recall@10/original"]
    assert figures["recall@10/original"] == figures["recall@10/fully"]
    for pair in ("original_vs_fully", "original_vs_half", "half_vs_fully"):
        assert figures[f"pairwise/{pair}"] == 0.5
    assert figures["chain"] == pytest.approx(1 / 6)
    assert figures["true_absence"] == 0.0
    assert figures["audio_ceiling"] == 1.0


def test_repeller_passes_the_papers_protocols_and_not_true_absence(world):
    def repelled(claims, column):
        if all(present for _, present in claims):
            return bag(claims, column)
        vector = torch.zeros(len(column) + 2)
        vector[-1] = 1.0
        return vector

    figures = run_toy(world, tag_audio, repelled)
    assert figures["pairwise/original_vs_fully"] == 1.0
    assert figures["true_absence"] == 0.5


def test_cue_counter_passes_the_chain_and_not_true_absence(world):
    def counted(claims, column):
        """Less and less like any clip, the more cues there are, whatever they negate."""
        vector = torch.zeros(len(column) + 2)
        cues = sum(not present for _, present in claims)
        vector[-2] = 1.0 / (1 + cues)
        vector[-1] = (1 - vector[-2] ** 2).sqrt()
        return vector

    def with_constant(clip, column):
        vector = torch.zeros(len(column) + 2)
        vector[-2] = 1.0
        return vector

    figures = run_toy(world, with_constant, counted)
    assert figures["chain"] == 1.0
    assert figures["true_absence"] == 0.5


def test_flipper_passes_true_absence(world):
    def flipped(claims, column):
        sign = 1.0 if all(present for _, present in claims) else -1.0
        return sign * bag(claims, column)

    figures = run_toy(world, tag_audio, flipped)
    assert figures["true_absence"] == 1.0
    assert figures["pairwise/half_vs_fully"] == 0.5


def oracle_encoders():
    def audio(clip, column):
        vector = torch.tensor([1.0 if tag in clip.tags else -1.0 for tag in column])
        return F.normalize(vector, dim=0)

    def text(claims, column):
        vector = torch.zeros(len(column))
        for tag, present in claims:
            vector[column[tag]] = 1.0 if present else -1.0
        return F.normalize(vector, dim=0)

    return audio, text


def test_oracle_is_right_wherever_truth_decides(world):
    clips, probes, vocabulary = world
    figures = oracle_scores(NegationSuite(512, 10), clips, probes, vocabulary)
    for key in ("true_absence", "audio_ceiling", "chain", "pairwise/half_vs_fully", "threshold/f1"):
        assert figures[key] == pytest.approx(1.0), key
    assert figures["pairwise/original_vs_fully"] == figures["pairwise/original_vs_half"] == 1.0
    assert abs(figures["true_absence/shuffled"] - 0.5) < 0.25  # 60 probes
    same = run_toy(world, *oracle_encoders())
    assert {k: pytest.approx(v) for k, v in same.items()} == figures


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


def test_estimates_name_n_chance_and_interval():
    ids, audio, texts = random_world()
    suite = NegationSuite(16, 3)
    suite.update(ids, audio, texts)
    suite.threshold.choose()
    estimates = suite.estimates({"chain": 1.0})
    assert estimates["chain"].n == int((~texts["half"][:, 0].isnan()).sum())
    assert estimates["chain"].chance == pytest.approx(1 / 6)
    assert estimates["chain"].oracle == 1.0
    assert estimates["true_absence"].n == 32
    assert estimates["recall@10/original"].chance == pytest.approx(10 / 16)
    low, high = estimates["recall@10/original"].low, estimates["recall@10/original"].high
    assert low < estimates["recall@10/original"].value < high
    assert estimates["median_rank/original"].low is None


def test_galleries_match_a_naive_loop():
    ids, audio, texts = random_world()
    metric = NegationRetrieval(16, 3, seed=5)
    metric.update(ids, audio, {level: texts[level] for level in ("original", "half", "fully")})
    hits = []
    from negclap.metrics.retrieval import draw_galleries

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
