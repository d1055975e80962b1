"""Tables and a picture of the results."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from negclap.evaluation.plots import COLOURS
from negclap.listening.results import GROUPS, OVERALL, Analysis, Estimate, Row
from negclap.storage import write_json

_TITLES = {"all": "all raters", "kept": "raters without a flag"}
RATER_COLUMNS = ("rater", "answers", "checks correct", "consistent", "chose A", "hasty", "flags")


def write_analysis(analysis: Analysis, out: Path) -> None:
    """Write ``results.json``, ``table.md``, ``agreement.png`` and ``agreement.svg``."""
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "results.json", _as_json(analysis))
    (out / "table.md").write_text("\n".join(_markdown(analysis)) + "\n", encoding="utf-8")
    picture = _draw(analysis)
    picture.savefig(out / "agreement.png", dpi=130)
    picture.savefig(out / "agreement.svg", metadata={"Date": None})


def panel_title(analysis: Analysis, panel: str) -> str:
    """Return the title of a panel, with its number of raters."""
    return f"{_TITLES[panel]} ({analysis.size(panel)})"


def panel_note(analysis: Analysis) -> str:
    """Return how to read a panel."""
    note = "95 % bootstrap intervals over trials; n: number of trials; without attention checks"
    if analysis.assumed:
        note += f"; {analysis.assumed} trials depend on assumed absent tags"
    return note


def rater_rows(analysis: Analysis) -> Iterator[tuple[str, ...]]:
    """Yield the cells of `RATER_COLUMNS` for each rater."""
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


def estimate_rows(rows: dict[str, Row]) -> Iterator[tuple[Any, ...]]:
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


def format_estimate(estimate: Estimate, separator: str) -> str:
    """Format value, number of trials and interval."""
    value, low, high, n = estimate
    if math.isnan(value):
        return f"- (n {n})"
    return f"{value:.3f} (n {n}){separator}{low:.3f} to {high:.3f}"


def _markdown(analysis: Analysis) -> Iterator[str]:
    yield "| " + " | ".join(RATER_COLUMNS) + " |"
    yield "|" + "---|" * len(RATER_COLUMNS)
    for cells in rater_rows(analysis):
        yield "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"
    for panel, rows in analysis.panels.items():
        yield ""
        yield f"{panel_title(analysis, panel)}; {panel_note(analysis)}:"
        yield ""
        heads = (f"{name}, {row.answers} answers" for name, row in rows.items())
        yield "| | " + " | ".join(heads) + " |"
        yield "|---|" + "---|" * len(rows)
        for title, *estimates in estimate_rows(rows):
            yield (
                f"| {title} | "
                + " | ".join(format_estimate(each, ", ") for each in estimates)
                + " |"
            )


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
    picture.suptitle(
        f"{panel_title(analysis, panel)}, {answers} answers; 95 % intervals over trials"
    )
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
