"""The raters' answers, and checks of how attentive the raters were."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scipy import stats

from negclap.errors import InputError
from negclap.listening.study import SIDES, Side, Study

LEAST_RIGHT = 0.75
"""Raters with a smaller share of correct attention checks are flagged."""
ONE_SIDE_P = 0.01
"""Raters are flagged if a binomial test of A against B (p = 1/2) gives a smaller p-value."""
MOST_HASTY = 0.5
"""Raters with a larger share of hasty answers are flagged."""


class Answer(NamedTuple):
    """The chosen side, and the seconds until it was chosen."""

    choice: Side
    seconds: float


class Rater(NamedTuple):
    """One person's answers, by trial number."""

    name: str
    answers: Mapping[int, Answer]


class Verdict(NamedTuple):
    """How attentive a rater was.

    Attributes:
        rater: The rater's name.
        answered: Number of answers.
        checks: Number of answered attention checks.
        right: Share of them that are correct; NaN without any.
        consistent: Share of the checks answered twice with the same clip both times; NaN without
            any.
        left: Share of A among all answers.
        hasty: Share of answers given in less time than both clips last.
        flags: Reasons not to rely on the rater; empty if there are none.
    """

    rater: str
    answered: int
    checks: int
    right: float
    consistent: float
    left: float
    hasty: float
    flags: tuple[str, ...]


def read_answers(study: Study, paths: Sequence[Path]) -> list[Rater]:
    """Read the raters' files, one per rater.

    Raises:
        InputError: If a file is not a file of answers, belongs to another study, contains an
            invalid answer, or has the same rater as another file.
    """
    files: dict[str, Path] = {}
    raters: list[Rater] = []
    for path in paths:
        rater = _read(study, path)
        if rater.name in files:
            raise InputError(f"{path}: rater {rater.name!r} is also in {files[rater.name]}")
        files[rater.name] = path
        raters.append(rater)
    return raters


def _read(study: Study, path: Path) -> Rater:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error})") from None
    if not isinstance(data, dict) or data.keys() != {"study", "rater", "answers"}:
        raise InputError(f"{path}: expected an object with study, rater and answers")
    if data["study"] != study.name:
        raise InputError(f"{path}: answers to study {data['study']!r}, expected {study.name!r}")
    if not isinstance(data["rater"], str) or not data["rater"]:
        raise InputError(f"{path}: rater is {data['rater']!r:.80}, expected a name")
    if not isinstance(data["answers"], list) or not data["answers"]:
        raise InputError(f"{path}: contains no answers")
    numbers = {trial.number for trial in study.trials}
    answers: dict[int, Answer] = {}
    for place, entry in enumerate(data["answers"]):
        number, answer = _answer(entry, numbers, f"{path}: answers[{place}]")
        if number in answers:
            raise InputError(f"{path}: answers[{place}]: second answer to trial {number}")
        answers[number] = answer
    return Rater(data["rater"], answers)


def _answer(entry: Any, numbers: set[int], where: str) -> tuple[int, Answer]:
    if not isinstance(entry, dict):
        raise InputError(f"{where} is {entry!r:.80}, expected an object")
    number, choice, seconds = (entry.get(name) for name in ("trial", "choice", "seconds"))
    if isinstance(number, bool) or not isinstance(number, int) or number not in numbers:
        raise InputError(f"{where}: trial is {number!r:.80}, which the study does not have")
    if choice not in SIDES:
        raise InputError(f"{where}: choice is {choice!r:.80}, expected one of {SIDES}")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < 1e9:
        raise InputError(f"{where}: seconds is {seconds!r:.80}, expected a number, at least 0")
    return number, Answer(choice, float(seconds))


def judge(study: Study, rater: Rater) -> Verdict:
    """Check how attentive a rater was."""
    given = [
        (trial, rater.answers[trial.number])
        for trial in study.trials
        if trial.number in rater.answers
    ]
    checks: dict[int, list[bool]] = {}  # by number, whether the answers are correct
    for trial, answer in given:
        if trial.check is not None:
            checks.setdefault(trial.check, []).append(answer.choice == trial.truth)
    correct = [each for answers in checks.values() for each in answers]
    right = _share(correct)
    consistent = _share([len(set(each)) == 1 for each in checks.values() if len(each) > 1])
    n_left = sum(answer.choice == "A" for _, answer in given)
    hasty = _share([answer.seconds < trial.seconds for trial, answer in given])
    flags = []
    if correct and right < LEAST_RIGHT:
        flags.append(f"failed checks ({sum(correct)} of {len(correct)} correct)")
    if hasty > MOST_HASTY:
        flags.append(f"faster than the clips ({100 * hasty:.0f} % of answers)")
    if stats.binomtest(n_left, len(given)).pvalue < ONE_SIDE_P:
        side, often = ("A", n_left) if 2 * n_left > len(given) else ("B", len(given) - n_left)
        flags.append(f"mostly one side ({side} in {often} of {len(given)})")
    left = n_left / len(given)
    return Verdict(
        rater.name, len(given), len(correct), right, consistent, left, hasty, tuple(flags)
    )


def _share(values: Sequence[bool]) -> float:
    return sum(values) / len(values) if values else math.nan
