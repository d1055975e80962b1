"""The negation suite: all metrics of a model on an exam, with chance and oracle."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from negclap.evaluation import scoring
from negclap.evaluation.exam import MIXED, PLAIN, Exam
from negclap.evaluation.metrics import ClipEmbeddings, NegationRetrieval, PairwiseAccuracy
from negclap.evaluation.metrics.retrieval import MAP_AT, draw_galleries
from negclap.evaluation.metrics.scores import Scores, summarise
from negclap.evaluation.metrics.toys import CONSTANT, ORACLE, Toy
from negclap.evaluation.scoring import Embed, EmbeddedExam
from negclap.text.probes import Statement

_NO_CHANCE = ("margin/", "mean_cosine", "threshold", "guard/")

Bounds = tuple[dict[str, float], dict[str, float]]
"""Values of the oracle, and of a constant model (chance), by key."""


class Estimate(NamedTuple):
    """A value, its 95 % interval, number of tracks, chance and oracle; None if not applicable."""

    value: float
    low: float | None
    high: float | None
    n: int | None
    chance: float | None
    oracle: float | None


class Results(NamedTuple):
    """The values of a model by key, and the scores per track of most of them."""

    values: dict[str, float]
    scores: dict[str, Scores]


@dataclass(frozen=True)
class Suite:
    """Settings of an evaluation.

    Attributes:
        gallery_size: Clips per retrieval gallery.
        galleries: Number of random galleries.
        seed: Seed of the galleries.
        at: Depth K of exclusion retrieval.
    """

    gallery_size: int = 512
    galleries: int = 10
    seed: int = 0
    at: int = 10

    def run(
        self,
        exam: Exam,
        audio: Tensor,
        twin_audio: Tensor,
        embed: Embed,
        threshold: float | None = None,
    ) -> Results:
        """Evaluate a model in this process only; for the threshold, see `Evaluation.compute`.

        The unit embeddings are ``(n, d)`` of the exam's tracks and ``(m, d)`` of its twins, if any.
        """
        evaluation = Evaluation(self, sync_on_compute=False)
        evaluation.begin(exam, embed)
        evaluation.update(audio.cpu(), torch.arange(len(audio)))
        if len(twin_audio):
            evaluation.update_twins(twin_audio.cpu(), torch.arange(len(twin_audio)))
        return evaluation.compute(exam, threshold)

    def run_toy(self, exam: Exam, toy: Toy) -> Results:
        """Evaluate a toy model, which reads tags and claims instead of audio and text."""
        columns = {name: index for index, name in enumerate(exam.vocabulary.names)}
        clips = [toy.clip(track, columns) for track in (*exam.tracks, *exam.twin_tracks)]
        audio, twins = torch.stack(clips).tensor_split([len(exam.tracks)])

        def embed(statements: Sequence[Statement]) -> Tensor:
            return torch.stack([toy.text(one, columns) for one in statements])

        return self.run(exam, audio, twins, embed)

    def bounds(self, exam: Exam) -> Bounds:
        """Return the values of the oracle and of a constant model (chance)."""
        return self.run_toy(exam, ORACLE).values, self.run_toy(exam, CONSTANT).values

    def estimates(
        self, exam: Exam, results: Results, bounds: Bounds | None = None
    ) -> dict[str, Estimate]:
        """Return the estimates of a model; the ``bounds`` of the exam are computed if missing."""
        oracle, chance = bounds or self.bounds(exam)
        estimates = {}
        for key, value in results.values.items():
            scores = results.scores.get(key)
            low, high = scores.interval() if scores and "median_rank" not in key else (None, None)
            estimates[key] = Estimate(
                value,
                low,
                high,
                scores.n if scores else None,
                None if key.startswith(_NO_CHANCE) else chance.get(key),
                None if key.startswith("guard/") else oracle.get(key),
            )
        return estimates


class Evaluation(nn.Module):
    """Evaluate a model on one split: `begin`, then `update` batch by batch, then `compute`.

    Args:
        suite: Settings of the evaluation.
        sync_on_compute: Whether to gather the clips of all processes; False evaluates the clips of
            this process only.
    """

    def __init__(self, suite: Suite, *, sync_on_compute: bool = True) -> None:
        super().__init__()
        self.suite = suite
        drawn = (suite.gallery_size, suite.galleries, suite.seed)
        self.retrieval = NegationRetrieval(*drawn, sync_on_compute=sync_on_compute)
        self.pairwise = PairwiseAccuracy(sync_on_compute=sync_on_compute)
        self.clips = ClipEmbeddings(sync_on_compute=sync_on_compute)
        self.twins = ClipEmbeddings(sync_on_compute=sync_on_compute)
        self._texts: EmbeddedExam | None = None

    def begin(self, exam: Exam, embed: Embed) -> None:
        """Discard earlier clips, and embed each text of the exam about all clips once."""
        for metric in (self.retrieval, self.pairwise, self.clips, self.twins):
            metric.reset()
        self._texts = texts = EmbeddedExam(exam, embed)
        # processes without clips take part in gathering, so all need states of the right shape
        no_clips = texts.embeddings[:0]
        no_ids = torch.empty(0, dtype=torch.long, device=no_clips.device)
        self.update(no_clips, no_ids)
        self.update_twins(no_clips, no_ids)

    def update(self, audio: Tensor, ids: Tensor) -> None:
        """Add clips: ``(b, d)`` unit embeddings, and the ``(b,)`` int64 rows of their tracks."""
        levels, mask = self._embedded().levels(ids)
        self.retrieval.update(audio, levels, ids, mask)
        self.pairwise.update(audio, levels, ids, mask)
        self.clips.update(audio, ids)

    def update_twins(self, audio: Tensor, ids: Tensor) -> None:
        """Add counterfactual twins; the arguments are as for `update`."""
        self.twins.update(audio, ids)

    def rows(self) -> tuple[list[int], list[int]]:
        """Return the rows of all clips, and of all twins, that any process added."""
        return self.clips.compute()[0].tolist(), self.twins.compute()[0].tolist()

    def compute(self, exam: Exam, threshold: float | None = None) -> Results:
        """Compute every metric.

        Args:
            exam: The exam about the clips that were added.
            threshold: Cosine from which on a caption counts as true, chosen on validation. NaN
                leaves its metrics out, None chooses it here.
        """
        texts = self._embedded().of(exam)
        audio, twin_audio = (each.compute()[1].cpu() for each in (self.clips, self.twins))
        levels = self.retrieval.scores() | self.pairwise.scores()
        scores = {key: each.cpu() for key, each in levels.items()}
        scores |= scoring.absence_scores(exam, audio, texts)
        scores |= scoring.all_choice_scores(exam, audio, texts)
        scores |= self._query_scores(exam, audio, texts)
        if len(twin_audio) and exam.twins:
            scores |= scoring.twin_scores(exam, audio, twin_audio, texts)
        values = {key: float(value) for key, value in summarise(scores).items()}
        both = values[f"map@{MAP_AT}/original"] + values[f"a2t/map@{MAP_AT}/original"]
        values[f"map@{MAP_AT}/mean"] = both / 2
        values["mean_cosine"] = scoring.mean_cosine(audio)
        values |= scoring.threshold_values(exam, audio, texts, threshold)
        values |= scoring.guard_values(exam, texts)
        values |= scoring.cue_summary(values)
        return Results({key: v for key, v in values.items() if not math.isnan(v)}, scores)

    def _embedded(self) -> EmbeddedExam:
        assert self._texts is not None, "call begin first"
        return self._texts

    def _query_scores(self, exam: Exam, audio: Tensor, texts: EmbeddedExam) -> dict[str, Scores]:
        suite = self.suite
        galleries = draw_galleries(len(audio), suite.gallery_size, suite.galleries, suite.seed)
        scores: dict[str, Scores] = {}
        for wording in dict.fromkeys(w for query in exam.queries for w in query.texts):
            queries = [query for query in exam.queries if wording in query.texts]
            embedded = texts([query.texts[wording] for query in queries])
            by_name = scoring.query_scores(
                exam, audio, queries, embedded, galleries, suite.at, auc=wording in (MIXED, PLAIN)
            )
            prefix = {MIXED: "exclusion", PLAIN: "exclusion/plain"}.get(wording, f"cue/{wording}")
            scores |= {f"{prefix}/{name}": each for name, each in by_name.items()}
        return scores


def understanding_score(values: Mapping[str, float], recall_floor: float) -> float:
    """Return one score for tuning: understanding of negation, with a floor on plain retrieval.

    It is the mean of true absence, scope and joint@10 of exclusion queries; 0 if the split has none
    of them. Where Recall@10 of the original captions is below ``recall_floor`` (0 for no floor), it
    is scaled down in proportion, so that a model cannot gain by giving up plain retrieval.
    """
    keys = ("true_absence", "scope/accuracy", "exclusion/joint@10")
    parts = [values[key] for key in keys if key in values]
    if not parts:
        return 0.0
    factor = min(1.0, values["recall@10/original"] / recall_floor) if recall_floor else 1.0
    return factor * sum(parts) / len(parts)
