"""Score the parts of an exam from embeddings of clips and texts."""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from negclap.errors import InputError
from negclap.evaluation.exam import Exam, ExclusionQuery
from negclap.evaluation.metrics.exclusion import (
    choice_scores,
    effective_rank,
    exclusion_scores,
    paired_scores,
)
from negclap.evaluation.metrics.pairwise import choose_threshold, f1_at
from negclap.evaluation.metrics.scores import Scores, beats
from negclap.text.cues import CUES
from negclap.text.probes import LEVELS, Level, Statement

EmbedTexts = Callable[[Sequence[str]], Tensor]
"""Maps texts to ``(n, d)`` unit embeddings."""
Embed = Callable[[Sequence[Statement]], Tensor]
"""Maps statements to ``(n, d)`` embeddings: a model by their texts, a toy by their claims."""


def cached(embed: EmbedTexts) -> EmbedTexts:
    """Return an encoder that embeds each distinct text only once."""
    known: dict[str, Tensor] = {}

    def embed_once(texts: Sequence[str]) -> Tensor:
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        if missing:
            known.update(zip(missing, embed(missing), strict=True))
        return torch.stack([known[text] for text in texts])

    return embed_once


class EmbeddedExam:
    """The embeddings of all texts of an exam, each text embedded once."""

    def __init__(self, exam: Exam, embed: Embed) -> None:
        self.exam = exam
        self._embed = embed
        self._rows: dict[str, int] = {}
        self.embeddings = torch.empty(0, 0)
        self._add(exam)

    def _add(self, exam: Exam) -> None:
        missing = {t: s for t, s in exam.statements().items() if t not in self._rows}
        if not missing:
            return
        embedded = self._embed(list(missing.values())).float()
        bad = ~embedded.isfinite().all(dim=1)
        if bad.any():
            text = list(missing)[int(bad.nonzero()[0])]
            raise InputError(f"the embedding of {text!r} has NaN or infinite values")
        self._rows |= {text: len(self._rows) + i for i, text in enumerate(missing)}
        old = self.embeddings if len(self.embeddings) else embedded[:0]
        self.embeddings = torch.cat([old, embedded])

    def of(self, exam: Exam) -> "EmbeddedExam":
        """Switch to an exam about fewer clips, and embed the texts that only it has."""
        self._add(exam)
        self.exam = exam
        self.embeddings = self.embeddings.cpu()
        return self

    def __call__(self, statements: Sequence[Statement]) -> Tensor:
        """Return ``(n, d)`` embeddings."""
        return self.embeddings[[self._rows[one.text] for one in statements]]

    def levels(self, ids: Tensor) -> tuple[dict[Level, Tensor], dict[Level, Tensor]]:
        """Return the embedded captions of clips by level, and masks of the clips that have them."""
        probes = [self.exam.probes[row] for row in ids.tolist()]
        texts, mask = dict[Level, Tensor](), dict[Level, Tensor]()
        for level in LEVELS:
            captions = [probe.level(level) for probe in probes]
            rows = [-1 if one is None else self._rows[one.text] for one in captions]
            picked = torch.tensor(rows, dtype=torch.long, device=self.embeddings.device)
            texts[level] = self.embeddings[picked.clamp(min=0)]
            mask[level] = picked >= 0
        return texts, mask


def absence_scores(exam: Exam, audio: Tensor, texts: EmbeddedExam) -> dict[str, Scores]:
    """Score true absence, its control with the audio of other clips, and the audio ceiling."""
    probes = [(row, probe.absence) for row, probe in enumerate(exam.probes) if probe.absence]
    if not probes:
        return {}
    rows = torch.tensor([row for row, _ in probes])
    true, false, present, absent = (
        texts(side) for side in zip(*(absence for _, absence in probes), strict=True)
    )
    own = audio[rows]
    others = own.roll(len(own) // 2, dims=0)  # not by 1: neighbours may be of the same album
    return {
        "true_absence": choice_scores(own, true, false, rows),
        "true_absence/shuffled": choice_scores(others, true, false, rows),
        "audio_ceiling": choice_scores(own, present, absent, rows),
    }


def all_choice_scores(exam: Exam, audio: Tensor, texts: EmbeddedExam) -> dict[str, Scores]:
    """Score the choices by part; ``scope/accuracy`` pools the two parts about scope."""
    scores: dict[str, Scores] = {}
    for part in dict.fromkeys(choice.part for choice in exam.choices):
        choices = [choice for choice in exam.choices if choice.part == part]
        items = torch.tensor([choice.clip for choice in choices])
        true = texts([choice.true for choice in choices])
        false = texts([choice.false for choice in choices])
        scores[part] = choice_scores(audio[items], true, false, items)
    if scope := [each for part, each in scores.items() if part.startswith("scope/")]:
        scores["scope/accuracy"] = Scores.pooled(scope)
    return scores


def query_scores(
    exam: Exam,
    audio: Tensor,
    queries: Sequence[ExclusionQuery],
    embedded: Tensor,
    galleries: list[Tensor],
    at: int,
    *,
    auc: bool,
) -> dict[str, Scores]:
    """Score exclusion queries with ``(q, d)`` embedded texts; see `exclusion_scores`."""
    tags = [frozenset(track.tags) for track in exam.tracks]
    absent = [frozenset(track.absent_tags or ()) for track in exam.tracks]

    def tracks_with(names: Sequence[str], known: Sequence[frozenset[str]]) -> Tensor:
        column = {name: torch.tensor([name in each for each in known]) for name in set(names)}
        return torch.stack([column[name] for name in names])

    unwanted = [query.unwanted for query in queries]
    return exclusion_scores(
        audio,
        embedded,
        tracks_with([query.wanted for query in queries], tags),
        tracks_with(unwanted, tags),
        tracks_with(unwanted, absent),
        galleries,
        at,
        with_auc=auc,
    )


def twin_scores(
    exam: Exam, audio: Tensor, twin_audio: Tensor, texts: EmbeddedExam
) -> dict[str, Scores]:
    """Score the counterfactual twins; see `paired_scores`.

    If kinds of twins are named, ``paired/KIND`` are the scores of one kind, and ``paired/control``
    is how often "no z" is closer to the clip without the toggled tag although neither clip has z.
    A model that takes "no" for fewer sounds, or that tells the clips apart by anything but their
    tags, is not at 1/2.
    """
    clips = {True: audio, False: twin_audio}
    has, lacks = (
        torch.stack([clips[own][row] for own, row in side])
        for side in zip(*((twin.has, twin.lacks) for twin in exam.twins), strict=True)
    )
    affirmed = texts([twin.affirmed for twin in exam.twins])
    negated = texts([twin.negated for twin in exam.twins])
    scores = paired_scores(has, lacks, affirmed, negated)
    kinds = [twin.kind for twin in exam.twins]
    for kind in sorted({*kinds} - {""}):
        rows = torch.tensor([kind == each for each in kinds])
        scores[f"paired/{kind}"] = Scores(*(part[rows] for part in scores["paired"][:2]))
    asked = [(i, twin.control) for i, twin in enumerate(exam.twins) if twin.control]
    if asked:
        items = torch.tensor([i for i, _ in asked])
        control = texts([one for _, one in asked])
        closer = beats((control * lacks[items]).sum(dim=-1), (control * has[items]).sum(dim=-1))
        scores["paired/control"] = Scores(closer, items)
    return scores


def mean_cosine(audio: Tensor) -> float:
    """Return the mean cosine between different clips; near 1 if the embeddings have collapsed."""
    n = len(audio)
    total = audio.double().sum(dim=0).square().sum() - n
    return float(total / max(1, n * (n - 1)))


def _fully(exam: Exam, texts: EmbeddedExam) -> tuple[list[int], Tensor, Tensor]:
    """Return rows of clips with a fully negated caption, and both captions' embeddings."""
    found = [(row, one.original, one.fully) for row, one in enumerate(exam.probes) if one.fully]
    rows = [row for row, _, _ in found]
    return rows, texts([one for _, one, _ in found]), texts([one for _, _, one in found])


def threshold_values(
    exam: Exam, audio: Tensor, texts: EmbeddedExam, threshold: float | None
) -> dict[str, float]:
    """Return the similarity threshold, and its F1 on original and fully negated captions.

    A threshold of None is chosen here; NaN returns nothing.
    """
    rows, original, fully = _fully(exam, texts)
    if not rows:
        return {}
    true, false = ((audio[rows] * text).sum(dim=-1) for text in (original, fully))
    if threshold is None:
        threshold = choose_threshold(true, false).value
    if math.isnan(threshold):
        return {}
    return {"threshold": threshold, "threshold/f1": f1_at(threshold, true, false)}


def guard_values(exam: Exam, texts: EmbeddedExam) -> dict[str, float]:
    """Return the effective rank of texts, and the mean cosine of captions and negated forms."""
    originals = texts([probe.original for probe in exam.probes])
    values = {"guard/effective_rank": effective_rank(originals)}
    rows, original, fully = _fully(exam, texts)
    if rows:
        values["guard/cosine_original_fully"] = float((original * fully).sum(dim=1).mean())
    return values


def cue_summary(values: Mapping[str, float]) -> dict[str, float]:
    """Return the mean over the seen and over the held-out cues, and the worst value of each."""
    summary: dict[str, float] = {}
    for name in ("true_absence", "joint@10", "violation@10"):
        for group, seen in (("seen", True), ("held_out", False)):
            keys = [f"cue/{cue.name}/{name}" for cue in CUES if cue.seen is seen]
            if by_cue := [values[key] for key in keys if key in values]:
                summary[f"cue/{group}/{name}"] = sum(by_cue) / len(by_cue)
                worst = max(by_cue) if name.startswith("violation") else min(by_cue)
                summary[f"cue/worst_{group}/{name}"] = worst
    return summary
