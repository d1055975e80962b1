"""Evaluate any model with `encode_audio` and `encode_text`."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from negclap.audio import AudioError, Samples, as_waveform
from negclap.data.dataset import Excerpts, OnBadAudio
from negclap.data.manifest import Track
from negclap.data.tracks import Tracks, read_manifest, read_vocabulary
from negclap.errors import InputError
from negclap.evaluation.baselines import GRIDS, Method, embed_parts
from negclap.evaluation.exam import MIXED, Exam, make_exam
from negclap.evaluation.metrics.retrieval import draw_galleries
from negclap.evaluation.metrics.scores import check_embeddings
from negclap.evaluation.scoring import EmbedTexts, cached, query_scores
from negclap.evaluation.suite import Bounds, Estimate, Results, Suite
from negclap.models.encoder import TEXT_BATCH_SIZE, Model, chunks
from negclap.progress import Progress
from negclap.storage import folder_of
from negclap.text.probes import Statement
from negclap.text.vocabulary import Vocabulary

_TRACKS_AT_ONCE = 64


class Outcome(NamedTuple):
    """The results of a model, and the same values with intervals, chance and oracle."""

    estimates: dict[str, Estimate]
    results: Results


class EncodedSplit(NamedTuple):
    """A split whose readable tracks ``(n, d)`` and their twins ``(m, d)`` a model has encoded.

    ``unreadable`` has the error messages about the other tracks. The values of oracle and chance
    are ``bounds``, if already computed.
    """

    exam: Exam
    audio: Tensor
    twin_audio: Tensor
    bounds: Bounds | None = None
    unreadable: tuple[str, ...] = ()


class BenchmarkData(NamedTuple):
    """The tracks of a manifest, and how to read their audio.

    At most ``excerpt_s`` seconds are read from the middle of each track. With ``on_bad_audio`` of
    "error", an unreadable track is an error; "skip" leaves it out.
    """

    tracks: Tracks
    root: str
    vocabulary: Vocabulary
    excerpt_s: float
    seed: int = 0
    on_bad_audio: OnBadAudio = "error"

    @classmethod
    def read(cls, manifest: Path, excerpt_s: float) -> "BenchmarkData":
        """Read a manifest and the ``vocabulary.json`` next to it."""
        root = folder_of(str(manifest))
        return cls(read_manifest(manifest), root, read_vocabulary(manifest), excerpt_s)

    def encode(self, model: Model, split: str, twin_split: str, progress: Progress) -> EncodedSplit:
        """Encode the audio of a split and of its twins.

        Raises:
            InputError: If the split has no track, or none that can be read.
        """
        none = f"no track of split {split!r}"
        if not (tracks := self.tracks.split(split)):
            raise InputError(f"{none}, expected one of {sorted(self.tracks.splits())}")
        unreadable: list[str] = []
        readable, audio = self._embed(model, tracks, f"encoding {split}", progress, unreadable)
        if not readable:
            raise InputError(f"{none} can be read, the first error: {unreadable[0]}")
        twins, title = self.tracks.split(twin_split), f"encoding {twin_split}"
        readable_twins, twin_audio = self._embed(model, twins, title, progress, unreadable)
        exam = make_exam(readable, readable_twins, self.vocabulary, self.seed)
        return EncodedSplit(exam, audio, twin_audio, unreadable=tuple(unreadable))

    def _embed(
        self, model: Model, tracks: Tracks, title: str, progress: Progress, unreadable: list[str]
    ) -> tuple[list[Track], Tensor]:
        """Return the readable tracks and their embeddings; add the others to ``unreadable``."""
        readable: list[Track] = []
        parts: list[Tensor] = []
        starts = range(0, len(tracks), _TRACKS_AT_ONCE)
        for start in progress(title, len(starts), starts):
            chunk = tracks[start : start + _TRACKS_AT_ONCE]
            clips = list(self._clips(model.sample_rate, chunk, unreadable))
            readable += [track for track, _ in clips]
            parts += _embed_clips(model, [clip for _, clip in clips])
        return readable, torch.cat(parts) if parts else torch.empty(0, 0)

    def _clips(
        self, sample_rate: int, tracks: Tracks, unreadable: list[str]
    ) -> Iterator[tuple[Track, Samples]]:
        for track in tracks:
            excerpts = Excerpts(sample_rate, min(self.excerpt_s, track.duration_s), None)
            try:
                yield track, excerpts.read(self.root, track, 0)
            except AudioError as error:
                message = f"track {track.track_id!r}: {error}"
                if self.on_bad_audio == "error":
                    raise AudioError(message) from None
                unreadable.append(message)


def _embed_clips(model: Model, clips: Sequence[Samples]) -> list[Tensor]:
    """Encode clips in order; consecutive clips of the same length form a batch."""
    groups = (list(group) for _, group in groupby(clips, key=len))
    return [
        torch.from_numpy(np.asarray(model.encode_audio(np.stack([*map(as_waveform, group)]))))
        for group in groups
    ]


def text_embedder(model: Model) -> EmbedTexts:
    """Return the model's text encoder with tensors, a check of the embeddings, and a cache."""

    def embed(texts: Sequence[str]) -> Tensor:
        parts = [np.array(model.encode_text(chunk)) for chunk in chunks(texts, TEXT_BATCH_SIZE)]
        embedded = torch.from_numpy(np.concatenate(parts)).float()
        check_embeddings("text", embedded)
        return embedded

    return cached(embed)


def with_baseline(
    method: Method, parameter: float, embed: EmbedTexts, vocabulary: Vocabulary
) -> EmbedTexts:
    """Return a text encoder that handles negation by a training-free baseline."""
    return lambda texts: embed_parts(texts, embed, vocabulary).combine(method, parameter)


def score(
    suite: Suite, split: EncodedSplit, embed: EmbedTexts, threshold: float = float("nan")
) -> Outcome:
    """Compute every metric of a text encoder; for the threshold, see `Evaluation.compute`."""

    def embed_statements(statements: Sequence[Statement]) -> Tensor:
        return embed([statement.text for statement in statements])

    results = suite.run(split.exam, split.audio, split.twin_audio, embed_statements, threshold)
    return Outcome(suite.estimates(split.exam, results, split.bounds), results)


def tune(method: Method, suite: Suite, validation: EncodedSplit, embed: EmbedTexts) -> float:
    """Return the parameter of a baseline with the best joint@K on validation."""
    exam, audio = validation.exam, validation.audio
    queries = [query for query in exam.queries if MIXED in query.texts]
    if not queries:
        return GRIDS[method][0]
    texts = [query.texts[MIXED].text for query in queries]
    parts = embed_parts(texts, embed, exam.vocabulary)
    galleries = draw_galleries(len(audio), suite.gallery_size, 1, suite.seed)

    def joint(parameter: float) -> float:
        embedded = parts.combine(method, parameter)
        scores = query_scores(exam, audio, queries, embedded, galleries, suite.at, auc=False)
        value = scores.get(f"joint@{suite.at}")
        return float(value.mean()) if value else 0.0

    return max(GRIDS[method], key=joint)
