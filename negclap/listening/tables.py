"""Tables and a picture of the results: on the terminal, and as files."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from negclap.evaluation.plots import COLOURS
from negclap.listening.results import GROUPS, OVERALL, Analysis, Estimate, Row
from negclap.storage import write_json

_TITLES = {"all": "all raters", "kept": "raters without a flag"}
_RATERS = ("rater", "answers", "checks correct", "consistent", "chose A", "hasty", "flags")


def print_analysis(analysis: Analysis) -> None:
    """Print the raters, then the results with and without flagged raters."""
    console = Console()
    table = Table(title=f"{len(analysis.verdicts)} raters, {analysis.kept} without a flag")
    for column in _RATERS:
        table.add_column(column, overflow="fold")
    for cells in _raters(analysis):
        table.add_row(*cells)
    console.print(table)
    for panel, rows in analysis.panels.items():
        table = Table(title=_title(analysis, panel), caption=_note(analysis))
        table.add_column("")
        for name, row in rows.items():
            table.add_column(f"{name}\n{row.answers} answers", justify="right")
        for title, *estimates in _estimates(rows):
            table.add_row(title, *(_cell(each, "\n") for each in estimates))
        console.print(table)


def write_analysis(analysis: Analysis, out: Path) -> None:
    """Write ``results.json``, ``table.md``, ``agreement.png`` and ``agreement.svg``."""
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "results.json", _as_json(analysis))
    (out / "table.md").write_text("\n".join(_markdown(analysis)) + "\n", encoding="utf-8")
    picture = _draw(analysis)
    picture.savefig(out / "agreement.png", dpi=130)
    picture.savefig(out / "agreement.svg", metadata={"Date": None})


def _title(analysis: Analysis, panel: str) -> str:
    return f"{_TITLES[panel]} ({analysis.size(panel)})"


def _note(analysis: Analysis) -> str:
    note = "95 % bootstrap intervals over trials; n: number of trials; without attention checks"
    if analysis.assumed:
        note += f"; {analysis.assumed} trials depend on assumed absent tags"
    return note


def _raters(analysis: Analysis) -> Iterator[tuple[str, ...]]:
    for verdict in analysis.verdicts:
        yield (
            verdict.rater,
            str(verdict.answered),
            f"{_percent(verdict.right)} of {verdict.checks}",
            _percent(verdict.consistent),
            _percent(verdict.left),
            _percent(verdict.hasty),
            "; ".join(verdict.flags),
        )


def _estimates(rows: dict[str, Row]) -> Iterator[tuple[Any, ...]]:
    """Yield a title and its estimates by group."""
    yield "Krippendorff's alpha", *(row.alpha for row in rows.values())
    yield "rater accuracy", *(row.rater for row in rows.values())
    yield "majority accuracy", *(row.majority for row in rows.values())
    models = next(iter(rows.values())).model
    for name in models:
        yield f"{name}: agreement with the majority", *(row.model[name] for row in rows.values())
    for name in models:
        yield f"{name}: accuracy", *(row.model_right[name] for row in rows.values())


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.0f} %"


def _cell(estimate: Estimate, separator: str) -> str:
    value, low, high, n = estimate
    if math.isnan(value):
        return f"- (n {n})"
    return f"{value:.3f} (n {n}){separator}{low:.3f} to {high:.3f}"


def _markdown(analysis: Analysis) -> Iterator[str]:
    yield "| " + " | ".join(_RATERS) + " |"
    yield "|" + "---|" * len(_RATERS)
    for cells in _raters(analysis):
        yield "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"
    for panel, rows in analysis.panels.items():
        yield ""
        yield f"{_title(analysis, panel)}; {_note(analysis)}:"
        yield ""
        heads = (f"{name}, {row.answers} answers" for name, row in rows.items())
        yield "| | " + " | ".join(heads) + " |"
        yield "|---|" + "---|" * len(rows)
        for title, *estimates in _estimates(rows):
            yield f"| {title} | " + " | ".join(_cell(each, ", ") for each in estimates) + " |"


def _as_json(analysis: Analysis) -> dict[str, Any]:
    return {
        "study": analysis.study,
        "assumed_trials": analysis.assumed,
        "raters": [_plain(verdict._asdict()) for verdict in analysis.verdicts],
        "panels": {
            panel: {
                "raters": analysis.size(panel),
                "levels": {name: _plain(row) for name, row in rows.items()},
            }
            for panel, rows in analysis.panels.items()
        },
    }


def _plain(value: Any) -> Any:
    """Convert to JSON types: named tuples to objects, NaN to null."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def _draw(analysis: Analysis) -> Figure:
    """Plot alpha on the left; on the right, how truth and models agree with the majority."""
    panel = list(analysis.panels)[-1]
    rows = analysis.panels[panel]
    picture = Figure(figsize=(12, 4.5), layout="constrained")
    left, right = picture.subplots(1, 2, width_ratios=(1, 2))
    _bars(left, {"raters": [row.alpha for row in rows.values()]}, COLOURS[-1:])
    left.set(title="Krippendorff's alpha between raters", ylim=(-0.58, 1.08), xlim=(-0.5, 3.5))
    left.axhline(0.0, color="black", lw=0.8)
    series = {"correct answer": [row.majority for row in rows.values()]}
    for name in analysis.models:
        series[name] = [row.model[name] for row in rows.values()]
    _bars(right, series, COLOURS)
    right.axhline(0.5, color="black", ls=":", lw=1, label="chance")
    right.set(title="Agreement with the raters' majority", ylim=(0, 1.08))
    right.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    answers = rows[OVERALL].answers
    picture.suptitle(f"{_title(analysis, panel)}, {answers} answers; 95 % intervals over trials")
    return picture


def _bars(axis: Axes, series: dict[str, list[Estimate]], colours: tuple[str, ...]) -> None:
    width = 0.84 / len(series)
    for index, (name, estimates) in enumerate(series.items()):
        places = [place - 0.42 + width * (index + 0.5) for place in range(len(estimates))]
        ends = [(max(0.0, e.value - e.low), max(0.0, e.high - e.value)) for e in estimates]
        axis.bar(
            places,
            [estimate.value for estimate in estimates],
            width * 0.95,
            color=colours[index % len(colours)],
            label=name,
            yerr=list(zip(*ends, strict=True)),
            capsize=3,
        )
    axis.set_xticks(
        range(len(GROUPS)),
        [f"{name}\nn {estimate.n}" for name, estimate in zip(GROUPS, estimates, strict=True)],
    )
    axis.spines[["top", "right"]].set_visible(False)
