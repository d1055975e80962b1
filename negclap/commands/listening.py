"""`negclap listening`: compare models with human raters."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import PositiveFloat, PositiveInt

from negclap.commands.options import (
    add_models,
    add_subcommands,
    chosen,
    models_of,
    new_parser,
    short_names,
)
from negclap.errors import InputError

if TYPE_CHECKING:
    from negclap.listening.results import Analysis


def parser() -> ArgumentParser:
    """Return the parser of the command."""
    pack = new_parser("listening pack", "Write a page that asks raters which clip fits a text.")
    add_models(pack, "Repeat it to compare models with the raters; NAME=MODEL sets a name.")
    add = pack.add_argument
    add("--pairs", type=PositiveInt, default=10, help="Pairs per negation level.")
    add("--checks", type=PositiveInt, default=3, help="Attention checks, each shown twice.")
    add("--seconds", type=PositiveFloat, default=10.0, help="Seconds, from a track's middle.")
    add("--seed", type=int, default=0, help="Seed of the study.")
    add("--out", type=Path, required=True, metavar="DIR", help="New folder for page and key.")
    results = new_parser("listening results", "Compare the raters' answers with the models.")
    add = results.add_argument
    add("study", type=Path, metavar="DIR", help="Folder that negclap listening pack wrote.")
    add("answers", type=Path, nargs="+", metavar="ANSWERS.json", help="One file per rater.")
    add("--out", type=Path, required=True, help="Folder for tables and pictures.")
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

    names = ("data", "split", "pairs", "checks", "seconds", "seed")
    plan = Plan(*(options[name] for name in names))
    study = pack(plan, short_names(models_of(options)), options.out, progress)
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
    from negclap.listening.tables import write_analysis

    study = Study.read(options.study)
    analysis = analyse(study, read_answers(study, options.answers))
    _print_analysis(analysis)
    write_analysis(analysis, options.out)


def _print_analysis(analysis: "Analysis") -> None:
    """Print the raters, then the results with and without flagged raters."""
    from rich.console import Console
    from rich.table import Table

    from negclap.listening import tables

    console = Console()
    table = Table(title=f"{len(analysis.verdicts)} raters, {analysis.kept} without a flag")
    for column in tables.RATER_COLUMNS:
        table.add_column(column, overflow="fold")
    for cells in tables.rater_rows(analysis):
        table.add_row(*cells)
    console.print(table)
    for panel, rows in analysis.panels.items():
        title, note = tables.panel_title(analysis, panel), tables.panel_note(analysis)
        table = Table(title=title, caption=note)
        table.add_column("")
        for name, row in rows.items():
            table.add_column(f"{name}\n{row.answers} answers", justify="right")
        for title, *estimates in tables.estimate_rows(rows):
            table.add_row(title, *(tables.format_estimate(each, "\n") for each in estimates))
        console.print(table)
