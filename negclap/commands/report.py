"""Runs or models side by side: tables, files and the page of pictures."""

from collections.abc import Sequence
from pathlib import Path

from negclap.commands.tables import print_comparison, print_differences, write_markdown
from negclap.evaluation.figures import plot_comparison
from negclap.evaluation.results import differences, read_runs, write_json


def compare(folders: Sequence[Path], out: Path | None) -> None:
    """Print what the folders' results say together; with ``out`` also write it there.

    Raises:
        InputError: If a folder holds no results, or they are of different exams.
    """
    summaries = read_runs(folders)
    print_comparison(summaries)
    gains = differences(folders)
    print_differences(gains, next(iter(summaries)))
    if out is None:
        return
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "results.json", {name: s.mean for name, s in summaries.items()})
    sure = {name: s.half_width for name, s in summaries.items() if s.runs > 1}
    write_json(out / "half_widths.json", sure)
    write_json(
        out / "differences.json",
        {name: {key: gain._asdict() for key, gain in of.items()} for name, of in gains.items()},
    )
    write_markdown(out / "table.md", summaries)
    plot_comparison(summaries, out / "comparison.png")
