"""What raters send back, and which of them did not listen."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scipy import stats

from negclap.errors import InputError
from negclap.listening.study import SIDES, Side, Study

LEAST_RIGHT = 0.75
"""Share of the attention checks that a rater must have right."""
ONE_SIDE_P = 0.01
"""A rater is flagged whose sides are less probable than this if both were as probable."""
MOST_HASTY = 0.5
"""Share of the answers that may have come before both clips could be heard."""


class Answer(NamedTuple):
    """A side, and the seconds until it was chosen."""

    choice: Side
    seconds: float


class Rater(NamedTuple):
    """One person's answers, by the number of the trial."""

    name: str
    answers: Mapping[int, Answer]


class Verdict(NamedTuple):
    """How well a rater attended.

    Attributes:
        rater: Who.
        answered: Number of answers.
        checks: Number of answered attention checks.
        right: Share of them that is right; NaN without any.
        consistent: Share of the checks asked twice whose answers name the same clip; NaN without.
        left: Share of A among all answers.
        hasty: Share of the answers that came before both clips could be heard.
        flags: Why the rater is not to be relied on; empty if nothing speaks against.
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
    """The raters of some files, one each.

    Raises:
        InputError: If a file is no file of answers, belongs to another study, names a trial that
            there is not, or a rater that another file names; says which.
    """
    files: dict[str, Path] = {}
    raters: list[Rater] = []
    for path in paths:
        rater = _read(study, path)
        if rater.name in files:
            raise InputError(f"{path}: rater {rater.name!r} stands already in {files[rater.name]}")
        files[rater.name] = path
        raters.append(rater)
    return raters


def _read(study: Study, path: Path) -> Rater:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no answers there") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error})") from None
    if not isinstance(data, dict) or data.keys() != {"study", "rater", "answers"}:
        raise InputError(f"{path}: expected an object of study, rater and answers")
    if data["study"] != study.name:
        raise InputError(f"{path}: answers of study {data['study']!r}, expected {study.name!r}")
    if not isinstance(data["rater"], str) or not data["rater"]:
        raise InputError(f"{path}: rater is {data['rater']!r:.80}, expected a name")
    if not isinstance(data["answers"], list) or not data["answers"]:
        raise InputError(f"{path}: holds no answers")
    numbers = {trial.number for trial in study.trials}
    answers: dict[int, Answer] = {}
    for place, entry in enumerate(data["answers"]):
        number, answer = _answer(entry, numbers, f"{path}: answers[{place}]")
        if number in answers:
            raise InputError(f"{path}: answers[{place}] answers trial {number} again")
        answers[number] = answer
    return Rater(data["rater"], answers)


def _answer(entry: Any, numbers: set[int], where: str) -> tuple[int, Answer]:
    if not isinstance(entry, dict):
        raise InputError(f"{where} is {entry!r:.80}, expected an object")
    number, choice, seconds = (entry.get(name) for name in ("trial", "choice", "seconds"))
    if isinstance(number, bool) or not isinstance(number, int) or number not in numbers:
        raise InputError(f"{where}: the study has no trial {number!r:.80}")
    if choice not in SIDES:
        raise InputError(f"{where}: choice is {choice!r:.80}, expected one of {SIDES}")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < 1e9:
        raise InputError(f"{where}: seconds is {seconds!r:.80}, expected seconds")
    return number, Answer(choice, float(seconds))


def judge(study: Study, rater: Rater) -> Verdict:
    """Whether a rater listened."""
    given = [
        (trial, rater.answers[trial.number])
        for trial in study.trials
        if trial.number in rater.answers
    ]
    checks = [(trial, answer) for trial, answer in given if trial.check is not None]
    right = _share([answer.choice == trial.truth for trial, answer in checks])
    named: dict[int | None, list[bool]] = {}
    for trial, answer in checks:
        named.setdefault(trial.check, []).append(answer.choice == trial.truth)
    consistent = _share([len(set(each)) == 1 for each in named.values() if len(each) > 1])
    n_left = sum(answer.choice == "A" for _, answer in given)
    hasty = _share([answer.seconds < trial.seconds for trial, answer in given])
    flags = []
    if checks and right < LEAST_RIGHT:
        n_right = sum(answer.choice == trial.truth for trial, answer in checks)
        flags.append(f"failed checks ({n_right} of {len(checks)} right)")
    if hasty > MOST_HASTY:
        flags.append(f"faster than the clips ({100 * hasty:.0f} % of the answers)")
    if stats.binomtest(n_left, len(given)).pvalue < ONE_SIDE_P:
        side, often = ("A", n_left) if 2 * n_left > len(given) else ("B", len(given) - n_left)
        flags.append(f"one side ({side} in {often} of {len(given)})")
    left = n_left / len(given)
    return Verdict(
        rater.name, len(given), len(checks), right, consistent, left, hasty, tuple(flags)
    )


def _share(values: Sequence[bool]) -> float:
    return sum(values) / len(values) if values else math.nan
