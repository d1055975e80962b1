"""`negclap listening`: compare models with human raters."""

import sys
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import PositiveFloat, PositiveInt

from negclap.commands.options import add_models, add_subcommands, chosen, new_parser, short_names
from negclap.errors import InputError


def parser() -> ArgumentParser:
    """Return the parser of the command."""
    pack = new_parser("listening pack", "Write a page that asks raters which clip fits a text.")
    add_models(pack, "Repeat it to compare models with the raters; NAME=MODEL sets a name.")
    pack.add_argument("--pairs", type=PositiveInt, default=10, help="Pairs per negation level.")
    pack.add_argument(
        "--checks", type=PositiveInt, default=3, help="Attention checks, each shown twice."
    )
    pack.add_argument(
        "--seconds", type=PositiveFloat, default=10.0, help="Length of a clip, from its middle."
    )
    pack.add_argument("--seed", type=int, default=0, help="Seed of the study.")
    pack.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="New folder for page and key."
    )
    results = new_parser("listening results", "Compare the raters' answers with the models.")
    results.add_argument("study", type=Path, metavar="DIR", help="Folder of listening pack.")
    results.add_argument(
        "answers", type=Path, nargs="+", metavar="ANSWERS.json", help="One file per rater."
    )
    results.add_argument("--out", type=Path, required=True, help="Folder for tables and pictures.")
    parser = new_parser("listening", "Compare models with human raters.")
    add_subcommands(parser, "STEP", [pack, results])
    return parser


def run(options: Namespace) -> None:
    """Run the command."""
    step, options = chosen(options)
    (_pack if step == "pack" else _results)(options)


def _pack(options: Namespace) -> None:
    from negclap.listening.pack import Plan, pack
    from negclap.listening.study import KEY, PAGE
    from negclap.progress import progress

    plan = Plan(
        options.data, options.split, options.pairs, options.checks, options.seconds, options.seed
    )
    study = pack(plan, short_names(options.model), options.out, progress)
    sys.stdout.write(
        f"{len(study.trials)} trials: give raters the folder {options.out / PAGE} (they open "
        f"index.html), and keep {options.out / KEY} to yourself\n"
    )


def _results(options: Namespace) -> None:
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
