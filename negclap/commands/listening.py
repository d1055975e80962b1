"""``negclap listening``: ask people by ear, and compare what they say with models."""

import argparse
import sys
from pathlib import Path

from negclap.commands.options import add_compared, positive, short_names
from negclap.errors import InputError


def add_options(parser: argparse.ArgumentParser) -> None:
    """The two steps: make a study, and read what raters send back."""
    steps = parser.add_subparsers(required=True, metavar="STEP")
    _add_pack(
        steps.add_parser(
            "pack",
            help="make a page that asks raters which clip fits a text",
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
    )
    _add_results(steps.add_parser("results", help="what raters and models agree on"))


def _add_pack(parser: argparse.ArgumentParser) -> None:
    add_compared(parser, "several are each compared with the raters")
    parser.add_argument("--pairs", type=positive, default=10, help="pairs per negation level")
    parser.add_argument(
        "--checks", type=positive, default=3, help="attention checks, each asked twice"
    )
    parser.add_argument(
        "--seconds", type=float, default=10.0, help="of each track that raters hear, its middle"
    )
    parser.add_argument("--seed", type=int, default=0, help="all randomness")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="a new folder for page and key"
    )
    parser.set_defaults(run=_pack)


def _add_results(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", type=Path, metavar="DIR", help="what listening pack wrote")
    parser.add_argument(
        "answers", type=Path, nargs="+", metavar="ANSWERS.json", help="a file of each rater"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="for tables and pictures"
    )
    parser.set_defaults(run=_results)


def _pack(options: argparse.Namespace) -> None:
    from negclap.listening.pack import Plan, pack
    from negclap.listening.study import KEY, PAGE
    from negclap.progress import progress

    if not options.seconds > 0:
        raise InputError(f"--seconds is {options.seconds}, expected more than 0")
    plan = Plan(
        options.data, options.split, options.pairs, options.checks, options.seconds, options.seed
    )
    study = pack(plan, short_names(options.models), options.out, progress)
    sys.stdout.write(
        f"{len(study.trials)} trials: give raters the folder {options.out / PAGE} (they open "
        f"index.html), keep {options.out / KEY} to yourself\n"
    )


def _results(options: argparse.Namespace) -> None:
    try:
        from negclap.listening.results import analyse
    except ImportError as error:
        raise InputError(f"this needs {error.name}: pip install 'negclap[listening]'") from None
    from negclap.listening.answers import read_answers
    from negclap.listening.study import Study
    from negclap.listening.tables import print_analysis, write_analysis

    study = Study.read(options.study)
    analysis = analyse(study, read_answers(study, options.answers))
    print_analysis(analysis)
    write_analysis(analysis, options.out)
