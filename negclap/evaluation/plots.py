"""Plots: methods compared by metric, models explained by four plots, trials of a sweep.

`plot_comparison` has a panel per protocol, with methods side by side. `plot_models` shows
similarity by negation level, a projection of captions and their negated forms, the violations of
"A without B" by tag, and true absence by cue.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
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
PLOT_NAMES = ("levels", "map", "exclusion", "cues")
"""File names of the plots that explain models."""
_TOP = 10
_MAX_POINTS = 150  # captions in the projection; more would overlap
_NO_LEVELS = "no caption names two tags"
_LEVEL_COLOURS: dict[str, str] = dict(
    zip(LEVELS, (COLOURS[0], COLOURS[1], COLOURS[5]), strict=True)
)

Floats = NDArray[np.float32]
Summaries = Mapping[str, Summary]


def plot_comparison(summaries: Summaries, path: Path) -> None:
    """Plot the metrics of methods side by side.

    Panels: Recall@10 by negation level and pairwise accuracies (the paper's protocols); true
    absence and the audio ceiling; exclusion retrieval; twins, scope and other questions; true
    absence by cue.

    Args:
        summaries: By method.
        path: File to write; its suffix sets the format.
    """
    figure = Figure(figsize=(15, 12), layout="constrained")
    axes = figure.subplots(3, 2)
    levels = {level: f"recall@10/{level}" for level in ("original", "half", "fully")}
    pairs = {
        "original\nvs fully": "pairwise/original_vs_fully",
        "original\nvs half": "pairwise/original_vs_half",
        "half\nvs fully": "pairwise/half_vs_fully",
        "chain": "chain",
    }
    absence = {
        "true absence": "true_absence",
        "audio ceiling": "audio_ceiling",
        "shuffled audio": "true_absence/shuffled",
    }
    exclusion = {
        "joint@10\n(higher)": "exclusion/joint@10",
        "violation@10\n(lower)": "exclusion/violation@10",
        "precision@10\n(higher)": "exclusion/precision@10",
        'joint@10 of\n"A" alone': "exclusion/plain/joint@10",
        'violation@10 of\n"A" alone': "exclusion/plain/violation@10",
    }
    others = {
        "twins": "paired",
        "scope": "scope/accuracy",
        "double\nnegation": "double_negation",
        '"instrumental"': "lexicalised/instrumental",
        '"not only"': "pseudo/not_only",
    }
    _panel(axes[0, 0], summaries, levels, "Recall@10 by negation level of the caption")
    _panel(axes[0, 1], summaries, pairs, "Which caption is closer to the audio")
    _panel(axes[1, 0], summaries, absence, 'True absence: "no v" (absent) beats "no w" (present)')
    _panel(axes[1, 1], summaries, exclusion, 'Exclusion retrieval "A without B"')
    _panel(axes[2, 0], summaries, others, "Twins, scope, and apparent negation")
    _cues(axes[2, 1], summaries)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper center", ncols=min(7, len(labels)), frameon=False
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def _panel(axis: Axes, summaries: Summaries, keys: Mapping[str, str], title: str) -> None:
    """Draw bars by key and method, chance and oracle as lines; unknown keys are left out."""
    first = next(iter(summaries.values())).mean
    shown = {name: key for name, key in keys.items() if key in first}
    width = 0.84 / len(summaries)
    for index, (name, summary) in enumerate(summaries.items()):
        positions = [key - 0.42 + width * (index + 0.5) for key in range(len(shown))]
        values = [summary.mean.get(key, 0.0) for key in shown.values()]
        spread = [summary.half_width.get(key, 0.0) for key in shown.values()]
        bars = axis.bar(
            positions,
            values,
            width * 0.95,
            color=COLOURS[index % len(COLOURS)],
            hatch=_HATCHES[index // len(COLOURS) % len(_HATCHES)],
            label=name,
            yerr=spread if summary.runs > 1 else None,
        )
        if len(summaries) <= 5:
            axis.bar_label(bars, fmt="%.2f", fontsize=8, padding=2)
    for part, style in (("chance", ":"), ("oracle", "--")):
        for position, key in enumerate(shown.values()):
            if f"{key}/{part}" in first:
                level = first[f"{key}/{part}"]
                axis.plot(
                    (position - 0.46, position + 0.46),
                    (level, level),
                    color="black",
                    ls=style,
                    lw=1,
                    label="_" if position else part,
                )
    axis.set_xticks(range(len(shown)), list(shown))
    axis.set(title=title, ylim=(0, 1.08))
    axis.spines[["top", "right"]].set_visible(False)


def _cues(axis: Axes, summaries: Summaries) -> None:
    """Draw a heat map of methods by cues, seen cues to the left of held-out ones."""
    names = [cue.name for cue in CUES]
    rows: list[Sequence[float]] = [
        [summary.mean.get(f"cue/{name}/true_absence", float("nan")) for name in names]
        for summary in summaries.values()
    ]
    image = axis.imshow(rows, vmin=0, vmax=1, cmap="cividis", aspect="auto")
    for i, row in enumerate(rows):
        for j, value in enumerate(row):
            colour = "black" if value > 0.5 else "white"
            axis.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=8, color=colour)
    seen = sum(cue.seen for cue in CUES)
    axis.axvline(seen - 0.5, color="white", lw=3)
    axis.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axis.set_yticks(range(len(rows)), list(summaries))
    axis.set(title="True absence by cue: seen in training | held out")
    axis.figure.colorbar(image, ax=axis, fraction=0.03)


@dataclass(frozen=True)
class PlotData:
    """The data of a model that `plot_models` shows.

    Attributes:
        similarity: By negation level, ``(n,)`` cosines of clips with their captions.
        captions: By negation level, ``(n, d)`` embeddings of the same captions.
        tags: Tags of the rows (A) and columns (B) of ``violation``.
        violation: ``(tags, tags)`` fraction of the top ten clips for "A without B" that have B;
            NaN where there is no such query.
        cues: True absence by cue.
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

    Args:
        exam: The exam of a split.
        audio: ``(n, d)`` unit embeddings of its tracks.
        embed: The text encoder.
        values: Metrics by key, of the same model and exam.
    """
    audio = audio.float().cpu()
    rows = [row for row, probe in enumerate(exam.probes) if probe.half]  # these have all levels
    probes = [exam.probes[row] for row in rows]
    captions: dict[str, Tensor] = {}
    for level in LEVELS:
        level_texts = [one.text for probe in probes if (one := probe.level(level))]
        captions[level] = embed(level_texts).float().cpu() if level_texts else audio[:0]
    similarity = {level: (audio[rows] * texts).sum(dim=1) for level, texts in captions.items()}
    tags, violation = _violation(exam, audio, embed)
    cues = {
        cue.name: values[f"cue/{cue.name}/true_absence"]
        for cue in CUES
        if f"cue/{cue.name}/true_absence" in values
    }
    return PlotData(
        {level: cosines.numpy() for level, cosines in similarity.items()},
        {level: texts.numpy() for level, texts in captions.items()},
        tags,
        violation,
        cues,
    )


def _violation(exam: Exam, audio: Tensor, embed: EmbedTexts) -> tuple[tuple[str, ...], Floats]:
    queries = [query for query in exam.queries if MIXED in query.texts]
    names = {tag for query in queries for tag in (query.wanted, query.unwanted)}
    tags = tuple(name for name in exam.vocabulary.names if name in names)
    table = np.full((len(tags), len(tags)), np.nan, np.float32)
    if not queries or len(audio) < _TOP:
        return tags, table
    sim = embed([query.texts[MIXED].text for query in queries]).float().cpu() @ audio.T
    credit = top_k_credit(sim, _TOP) / _TOP
    for query, share in zip(queries, credit, strict=True):
        has = torch.tensor([query.unwanted in track.tags for track in exam.tracks])
        cell = tags.index(query.wanted), tags.index(query.unwanted)
        table[cell] = float(share[has].sum())
    return tags, table


def plot_models(models: Mapping[str, PlotData], folder: Path) -> list[Path]:
    """Write the plots that explain models, side by side, as PNG and SVG; return the PNG paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for name, plot in zip(PLOT_NAMES, (_levels, _map, _exclusion, _cue_bars), strict=True):
        figure: Figure = plot(models)
        for suffix in ("svg", "png"):
            figure.savefig(folder / f"{name}.{suffix}", dpi=130)
        paths.append(folder / f"{name}.png")
    return paths


def _panels(n: int, width: float, height: float, **kwargs: Any) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(max(width * n, 5.0), height), layout="constrained")
    axes = figure.subplots(1, n, squeeze=False, **kwargs)[0]
    return figure, list(axes)


def _levels(models: Mapping[str, PlotData]) -> Figure:
    """Draw violins of similarity by level, a panel per model."""
    figure, axes = _panels(len(models), 3.6, 4.2, sharey=True)
    for axis, (name, data) in zip(axes, models.items(), strict=True):
        cosines = [data.similarity[level] for level in LEVELS]
        if not len(cosines[0]):
            axis.set_title(f"{name}: {_NO_LEVELS}")
            continue
        violins: Any = axis.violinplot(cosines, showmedians=True)
        for body, colour in zip(violins["bodies"], _LEVEL_COLOURS.values(), strict=True):
            body.set(facecolor=colour, alpha=0.8)
        for part in ("cmedians", "cbars", "cmins", "cmaxes"):
            violins[part].set(color="black", linewidth=1)
        axis.set_xticks(range(1, len(LEVELS) + 1), list(LEVELS))
        axis.set(title=name, xlabel="how much of the caption is negated")
        axis.spines[["top", "right"]].set_visible(False)
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
        for start, end in zip(points["original"], points["fully"], strict=True):
            axis.plot(*zip(start, end, strict=True), color="#999999", lw=0.4, alpha=0.5, zorder=1)
        for (level, xy), marker in zip(points.items(), "o^s", strict=True):
            axis.scatter(
                xy[:, 0],
                xy[:, 1],
                s=14,
                c=_LEVEL_COLOURS[level],
                marker=marker,
                label=level,
                lw=0,
                zorder=2,
            )
        axis.set(title=name, xlabel=f"{shares[0]:.0f} % of variance", ylabel=f"{shares[1]:.0f} %")
        axis.set_xticks([])
        axis.set_yticks([])
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
        figure.colorbar(
            image,
            ax=axes,
            fraction=0.03,
            label=f"fraction of the top {_TOP} that has B (white: no query)",
        )
    return figure


def _cue_bars(models: Mapping[str, PlotData]) -> Figure:
    """Draw bars of true absence by cue, seen cues to the left of held-out ones."""
    names = [cue.name for cue in CUES]
    figure, (axis,) = _panels(1, 11.0, 4.0)
    width = 0.84 / len(models)
    for index, (name, data) in enumerate(models.items()):
        positions = [cue - 0.42 + width * (index + 0.5) for cue in range(len(names))]
        heights = [data.cues.get(cue, float("nan")) for cue in names]
        axis.bar(positions, heights, 0.95 * width, color=COLOURS[index % len(COLOURS)], label=name)
    seen = sum(cue.seen for cue in CUES)
    axis.axvline(seen - 0.5, color="black", lw=1)
    axis.text(seen - 0.55, 1.05, "seen in training", ha="right")
    axis.text(seen - 0.45, 1.05, "held out", ha="left")
    axis.axhline(0.5, color="black", ls=":", lw=1)
    axis.text(-0.5, 0.51, "chance", fontsize=8)
    axis.set_xticks(range(len(names)), names, rotation=20, ha="right")
    axis.set(ylabel="true absence", ylim=(0, 1.12), xlim=(-0.6, len(names) - 0.4))
    axis.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def pareto_front(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points that no other point dominates, sorted by their first coordinate."""
    distinct = set(points)
    front = [
        point
        for point in distinct
        if not any(
            other != point and other[0] >= point[0] and other[1] >= point[1] for other in distinct
        )
    ]
    return sorted(front)


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
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False)
    figure.savefig(path, dpi=130)
