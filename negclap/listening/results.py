"""Results of a study: agreement between raters, accuracy, agreement of models with raters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import krippendorff
import numpy as np
import torch
from numpy.typing import NDArray

from negclap.evaluation.metrics.scores import Scores, beats
from negclap.listening.answers import Rater, Verdict, judge
from negclap.listening.study import SIDES, Study, Trial
from negclap.text.probes import LEVELS

OVERALL = "overall"
GROUPS = (*LEVELS, OVERALL)
_RESAMPLES = 1000
_SEED = 0

Counts = NDArray[np.int64]
"""``(trials, 2)``: number of raters who chose A and B."""


class Estimate(NamedTuple):
    """A value with its 95 % bootstrap interval over trials; NaN if undefined.

    ``n`` is the number of trials that it is computed from.
    """

    value: float
    low: float
    high: float
    n: int


class Row(NamedTuple):
    """Results at one negation level, or over all levels.

    Attributes:
        answers: Number of answers.
        alpha: Krippendorff's alpha (nominal) between raters.
        rater: Accuracy of raters: the share of correct answers, averaged over trials.
        majority: Accuracy of the raters' majority; ties count half.
        model: By model, share of the trials where it agrees with the majority; ties count half.
        model_right: By model, its accuracy; ties count half.
    """

    answers: int
    alpha: Estimate
    rater: Estimate
    majority: Estimate
    model: dict[str, Estimate]
    model_right: dict[str, Estimate]


@dataclass(frozen=True, slots=True)
class Analysis:
    """The results of a study.

    Attributes:
        study: The study's name.
        models: Names of the models.
        verdicts: How attentive each rater was.
        panels: Rows by `GROUPS` for all raters ("all") and for those without a flag ("kept", absent
            if every rater is flagged).
        assumed: Number of trials whose correct answer depends on an assumed absent tag.
    """

    study: str
    models: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    panels: dict[str, dict[str, Row]]
    assumed: int

    @property
    def kept(self) -> int:
        """Number of raters without a flag."""
        return sum(not verdict.flags for verdict in self.verdicts)

    def size(self, panel: str) -> int:
        """Return the number of raters in a panel."""
        return self.kept if panel == "kept" else len(self.verdicts)


def analyse(study: Study, raters: Sequence[Rater]) -> Analysis:
    """Compute the results. Attention checks are only used to flag raters.

    Args:
        study: The study.
        raters: At least one rater.
    """
    verdicts = tuple(judge(study, rater) for rater in raters)
    kept = [rater for rater, verdict in zip(raters, verdicts, strict=True) if not verdict.flags]
    panels = {"all": _rows(study, raters)}
    if kept:
        panels["kept"] = _rows(study, kept) if len(kept) < len(raters) else panels["all"]
    assumed = sum(trial.assumed for trial in study.trials if trial.level is not None)
    return Analysis(study.name, study.models, verdicts, panels, assumed)


def _rows(study: Study, raters: Sequence[Rater]) -> dict[str, Row]:
    questions = [trial for trial in study.trials if trial.level is not None]
    groups: dict[str, list[Trial]] = {
        level: [trial for trial in questions if trial.level == level] for level in LEVELS
    }
    groups[OVERALL] = questions
    return {name: _row(trials, study.models, raters) for name, trials in groups.items()}


def _row(trials: Sequence[Trial], models: Sequence[str], raters: Sequence[Rater]) -> Row:
    choices = [
        [rater.answers[trial.number].choice for rater in raters if trial.number in rater.answers]
        for trial in trials
    ]
    counts = np.array([[each.count(side) for side in SIDES] for each in choices], np.int64)
    counts = counts.reshape(-1, 2)
    answered = counts.sum(axis=1) > 0
    counts = counts[answered]
    trials = [trial for trial, has_answer in zip(trials, answered, strict=True) if has_answer]
    votes = torch.from_numpy(counts)
    is_left = torch.tensor([trial.truth == "A" for trial in trials], dtype=torch.bool)
    truth = torch.stack((is_left, ~is_left), dim=1).float()
    correct = (votes * truth).sum(dim=1)
    similarities = {
        name: torch.tensor([trial.similarities[name] for trial in trials]).reshape(-1, 2)
        for name in models
    }
    return Row(
        answers=int(counts.sum()),
        alpha=_alpha(counts),
        rater=_mean(correct / votes.sum(dim=1)),
        majority=_mean(_agreement(votes, truth)),
        model={name: _mean(_agreement(each, votes)) for name, each in similarities.items()},
        model_right={name: _mean(_agreement(each, truth)) for name, each in similarities.items()},
    )


def _agreement(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Per trial, 1 if both prefer the same side, 1/2 if one of them is tied, else 0."""
    left, other_left = (beats(each[:, 0], each[:, 1]) for each in (one, other))
    return left * other_left + (1 - left) * (1 - other_left)


def _mean(values: torch.Tensor) -> Estimate:
    scores = Scores(values, torch.arange(len(values)))
    return Estimate(float(scores.mean()), *scores.interval(_RESAMPLES, _SEED), len(values))


def _alpha(counts: Counts) -> Estimate:
    """Compute Krippendorff's alpha of the chosen sides over trials with at least two answers.

    Sides are the right categories because both are correct equally often. "Correct" and "wrong"
    are not: if nearly all answers are correct, the expected agreement is nearly 1, and alpha small.
    """
    counts = counts[counts.sum(axis=1) > 1]
    rng = np.random.default_rng(_SEED)
    drawn = (rng.choice(counts, len(counts)) for _ in range(_RESAMPLES if len(counts) else 0))
    resampled = np.array([_alpha_of(each) for each in drawn])
    defined = resampled[np.isfinite(resampled)]
    low, high = np.quantile(defined, (0.025, 0.975)) if len(defined) else (np.nan, np.nan)
    return Estimate(_alpha_of(counts), float(low), float(high), len(counts))


def _alpha_of(counts: Counts) -> float:
    if (counts.sum(axis=0) == 0).any():  # undefined if all answers are the same side
        return float("nan")
    return float(krippendorff.alpha(value_counts=counts, level_of_measurement="nominal"))
