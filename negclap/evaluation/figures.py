"""The page of pictures of a comparison: a panel per protocol, methods side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from negclap.evaluation.results import Summary
from negclap.text.cues import CUES

# Okabe-Ito, safe for the colour-blind; more methods than colours repeat them with a hatch.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
_HATCHES = ("", "//", "xx")
Summaries = Mapping[str, Summary]


def plot_comparison(summaries: Summaries, path: Path) -> None:
    """Draw the page as PNG (or whatever ``path`` is named).

    Panels: Recall@10 per negation level and pairwise accuracies (the paper's protocols); true
    absence beside the audio ceiling; exclusion retrieval; twins, scope and other questions; and
    true absence by cue.
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
    _panel(axes[2, 0], summaries, others, "Twins, scope, and what only looks like negation")
    _cues(axes[2, 1], summaries)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper center", ncols=min(7, len(labels)), frameon=False
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def _panel(axis: Axes, summaries: Summaries, keys: Mapping[str, str], title: str) -> None:
    """Bars by key and method, chance and oracle as marks; keys without a figure are left out."""
    first = next(iter(summaries.values())).mean
    shown = {name: key for name, key in keys.items() if key in first}
    width = 0.84 / len(summaries)
    for index, (name, summary) in enumerate(summaries.items()):
        places = [place - 0.42 + width * (index + 0.5) for place in range(len(shown))]
        values = [summary.mean.get(key, 0.0) for key in shown.values()]
        spread = [summary.half_width.get(key, 0.0) for key in shown.values()]
        bars = axis.bar(
            places,
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
        for place, key in enumerate(shown.values()):
            if f"{key}/{part}" in first:
                level = first[f"{key}/{part}"]
                axis.plot(
                    (place - 0.46, place + 0.46),
                    (level, level),
                    color="black",
                    ls=style,
                    lw=1,
                    label="_" if place else part,
                )
    axis.set_xticks(range(len(shown)), list(shown))
    axis.set(title=title, ylim=(0, 1.08))
    axis.spines[["top", "right"]].set_visible(False)


def _cues(axis: Axes, summaries: Summaries) -> None:
    """Methods by cues, the held-out ones apart."""
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
