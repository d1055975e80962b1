"""Pictures that explain a model: what negation does to its texts, and what it finds.

Four of them, each as PNG and SVG, models side by side: similarity by negation level, a map of
captions and their negated forms, what "A without B" finds by tag, and true absence by cue.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from negclap.evaluation.exam import MIXED, Exam
from negclap.evaluation.figures import COLOURS
from negclap.evaluation.metrics.exclusion import places_in_top
from negclap.text.cues import CUES
from negclap.text.probes import LEVELS

Floats = NDArray[np.float32]
EmbedTexts = Callable[[Sequence[str]], Tensor]
NAMES = ("levels", "map", "exclusion", "cues")
_TOP = 10
_ON_THE_MAP = 150  # captions; more hide each other
_NO_LEVELS = "no caption names two tags"
_LEVEL_COLOURS: dict[str, str] = dict(
    zip(LEVELS, (COLOURS[0], COLOURS[1], COLOURS[5]), strict=True)
)


@dataclass(frozen=True)
class Portrait:
    """What the pictures show of a model.

    Attributes:
        similarity: By negation level ``(n,)`` cosines of clips with their captions.
        captions: By negation level ``(n, dim)`` embeddings of the same captions.
        tags: Of the rows (A) and columns (B) of ``violation``.
        violation: ``(tags, tags)`` share of the ten best clips for "A without B" that have B; NaN
            where it is not asked.
        cues: True absence by cue.
    """

    similarity: dict[str, Floats]
    captions: dict[str, Floats]
    tags: tuple[str, ...]
    violation: Floats
    cues: dict[str, float]


def portray(exam: Exam, audio: Tensor, embed: EmbedTexts, values: Mapping[str, float]) -> Portrait:
    """Gather what the pictures show.

    Args:
        exam: Of a split.
        audio: ``(n, dim)`` unit embeddings of its tracks.
        embed: Texts to unit embeddings.
        values: Figures by key, of the same model and exam.
    """
    audio = audio.float().cpu()
    whole = [(row, probe) for row, probe in enumerate(exam.probes) if set(LEVELS) <= set(probe)]
    rows = [row for row, _ in whole]
    captions: dict[str, Tensor] = {
        level: embed(texts).float().cpu() if texts else audio[:0]
        for level in LEVELS
        for texts in ([probe[level].text for _, probe in whole],)
    }
    similarity = {level: (audio[rows] * found).sum(dim=1) for level, found in captions.items()}
    tags, violation = _violation(exam, audio, embed)
    cues = {
        cue.name: values[f"cue/{cue.name}/true_absence"]
        for cue in CUES
        if f"cue/{cue.name}/true_absence" in values
    }
    return Portrait(
        {level: found.numpy() for level, found in similarity.items()},
        {level: found.numpy() for level, found in captions.items()},
        tags,
        violation,
        cues,
    )


def _violation(exam: Exam, audio: Tensor, embed: EmbedTexts) -> tuple[tuple[str, ...], Floats]:
    asked = [query for query in exam.queries if MIXED in query.texts]
    names = {tag for query in asked for tag in (query.wanted, query.unwanted)}
    tags = tuple(name for name in exam.vocabulary.names if name in names)
    table = np.full((len(tags), len(tags)), np.nan, np.float32)
    if not asked or len(audio) < _TOP:
        return tags, table
    sim = embed([query.texts[MIXED].text for query in asked]).float().cpu() @ audio.T
    places = places_in_top(sim, _TOP) / _TOP
    for query, share in zip(asked, places, strict=True):
        has = torch.tensor([query.unwanted in track.tags for track in exam.tracks])
        cell = tags.index(query.wanted), tags.index(query.unwanted)
        table[cell] = float(share[has].sum())
    return tags, table


def draw(portraits: Mapping[str, Portrait], folder: Path) -> list[Path]:
    """Write the pictures of models, by name, as PNG and SVG; returns the PNGs."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn: list[Path] = []
    for name, paint in zip(NAMES, (_levels, _map, _exclusion, _cues), strict=True):
        figure: Figure = paint(portraits)
        for suffix in ("svg", "png"):
            figure.savefig(folder / f"{name}.{suffix}", dpi=130)
        drawn.append(folder / f"{name}.png")
    return drawn


def _panels(n: int, width: float, height: float, **more: Any) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(max(width * n, 5.0), height), layout="constrained")
    axes = figure.subplots(1, n, squeeze=False, **more)[0]
    return figure, list(axes)


def _levels(portraits: Mapping[str, Portrait]) -> Figure:
    """Violins of similarity by level, a model a panel."""
    figure, axes = _panels(len(portraits), 3.6, 4.2, sharey=True)
    for axis, (name, portrait) in zip(axes, portraits.items(), strict=True):
        found = [portrait.similarity[level] for level in LEVELS]
        if not len(found[0]):
            axis.set_title(f"{name}: {_NO_LEVELS}")
            continue
        violins: Any = axis.violinplot(found, showmedians=True)
        for body, colour in zip(violins["bodies"], _LEVEL_COLOURS.values(), strict=True):
            body.set(facecolor=colour, alpha=0.8)
        for part in ("cmedians", "cbars", "cmins", "cmaxes"):
            violins[part].set(color="black", linewidth=1)
        axis.set_xticks(range(1, len(LEVELS) + 1), [f"{level}" for level in LEVELS])
        axis.set(title=name, xlabel="how much of the caption is negated")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("cosine of a clip and its caption")
    return figure


def _map(portraits: Mapping[str, Portrait]) -> Figure:
    """Captions and their negated forms in the plane of the embeddings' two main directions."""
    figure, axes = _panels(len(portraits), 4.6, 4.9)
    for axis, (name, portrait) in zip(axes, portraits.items(), strict=True):
        chosen = {level: found[:_ON_THE_MAP] for level, found in portrait.captions.items()}
        every = np.concatenate(list(chosen.values()))
        if not len(every):
            axis.set_title(f"{name}: {_NO_LEVELS}")
            continue
        centre = every.mean(axis=0)
        _, sizes, directions = np.linalg.svd(every - centre, full_matrices=False)
        shares = 100 * sizes[:2] ** 2 / max(float((sizes**2).sum()), 1e-12)
        flat = {level: (found - centre) @ directions[:2].T for level, found in chosen.items()}
        for start, end in zip(flat["original"], flat["fully"], strict=True):
            axis.plot(*zip(start, end, strict=True), color="#999999", lw=0.4, alpha=0.5, zorder=1)
        for (level, places), marker in zip(flat.items(), "o^s", strict=True):
            colour = _LEVEL_COLOURS[level]
            axis.scatter(
                places[:, 0],
                places[:, 1],
                s=14,
                c=colour,
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


def _exclusion(portraits: Mapping[str, Portrait]) -> Figure:
    """A heat map a model: what "A without B" finds that has B."""
    tags = next(iter(portraits.values())).tags
    size = max(4.6, 0.26 * len(tags) + 1.6)
    figure, axes = _panels(len(portraits), size, size + 0.6, sharey=True)
    for axis, (name, portrait) in zip(axes, portraits.items(), strict=True):
        image = axis.imshow(portrait.violation, vmin=0, vmax=1, cmap="cividis")
        axis.set_xticks(range(len(tags)), tags, rotation=90, fontsize=8)
        axis.set_yticks(range(len(tags)), tags, fontsize=8)
        mean = np.nanmean(portrait.violation) if len(tags) else float("nan")
        axis.set(title=f"{name}: {mean:.2f} on average", xlabel="without B")
    axes[0].set_ylabel("A")
    if len(tags):
        figure.colorbar(
            image,
            ax=axes,
            fraction=0.03,
            label=f"share of the top {_TOP} that has B (white: not asked)",
        )
    return figure


def _cues(portraits: Mapping[str, Portrait]) -> Figure:
    """Bars of true absence by cue; held-out cues apart."""
    names = [cue.name for cue in CUES]
    figure, (axis,) = _panels(1, 11.0, 4.0)
    width = 0.84 / len(portraits)
    for index, (name, portrait) in enumerate(portraits.items()):
        places = [place - 0.42 + width * (index + 0.5) for place in range(len(names))]
        heights = [portrait.cues.get(cue, float("nan")) for cue in names]
        axis.bar(places, heights, 0.95 * width, color=COLOURS[index % len(COLOURS)], label=name)
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
