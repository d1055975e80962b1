"""Tables on the terminal, JSON beside them, and the picture of the negation levels."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from negclap.data.manifest import Track
from negclap.errors import InputError
from negclap.metrics.scores import Scores
from negclap.suite import Estimate
from negclap.text.inspection import TextInspection

if TYPE_CHECKING:  # matplotlib takes a second to import, and tables do not need it
    from matplotlib.axes import Axes

HEADLINE = (
    "recall@10/original",
    "recall@10/half",
    "recall@10/fully",
    "map@10/original",
    "median_rank/original",
    "a2t/recall@10/original",
    "pairwise/original_vs_fully",
    "pairwise/original_vs_half",
    "pairwise/half_vs_fully",
    "chain",
    "true_absence",
    "true_absence/shuffled",
    "audio_ceiling",
    "threshold/f1",
)
"""The rows of the side-by-side table."""

ASSUMED = "what clips lack is assumed: nothing related to their tags"

_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")  # Okabe-Ito, safe for the colour-blind


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def print_estimates(estimates: Mapping[str, Estimate], assumed: bool = False) -> None:
    """One run: every figure with interval, n, chance and oracle.

    Args:
        estimates: By key.
        assumed: Whether what the clips lack was only assumed.
    """
    table = Table(title=f"test ({ASSUMED})" if assumed else "test")
    for column in ("key", "value", "95 % interval", "n", "chance", "oracle"):
        table.add_column(column, justify="left" if column == "key" else "right")
    for key, e in estimates.items():
        interval = "" if e.low is None else f"{_number(e.low)} - {_number(e.high)}"
        table.add_row(
            key, _number(e.value), interval, str(e.n or ""), _number(e.chance), _number(e.oracle)
        )
    Console().print(table)


def write_results(
    folder: Path, estimates: Mapping[str, Estimate], scores: Mapping[str, Scores]
) -> None:
    """What a test leaves in the run folder.

    ``results.json``: the value by key, chance, oracle and interval under ``<key>/...``.
    ``scores.npz``: for each key the scores per item and, under ``<key>/items``, the items.
    """
    flat: dict[str, float] = {}
    for key, estimate in estimates.items():
        flat[key] = estimate.value
        for name in ("low", "high", "n", "chance", "oracle"):
            part = getattr(estimate, name)
            if part is not None:
                flat[f"{key}/{name}"] = part
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {key: each.values.float().numpy() for key, each in scores.items()}
    arrays |= {f"{key}/items": each.items.numpy() for key, each in scores.items()}
    np.savez_compressed(folder / "scores.npz", **arrays)
    write_json(folder / "results.json", flat)


def write_json(path: Path, data: object) -> None:
    """Write JSON; under its final name the file is always whole."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


@dataclass(frozen=True)
class Summary:
    """Results of one method: the mean over its runs (seeds) and their standard deviation."""

    mean: dict[str, float]
    deviation: dict[str, float]
    runs: int


def read_runs(folders: Sequence[Path]) -> dict[str, Summary]:
    """Summaries by method, in the order of the folders.

    A folder named ``method`` or ``method-SEED`` (a number) is a run of that method.

    Raises:
        InputError: If a folder holds no results.
    """
    runs: dict[str, list[dict[str, float]]] = {}
    for folder in folders:
        path = folder / "results.json"
        if not path.is_file():
            raise InputError(f"{path}: no results there; run negclap test first")
        method, dash, seed = folder.name.rpartition("-")
        name = method if dash and seed.isdigit() else folder.name
        runs.setdefault(name, []).append(json.loads(path.read_text(encoding="utf-8")))
    return {name: _summarise(results) for name, results in runs.items()}


def _summarise(results: list[dict[str, float]]) -> Summary:
    keys = [key for key in results[0] if all(key in result for result in results)]
    mean = {key: math.fsum(r[key] for r in results) / len(results) for key in keys}
    spread = {
        key: math.sqrt(
            math.fsum((r[key] - mean[key]) ** 2 for r in results) / max(1, len(results) - 1)
        )
        for key in keys
    }
    if len(results) > 1:  # a mean of intervals is no interval; the deviation stands for it
        mean = {key: v for key, v in mean.items() if not key.endswith(("/low", "/high", "/n"))}
    return Summary(mean, spread, len(results))


def print_comparison(summaries: Mapping[str, Summary]) -> None:
    """Methods side by side, chance and oracle beside them."""
    first = next(iter(summaries.values()))
    table = Table(title="test split, side by side")
    table.add_column("key")
    for name, summary in summaries.items():
        runs = f" ({summary.runs} runs)" if summary.runs > 1 else ""
        table.add_column(f"{name}{runs}", justify="right")
    table.add_column("chance", justify="right")
    table.add_column("oracle", justify="right")
    for key in HEADLINE:
        if key in first.mean:
            cells = [_cell(summary, key) for summary in summaries.values()]
            rest = (_number(first.mean.get(f"{key}/{part}")) for part in ("chance", "oracle"))
            table.add_row(key, *cells, *rest)
    Console().print(table)


def _cell(summary: Summary, key: str) -> str:
    value = _number(summary.mean.get(key))
    return f"{value} ± {summary.deviation[key]:.3f}" if summary.runs > 1 and value else value


def plot_comparison(summaries: Mapping[str, Summary], path: Path) -> None:
    """The picture: Recall@10 per negation level and pairwise accuracies, methods side by side."""
    from matplotlib.figure import Figure

    levels = ("original", "half", "fully")
    pairs = ("original_vs_fully", "original_vs_half", "half_vs_fully")
    figure = Figure(figsize=(10.5, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    first = next(iter(summaries.values())).mean
    _bars(left, summaries, {level: f"recall@10/{level}" for level in levels})
    left.axhline(
        first.get("recall@10/original/oracle", 0),
        color="black",
        ls="--",
        lw=1,
        label="oracle, original",
    )
    left.axhline(first["recall@10/original/chance"], color="grey", ls=":", lw=1, label="chance")
    left.set(title="Recall@10 of the caption's own clip", xlabel="negation level of the query")
    names = {pair.replace("_vs_", "\nvs "): f"pairwise/{pair}" for pair in pairs}
    if "true_absence" in first:
        names["true\nabsence"] = "true_absence"
    _bars(right, summaries, names)
    right.axhline(0.5, color="grey", ls=":", lw=1, label="chance")
    right.set(title="Accuracy: which text is closer to the audio")
    for axis in (left, right):
        axis.set_ylim(0, 1.05)
        axis.spines[["top", "right"]].set_visible(False)
    left.legend(frameon=False, fontsize=9, ncols=2, loc="upper right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def _bars(axis: "Axes", summaries: Mapping[str, Summary], keys: Mapping[str, str]) -> None:
    width = 0.8 / len(summaries)
    for index, (name, summary) in enumerate(summaries.items()):
        places = [place - 0.4 + width * (index + 0.5) for place in range(len(keys))]
        values = [summary.mean.get(key, 0.0) for key in keys.values()]
        spread = [summary.deviation.get(key, 0.0) for key in keys.values()]
        errors = spread if summary.runs > 1 else None
        colour = _COLOURS[index % len(_COLOURS)]
        bars = axis.bar(places, values, width * 0.95, color=colour, label=name, yerr=errors)
        axis.bar_label(bars, fmt="%.2f", fontsize=8, padding=2)
    axis.set_xticks(range(len(keys)), list(keys))


def print_manifest_summary(path: Path, tracks: Sequence[Track]) -> None:
    """What a manifest holds: clips, hours and captions per split."""
    table = Table(title=str(path))
    for column in ("split", "clips", "hours", "captions", "tags a clip"):
        table.add_column(column, justify="left" if column == "split" else "right")
    for split in dict.fromkeys(track.split for track in tracks):
        chosen = [track for track in tracks if track.split == split]
        table.add_row(
            split,
            str(len(chosen)),
            f"{sum(track.duration_s for track in chosen) / 3600:.2f}",
            str(sum(len(track.captions) for track in chosen)),
            f"{sum(len(track.tags) for track in chosen) / len(chosen):.1f}",
        )
    Console().print(table)


def print_text_inspection(inspection: TextInspection) -> None:
    """The counts as tables, the samples to read."""
    console = Console()
    console.print(
        f"{inspection.captions} captions, {inspection.without_tag} without a tag, "
        f"{inspection.inserted} with an insertion"
    )
    for title, counts in (
        ("inserted tags", inspection.tags),
        ("cues", inspection.cues),
        ("positions", inspection.positions),
    ):
        table = Table(title=title)
        table.add_column(title)
        table.add_column("share", justify="right")
        for name, count in counts.most_common():
            table.add_row(name, f"{100 * count / inspection.inserted:.1f} %")
        console.print(table)
    for track_id, before, after in inspection.samples:
        console.print(f"{track_id}: {before}\n  [bold]{after}[/bold]", highlight=False)
