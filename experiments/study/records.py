"""Records of finished cells: small files that are kept in the repository.

``GROUP/CELL/cell.json`` describes the training, ``GROUP/CELL/results.json`` has the metrics. The
per-track scores of all cells of a group are in ``GROUP/scores.npz.xz``, an npz compressed by xz.
"""

import io
import json
import lzma
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch

from negclap.errors import InputError
from negclap.evaluation.metrics.scores import Scores
from negclap.evaluation.results import HEADLINE, RunResults, read_metrics, read_results
from negclap.storage import write_json

COMPARED = tuple(key for key in HEADLINE if "median_rank" not in key and "/auc" not in key)
"""Metrics whose scores are recorded. The AUC is left out: it has the most scores by far."""

Arrays = dict[str, np.ndarray]


class Records:
    """The records below a folder. A cell is named by its folder ``GROUP/CELL``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writing = Lock()  # cells of a group share a file

    def recipe(self, cell: str) -> object:
        """Return the recipe that a cell was trained with; None without a record."""
        path = self.folder / cell / "cell.json"
        return json.loads(path.read_text())["recipe"] if path.is_file() else None

    def add(self, cell: str, run: Path, description: Mapping[str, Any]) -> None:
        """Record a tested run folder; an earlier record of the cell is replaced.

        ``cell.json`` is written last, so that an interrupted call leaves no record.
        """
        group, _, name = cell.partition("/")
        folder = self.folder / cell
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cell.json").unlink(missing_ok=True)
        with self._writing:
            others = {
                key: array
                for key, array in self._scores(group).items()
                if not key.startswith(f"{name}/")
            }
            own = {f"{name}/{key}": array for key, array in _condense(read_results(run)).items()}
            self._write_scores(group, others | own)
        shutil.copy(run / "results.json", folder / "results.json")
        write_json(folder / "cell.json", description)

    def read(self, cells: Sequence[str]) -> list[RunResults]:
        """Read the results of recorded cells.

        Raises:
            InputError: If a cell has no results or no scores.
        """
        groups = {
            group: self._scores(group) for group in {cell.partition("/")[0] for cell in cells}
        }
        return [self._read(cell, groups[cell.partition("/")[0]]) for cell in cells]

    def _read(self, cell: str, scores: Arrays) -> RunResults:
        folder = self.folder / cell
        prefix = f"{folder.name}/"
        own = {key.removeprefix(prefix): a for key, a in scores.items() if key.startswith(prefix)}
        if not own:
            raise InputError(f"{self._path(folder.parent.name)}: no scores of {cell}; run it again")
        exam = str(own.pop("exam"))
        return RunResults(*read_metrics(folder / "results.json"), exam, _expand(own), folder)

    def _path(self, group: str) -> Path:
        return self.folder / group / "scores.npz.xz"

    def _scores(self, group: str) -> Arrays:
        path = self._path(group)
        if not path.is_file():
            return {}
        with np.load(io.BytesIO(lzma.decompress(path.read_bytes()))) as arrays:
            return dict(arrays)

    def _write_scores(self, group: str, scores: Arrays) -> None:
        """Write whole or not at all, the same bytes for the same cells."""
        data = io.BytesIO()
        np.savez(data, **{key: scores[key] for key in sorted(scores)})
        partial = self._path(group).with_suffix(".partial")
        partial.write_bytes(lzma.compress(data.getvalue()))
        partial.replace(self._path(group))


def _condense(run: RunResults) -> Arrays:
    """Return per metric and track the sums of weighted values and of weights.

    A paired bootstrap over tracks needs nothing else.
    """
    arrays = {"exam": np.array(run.exam)}
    for key in COMPARED:
        if key in run.scores:
            values, items, weights = run.scores[key]
            one = values.double().numpy()
            weight = np.ones_like(one) if weights is None else weights.double().numpy()
            tracks, rows = np.unique(items.numpy(), return_inverse=True)
            arrays[f"{key}/tracks"] = tracks
            arrays[f"{key}/sums"] = np.bincount(rows, weight * one)
            arrays[f"{key}/weights"] = np.bincount(rows, weight)
    return arrays


def _expand(arrays: Arrays) -> dict[str, Scores]:
    """Return scores that have the sums of `_condense`: one weighted value per track."""
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    return {
        key: Scores(
            tensors[f"{key}/sums"] / tensors[f"{key}/weights"],
            tensors[f"{key}/tracks"],
            tensors[f"{key}/weights"],
        )
        for key in COMPARED
        if f"{key}/sums" in tensors
    }
