"""The negation suite: every metric over any pair of encoders, with chance and oracle beside it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from negclap.errors import InputError
from negclap.evaluation.exam import MIXED, PLAIN, Exam
from negclap.evaluation.metrics.classes import (
    FitThreshold,
    ItemMetric,
    NegationRetrieval,
    PairwiseAccuracy,
    TrueAbsence,
)
from negclap.evaluation.metrics.exclusion import (
    choice_scores,
    effective_rank,
    exclusion_scores,
    paired_scores,
)
from negclap.evaluation.metrics.retrieval import draw_galleries
from negclap.evaluation.metrics.scores import Scores, check_embeddings
from negclap.evaluation.metrics.toys import CONSTANT, ORACLE, Toy
from negclap.text.cues import CUES
from negclap.text.probes import Probe, Role, Statement, Subject

ROLES: tuple[Role, ...] = (
    "original",
    "half",
    "fully",
    "absence_true",
    "absence_false",
    "heard_present",
    "heard_absent",
)
_LEVEL_ROLES, _ABSENCE_ROLES = ROLES[:3], ROLES[3:]
_NO_CHANCE = ("margin/", "mean_cosine", "threshold", "guard/")

Embed = Callable[[Sequence[Statement]], Tensor]
Bounds = tuple[dict[str, float], dict[str, float]]
"""What the oracle and what a constant model score, by key."""


class Estimate(NamedTuple):
    """A figure with what it takes to read it; None where a part does not apply."""

    value: float
    low: float | None
    high: float | None
    n: int | None
    chance: float | None
    oracle: float | None


class NegationSuite(nn.Module):
    """Collects embeddings of probed clips and computes every metric.

    Args:
        gallery_size: Clips per retrieval gallery.
        galleries: How many random galleries.
        seed: Of the galleries.
        distributed: Whether the ranks' clips are gathered; without it each rank computes alone.
    """

    def __init__(
        self,
        gallery_size: int = 512,
        galleries: int = 10,
        seed: int = 0,
        *,
        distributed: bool = True,
    ) -> None:
        super().__init__()
        alone = {} if distributed else {"distributed_available_fn": lambda: False}
        self.retrieval = NegationRetrieval(gallery_size, galleries, seed, **alone)
        self.pairwise = PairwiseAccuracy(**alone)
        self.absence = TrueAbsence(**alone)
        self.threshold = FitThreshold(**alone)

    @property
    def metrics(self) -> tuple[ItemMetric, ...]:
        """All metrics."""
        return (self.retrieval, self.pairwise, self.absence, self.threshold)

    def update(self, ids: Tensor, audio: Tensor, texts: Mapping[str, Tensor]) -> None:
        """Add clips.

        Args:
            ids: ``(b,)`` the clips' rows in their split.
            audio: ``(b, d)`` unit embeddings.
            texts: By role ``(b, d)`` unit embeddings; a row of NaN where a clip lacks the role. A
                role that is missing altogether is missing for all.
        """
        missing = torch.full_like(audio, float("nan"))
        given = {role: texts.get(role, missing) for role in ROLES}
        levels: dict[str, Tensor] = {role: given[role] for role in _LEVEL_ROLES}
        self.retrieval.update(ids, audio, levels)
        self.pairwise.update(ids, audio, levels)
        self.threshold.update(ids, audio, levels)
        self.absence.update(ids, audio, {role: given[role] for role in _ABSENCE_ROLES})

    def compute(self) -> dict[str, float]:
        """All figures by key; those without a single case are left out."""
        values = {key: float(v) for metric in self.metrics for key, v in metric.compute().items()}
        return {key: value for key, value in values.items() if value == value}

    def reset(self) -> None:
        """Forget all clips."""
        for metric in self.metrics:
            metric.reset()


class Results(NamedTuple):
    """What a pair of encoders scores: every figure, and the scores per track behind most."""

    values: dict[str, float]
    scores: dict[str, Scores]


@dataclass(frozen=True)
class Suite:
    """How an exam is scored.

    Attributes:
        gallery_size: Clips per retrieval gallery.
        galleries: How many random galleries.
        seed: Of the galleries.
        at: Depth of exclusion retrieval.
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
        *,
        together: bool = False,
    ) -> Results:
        """Score a pair of encoders.

        Args:
            exam: The questions.
            audio: ``(n, d)`` unit embeddings of the exam's tracks.
            twin_audio: ``(m, d)`` unit embeddings of the twins.
            embed: Statements to ``(q, d)`` embeddings; a model looks at their texts alone.
            threshold: "Fits" from this similarity on, chosen on validation; NaN leaves its figures
                out, None chooses it here.
            together: Whether all processes score the same encoders on the same tracks: each then
                ranks its share of the queries, and all get all results.
        """
        check_embeddings("audio", audio)
        check_embeddings("twins' audio", twin_audio)
        texts = _Embedded(exam, embed, audio)
        roles = NegationSuite(self.gallery_size, self.galleries, self.seed, distributed=together)
        given: dict[str, Tensor] = {role: texts.roles(exam.probes, role) for role in ROLES}
        roles.update(torch.arange(len(audio)), audio.cpu(), given)
        if threshold is None:
            roles.threshold.choose()
        else:
            roles.threshold.threshold = threshold
        values: dict[str, float] = {}
        scores: dict[str, Scores] = {}
        for metric in roles.metrics:
            found = metric.per_item()
            scores |= found
            values |= {key: float(figure) for key, figure in metric.figures(found).items()}
        understood = self._understanding(exam, audio.cpu(), twin_audio.cpu(), texts)
        scores |= understood
        values |= {key: float(found.mean()) for key, found in understood.items()}
        originals = given["original"]
        values["guard/effective_rank"] = effective_rank(originals)
        fully = ~given["fully"].isnan().any(dim=1)
        if fully.any():
            cosines = (originals[fully] * given["fully"][fully]).sum(dim=1)
            values["guard/cosine_original_fully"] = float(cosines.mean())
        values |= _by_cue(values)
        return Results({key: v for key, v in values.items() if v == v}, scores)

    def understanding(self, exam: Exam, audio: Tensor, embed: Embed) -> dict[str, float]:
        """The figures beyond the negation levels, for a validation that asks no twins."""
        texts = _Embedded(exam, embed, audio)
        found = self._understanding(exam, audio.cpu(), audio.new_empty(0, audio.shape[1]), texts)
        return {key: float(scores.mean()) for key, scores in found.items()}

    def _understanding(
        self, exam: Exam, audio: Tensor, twin_audio: Tensor, texts: "_Embedded"
    ) -> dict[str, Scores]:
        scores = _score_choices(exam, audio, texts)
        scores |= self._score_queries(exam, audio, texts)
        if len(twin_audio) and exam.twins:
            clips = {True: audio, False: twin_audio}
            has, lacks = (
                torch.stack([clips[own][row] for own, row in side])
                for side in zip(*((twin.has, twin.lacks) for twin in exam.twins), strict=True)
            )
            affirmed = texts([twin.affirmed for twin in exam.twins])
            negated = texts([twin.negated for twin in exam.twins])
            scores |= paired_scores(has, lacks, affirmed, negated)
        return scores

    def _score_queries(self, exam: Exam, audio: Tensor, texts: "_Embedded") -> dict[str, Scores]:
        galleries = draw_galleries(len(audio), self.gallery_size, self.galleries, self.seed)
        has, lacks = (
            {
                name: torch.tensor([name in known for known in tags])
                for name in exam.vocabulary.names
            }
            for tags in (
                [frozenset(track.tags) for track in exam.tracks],
                [frozenset(track.absent_tags or ()) for track in exam.tracks],
            )
        )
        scores: dict[str, Scores] = {}
        for wording in dict.fromkeys(w for query in exam.queries for w in query.texts):
            asked = [query for query in exam.queries if wording in query.texts]
            found = exclusion_scores(
                audio,
                texts([query.texts[wording] for query in asked]),
                torch.stack([has[query.wanted] for query in asked]),
                torch.stack([has[query.unwanted] for query in asked]),
                torch.stack([lacks[query.unwanted] for query in asked]),
                galleries,
                self.at,
                with_auc=wording in (MIXED, PLAIN),
            )
            prefix = {MIXED: "exclusion", PLAIN: "exclusion/plain"}.get(wording, f"cue/{wording}")
            scores |= {f"{prefix}/{name}": each for name, each in found.items()}
        return scores

    def run_toy(self, exam: Exam, toy: Toy) -> Results:
        """Score a model that looks at truth and claims instead of sound and words."""
        columns = {name: index for index, name in enumerate(exam.vocabulary.names)}

        def clips(tracks: Sequence[Subject]) -> Tensor:
            return torch.stack([toy.clip(track, columns) for track in tracks])

        audio = clips(exam.tracks)
        twins = clips(exam.twin_tracks) if exam.twin_tracks else audio[:0]
        return self.run(
            exam, audio, twins, lambda asked: torch.stack([toy.text(s, columns) for s in asked])
        )

    def bounds(self, exam: Exam) -> Bounds:
        """What the oracle and what a constant model (chance) score."""
        oracle, constant = (self.run_toy(exam, toy).values for toy in (ORACLE, CONSTANT))
        return oracle, constant

    def estimates(
        self,
        exam: Exam,
        results: Results,
        bounds: Bounds | None = None,
    ) -> dict[str, Estimate]:
        """All figures with interval, number of tracks, chance and the oracle's score.

        ``bounds`` saves computing those of the exam again.
        """
        oracle, chance = bounds or self.bounds(exam)
        found = {}
        for key, value in results.values.items():
            scores = results.scores.get(key)
            low, high = (None, None)
            if scores is not None and "median_rank" not in key:
                low, high = scores.interval()
            guessing = None if key.startswith(_NO_CHANCE) else chance.get(key)
            n = None if scores is None else scores.n
            perfect = None if key.startswith("guard/") else oracle.get(key)
            found[key] = Estimate(value, low, high, n, guessing, perfect)
        return found


class _Embedded:
    """The embeddings of all statements of an exam, each text embedded once."""

    def __init__(self, exam: Exam, embed: Embed, like: Tensor) -> None:
        statements = exam.statements()
        self.rows = {text: row for row, text in enumerate(statements)}
        self.embeddings = embed(list(statements.values())).float().cpu()
        bad = ~self.embeddings.isfinite().all(dim=1)
        if bad.any():
            text = list(statements)[int(bad.nonzero()[0])]
            raise InputError(f"the embedding of {text!r} holds NaN or infinite values")
        self.missing = torch.full((like.shape[1],), float("nan"))

    def __call__(self, statements: Sequence[Statement]) -> Tensor:
        return self.embeddings[[self.rows[one.text] for one in statements]]

    def roles(self, probes: Sequence[Probe], role: Role) -> Tensor:
        """``(n, d)``, NaN where a track lacks the role."""
        given = [probe.get(role) for probe in probes]
        return torch.stack(
            [self.missing if one is None else self.embeddings[self.rows[one.text]] for one in given]
        )


def _score_choices(exam: Exam, audio: Tensor, texts: _Embedded) -> dict[str, Scores]:
    scores: dict[str, Scores] = {}
    for part in dict.fromkeys(choice.part for choice in exam.choices):
        asked = [choice for choice in exam.choices if choice.part == part]
        items = torch.tensor([choice.clip for choice in asked])
        true = texts([choice.true for choice in asked])
        false = texts([choice.false for choice in asked])
        scores[part] = choice_scores(audio[items], true, false, items)
    scope = [found for part, found in scores.items() if part.startswith("scope/")]
    if scope:
        scores["scope/accuracy"] = Scores.pooled(scope)
    return scores


def _by_cue(values: Mapping[str, float]) -> dict[str, float]:
    """The mean of the seen and of the held-out cues, and the worst seen one."""
    summary: dict[str, float] = {}
    for name in ("true_absence", "joint@10", "violation@10"):
        for group, seen in (("seen", True), ("held_out", False)):
            keys = [f"cue/{cue.name}/{name}" for cue in CUES if cue.seen is seen]
            found = [values[key] for key in keys if key in values]
            if found:
                summary[f"cue/{group}/{name}"] = sum(found) / len(found)
                worst = max(found) if name.startswith("violation") else min(found)
                summary[f"cue/worst_{group}/{name}"] = worst
    return summary


def understanding_score(figures: Mapping[str, float], recall_floor: float) -> float:
    """One number to tune by: negation understanding, under a floor of affirmative retrieval.

    The mean of true absence, scope and the exclusion queries' joint@10, scaled down by how far
    Recall@10 of the captions as they are lies below ``recall_floor``: a model cannot gain here by
    giving up what it is for. Of a validation split; 0 where nothing can be asked.
    """
    parts = [
        figures[key]
        for key in ("true_absence", "scope/accuracy", "exclusion/joint@10")
        if key in figures
    ]
    if not parts:
        return 0.0
    kept = min(1.0, figures["recall@10/original"] / recall_floor) if recall_floor else 1.0
    return kept * sum(parts) / len(parts)
