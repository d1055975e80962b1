"""Plots: methods compared by metric, models explained by four plots, trials of a sweep."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from negclap.evaluation.comparison import Summary
from negclap.evaluation.exam import MIXED, Exam
from negclap.evaluation.metrics.exclusion import top_k_credit
from negclap.evaluation.scoring import EmbedTexts
from negclap.text.cues import CUES
from negclap.text.probes import LEVELS

# Okabe-Ito, safe for the colour-blind; further methods repeat the colours with a hatch
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
_HATCHES = ("", "//", "xx")
_LEVEL_COLOURS = (COLOURS[0], COLOURS[1], COLOURS[5])
PLOT_NAMES = ("levels", "map", "exclusion", "cues")
"""File names of the plots that explain models."""
_TOP = 10
_MAX_POINTS = 150  # captions in the projection; more would overlap
_NO_LEVELS = "no caption names two tags"
_CUE_NAMES = [cue.name for cue in CUES]  # seen cues first
_SEEN_CUES = sum(cue.seen for cue in CUES)
_PANELS: dict[str, dict[str, str]] = {
    "Recall@10 by negation level of the caption": {level: f"recall@10/{level}" for level in LEVELS},
    "Which caption is closer to the audio": {
        "original\nvs fully": "pairwise/original_vs_fully",
        "original\nvs half": "pairwise/original_vs_half",
        "half\nvs fully": "pairwise/half_vs_fully",
        "chain": "chain",
    },
    'True absence: "no v" (absent) beats "no w" (present)': {
        "true absence": "true_absence",
        "audio ceiling": "audio_ceiling",
        "shuffled audio": "true_absence/shuffled",
    },
    'Exclusion retrieval "A without B"': {
        "joint@10\n(higher)": "exclusion/joint@10",
        "violation@10\n(lower)": "exclusion/violation@10",
        "precision@10\n(higher)": "exclusion/precision@10",
        'joint@10 of\n"A" alone': "exclusion/plain/joint@10",
        'violation@10 of\n"A" alone': "exclusion/plain/violation@10",
    },
    "Twins, scope, and apparent negation": {
        "twins": "paired",
        "scope": "scope/accuracy",
        "double\nnegation": "double_negation",
        '"instrumental"': "lexicalised/instrumental",
        '"not only"': "pseudo/not_only",
    },
}

Floats = NDArray[np.float32]
Summaries = Mapping[str, Summary]
_LEGEND_LETTERS = 180  # that the width of `plot_comparison` has room for


def plot_comparison(summaries: Summaries, path: Path) -> None:
    """Plot methods side by side: five panels of bars, and true absence by cue as a heat map."""
    figure = Figure(figsize=(15, 12), layout="constrained")
    axes = list(figure.subplots(3, 2).flat)
    for axis, (title, keys) in zip(axes, _PANELS.items(), strict=False):
        _panel(axis, summaries, keys)
        axis.set_title(title)
    _cue_map(axes[-1], summaries)
    handles, names = axes[0].get_legend_handles_labels()
    longest = max(map(len, names))
    columns = max(1, min(7, len(names), _LEGEND_LETTERS // (longest + 5)))
    figure.legend(handles, names, loc="outside upper center", ncols=columns, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def _panel(axis: Axes, summaries: Summaries, keys: Mapping[str, str]) -> None:
    """Draw bars by key and method, chance and oracle as lines; unknown keys are left out."""
    first = next(iter(summaries.values())).mean
    shown = {name: key for name, key in keys.items() if key in first}
    for index, (name, summary) in enumerate(summaries.items()):
        values = [summary.mean.get(key, 0.0) for key in shown.values()]
        spread = [summary.half_width.get(key, 0.0) for key in shown.values()]
        hatch = _HATCHES[index // len(COLOURS) % len(_HATCHES)]
        yerr = spread if summary.runs > 1 else None
        bars = _bars(axis, index, len(summaries), values, label=name, hatch=hatch, yerr=yerr)
        if len(summaries) <= 5:
            axis.bar_label(bars, fmt="%.2f", fontsize=8, padding=2)
    for part, style in (("chance", ":"), ("oracle", "--")):
        for position, key in enumerate(shown.values()):
            if (level := first.get(f"{key}/{part}")) is not None:
                ends, label = (position - 0.46, position + 0.46), "_" if position else part
                axis.plot(ends, (level, level), color="black", ls=style, lw=1, label=label)
    axis.set_xticks(range(len(shown)), list(shown))
    axis.set_ylim(0, 1.08)
    _hide_frame(axis)


def _bars(axis: Axes, series: int, of: int, values: Sequence[float], **style: Any) -> BarContainer:
    """Draw one of several series of bars at 0, 1, 2, ...; those of all series share a place."""
    width = 0.84 / of
    places = [place - 0.42 + width * (series + 0.5) for place in range(len(values))]
    return axis.bar(places, values, 0.95 * width, color=COLOURS[series % len(COLOURS)], **style)


def _hide_frame(axis: Axes) -> None:
    axis.spines[["top", "right"]].set_visible(False)


def _cue_map(axis: Axes, summaries: Summaries) -> None:
    """Draw a heat map of methods by cues, seen cues to the left of held-out ones."""
    rows: list[Sequence[float]] = [
        [summary.mean.get(f"cue/{name}/true_absence", float("nan")) for name in _CUE_NAMES]
        for summary in summaries.values()
    ]
    image = axis.imshow(rows, vmin=0, vmax=1, cmap="cividis", aspect="auto")
    for i, row in enumerate(rows):
        for j, value in enumerate(row):
            colour = "black" if value > 0.5 else "white"
            axis.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=8, color=colour)
    axis.axvline(_SEEN_CUES - 0.5, color="white", lw=3)
    axis.set_xticks(range(len(_CUE_NAMES)), _CUE_NAMES, rotation=30, ha="right")
    axis.set_yticks(range(len(rows)), list(summaries))
    axis.set_title("True absence by cue: seen in training | held out")
    axis.figure.colorbar(image, ax=axis, fraction=0.03)


@dataclass(frozen=True)
class PlotData:
    """The data of a model that `plot_models` shows.

    ``similarity`` has ``(n,)`` cosines of clips with their captions by negation level, ``captions``
    the ``(n, d)`` embeddings of these captions, and ``cues`` true absence by cue. ``violation`` is
    the ``(tags, tags)`` fraction of the top ten clips for "A without B" (row, column) that have B;
    NaN where there is no such query.
    """

    similarity: dict[str, Floats]
    captions: dict[str, Floats]
    tags: tuple[str, ...]
    violation: Floats
    cues: dict[str, float]


def plot_data(
    exam: Exam, audio: Tensor, embed: EmbedTexts, values: Mapping[str, float]
) -> PlotData:
    """Compute the data of the plots.

    ``audio`` has the ``(n, d)`` unit embeddings of the exam's tracks, ``values`` the metrics by key
    of the same model and exam.
    """
    audio = audio.float().cpu()
    rows = [row for row, probe in enumerate(exam.probes) if probe.half]  # these have all levels
    probes = [exam.probes[row] for row in rows]
    captions: dict[str, Tensor] = {}
    for level in LEVELS:
        level_texts = [one.text for probe in probes if (one := probe.level(level))]
        captions[level] = embed(level_texts).float().cpu() if level_texts else audio[:0]
    cues = {name: values.get(f"cue/{name}/true_absence") for name in _CUE_NAMES}
    return PlotData(
        {level: (audio[rows] * texts).sum(dim=1).numpy() for level, texts in captions.items()},
        {level: texts.numpy() for level, texts in captions.items()},
        *_violation(exam, audio, embed),
        {name: value for name, value in cues.items() if value is not None},
    )


def _violation(exam: Exam, audio: Tensor, embed: EmbedTexts) -> tuple[tuple[str, ...], Floats]:
    queries = [query for query in exam.queries if MIXED in query.texts]
    names = {tag for query in queries for tag in (query.wanted, query.unwanted)}
    tags = tuple(name for name in exam.vocabulary.names if name in names)
    table = np.full((len(tags), len(tags)), np.nan, np.float32)
    if not queries or len(audio) < _TOP:
        return tags, table
    sim = embed([query.texts[MIXED].text for query in queries]).float().cpu() @ audio.T
    for query, share in zip(queries, top_k_credit(sim, _TOP) / _TOP, strict=True):
        has = torch.tensor([query.unwanted in track.tags for track in exam.tracks])
        cell = tags.index(query.wanted), tags.index(query.unwanted)
        table[cell] = float(share[has].sum())
    return tags, table


def plot_models(models: Mapping[str, PlotData], folder: Path) -> list[Path]:
    """Write the plots that explain models, side by side, as PNG and SVG; return the PNG paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for name, plot in zip(PLOT_NAMES, (_levels, _map, _exclusion, _cue_bars), strict=True):
        figure = plot(models)
        for suffix in ("svg", "png"):
            figure.savefig(folder / f"{name}.{suffix}", dpi=130)
        paths.append(folder / f"{name}.png")
    return paths


def _panels(n: int, width: float, height: float, **kwargs: Any) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(max(width * n, 5.0), height), layout="constrained")
    return figure, list(figure.subplots(1, n, squeeze=False, **kwargs)[0])


def _levels(models: Mapping[str, PlotData]) -> Figure:
    """Draw violins of similarity by level, a panel per model."""
    figure, axes = _panels(len(models), 3.6, 4.2, sharey=True)
    for axis, (name, data) in zip(axes, models.items(), strict=True):
        cosines = [data.similarity[level] for level in LEVELS]
        if not len(cosines[0]):
            axis.set_title(f"{name}: {_NO_LEVELS}")
            continue
        violins: Any = axis.violinplot(cosines, showmedians=True)
        for body, colour in zip(violins["bodies"], _LEVEL_COLOURS, strict=True):
            body.set(facecolor=colour, alpha=0.8)
        for part in ("cmedians", "cbars", "cmins", "cmaxes"):
            violins[part].set(color="black", linewidth=1)
        axis.set_xticks(range(1, len(LEVELS) + 1), list(LEVELS))
        axis.set(title=name, xlabel="how much of the caption is negated")
        _hide_frame(axis)
    axes[0].set_ylabel("cosine of a clip and its caption")
    return figure


def _map(models: Mapping[str, PlotData]) -> Figure:
    """Project captions and their negated forms on the two principal axes of each model."""
    figure, axes = _panels(len(models), 4.6, 4.9)
    for axis, (name, data) in zip(axes, models.items(), strict=True):
        shown = {level: texts[:_MAX_POINTS] for level, texts in data.captions.items()}
        pooled = np.concatenate(list(shown.values()))
        if not len(pooled):
            axis.set_title(f"{name}: {_NO_LEVELS}")
            continue
        centre = pooled.mean(axis=0)
        _, sizes, directions = np.linalg.svd(pooled - centre, full_matrices=False)
        shares = 100 * sizes[:2] ** 2 / max(float((sizes**2).sum()), 1e-12)
        points = {level: (texts - centre) @ directions[:2].T for level, texts in shown.items()}
        for ends in zip(points["original"], points["fully"], strict=True):
            axis.plot(*np.transpose(ends), color="#999999", lw=0.4, alpha=0.5, zorder=1)
        for level, colour, marker in zip(LEVELS, _LEVEL_COLOURS, "o^s", strict=True):
            x, y = points[level].T
            axis.scatter(x, y, 14, colour, marker=marker, label=level, lw=0, zorder=2)
        axis.set(title=name, xlabel=f"{shares[0]:.0f} % of variance", ylabel=f"{shares[1]:.0f} %")
        axis.set(xticks=[], yticks=[])
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False)
    return figure


def _exclusion(models: Mapping[str, PlotData]) -> Figure:
    """Draw a heat map per model: the fraction of the top ten for "A without B" that has B."""
    tags = next(iter(models.values())).tags
    size = max(4.6, 0.26 * len(tags) + 1.6)
    figure, axes = _panels(len(models), size, size + 0.6, sharey=True)
    for axis, (name, data) in zip(axes, models.items(), strict=True):
        image = axis.imshow(data.violation, vmin=0, vmax=1, cmap="cividis")
        axis.set_xticks(range(len(tags)), tags, rotation=90, fontsize=8)
        axis.set_yticks(range(len(tags)), tags, fontsize=8)
        mean = np.nanmean(data.violation) if len(tags) else float("nan")
        axis.set(title=f"{name}: {mean:.2f} on average", xlabel="without B")
    axes[0].set_ylabel("A")
    if len(tags):
        label = f"fraction of the top {_TOP} that has B (white: no query)"
        figure.colorbar(image, ax=axes, fraction=0.03, label=label)
    return figure


def _cue_bars(models: Mapping[str, PlotData]) -> Figure:
    """Draw bars of true absence by cue, seen cues to the left of held-out ones."""
    figure, (axis,) = _panels(1, 11.0, 4.0)
    for index, (name, data) in enumerate(models.items()):
        heights = [data.cues.get(cue, float("nan")) for cue in _CUE_NAMES]
        _bars(axis, index, len(models), heights, label=name)
    axis.axvline(_SEEN_CUES - 0.5, color="black", lw=1)
    axis.text(_SEEN_CUES - 0.55, 1.05, "seen in training", ha="right")
    axis.text(_SEEN_CUES - 0.45, 1.05, "held out", ha="left")
    axis.axhline(0.5, color="black", ls=":", lw=1)
    axis.text(-0.5, 0.51, "chance", fontsize=8)
    axis.set_xticks(range(len(_CUE_NAMES)), _CUE_NAMES, rotation=20, ha="right")
    axis.set(ylabel="true absence", ylim=(0, 1.12), xlim=(-0.6, len(_CUE_NAMES) - 0.4))
    axis.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    _hide_frame(axis)
    return figure


def pareto_front(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points that no other point dominates, sorted by their first coordinate."""
    distinct = set(points)
    return sorted(
        (x, y) for x, y in distinct if not any(a >= x and b >= y for a, b in distinct - {(x, y)})
    )


def plot_pareto(trials: Mapping[str, tuple[float, float]], path: Path) -> None:
    """Plot (retrieval, understanding) of the trials of a sweep, by name, and their Pareto front."""
    figure = Figure(figsize=(7, 5), layout="constrained")
    axis = figure.subplots()
    axis.scatter(*zip(*trials.values(), strict=True), color=COLOURS[0], label="trials")
    for name, point in trials.items():
        axis.annotate(name, point, xytext=(4, 4), textcoords="offset points")
    front = pareto_front(trials.values())
    axis.plot(*zip(*front, strict=True), "o-", color=COLOURS[5], label="Pareto front")
    axis.set(
        xlabel="validation Recall@10 of captions (affirmative)",
        ylabel="negation understanding (mean of three metrics)",
        title="Negation understanding against retrieval",
    )
    _hide_frame(axis)
    axis.legend(frameon=False)
    figure.savefig(path, dpi=130)
