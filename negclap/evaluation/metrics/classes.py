"""torchmetrics classes: they keep items by id over batches and ranks, and compute at the end."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from negclap.evaluation.metrics.pairwise import PAIRS, chain, choose_threshold, f1_at
from negclap.evaluation.metrics.retrieval import (
    Ranks,
    average_precision_at,
    draw_galleries,
    expected_rank,
    rank_targets,
    rank_targets_together,
    recall_at,
)
from negclap.evaluation.metrics.scores import Scores, beats, check_embeddings

_LEVELS = ("original", "half", "fully")
RECALL_AT = (1, 5, 10)
MAP_AT = 10


class ItemMetric(Metric):
    """Base: columns of values per item, gathered over ranks, one row per id, ordered by id.

    Subclasses name their `columns` and turn the collected columns into `Scores` by key. A missing
    value (a clip without a half negated caption, say) is NaN in its column.
    """

    full_state_update = False
    columns: tuple[str, ...]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ids: Any  # a list while it grows, one tensor after a gather
        self.add_state("ids", default=[], dist_reduce_fx="cat")
        for name in self.columns:
            self.add_state(f"column_{name}", default=[], dist_reduce_fx="cat")

    def _append(self, ids: Tensor, values: Mapping[str, Tensor]) -> None:
        self.ids.append(ids)
        for name in self.columns:
            getattr(self, f"column_{name}").append(values[name].detach().float())

    def collect(self) -> dict[str, Tensor]:
        """The columns, one row per item, ordered by id."""
        ids = dim_zero_cat(self.ids)
        unique, inverse = ids.unique(return_inverse=True)
        first = torch.full((len(unique),), len(ids), device=ids.device).scatter_reduce(
            0, inverse, torch.arange(len(ids), device=ids.device), "amin"
        )
        return {name: dim_zero_cat(getattr(self, f"column_{name}"))[first] for name in self.columns}

    @abstractmethod
    def per_item(self) -> dict[str, Scores]:
        """The scores by key."""

    def reduce(self, key: str, scores: Scores) -> Tensor:
        """One number from the scores of a key: their mean, but for ranks their median."""
        if key.startswith(("median_rank", "a2t/median_rank")):
            return scores.values.cpu().double().quantile(0.5)
        return scores.mean()

    def figures(self, scores: Mapping[str, Scores]) -> dict[str, Tensor]:
        """One number by key, from what `per_item` gave."""
        return {key: self.reduce(key, each) for key, each in scores.items()}

    def compute(self) -> dict[str, Tensor]:
        """One number by key, of all ranks' items."""
        return self.figures(self.per_item())


def _applies(*columns: Tensor) -> Tensor:
    """Indices of the items for which no column is missing."""
    missing = [
        column.isnan().flatten(1).any(dim=1) if column.dim() > 1 else column.isnan()
        for column in columns
    ]
    return torch.nonzero(~torch.stack(missing).any(dim=0)).flatten()


class AudioEmbeddings(ItemMetric):
    """The embeddings of clips, gathered over ranks, for whoever computes on all of them."""

    columns = ("audio",)

    def update(self, ids: Tensor, audio: Tensor) -> None:
        """Add clips: ids ``(b,)``, audio ``(b, d)`` unit embeddings."""
        check_embeddings("audio", audio)
        self._append(ids, {"audio": audio})

    def per_item(self) -> dict[str, Scores]:
        """Nothing is scored."""
        return {}

    def gathered(self, dim: int) -> tuple[Tensor, Tensor]:
        """All ranks' ids ``(n,)``, in order, and embeddings ``(n, dim)``; then forget them."""
        if not len(self.ids):  # this rank heard nothing, others may have
            nothing = torch.empty(0, dim, device=self.device)
            self._append(torch.empty(0, dtype=torch.long, device=self.device), {"audio": nothing})
        with self.sync_context():
            ids, audio = dim_zero_cat(self.ids).unique(), self.collect()["audio"]
        self.reset()
        return ids, audio


class NegationRetrieval(ItemMetric):
    """R@1/5/10, mAP@10 and median rank per negation level; both directions for the original.

    Protocol 1 of arXiv 2601.13931: the caption of each clip of a random gallery is the query; the
    target is its clip. Queries, targets and galleries are the same for all levels. A clip without
    a half or fully negated caption stays in the galleries; it asks no query at that level.
    Where several processes compute, each ranks its share of the queries.

    Args:
        gallery_size: Clips per gallery.
        galleries: How many are drawn.
        seed: Of the draw.
        kwargs: Of `torchmetrics.Metric`.
    """

    columns = ("audio", *_LEVELS)

    def __init__(
        self, gallery_size: int = 512, galleries: int = 10, seed: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.gallery_size = gallery_size
        self.galleries = galleries
        self.seed = seed

    def update(self, ids: Tensor, audio: Tensor, texts: Mapping[str, Tensor]) -> None:
        """Add clips: ids ``(b,)``, audio ``(b, d)``, texts by level ``(b, d)``, NaN if missing."""
        check_embeddings("audio", audio)
        self._append(ids, {"audio": audio, **texts})

    def per_item(self) -> dict[str, Scores]:
        """Scores by key, one per query and gallery; all ranks must ask, of the same clips."""
        columns = self.collect()
        rank = rank_targets_together if self.distributed_available_fn() else rank_targets
        audio = columns["audio"]
        found: dict[str, list[Scores]] = {}
        for gallery in draw_galleries(len(audio), self.gallery_size, self.galleries, self.seed):
            members = gallery.to(audio.device)
            clips = audio[members]
            for level in _LEVELS:
                texts = columns[level][members]
                asked = _applies(texts)
                if len(asked):
                    ranks = rank(texts[asked], clips, asked)
                    _score(found, level, "", ranks, members[asked])
            place = torch.arange(len(members), device=audio.device)
            ranks = rank(clips, columns["original"][members], place)
            _score(found, "original", "a2t/", ranks, members)
        return {key: Scores.pooled(parts) for key, parts in found.items()}

    def figures(self, scores: Mapping[str, Scores]) -> dict[str, Tensor]:
        """One number by key, and two over all clips.

        ``map@10/mean`` is the mean of both directions, which checkpoints are selected by;
        ``mean_cosine`` between the audio of different clips tells a collapse.
        """
        values = super().figures(scores)
        both = values[f"map@{MAP_AT}/original"] + values[f"a2t/map@{MAP_AT}/original"]
        audio = self.collect()["audio"].cpu().double()
        n = len(audio)
        mean_cosine = (audio.sum(dim=0).square().sum() - n) / max(1, n * (n - 1))
        return values | {f"map@{MAP_AT}/mean": both / 2, "mean_cosine": mean_cosine}


def _score(
    found: dict[str, list[Scores]], level: str, prefix: str, ranks: Ranks, tracks: Tensor
) -> None:
    for k in RECALL_AT:
        found.setdefault(f"{prefix}recall@{k}/{level}", []).append(
            Scores(recall_at(ranks, k), tracks)
        )
    precision = average_precision_at(ranks, MAP_AT)
    found.setdefault(f"{prefix}map@{MAP_AT}/{level}", []).append(Scores(precision, tracks))
    found.setdefault(f"{prefix}median_rank/{level}", []).append(
        Scores(expected_rank(ranks), tracks)
    )


class PairwiseAccuracy(ItemMetric):
    """Protocol 2 of arXiv 2601.13931: which caption is closer to the audio; and the chain of three.

    Keys ``pairwise/a_vs_b`` (chance 1/2), ``chain`` (chance 1/6) and ``margin/a_vs_b``, the mean
    difference of the cosines.
    """

    columns = _LEVELS

    def update(self, ids: Tensor, audio: Tensor, texts: Mapping[str, Tensor]) -> None:
        """Add clips: ids ``(b,)``, audio ``(b, d)``, texts by level ``(b, d)``, NaN if missing."""
        check_embeddings("audio", audio)
        self._append(ids, {level: (audio * texts[level]).sum(dim=-1) for level in _LEVELS})

    def per_item(self) -> dict[str, Scores]:
        """Scores by key, one per clip."""
        columns = self.collect()
        scores: dict[str, Scores] = {}
        for one, other in PAIRS:
            items = _applies(columns[one], columns[other])
            a, b = columns[one][items], columns[other][items]
            scores[f"pairwise/{one}_vs_{other}"] = Scores(beats(a, b), items)
            scores[f"margin/{one}_vs_{other}"] = Scores(a - b, items)
        items = _applies(*(columns[level] for level in _LEVELS))
        scores["chain"] = Scores(chain(*(columns[level][items] for level in _LEVELS)), items)
        return scores


class FitThreshold(ItemMetric):
    """The similarity threshold for "fits / does not fit" and its F1.

    A caption fits its clip, its fully negated form does not. `choose` is called on validation;
    `compute` reports F1 at the threshold that was chosen there.
    """

    columns = ("original", "fully")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.threshold = float("nan")

    def update(self, ids: Tensor, audio: Tensor, texts: Mapping[str, Tensor]) -> None:
        """Add clips: ids ``(b,)``, audio ``(b, d)``, texts by level ``(b, d)``, NaN if missing."""
        self._append(ids, {level: (audio * texts[level]).sum(dim=-1) for level in self.columns})

    def choose(self) -> float:
        """Choose the threshold of the best F1 on what was seen, on all ranks, and keep it."""
        with self.sync_context():
            columns = self.collect()
        items = _applies(columns["original"], columns["fully"])
        if len(items):
            chosen = choose_threshold(columns["original"][items], columns["fully"][items])
            self.threshold = chosen.value
        return self.threshold

    def per_item(self) -> dict[str, Scores]:
        """Nothing per item: F1 is no mean."""
        return {}

    def figures(self, scores: Mapping[str, Scores]) -> dict[str, Tensor]:
        """``threshold`` and ``threshold/f1``; empty before a threshold was chosen."""
        columns = self.collect()
        items = _applies(columns["original"], columns["fully"])
        if self.threshold != self.threshold or not len(items):
            return {}
        f1 = f1_at(self.threshold, columns["original"][items], columns["fully"][items])
        return {"threshold": torch.tensor(self.threshold), "threshold/f1": torch.tensor(f1)}


class TrueAbsence(ItemMetric):
    """Does "no v" (v absent) beat "no w" (w present)? Chance 1/2.

    Keys: ``true_absence``; ``true_absence/shuffled``, the same texts with another clip's audio,
    which must give 1/2; and ``audio_ceiling``: how often the bare tag w beats v, which is what the
    audio tower hears, whatever the text tower makes of "no".
    """

    columns = ("audio", "absence_true", "absence_false", "heard_present", "heard_absent")

    def update(self, ids: Tensor, audio: Tensor, texts: Mapping[str, Tensor]) -> None:
        """Add clips: ids ``(b,)``, audio ``(b, d)``, texts by role ``(b, d)``, NaN if missing."""
        check_embeddings("audio", audio)
        self._append(ids, {"audio": audio, **texts})

    def per_item(self) -> dict[str, Scores]:
        """Scores by key, one per clip that has a probe."""
        columns = self.collect()
        items = _applies(columns["absence_true"])
        audio = columns["audio"][items]

        def won(one: str, other: str, clips: Tensor) -> Scores:
            a, b = (clips * columns[one][items]).sum(-1), (clips * columns[other][items]).sum(-1)
            return Scores(beats(a, b), items)

        shuffled = audio.roll(len(audio) // 2, dims=0)  # neighbours may be of one album
        return {
            "true_absence": won("absence_true", "absence_false", audio),
            "true_absence/shuffled": won("absence_true", "absence_false", shuffled),
            "audio_ceiling": won("heard_present", "heard_absent", audio),
        }
