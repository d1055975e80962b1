"""Compare the results of several runs: means over seeds, and paired differences."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import stats

from negclap.errors import InputError
from negclap.evaluation.metrics.scores import Difference, Scores, paired_difference
from negclap.evaluation.results import RunResults


@dataclass(frozen=True)
class Summary:
    """Means of a method's metrics over its runs, and half their 95 % intervals (0 for one run)."""

    mean: dict[str, float]
    half_width: dict[str, float]
    runs: int


class Comparison(NamedTuple):
    """Methods in the order of their first run, and by key each other method minus the first."""

    summaries: dict[str, Summary]
    differences: dict[str, dict[str, Difference]]


def compare(runs: Sequence[RunResults]) -> Comparison:
    """Average the runs of each method, and compare each method with the first.

    Raises:
        InputError: If two runs have the same method and seed, or the runs were tested with other
            settings or another exam.
    """
    _check(runs)
    methods: dict[str, list[RunResults]] = {}
    for run in runs:
        methods.setdefault(run.method, []).append(run)
    summaries = {name: _summarise([run.metrics for run in of]) for name, of in methods.items()}
    return Comparison(summaries, _differences(methods))


def _check(runs: Sequence[RunResults]) -> None:
    seen: dict[tuple[str, int], RunResults] = {}
    suites: dict[str, RunResults] = {}
    exams: dict[str, RunResults] = {}
    for run in runs:
        if (other := seen.setdefault((run.method, run.seed), run)) is not run:
            raise InputError(
                f"{other.source} and {run.source}: both are method {run.method!r}, seed "
                f"{run.seed}; write NAME={run.source} to give one of them another name"
            )
        suite = {key: value for key, value in run.metrics.items() if key.startswith("suite/")}
        if suite:
            suites.setdefault(", ".join(f"{k} {v:g}" for k, v in suite.items()), run)
        exams.setdefault(run.exam, run)
    if len(suites) > 1:
        listed = "; ".join(f"{run.source}: {suite}" for suite, run in suites.items())
        raise InputError(f"results of different test settings cannot be compared: {listed}")
    if len(exams) > 1:
        listed = " and ".join(str(run.source) for run in exams.values())
        raise InputError(f"{listed}: results of different exams cannot be compared")


def _summarise(results: Sequence[Mapping[str, float]]) -> Summary:
    n = len(results)
    keys = [key for key in results[0] if all(key in result for result in results)]
    mean = {key: math.fsum(r[key] for r in results) / n for key in keys}
    t = float(stats.t.ppf(0.975, n - 1)) / math.sqrt(n) if n > 1 else 0.0
    half_width = {k: t * float(np.std([r[k] for r in results], ddof=min(1, n - 1))) for k in keys}
    if n > 1:  # the mean of intervals is not an interval
        mean = {key: v for key, v in mean.items() if not key.endswith(("/low", "/high", "/n"))}
    return Summary(mean, half_width, n)


def _differences(methods: Mapping[str, Sequence[RunResults]]) -> dict[str, dict[str, Difference]]:
    """Paired bootstrap over tracks; seeds count as repeated measurements of the same tracks."""
    pooled = {
        name: {
            key: Scores.pooled([run.scores[key] for run in runs])
            for key in runs[0].scores
            if all(key in run.scores for run in runs)
        }
        for name, runs in methods.items()
    }
    (_, first), *others = pooled.items()
    return {
        name: {
            key: paired_difference(scores[key], first[key])
            for key in scores
            if key in first and "median_rank" not in key
        }
        for name, scores in others
    }
