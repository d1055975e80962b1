"""What an analysis looks like: tables on the terminal, results.json, table.md and a picture."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture
from rich.console import Console
from rich.table import Table

from negclap.evaluation.figures import COLOURS
from negclap.evaluation.results import write_json
from negclap.listening.results import GROUPS, Analysis, Figure, Row

_TITLES = {"all": "all raters", "kept": "raters without a flag"}
_RATERS = ("rater", "answers", "checks right", "consistent", "chose A", "hasty", "flags")


def print_analysis(analysis: Analysis) -> None:
    """Raters first, then what they agree on, with and without those flagged."""
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
        for title, *figures in _figures(rows):
            table.add_row(title, *(_cell(figure, "\n") for figure in figures))
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
    note = "95 % intervals resample trials; n is their number; checks are left out"
    if analysis.assumed:
        note += f"; the truth of {analysis.assumed} trials rests on what clips are assumed to lack"
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


def _figures(rows: dict[str, Row]) -> Iterator[tuple[Any, ...]]:
    """Title and figures by group."""
    yield "Krippendorff's alpha", *(row.alpha for row in rows.values())
    yield "a rater and the truth", *(row.rater for row in rows.values())
    yield "the majority and the truth", *(row.majority for row in rows.values())
    models = next(iter(rows.values())).model
    for name in models:
        yield f"{name} and the majority", *(row.model[name] for row in rows.values())
    for name in models:
        yield f"{name} and the truth", *(row.model_right[name] for row in rows.values())


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.0f} %"


def _cell(figure: Figure, apart: str) -> str:
    if math.isnan(figure.value):
        return f"- (n {figure.n})"
    return f"{figure.value:.3f} (n {figure.n}){apart}{figure.low:.3f} to {figure.high:.3f}"


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
        for title, *figures in _figures(rows):
            yield f"| {title} | " + " | ".join(_cell(figure, ", ") for figure in figures) + " |"


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
    """For JSON: named tuples as objects, NaN as null."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def _draw(analysis: Analysis) -> Picture:
    """Agreement between raters on the left; with truth and models on the right, by level."""
    panel = list(analysis.panels)[-1]
    rows = analysis.panels[panel]
    picture = Picture(figsize=(12, 4.5), layout="constrained")
    left, right = picture.subplots(1, 2, width_ratios=(1, 2))
    _bars(left, {"raters": [row.alpha for row in rows.values()]}, COLOURS[-1:])
    left.set(title="Krippendorff's alpha between raters", ylim=(-0.58, 1.08), xlim=(-0.5, 3.5))
    left.axhline(0.0, color="black", lw=0.8)
    series = {"the truth": [row.majority for row in rows.values()]}
    for name in analysis.models:
        series[name] = [row.model[name] for row in rows.values()]
    _bars(right, series, COLOURS)
    right.axhline(0.5, color="black", ls=":", lw=1, label="chance")
    right.set(title="What most raters choose agrees with", ylim=(0, 1.08))
    right.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    answers = sum(row.answers for name, row in rows.items() if name == GROUPS[-1])
    picture.suptitle(f"{_title(analysis, panel)}, {answers} answers; 95 % intervals over trials")
    return picture


def _bars(axis: Axes, series: dict[str, list[Figure]], colours: tuple[str, ...]) -> None:
    width = 0.84 / len(series)
    for index, (name, figures) in enumerate(series.items()):
        places = [place - 0.42 + width * (index + 0.5) for place in range(len(figures))]
        ends = [(max(0.0, f.value - f.low), max(0.0, f.high - f.value)) for f in figures]
        axis.bar(
            places,
            [figure.value for figure in figures],
            width * 0.95,
            color=colours[index % len(colours)],
            label=name,
            yerr=list(zip(*ends, strict=True)),
            capsize=3,
        )
    axis.set_xticks(
        range(len(GROUPS)),
        [f"{name}\nn {figure.n}" for name, figure in zip(GROUPS, figures, strict=True)],
    )
    axis.spines[["top", "right"]].set_visible(False)
