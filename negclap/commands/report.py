"""`negclap report`: compare the results of runs."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from negclap.commands.options import named, new_parser
from negclap.commands.tables import print_comparison, print_differences, write_markdown

if TYPE_CHECKING:
    from negclap.evaluation.results import RunResults


def parser() -> ArgumentParser:
    """Return the parser of the command."""
    parser = new_parser(
        "report",
        "Compare the results of runs.\n\n"
        "Runs of the same method are averaged over their seeds. Each method is compared with the "
        "first.",
    )
    add = parser.add_argument
    add(
        "runs",
        nargs="+",
        metavar="RUN",
        help="Run folder, after negclap test; NAME=FOLDER replaces the name of its method.",
    )
    add("--out", type=Path, help="Folder for results.json, table.md, comparison.png and more.")
    add("--all", type=bool, help="Print all headline metrics.")
    return parser


def run(options: Namespace) -> None:
    """Run the command."""
    report(read_runs(options.runs), options.out, options.all)


def read_runs(sources: Sequence[str]) -> "list[RunResults]":
    """Read run folders; ``NAME=FOLDER`` replaces the name of the method.

    Raises:
        InputError: If a folder has no valid results.
    """
    from negclap.evaluation.results import read_results

    runs = [(name, read_results(Path(folder))) for name, folder in map(named, sources)]
    return [replace(run, method=name) if name else run for name, run in runs]


def report(runs: "Sequence[RunResults]", out: Path | None, every: bool = False) -> None:
    """Compare runs: print a dozen or ``every`` headline metric, and write tables into ``out``.

    Raises:
        InputError: If the runs cannot be compared.
    """
    from negclap.evaluation.comparison import compare
    from negclap.evaluation.plots import plot_comparison
    from negclap.storage import write_json

    summaries, differences = compare(runs)
    print_comparison(summaries, every)
    print_differences(differences, next(iter(summaries)), every)
    if out is None:
        return
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "results.json", {name: s.mean for name, s in summaries.items()})
    half_widths = {name: s.half_width for name, s in summaries.items() if s.runs > 1}
    write_json(out / "half_widths.json", half_widths)
    gains = {name: {key: d._asdict() for key, d in of.items()} for name, of in differences.items()}
    write_json(out / "differences.json", gains)
    write_markdown(out / "table.md", summaries)
    plot_comparison(summaries, out / "comparison.png")
