"""The negation suite: every metric over any pair of encoders, with chance and oracle beside it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from negclap.metrics.classes import (
    MAP_AT,
    FitThreshold,
    ItemMetric,
    NegationRetrieval,
    PairwiseAccuracy,
    TrueAbsence,
)
from negclap.metrics.scores import Scores
from negclap.text.probes import Probe, Subject
from negclap.text.vocabulary import Vocabulary

ROLES = (
    "original",
    "half",
    "fully",
    "absence_true",
    "absence_false",
    "heard_present",
    "heard_absent",
)
_LEVEL_ROLES, _ABSENCE_ROLES = ROLES[:3], ROLES[3:]


class Estimate(NamedTuple):
    """A figure with what it takes to read it; None where a part does not apply."""

    value: float
    low: float | None
    high: float | None
    n: int | None
    chance: float | None
    oracle: float | None


class NegationSuite(nn.Module):
    """Collects embeddings of probed clips and computes every metric.

    Args:
        gallery_size: Clips per retrieval gallery.
        galleries: How many random galleries.
        seed: Of the galleries.
        distributed: Whether the ranks' clips are gathered; without it each rank computes alone.
    """

    def __init__(
        self,
        gallery_size: int = 512,
        galleries: int = 10,
        seed: int = 0,
        *,
        distributed: bool = True,
    ) -> None:
        super().__init__()
        alone = {} if distributed else {"distributed_available_fn": lambda: False}
        self.retrieval = NegationRetrieval(gallery_size, galleries, seed, **alone)
        self.pairwise = PairwiseAccuracy(**alone)
        self.absence = TrueAbsence(**alone)
        self.threshold = FitThreshold(**alone)

    @property
    def metrics(self) -> tuple[ItemMetric, ...]:
        """All metrics."""
        return (self.retrieval, self.pairwise, self.absence, self.threshold)

    def update(self, ids: Tensor, audio: Tensor, texts: Mapping[str, Tensor]) -> None:
        """Add clips.

        Args:
            ids: ``(b,)`` the clips' rows in their split.
            audio: ``(b, d)`` unit embeddings.
            texts: By role ``(b, d)`` unit embeddings; a row of NaN where a clip lacks the role. A
                role that is missing altogether is missing for all.
        """
        missing = torch.full_like(audio, float("nan"))
        given = {role: texts.get(role, missing) for role in ROLES}
        levels = {role: given[role] for role in _LEVEL_ROLES}
        self.retrieval.update(ids, audio, levels)
        self.pairwise.update(ids, audio, levels)
        self.threshold.update(ids, audio, levels)
        self.absence.update(ids, audio, {role: given[role] for role in _ABSENCE_ROLES})

    def compute(self) -> dict[str, float]:
        """All figures by key; those without a single case are left out."""
        values = {key: float(v) for metric in self.metrics for key, v in metric.compute().items()}
        return {key: value for key, value in values.items() if value == value}

    def estimates(self, oracle: Mapping[str, float]) -> dict[str, Estimate]:
        """All figures with interval, number of tracks, chance and the oracle's score."""
        values = self.compute()
        scores: dict[str, Scores] = {}
        for metric in self.metrics:
            with metric.sync_context():
                scores.update(metric.per_item())
        # With several galleries there are more items than one holds; with one they are equal.
        gallery = min(self.retrieval.gallery_size, scores[f"a2t/map@{MAP_AT}/original"].n)
        return {
            key: _estimate(key, value, scores.get(key), gallery, oracle.get(key))
            for key, value in values.items()
        }

    def reset(self) -> None:
        """Forget all clips."""
        for metric in self.metrics:
            metric.reset()


def _estimate(
    key: str, value: float, scores: Scores | None, gallery: int, oracle: float | None
) -> Estimate:
    if scores is None:
        return Estimate(value, None, None, None, chance(key, gallery), oracle)
    low, high = (None, None) if "median_rank" in key else scores.interval()
    return Estimate(value, low, high, scores.n, chance(key, gallery), oracle)


def chance(key: str, gallery: int) -> float | None:
    """What guessing scores at ``key`` with galleries of ``gallery`` clips; None if undefined."""
    name = key.removeprefix("a2t/")
    if name.startswith("recall@"):
        return min(1.0, int(name.split("/")[0].removeprefix("recall@")) / gallery)
    if name.startswith("map@"):
        return sum(1 / r for r in range(1, min(MAP_AT, gallery) + 1)) / gallery
    if name.startswith("median_rank"):
        return (gallery + 1) / 2
    if name.startswith(("pairwise/", "true_absence", "audio_ceiling")):
        return 0.5
    return 1 / 6 if name == "chain" else None


def oracle_scores(
    suite: NegationSuite, tracks: Sequence[Subject], probes: Sequence[Probe], vocabulary: Vocabulary
) -> dict[str, float]:
    """What a retriever that knows all tags scores: the ceiling of the captions.

    It scores a clip by the share of the text's claims that are true of it. As vectors: a clip is
    +1 / -1 per tag that it has / lacks, a text +1 / -1 per tag that it claims present / absent.

    Args:
        suite: Says which galleries are drawn; it is left as it was.
        tracks: Tracks whose absent tags are known.
        probes: One per track.
        vocabulary: The tags.
    """
    like = suite.retrieval
    own = NegationSuite(like.gallery_size, like.galleries, like.seed, distributed=False)
    column = {name: index for index, name in enumerate(vocabulary.names)}
    audio = torch.stack([_truth(track, column) for track in tracks])
    texts = {
        role: torch.stack([_claims(probe, role, column) for probe in probes]) for role in ROLES
    }
    own.update(torch.arange(len(tracks)), audio, texts)
    own.threshold.choose()
    return own.compute()


def _truth(track: Subject, column: Mapping[str, int]) -> Tensor:
    vector = torch.zeros(len(column) + 1)
    for names, sign in ((track.tags, 1.0), (track.absent_tags or (), -1.0)):
        for name in names:
            if name in column:
                vector[column[name]] = sign
    vector[-1] = float(not vector.any())  # a clip of which nothing is known
    return F.normalize(vector, dim=0)


def _claims(probe: Probe, role: str, column: Mapping[str, int]) -> Tensor:
    vector = torch.zeros(len(column) + 1)
    statement = probe.get(role)  # type: ignore[call-overload]  # a role by name
    if statement is None:
        return torch.full_like(vector, float("nan"))
    for name, present in statement.claims:
        vector[column[name]] = 1.0 if present else -1.0
    vector[-1] = float(not statement.claims)  # a text that claims nothing
    return F.normalize(vector, dim=0)
