"""`negclap benchmark`: the suite over anything with `encode_audio` and `encode_text`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
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
from negclap.evaluation.baselines import GRIDS, EmbedTexts, Method, embed_with
from negclap.evaluation.exam import Exam
from negclap.evaluation.exams import make_exam
from negclap.evaluation.metrics.scores import check_embeddings
from negclap.evaluation.suite import Bounds, Estimate, Results, Suite
from negclap.models.encoder import Model
from negclap.progress import Progress
from negclap.storage import folder_of
from negclap.text.probes import Statement
from negclap.text.vocabulary import Vocabulary

_AT_ONCE = 64
_TEXTS_AT_ONCE = 256


class Outcome(NamedTuple):
    """What one way of encoding scores."""

    estimates: dict[str, Estimate]
    results: Results


class Heard(NamedTuple):
    """A split as a model hears it: its exam, the embeddings that answer it, oracle and chance.

    ``unreadable`` are messages of tracks that are not asked about, since they cannot be heard.
    """

    exam: Exam
    audio: Tensor
    twin_audio: Tensor
    bounds: Bounds | None = None
    unreadable: tuple[str, ...] = ()


class Material(NamedTuple):
    """What is asked about: a manifest's tracks and how they are cut.

    Attributes:
        tracks: All splits.
        root: The folder that audio paths are relative to.
        vocabulary: The tags.
        excerpt_s: Seconds from the middle of each track; of shorter ones all that there is.
        seed: Of the questions.
        on_bad_audio: "error" stops at a track that cannot be read, "skip" leaves it out.
    """

    tracks: Tracks
    root: str
    vocabulary: Vocabulary
    excerpt_s: float
    seed: int = 0
    on_bad_audio: OnBadAudio = "error"

    @classmethod
    def read(cls, manifest: Path, excerpt_s: float) -> "Material":
        """The manifest with the ``vocabulary.json`` beside it."""
        root = folder_of(str(manifest))
        return cls(read_manifest(manifest), root, read_vocabulary(manifest), excerpt_s)

    def hear(self, model: Model, split: str, twin_split: str, progress: Progress) -> Heard:
        """Embed a split and its twins."""
        tracks, twins = (self.tracks.split(name) for name in (split, twin_split))
        if not tracks:
            raise InputError(
                f"no track of split {split!r}, there are {sorted(self.tracks.splits())}"
            )
        unreadable: list[str] = []
        heard, audio = self._embed(model, tracks, f"hearing {split}", progress, unreadable)
        if not heard:
            raise InputError(f"no track of split {split!r} can be read, the first: {unreadable[0]}")
        heard_twins, twin_audio = self._embed(
            model, twins, f"hearing {twin_split}", progress, unreadable
        )
        exam = make_exam(heard, heard_twins, self.vocabulary, self.seed)
        return Heard(exam, audio, twin_audio, unreadable=tuple(unreadable))

    def _embed(
        self, model: Model, tracks: Tracks, title: str, progress: Progress, unreadable: list[str]
    ) -> tuple[list[Track], Tensor]:
        """The tracks that could be read, and their embeddings."""
        kept: list[Track] = []
        parts: list[Tensor] = []
        chunks = [tracks[i : i + _AT_ONCE] for i in range(0, len(tracks), _AT_ONCE)]
        for chunk in progress(title, len(chunks), chunks):
            clips = list(self._clips(model.sample_rate, chunk, unreadable))
            kept += [track for track, _ in clips]
            parts += _embed_clips(model, [clip for _, clip in clips])
        return kept, torch.cat(parts) if parts else torch.empty(0, 0)

    def _clips(
        self, sample_rate: int, tracks: Tracks, unreadable: list[str]
    ) -> Iterator[tuple[Track, Samples]]:
        for track in tracks:
            cut = Excerpts(sample_rate, min(self.excerpt_s, track.duration_s), None)
            try:
                yield track, cut.read(self.root, track, 0)
            except AudioError as error:
                message = f"track {track.track_id!r}: {error}"
                if self.on_bad_audio == "error":
                    raise AudioError(message) from None
                unreadable.append(message)


def _embed_clips(model: Model, clips: Sequence[Samples]) -> list[Tensor]:
    """Clips in order; neighbours of the same length together."""
    groups = (list(group) for _, group in groupby(clips, key=len))
    return [
        torch.from_numpy(np.asarray(model.encode_audio(np.stack([*map(as_waveform, group)]))))
        for group in groups
    ]


def texts_of(model: Model) -> EmbedTexts:
    """The model's text encoder on tensors, some texts at a time; its embeddings are checked."""

    def embed(texts: Sequence[str]) -> Tensor:
        chunks = [texts[i : i + _TEXTS_AT_ONCE] for i in range(0, len(texts), _TEXTS_AT_ONCE)]
        parts = [torch.from_numpy(np.array(model.encode_text(chunk))) for chunk in chunks]
        embedded = torch.cat(parts).float()
        check_embeddings("text", embedded)
        return embedded

    return embed


def score(
    suite: Suite, heard: Heard, embed: EmbedTexts, threshold: float = float("nan")
) -> Outcome:
    """Every figure of one way to encode texts.

    Args:
        suite: How it is scored.
        heard: The split as the model hears it.
        embed: Texts to embeddings.
        threshold: "Fits" from this cosine on, chosen on validation; NaN leaves that figure out.
    """
    results = suite.run(heard.exam, heard.audio, heard.twin_audio, _statements(embed), threshold)
    return Outcome(suite.estimates(heard.exam, results, heard.bounds), results)


def tune(method: Method, suite: Suite, validation: Heard, embed: EmbedTexts) -> float:
    """The method's parameter of the best joint@K on validation."""
    one = replace(suite, galleries=1)

    def joint(parameter: float) -> float:
        encoder = embed_with(method, parameter, embed, validation.exam.vocabulary)
        figures = one.understanding(validation.exam, validation.audio, _statements(encoder))
        return figures.get(f"exclusion/joint@{suite.at}", 0.0)

    return max(GRIDS[method], key=joint)


def _statements(embed: EmbedTexts) -> Callable[[Sequence[Statement]], Tensor]:
    return lambda asked: embed([statement.text for statement in asked])
