"""What a run keeps of each figure when another SoundFont plays the test clips, and what it hears.

make soundfont RUN=runs/study/recipes/negclap-0 SOUNDFONT=FluidR3_GM.sf2
"""

import argparse
from pathlib import Path

import torch
from torchmetrics.functional.classification import binary_auroc

from negclap import load
from negclap.evaluation.benchmark import Heard, Material, score, texts_of
from negclap.evaluation.results import write_json
from negclap.evaluation.suite import Suite

HERE = Path(__file__).parent
GALLERY_SIZE = 256
FIGURES = (
    "audio_ceiling",
    "true_absence",
    "exclusion/joint@10",
    "exclusion/violation@10",
    "paired",
    "scope/accuracy",
    "chain",
    "pairwise/half_vs_fully",
    "cue/seen/true_absence",
    "recall@10/original",
    "exclusion/precision@10",
    "exclusion/auc",
    "lexicalised/instrumental",
    "pseudo/not_only",
)


def hearing(heard: Heard, tags: torch.Tensor) -> dict[str, float]:
    """By tag, the AUC of its bare name over the clips that have it and those that lack it."""
    found = {}
    for name, text in zip(heard.exam.vocabulary.names, tags, strict=True):
        known = [(i, name in t.tags) for i, t in enumerate(heard.exam.tracks)
                 if name in t.tags or name in (t.absent_tags or ())]  # fmt: skip
        rows, has = (torch.tensor(column) for column in zip(*known, strict=True))
        found[name] = float(binary_auroc(heard.audio[rows] @ text, has.long()))
    return found


def kept(key: str, own: float, other: float) -> float:
    """The share that is kept; of violations, the share of what is not violated."""
    return (1 - other) / (1 - own) if "violation" in key else other / own


def table(title: str, own: dict[str, float], other: dict[str, float]) -> list[str]:
    """Markdown rows, worst kept last."""
    shares = {key: kept(key, own[key], other[key]) for key in own}
    lines = [f"| {title} | own | other | kept |", "|---|---|---|---|"]
    for key in sorted(shares, key=lambda key: -shares[key]):
        lines.append(f"| `{key}` | {own[key]:.3f} | {other[key]:.3f} | {shares[key]:.3f} |")
    return lines


def main() -> None:
    """Measure both sets and write results.json and table.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument(
        "--own", type=Path, required=True, help="manifest of the SoundFont it knows"
    )
    parser.add_argument("--other", type=Path, required=True, help="manifest of the other one")
    parser.add_argument("--out", type=Path, default=HERE)
    options = parser.parse_args()
    model = load(options.run)
    figures, tags = {}, {}
    for name in ("own", "other"):
        material = Material.read(getattr(options, name), model.excerpt_s)
        heard = material.hear(model, "test", "test_twin", lambda title, total, items: items)
        embed = texts_of(model)
        values = score(Suite(GALLERY_SIZE), heard, embed, model.threshold).results.values
        figures[name] = {key: values[key] for key in FIGURES if key in values}
        tags[name] = hearing(heard, embed(heard.exam.vocabulary.names))
    options.out.mkdir(parents=True, exist_ok=True)
    lines = [*table("figure", **figures), "", *table("AUC of the bare tag", **tags)]
    write_json(options.out / "results.json", {"figures": figures, "hearing": tags})
    (options.out / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
