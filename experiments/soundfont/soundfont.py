"""How much of each metric does a run keep on test clips that another SoundFont plays?

make soundfont RUN=runs/study/recipes/negclap-0 SOUNDFONT=FluidR3_GM.sf2
"""

import argparse
from pathlib import Path

import torch
from torchmetrics.functional.classification import binary_auroc

from negclap import load
from negclap.evaluation.benchmark import BenchmarkData, EncodedSplit, score, text_embedder
from negclap.evaluation.suite import Suite
from negclap.progress import quiet
from negclap.storage import write_json

HERE = Path(__file__).parent
GALLERY_SIZE = 256
METRICS = (
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


def tag_auc(split: EncodedSplit, tags: torch.Tensor) -> dict[str, float]:
    """Return the AUC of each bare tag: clips that have it against clips that lack it."""
    found = {}
    for name, text in zip(split.exam.vocabulary.names, tags, strict=True):
        known = [(i, name in t.tags) for i, t in enumerate(split.exam.tracks)
                 if name in t.tags or name in (t.absent_tags or ())]  # fmt: skip
        rows, has = (torch.tensor(column) for column in zip(*known, strict=True))
        found[name] = float(binary_auroc(split.audio[rows] @ text, has.long()))
    return found


def kept(key: str, own: float, other: float) -> float:
    """Return other / own; for violations, the ratio of what is not violated."""
    return (1 - other) / (1 - own) if "violation" in key else other / own


def table(title: str, own: dict[str, float], other: dict[str, float]) -> list[str]:
    """Return the lines of a Markdown table, the smallest share last."""
    shares = {key: kept(key, own[key], other[key]) for key in own}
    lines = [f"| {title} | own | other | kept |", "|---|---|---|---|"]
    for key in sorted(shares, key=lambda key: -shares[key]):
        lines.append(f"| `{key}` | {own[key]:.3f} | {other[key]:.3f} | {shares[key]:.3f} |")
    return lines


def main() -> None:
    """Evaluate the run on both sets, and write results.json and table.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="run folder")
    parser.add_argument(
        "--own", type=Path, required=True, help="manifest of the training's SoundFont"
    )
    parser.add_argument("--other", type=Path, required=True, help="manifest of the other SoundFont")
    parser.add_argument("--out", type=Path, default=HERE, help="folder of the results")
    options = parser.parse_args()
    model = load(options.run)
    metrics, tags = {}, {}
    for name in ("own", "other"):
        data = BenchmarkData.read(getattr(options, name), model.excerpt_s)
        split = data.encode(model, "test", "test_twin", quiet)
        embed = text_embedder(model)
        values = score(Suite(GALLERY_SIZE), split, embed, model.threshold).results.values
        metrics[name] = {key: values[key] for key in METRICS if key in values}
        tags[name] = tag_auc(split, embed(split.exam.vocabulary.names))
    options.out.mkdir(parents=True, exist_ok=True)
    lines = [*table("metric", **metrics), "", *table("AUC of the bare tag", **tags)]
    write_json(options.out / "results.json", {"metrics": metrics, "tag_auc": tags})
    (options.out / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
