"""The LightningDataModule of teaching: lessons, which are texts without music."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as pl
import torch
from torch import Tensor

from negclap.data.batch import Tokenize
from negclap.data.dataset import Items, Key
from negclap.data.loading import PlanLoader, PlanSampler
from negclap.data.tables import Rejection, read_csv, read_lines
from negclap.data.tracks import read_manifest, read_vocabulary
from negclap.errors import InputError
from negclap.text.lesson_parts import Words
from negclap.text.lessons import Lesson, LessonPlan
from negclap.text.tag_list import read_tag_list
from negclap.text.vocabulary import Vocabulary, music_vocabulary
from negclap.text.wordings import HELD_OUT, families
from negclap.training.resume import ResumableLoader

UNSEEN = ("zero", "skip", "nothing", "refuse")
"""Families of denials that are only validated on, by default."""


class LessonBatch(NamedTuple):
    """Tokenized lessons, and their ``(b,)`` rows among all lessons of the split."""

    tokens: dict[str, Tensor]
    rows: Tensor


@dataclass(frozen=True)
class _Rows(Items):
    """The lessons of a split as items (row, lesson)."""

    lessons: list[Lesson]

    def __getitem__(self, key: Key) -> tuple[int, Lesson]:
        return key[1], self.lessons[key[1]]

    def __len__(self) -> int:
        return len(self.lessons)


class LessonDataModule(pl.LightningDataModule):
    """A finite pool of lessons to train on, and other lessons to validate on.

    Args:
        tokenize: Maps texts to padded tensors ``(n, length)``; in teaching, the student's.
        vocabulary: File of tags: ``vocabulary.json`` of a prepared set, or one tag a line. By
            default that of the manifest, if captions come from one, or else a general one of music.
        captions: File of captions: a manifest (``.jsonl``, ``.parquet``; its training split), a
            CSV, or one caption a line.
        caption_column: Column of the captions in a CSV.
        lessons: Number of lessons to train on.
        validation_lessons: Number of lessons to validate on.
        batch_size: Lessons per process and step.
        words: Cues that lessons use: "all", "many", or the benchmark's "seen" ones.
        held_out: Families of denials (see `negclap.text.wordings`) that no lesson uses.
        unseen: Further families that only validation uses.
        held_out_tags: Tags that only validation denies.
        seed: Seed of the lessons and their order.
    """

    def __init__(
        self,
        tokenize: Tokenize,
        vocabulary: str = "",
        captions: str = "",
        caption_column: str = "caption",
        lessons: int = 40_000,
        validation_lessons: int = 1_024,
        batch_size: int = 64,
        words: Words = "all",
        held_out: tuple[str, ...] = HELD_OUT,
        unseen: tuple[str, ...] = UNSEEN,
        held_out_tags: tuple[str, ...] = (),
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value in {
            "lessons": lessons,
            "validation_lessons": validation_lessons,
            "batch_size": batch_size,
        }.items():
            if value < 1:
                raise InputError(f"data.{name} is {value}, expected at least 1")
        self.tokenize = tokenize
        self.vocabulary_file = vocabulary
        self.captions_file = captions
        self.caption_column = caption_column
        self.n_lessons = lessons
        self.n_validation = validation_lessons
        self.batch_size = batch_size
        self.words: Words = words
        self.held_out = held_out
        self.unseen = unseen
        self.held_out_tags = held_out_tags
        self.seed = seed
        self.lessons: dict[str, list[Lesson]] = {}

    def setup(self, stage: str) -> None:
        """Draw the lessons.

        Raises:
            InputError: If a file cannot be read, or no lessons can be drawn from it.
        """
        if self.lessons:
            return
        self.vocabulary, captions = read_words(
            self.vocabulary_file, self.captions_file, self.caption_column
        )
        held_out = {*self.held_out, *self.unseen}
        plan = partial(LessonPlan, self.vocabulary, captions, self.words)
        try:
            train = plan(tuple(sorted(held_out)), self.held_out_tags, f"{self.seed}")
        except InputError as error:
            files = [self.vocabulary_file, self.captions_file]
            raise InputError(": ".join([*filter(None, files), str(error)])) from None
        self.lessons["train"] = [train(number) for number in range(self.n_lessons)]
        known = plan(tuple(sorted(held_out)), (), f"{self.seed}/known")
        unseen = plan(tuple(sorted({*families()} - {*self.unseen})), (), f"{self.seed}/unseen")
        half = self.n_validation // 2
        self.lessons["validation"] = [
            *(known(number) for number in range(self.n_validation - half)),
            *(unseen(number) for number in range(half if self.unseen else 0)),
        ]

    @property
    def batches_per_epoch(self) -> int:
        """Training batches per epoch and process."""
        world_size = self.trainer.world_size if self.trainer else 1
        return len(self.lessons["train"]) // (self.batch_size * world_size)

    def train_dataloader(self) -> PlanLoader:
        """Return the loader of shuffled, full training batches."""
        loader = ResumableLoader.of(*self._parts("train", self.seed))
        if self.trainer:
            loader.progress = self.trainer.fit_loop.epoch_loop.batch_progress.current
        return loader

    def val_dataloader(self) -> PlanLoader:
        """Return the loader of all validation lessons, each once over all processes."""
        return PlanLoader.of(*self._parts("validation", None))

    def _parts(self, name: str, seed: int | None) -> tuple[Any, PlanSampler, int, Any]:
        """Return dataset, sampler, number of workers (texts are cheap) and collation."""
        lessons = self.lessons[name]
        processes = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        sampler = PlanSampler(len(lessons), self.batch_size, *processes, seed)
        if self.trainer:  # in a resumed run, loading starts before Lightning sets the epoch
            sampler.set_epoch(self.trainer.current_epoch)
        return _Rows(lessons), sampler, 0, self._collate

    def _collate(self, items: list[tuple[int, Lesson]]) -> LessonBatch:
        rows, lessons = zip(*items, strict=True)
        return LessonBatch(self.tokenize([one.text for one in lessons]), torch.tensor(rows))


def read_words(vocabulary: str, captions: str, column: str) -> tuple[Vocabulary, tuple[str, ...]]:
    """Return the vocabulary and the captions of files; see `LessonDataModule`.

    Raises:
        InputError: If a file cannot be read.
    """
    path = Path(captions)
    if captions and not path.is_file():
        raise InputError(f"{path}: no such file of captions")
    from_manifest = path.suffix in (".jsonl", ".parquet") and bool(captions)
    if vocabulary:
        tags = _read_vocabulary(Path(vocabulary))
    else:
        tags = read_vocabulary(captions) if from_manifest else music_vocabulary()
    if not captions:
        return tags, ()
    if from_manifest:
        tracks = read_manifest(captions).split("train")
        texts = [caption.text for track in tracks for caption in track.captions]
    elif path.suffix == ".csv":
        texts = list(_column(path, column))
    else:
        texts = read_lines(path)
    return tags, tuple(dict.fromkeys(texts))


def _read_vocabulary(path: Path) -> Vocabulary:
    if path.suffix == ".json":
        return Vocabulary.load(path)
    return read_tag_list(dict.fromkeys(read_lines(path), 1)).vocabulary


def _column(path: Path, column: str) -> Iterator[str]:
    for row in read_csv(path, (column,)):
        if isinstance(row, Rejection):
            raise InputError(f"{row.place}: {row.reason} ({row.detail})")
        yield row.values[column]
