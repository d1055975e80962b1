"""What runs leave behind, and what several of them say together: files in, figures out."""

import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats

from negclap.errors import InputError, reason
from negclap.evaluation.exam import Exam
from negclap.evaluation.metrics.scores import Difference, Scores, paired_difference
from negclap.evaluation.suite import Estimate, Suite
from negclap.storage import writing

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
"""The figures that tables show first, by group."""

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
"""The rows of the side-by-side table; the ears first, which bound what texts can show."""


def write_results(
    folder: Path,
    estimates: Mapping[str, Estimate],
    scores: Mapping[str, Scores],
    exam: Exam,
    suite: Suite,
) -> None:
    """What a test leaves in the run folder.

    ``results.json``: the value by key, chance, oracle and interval under ``<key>/...``; under
    ``suite/...`` how it was scored; ``assumed_absence`` is 1 where what the clips lack was only
    assumed.
    ``scores.npz``: for each key the scores, under ``<key>/items`` the rows of the tracks that they
    belong to, under ``<key>/weights`` their weights; and the fingerprint of the exam.
    """
    flat: dict[str, float] = {f"suite/{name}": value for name, value in asdict(suite).items()}
    for key, estimate in estimates.items():
        flat[key] = estimate.value
        for name in ("low", "high", "n", "chance", "oracle"):
            part = getattr(estimate, name)
            if part is not None:
                flat[f"{key}/{name}"] = part
    if exam.assumed:
        flat["assumed_absence"] = 1.0
    folder.mkdir(parents=True, exist_ok=True)
    scores = {key: each for key, each in scores.items() if len(each.values)}
    arrays: dict[str, Any] = {key: each.values.float().numpy() for key, each in scores.items()}
    arrays |= {f"{key}/items": each.items.numpy() for key, each in scores.items()}
    arrays |= {
        f"{key}/weights": each.weights.float().numpy()
        for key, each in scores.items()
        if each.weights is not None
    }
    np.savez_compressed(folder / "scores.npz", exam=exam.fingerprint, **arrays)
    write_json(folder / "results.json", flat)


def write_embeddings(path: Path, outputs: Sequence[Mapping[str, Any]]) -> None:
    """Track ids, audio and text embeddings of batches as npz, each track once."""
    track_ids = np.array([track for output in outputs for track in output["track_ids"]])
    _, first = np.unique(track_ids, return_index=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        track_ids=track_ids[first],
        audio=torch.cat([output["audio"] for output in outputs]).numpy()[first],
        text=torch.cat([output["text"] for output in outputs]).numpy()[first],
    )


def write_json(path: Path, data: object) -> None:
    """Write JSON; under its final name the file is always whole."""
    with writing(path) as file:
        file.write(json.dumps(data, indent=1) + "\n")


def write_lines(path: Path, entries: Sequence[object]) -> None:
    """Write JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)
    path.write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class Summary:
    """Results of one method: the mean over its runs (seeds), and how sure it is."""

    mean: dict[str, float]
    half_width: dict[str, float]  # of the mean's 95 % interval (Student's t); 0 with one run
    runs: int


def read_runs(folders: Sequence[Path]) -> dict[str, Summary]:
    """Summaries by method, in the order of the folders.

    A folder named ``method`` or ``method-SEED`` (a number) is a run of that method.

    Raises:
        InputError: If a folder holds no results, two have the same name, or they were not scored
            alike.
    """
    runs: dict[str, list[dict[str, float]]] = {}
    named: dict[str, Path] = {}
    scored: dict[str, Path] = {}
    for folder in folders:
        path = folder / "results.json"
        if not path.is_file():
            raise InputError(f"{path}: no results there; run negclap test first")
        if folder.name in named:
            raise InputError(f"{named[folder.name]} and {folder}: runs of the same name")
        named[folder.name] = folder
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{path}: no results ({error}); run negclap test again") from None
        runs.setdefault(_method(folder), []).append(found)
        if suite := ", ".join(f"{k} {found[k]:g}" for k in found if k.startswith("suite/")):
            scored.setdefault(suite, path)
    if len(scored) > 1:
        told = "; ".join(f"{path}: {suite}" for suite, path in scored.items())
        raise InputError(f"results that were not scored alike: {told}")
    return {name: _summarise(results) for name, results in runs.items()}


def _method(folder: Path) -> str:
    method, dash, seed = folder.name.rpartition("-")
    return method if dash and seed.isdigit() else folder.name


def beside(run: str, addition: str) -> str:
    """The name of a run with something added: "negclap-0" with "boolean" keeps its seed behind."""
    method, dash, seed = run.rpartition("-")
    return f"{method} + {addition}-{seed}" if dash and seed.isdigit() else f"{run} + {addition}"


def _summarise(results: list[dict[str, float]]) -> Summary:
    keys = [key for key in results[0] if all(key in result for result in results)]
    mean = {key: math.fsum(r[key] for r in results) / len(results) for key in keys}
    n = len(results)
    t = float(stats.t.ppf(0.975, n - 1)) / math.sqrt(n) if n > 1 else 0.0
    half_width = {k: t * float(np.std([r[k] for r in results], ddof=min(1, n - 1))) for k in keys}
    if n > 1:  # a mean of intervals is no interval
        mean = {key: v for key, v in mean.items() if not key.endswith(("/low", "/high", "/n"))}
    return Summary(mean, half_width, n)


def differences(folders: Sequence[Path]) -> dict[str, dict[str, Difference]]:
    """By method and key, what it scores above the first one: paired bootstrap over tracks.

    Seeds of a method count as repeated measurements of the same tracks.

    Raises:
        InputError: If the runs were not asked the same questions about the same tracks.
    """
    runs: dict[str, list[dict[str, Scores]]] = {}
    exams: dict[str, Path] = {}
    for folder in folders:
        path = folder / "scores.npz"
        if not path.is_file():
            raise InputError(f"{path}: no scores there; run negclap test again")
        fingerprint, scores = _read_scores(path)
        runs.setdefault(_method(folder), []).append(scores)
        exams.setdefault(fingerprint, path)
    if len(exams) > 1:
        raise InputError(f"{' and '.join(map(str, exams.values()))}: results of different exams")
    pooled = {
        name: {
            key: Scores.pooled([one[key] for one in of])
            for key in HEADLINE
            if all(key in one for one in of)
        }
        for name, of in runs.items()
    }
    (_, first), *others = pooled.items()
    return {
        name: {
            key: paired_difference(scores[key], first[key])
            for key in scores
            if key in first and "median_rank" not in key
        }
        for name, scores in others
    }


def _read_scores(path: Path) -> tuple[str, dict[str, Scores]]:
    try:
        with np.load(path) as arrays:
            tensors = {key: torch.from_numpy(arrays[key]) for key in arrays.files if key != "exam"}
            fingerprint = str(arrays["exam"])
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: no scores ({reason(error)}); run negclap test again") from None
    keys = [key.removesuffix("/items") for key in tensors if key.endswith("/items")]
    return fingerprint, {
        key: Scores(tensors[key], tensors[f"{key}/items"], tensors.get(f"{key}/weights"))
        for key in keys
    }
