"""Choose k of the Dissimilarity term on validation: the table, and the rule applied.

    python experiments/paper_methods/choose_k.py runs/k-grid/*

Each folder is a run of the combined method, named by its k. Of the runs whose mean mAP@10 (both
directions) is at least 0.95 of the best one's, the rule takes the highest original-vs-fully
accuracy. Writes k_grid.json beside this file.
"""

import csv
import json
import sys
from pathlib import Path

KEYS = (
    "map@10/mean",
    "recall@10/original",
    "recall@10/half",
    "recall@10/fully",
    "pairwise/original_vs_fully",
    "pairwise/half_vs_fully",
    "true_absence",
)


def best_epoch(run: Path) -> dict[str, float]:
    """The figures of the epoch that the checkpoint was selected by."""
    with (run / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["val/map@10/mean"]]
    best = max(rows, key=lambda row: float(row["val/map@10/mean"]))
    return {key: round(float(best[f"val/{key}"]), 4) for key in KEYS}


def main(folders: list[str]) -> None:
    """Print the grid and the choice."""
    grid = {Path(folder).name: best_epoch(Path(folder)) for folder in folders}
    floor = 0.95 * max(figures["map@10/mean"] for figures in grid.values())
    fit = {k: figures for k, figures in grid.items() if figures["map@10/mean"] >= floor}
    chosen = max(fit, key=lambda k: fit[k]["pairwise/original_vs_fully"])
    print(f"{'k':>8s} " + " ".join(f"{key:>26s}" for key in KEYS))
    for k, figures in grid.items():
        print(f"{k:>8s} " + " ".join(f"{figures[key]:26.3f}" for key in KEYS))
    print(f"chosen on validation: k = {chosen}")
    target = Path(__file__).parent / "k_grid.json"
    target.write_text(json.dumps({"chosen": chosen, "grid": grid}, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
