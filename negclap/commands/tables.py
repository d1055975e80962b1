"""Tables on the terminal, and the comparison of methods as Markdown."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from negclap.commands.options import printable

if TYPE_CHECKING:  # these import torch, which takes seconds
    from negclap.evaluation.comparison import Summary
    from negclap.evaluation.metrics.scores import Difference

ASSUMED = "absent tags are assumed: those unrelated to a clip's tags"

_BOUNDS = ("/low", "/high", "/n", "/chance", "/oracle")
_ABOUT = ("method", "seed", "epoch", "suite/", "assumed_absence")  # of the run, not metrics
_SHOWN = 20  # lines of a long list
_METHODS_AT_ONCE = 4  # as many as fit into 80 columns


def number(value: float | None) -> str:
    """Return a value with 3 decimals, from 10 on with 1; "" for None."""
    return "" if value is None else f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def print_some(console: Console, heading: str, lines: Sequence[str]) -> None:
    """Print the first lines of a list under a heading; nothing for an empty list."""
    if not lines:
        return
    console.print(heading)
    for line in lines[:_SHOWN]:
        console.print(f"  {printable(line)}")
    if len(lines) > _SHOWN:
        console.print(f"  and {len(lines) - _SHOWN} more")


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    left: int = 0,
    wrap: bool = False,
    **style: Any,
) -> None:
    """Print a table of numbers, with text in column ``left``, which may ``wrap``.

    Cells are rich renderables or any objects; an empty row ends a section. ``style`` has further
    arguments of `rich.table.Table`.
    """
    style |= {"box": SIMPLE_HEAD, "show_edge": False, "pad_edge": False, "collapse_padding": True}
    table = Table(title=title or None, title_justify="left", **style)
    for index, column in enumerate(columns):
        text = index == left
        table.add_column(
            column, justify="left" if text else "right", no_wrap=text and not wrap, overflow="fold"
        )
    for row in rows:
        if row:
            table.add_row(*(c if hasattr(c, "__rich_console__") else str(c) for c in row))
        else:
            table.add_section()
    Console().print(table, "")


def print_counts(title: str, counts: Counter[str], most: int | None = None) -> None:
    """Print the ``most`` common names with their counts; without counts, print nothing."""
    if counts:
        print_table("", (title, "n"), counts.most_common(most))


def print_results(path: Path, split: str, every: bool = False) -> None:
    """Print `SUMMARY` of a run's JSON, or ``every`` metric, with intervals, chance and oracle."""
    from negclap.evaluation.results import SUMMARY

    results = json.loads(path.read_text(encoding="utf-8"))
    metrics = [key for key in results if not key.endswith(_BOUNDS) and not key.startswith(_ABOUT)]
    rows: list[tuple[str, ...]] = []
    for group, keys in ({"all metrics": metrics} if every else SUMMARY).items():
        rows += [(), (f"[bold]{group}[/bold]",)]
        for key in keys:
            if key in results:
                value, low, high, chance, oracle = (
                    number(results.get(f"{key}{part}"))
                    for part in ("", "/low", "/high", "/chance", "/oracle")
                )
                rows.append((key, value, low and f"{low} to {high}", chance, oracle))
    title = f"{split} ({ASSUMED})" if "assumed_absence" in results else split
    print_table(title, ("metric", "value", "95 % interval", "chance", "oracle"), rows)


def print_comparison(summaries: Mapping[str, "Summary"], every: bool = False) -> None:
    """Print a column per method with chance and oracle, at most four methods per table.

    The rows are those of `SUMMARY`, with ``every`` those of `HEADLINE`.
    """
    title = "side by side" + (f" ({ASSUMED})" if _assumed(summaries) else "")
    caption = "± half of the mean's 95 % interval over the runs (Student's t)"
    names = list(summaries)
    for start in range(0, len(names), _METHODS_AT_ONCE):
        shown = {name: summaries[name] for name in names[start : start + _METHODS_AT_ONCE]}
        columns = [f"{n} ({s.runs} runs)" if s.runs > 1 else n for n, s in shown.items()]
        columns = ["metric", *columns, "chance", "oracle"]
        note = caption if any(summary.runs > 1 for summary in shown.values()) else None
        print_table(title, columns, _compared(shown, _rows(every)), caption=note)


def write_markdown(path: Path, summaries: Mapping[str, "Summary"]) -> None:
    """Write a Markdown table of all methods, with the rows of `HEADLINE`."""
    names = [f"{n} ({s.runs})" if s.runs > 1 else n for n, s in summaries.items()]
    lines = [
        " | ".join(["| test split", *names, "chance", "oracle |"]),
        "|" + "---|" * (len(names) + 3),
    ]
    for key, *cells in _compared(summaries, _rows(every=True)):
        lines.append(" | ".join([f"| `{key}`", *cells]) + " |")
    if _assumed(summaries):
        lines += ["", f"({ASSUMED})"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def print_differences(
    found: Mapping[str, Mapping[str, "Difference"]], first: str, every: bool = False
) -> None:
    """Print each method minus the first with 95 % intervals; rows as in `print_comparison`."""
    for name, gains in found.items():
        rows = [
            (key, f"{gain.value:+.3f}", f"{gain.low:+.3f} to {gain.high:+.3f}")
            for key in _rows(every)
            if (gain := gains.get(key))
        ]
        columns = ("metric", "difference", "95 % interval")
        print_table(f"{name} minus {first}, paired over tracks", columns, rows)


def _assumed(summaries: Mapping[str, "Summary"]) -> bool:
    return "assumed_absence" in next(iter(summaries.values())).mean


def _rows(every: bool) -> tuple[str, ...]:
    from negclap.evaluation.results import HEADLINE, SUMMARY

    return HEADLINE if every else tuple(key for keys in SUMMARY.values() for key in keys)


def _compared(summaries: Mapping[str, "Summary"], keys: Iterable[str]) -> list[tuple[str, ...]]:
    """Key, a cell per method, chance and oracle; keys that no method has are left out."""
    of = list(summaries.values())
    return [
        (
            key,
            *(_cell(summary, key) for summary in of),
            *(number(of[0].mean.get(f"{key}/{part}")) for part in ("chance", "oracle")),
        )
        for key in keys
        if any(key in summary.mean for summary in of)
    ]


def _cell(summary: "Summary", key: str) -> str:
    value = number(summary.mean.get(key))
    return f"{value} ± {summary.half_width[key]:.3f}" if summary.runs > 1 and value else value
