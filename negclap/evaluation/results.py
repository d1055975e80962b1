"""Write and read the results of one run."""

import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from negclap.errors import InputError, reason
from negclap.evaluation.exam import Exam
from negclap.evaluation.metrics.scores import Scores
from negclap.evaluation.suite import Estimate, Suite
from negclap.storage import write_json

SUMMARY: dict[str, tuple[str, ...]] = {
    "the paper's protocols": (
        "recall@10/original",
        "recall@10/half",
        "recall@10/fully",
        "pairwise/original_vs_fully",
        "pairwise/half_vs_fully",
    ),
    "understanding": (
        "audio_ceiling",
        "true_absence",
        "exclusion/joint@10",
        "exclusion/violation@10",
        "paired",
        "scope/accuracy",
    ),
    "retrieval": ("map@10/original", "a2t/recall@10/original"),
}
"""The metrics that tables on the terminal show, by group."""

HEADLINE = (
    "audio_ceiling",
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
    "exclusion/joint@10",
    "exclusion/violation@10",
    "exclusion/precision@10",
    "exclusion/auc",
    "exclusion/plain/joint@10",
    "exclusion/plain/violation@10",
    "paired",
    "scope/accuracy",
    "double_negation",
    "cue/seen/true_absence",
    "cue/worst_seen/true_absence",
    "cue/held_out/true_absence",
    "lexicalised/instrumental",
    "pseudo/not_only",
    "natural/absence",
    "threshold/f1",
    "guard/effective_rank",
    "guard/cosine_original_fully",
)
"""The metrics that runs are compared by; the audio ceiling, which bounds the others, first."""


@dataclass(frozen=True)
class RunResults:
    """The results of one run; the runs of a method differ in their seed.

    ``metrics`` are those of ``results.json``; ``scores`` has the scores per track of `HEADLINE`, of
    the exam with the fingerprint ``exam``; ``source`` is for messages.
    """

    method: str
    seed: int
    metrics: dict[str, float]
    exam: str
    scores: dict[str, Scores]
    source: Path


def write_results(
    folder: Path,
    estimates: Mapping[str, Estimate],
    scores: Mapping[str, Scores],
    exam: Exam,
    suite: Suite,
    *,
    method: str,
    seed: int,
) -> None:
    """Write ``results.json`` and ``scores.npz`` into a run folder.

    ``results.json``: ``method`` and ``seed``; the settings of the suite under ``suite/...``; the
    metrics by key, with chance, oracle and 95 % interval under ``<key>/...``;
    ``assumed_absence`` is 1 where absent tags were assumed.
    ``scores.npz``: ``exam``, the fingerprint; per key the scores, under ``<key>/items`` the index
    of each score's track, under ``<key>/weights`` its weight.
    """
    flat: dict[str, Any] = {"method": method, "seed": seed}
    flat |= {f"suite/{name}": value for name, value in asdict(suite).items()}
    for key, estimate in estimates.items():
        flat[key] = estimate.value
        _, *parts = estimate._asdict().items()
        flat |= {f"{key}/{name}": part for name, part in parts if part is not None}
    if exam.assumed:
        flat["assumed_absence"] = 1.0
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {}
    for key, (values, items, weights) in scores.items():
        if len(values):
            arrays |= {key: values.float().numpy(), f"{key}/items": items.numpy()}
            if weights is not None:
                arrays[f"{key}/weights"] = weights.float().numpy()
    np.savez_compressed(folder / "scores.npz", exam=exam.fingerprint, **arrays)
    write_json(folder / "results.json", flat)


def read_results(folder: Path) -> RunResults:
    """Read what `write_results` wrote.

    Raises:
        InputError: If a file is missing or not valid.
    """
    metrics, scores = read_metrics(folder / "results.json"), _read_scores(folder / "scores.npz")
    return RunResults(*metrics, *scores, folder)


def read_metrics(path: Path) -> tuple[str, int, dict[str, float]]:
    """Read the method, the seed and the metrics of a ``results.json``.

    Raises:
        InputError: If the file is missing or not valid.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; run negclap test first")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); run negclap test again") from None
    if not isinstance(found, dict) or not {"method", "seed"} <= found.keys():
        raise InputError(f"{path}: names no method and seed; run negclap test again")
    return str(found.pop("method")), int(found.pop("seed")), found


def _read_scores(path: Path) -> tuple[str, dict[str, Scores]]:
    if not path.is_file():
        raise InputError(f"{path}: no such file; run negclap test again")
    try:
        with np.load(path) as arrays:
            scores: dict[str, Scores] = {}
            for key in (key for key in HEADLINE if key in arrays):
                values, items = (torch.from_numpy(arrays[name]) for name in (key, f"{key}/items"))
                weights = arrays.get(f"{key}/weights")
                scores[key] = Scores(
                    values, items, None if weights is None else torch.from_numpy(weights)
                )
            return str(arrays["exam"]), scores
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not valid ({reason(error)}); run negclap test again") from None


def slug(title: str) -> str:
    """Return a folder name for a title: ``"p=0.2, seen words"`` becomes ``"p-0.2-seen-words"``."""
    return re.sub(r"[^\w.]+", "-", title).strip("-")


def write_embeddings(path: Path, outputs: Sequence[Mapping[str, Any]]) -> None:
    """Write track ids, audio and text embeddings of batches as npz, each track once."""
    track_ids = np.array([track for output in outputs for track in output["track_ids"]])
    audio, text = (torch.cat([output[name] for output in outputs]) for name in ("audio", "text"))
    track_ids, first = np.unique(track_ids, return_index=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, track_ids=track_ids, audio=audio.numpy()[first], text=text.numpy()[first])
