"""torchmetrics classes that collect clips over batches and processes.

Clips are identified by their ids, so a clip that a sampler repeats counts once. Under DDP, all
processes compute the same values, from the clips of all processes; they share the ranking.

>>> import torch
>>> import torch.nn.functional as F
>>> recall, pairwise = NegationRetrieval(gallery_size=4), PairwiseAccuracy()
>>> audio, original, half, fully = F.normalize(torch.randn(4, 6, 8), dim=-1)
>>> texts = {"original": original, "half": half, "fully": fully}
>>> for metric in (recall, pairwise):
...     metric.update(audio, texts, ids=torch.arange(6))
>>> sorted(pairwise.compute())[:2]
['chain', 'margin/half_vs_fully']
>>> 0.0 <= float(recall.compute()["recall@1/original"]) <= 1.0
True
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from negclap.distributed import is_distributed
from negclap.evaluation.metrics.pairwise import pairwise_scores
from negclap.evaluation.metrics.retrieval import (
    draw_galleries,
    rank_targets,
    rank_targets_distributed,
    retrieval_scores,
)
from negclap.evaluation.metrics.scores import Scores, check_embeddings, summarise
from negclap.text.probes import LEVELS, Level

_MASKS = tuple(f"has_{level}" for level in LEVELS)


class _ByClip(Metric):
    """A metric whose state is a table with a row per clip."""

    full_state_update = False
    _columns: tuple[str, ...]
    ids: Any  # a list of tensors; one tensor after gathering

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name in ("ids", *self._columns):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def _append(self, ids: Tensor, values: Mapping[str, Tensor]) -> None:
        self.ids.append(ids)
        for name in self._columns:
            getattr(self, name).append(values[name].detach())

    def _collect(self) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the sorted distinct ids, and the columns in this order."""
        ids = dim_zero_cat(self.ids)
        unique, inverse = ids.unique(return_inverse=True)
        first = torch.full((len(unique),), len(ids), device=ids.device).scatter_reduce(
            0, inverse, torch.arange(len(ids), device=ids.device), "amin"
        )
        return unique, {name: dim_zero_cat(getattr(self, name))[first] for name in self._columns}


class ClipEmbeddings(_ByClip):
    """Collect the audio embeddings of clips."""

    _columns = ("audio",)

    def update(self, audio: Tensor, ids: Tensor) -> None:
        """Add clips: ``(b, d)`` unit embeddings, and their ``(b,)`` int64 ids."""
        check_embeddings("audio", audio)
        self._append(ids, {"audio": audio.float()})

    def compute(self) -> tuple[Tensor, Tensor]:
        """Return the sorted ids ``(n,)``, and the embeddings ``(n, d)`` of these clips."""
        ids, columns = self._collect()
        return ids, columns["audio"]


class _LevelMetric(_ByClip):
    """A metric of clips and their captions at the negation levels."""

    _columns = (*LEVELS, *_MASKS)

    def scores(self) -> dict[str, Scores]:
        """Return the scores of all queries by key; `compute` summarises them."""
        with self.sync_context(should_sync=self.sync_on_compute):
            return self._scores(self._collect()[1])

    def compute(self) -> dict[str, Tensor]:
        """Return one scalar per key; keys without any query are left out."""
        return summarise(self._scores(self._collect()[1]))

    @abstractmethod
    def _scores(self, columns: Mapping[str, Tensor]) -> dict[str, Scores]: ...


class NegationRetrieval(_LevelMetric):
    """Recall@1/5/10, mAP@10 and median rank per negation level.

    Protocol 1 of arXiv 2601.13931: in a random gallery, the caption of each clip is a query with
    this clip as its target. Queries, targets and galleries are the same for all levels. A clip
    without a half or fully negated caption remains in the galleries, but has no query at that
    level. Keys are ``recall@10/half``, ``map@10/fully``, ``median_rank/original``, ...;
    ``a2t/...`` is the other direction, from audio to the original captions.

    Args:
        gallery_size: Clips per gallery.
        galleries: Number of random galleries.
        seed: Seed of the galleries.
        kwargs: Arguments of `torchmetrics.Metric`; with ``sync_on_compute=False``, each process
            evaluates only its own clips.
    """

    _columns = ("audio", *LEVELS, *_MASKS)

    def __init__(
        self, gallery_size: int = 512, galleries: int = 10, seed: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.gallery_size = gallery_size
        self.galleries = galleries
        self.seed = seed

    def update(
        self,
        audio: Tensor,
        texts: Mapping[Level, Tensor],
        ids: Tensor,
        mask: Mapping[Level, Tensor] | None = None,
    ) -> None:
        """Add clips.

        Args:
            audio: ``(b, d)`` unit embeddings of clips.
            texts: By level, ``(b, d)`` unit embeddings of their captions.
            ids: ``(b,)`` int64, ids of the clips.
            mask: By level, ``(b,)`` bool, whether the clip has the caption; None if all do.
        """
        check_embeddings("audio", audio)
        columns = {"audio": audio.float()} | _masks(texts, mask)
        self._append(ids, columns | {level: texts[level].float() for level in LEVELS})

    def _scores(self, columns: Mapping[str, Tensor]) -> dict[str, Scores]:
        audio = columns["audio"]
        galleries = draw_galleries(len(audio), self.gallery_size, self.galleries, self.seed)
        together = self.sync_on_compute and is_distributed()
        rank = rank_targets_distributed if together else rank_targets
        return retrieval_scores(audio, _by_level(columns), galleries, rank)


class PairwiseAccuracy(_LevelMetric):
    """Accuracy of choosing the less negated of two captions by its similarity to the audio.

    Protocol 2 of arXiv 2601.13931. Keys are ``pairwise/original_vs_fully``,
    ``pairwise/original_vs_half`` and ``pairwise/half_vs_fully`` (chance 1/2); ``chain``, whether
    all three captions are in order (chance 1/6); ``margin/...``, the mean difference of cosines.

    Args:
        kwargs: Arguments of `torchmetrics.Metric`.
    """

    def update(
        self,
        audio: Tensor,
        texts: Mapping[Level, Tensor],
        ids: Tensor,
        mask: Mapping[Level, Tensor] | None = None,
    ) -> None:
        """Add clips; the arguments are as for `NegationRetrieval.update`."""
        check_embeddings("audio", audio)
        columns = _masks(texts, mask)
        for level in LEVELS:
            columns[level] = (audio.float() * texts[level].float()).sum(dim=-1)
        self._append(ids, columns)

    def _scores(self, columns: Mapping[str, Tensor]) -> dict[str, Scores]:
        return pairwise_scores(_by_level(columns))


def _masks(texts: Mapping[Level, Tensor], mask: Mapping[Level, Tensor] | None) -> dict[str, Tensor]:
    """Return the mask of each level, all True by default, by the name of its column."""
    if mask is None:
        mask = {level: torch.ones_like(texts[level][:, 0], dtype=torch.bool) for level in LEVELS}
    return {f"has_{level}": mask[level] for level in LEVELS}


def _by_level(columns: Mapping[str, Tensor]) -> dict[Level, tuple[Tensor, Tensor]]:
    return {level: (columns[level], columns[f"has_{level}"]) for level in LEVELS}
