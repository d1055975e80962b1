"""`negclap listening results`: do raters agree with each other, with the truth, with models?"""

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
"""``(trials, 2)``: how many raters chose A, how many B."""


class Figure(NamedTuple):
    """A value with its 95 % bootstrap interval over trials; NaN where it is not defined.

    ``n`` is the number of trials behind it.
    """

    value: float
    low: float
    high: float
    n: int


class Row(NamedTuple):
    """What is found at one negation level, or over all of them.

    Attributes:
        answers: Number of answers.
        alpha: Krippendorff's alpha (nominal) between raters.
        rater: Share of the trials that a rater has right, mean over raters by trial.
        majority: Share of the trials where most raters choose what is true; ties count half.
        model: By model, share of the trials where it chooses as most raters do; ties count half.
        model_right: By model, share of the trials where it chooses what is true.
    """

    answers: int
    alpha: Figure
    rater: Figure
    majority: Figure
    model: dict[str, Figure]
    model_right: dict[str, Figure]


@dataclass(frozen=True, slots=True)
class Analysis:
    """Everything: raters, and the rows by `GROUPS` with all raters and with those not flagged.

    ``panels`` maps "all" and "kept" to the rows; "kept" is missing if every rater is flagged.
    ``assumed`` is the number of trials whose truth rests on an assumption.
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
        """Number of raters of a panel."""
        return self.kept if panel == "kept" else len(self.verdicts)


def analyse(study: Study, raters: Sequence[Rater]) -> Analysis:
    """Attention checks decide who is flagged, and count for nothing else.

    Args:
        study: What was asked.
        raters: At least one.
    """
    verdicts = tuple(judge(study, rater) for rater in raters)
    kept = [rater for rater, verdict in zip(raters, verdicts, strict=True) if not verdict.flags]
    panels = {"all": _rows(study, raters)}
    if kept:
        panels["kept"] = _rows(study, kept) if len(kept) < len(raters) else panels["all"]
    assumed = sum(trial.assumed for trial in study.trials if trial.level is not None)
    return Analysis(study.name, study.models, verdicts, panels, assumed)


def _rows(study: Study, raters: Sequence[Rater]) -> dict[str, Row]:
    asked = [trial for trial in study.trials if trial.level is not None]
    groups: dict[str, list[Trial]] = {
        level: [trial for trial in asked if trial.level == level] for level in LEVELS
    }
    groups[OVERALL] = asked
    return {name: _row(trials, study.models, raters) for name, trials in groups.items()}


def _row(trials: Sequence[Trial], models: Sequence[str], raters: Sequence[Rater]) -> Row:
    counts = np.array(
        [
            [
                sum(
                    trial.number in r.answers and r.answers[trial.number].choice == side
                    for r in raters
                )
                for side in SIDES
            ]
            for trial in trials
        ],
        np.int64,
    ).reshape(-1, 2)
    answered = counts.sum(axis=1) > 0
    counts = counts[answered]
    told = [trial for trial, any_answer in zip(trials, answered, strict=True) if any_answer]
    votes = torch.from_numpy(counts)
    is_left = torch.tensor([trial.truth == "A" for trial in told])
    truth = torch.stack((is_left, ~is_left), dim=1).float() if told else torch.empty(0, 2)
    true_votes = (votes * truth).sum(dim=1)
    found = {
        name: torch.tensor([trial.similarities[name] for trial in told]).reshape(-1, 2)
        for name in models
    }
    return Row(
        answers=int(counts.sum()),
        alpha=_alpha(counts),
        rater=_mean(true_votes / votes.sum(dim=1)),
        majority=_mean(_same(votes, truth)),
        model={name: _mean(_same(scores, votes)) for name, scores in found.items()},
        model_right={name: _mean(_same(scores, truth)) for name, scores in found.items()},
    )


def _same(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """By trial, 1 where both have the same side ahead, 1/2 where a side is tied, else 0."""
    left, other_left = (beats(each[:, 0], each[:, 1]) for each in (one, other))
    return left * other_left + (1 - left) * (1 - other_left)


def _mean(values: torch.Tensor) -> Figure:
    scores = Scores(values, torch.arange(len(values)))
    return Figure(float(scores.mean()), *scores.interval(_RESAMPLES, _SEED), len(values))


def _alpha(counts: Counts) -> Figure:
    """Krippendorff's alpha of the sides chosen; trials with fewer than two answers say nothing.

    The sides are what raters answer, and both are true equally often. "Right" and "wrong" would
    not be: where nearly all are right, what is expected by chance would eat up the agreement.
    """
    counts = counts[counts.sum(axis=1) > 1]
    rng = np.random.default_rng(_SEED)
    drawn = (rng.choice(counts, len(counts)) for _ in range(_RESAMPLES if len(counts) else 0))
    resampled = np.array([_alpha_of(each) for each in drawn])
    defined = resampled[np.isfinite(resampled)]
    low, high = np.quantile(defined, (0.025, 0.975)) if len(defined) else (np.nan, np.nan)
    return Figure(_alpha_of(counts), float(low), float(high), len(counts))


def _alpha_of(counts: Counts) -> float:
    if (counts.sum(axis=0) == 0).any():  # one side alone: there is nothing to agree on
        return float("nan")
    return float(krippendorff.alpha(value_counts=counts, level_of_measurement="nominal"))
