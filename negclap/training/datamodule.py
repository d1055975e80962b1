"""The LightningDataModule: streams clips and captions, with Negation insert on the fly."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from negclap.data.batch import Batch, Clip, collate, stack_waveforms
from negclap.data.dataset import (
    ClipDataset,
    Excerpts,
    Exclude,
    Insert,
    OnBadAudio,
    PlanSampler,
    Texts,
    TrainingTexts,
)
from negclap.data.manifest import INVENTED, Track, first_told
from negclap.data.tracks import Tracks, read_manifest, read_vocabulary
from negclap.errors import InputError
from negclap.evaluation.exam import Exam
from negclap.evaluation.exams import make_exam
from negclap.storage import folder_of
from negclap.text.cooccurrence import Cooccurrence
from negclap.text.probes import Probe, TextKind

_CALIBRATION_CLIPS = 256


class NegClapDataModule(pl.LightningDataModule):
    """Clips, captions and probes of a manifest.

    Sample rate and tokenizer are the model's; the module that is trained is asked for them.

    Args:
        manifest: Manifest (JSONL or Parquet), a path or a URL; ``vocabulary.json`` lies beside it.
        batch_size: Clips per process and step.
        excerpt_s: Seconds of audio per clip: random in training, the middle in evaluation.
        insert: Negation insert.
        exclude: Exclusion-style captions, and what is taken as absent by all losses but insert.
        train_split: Name of the split that is trained on.
        validation_split: Name of the split that checkpoints are selected on.
        test_split: Name of the split that is tested on.
        twin_split: Name of the split with counterfactual twins of test tracks; may be empty.
        num_workers: Loader processes.
        on_bad_audio: "error" stops at the first unreadable track, "skip" counts and replaces it.
        max_bad_fraction: With "skip", the largest share of a split that may be unreadable.
        seed: Order, excerpts, caption choice and insertions.
        eval_seed: Probes of validation and test; not the training seed, so that runs compare.
        root: Folder or URL that audio is relative to; empty means the manifest's.
        cooccurrence: Where it is not known what tracks lack: draw a tag as absent the less often,
            the more it goes with the track's tags in the training split (by lift, from PMI).
    """

    def __init__(
        self,
        manifest: str,
        batch_size: int = 128,
        excerpt_s: float = 4.0,
        insert: Insert = Insert(),  # noqa: B008  # frozen, safe to share
        exclude: Exclude = Exclude(),  # noqa: B008  # frozen, safe to share
        train_split: str = "train",
        validation_split: str = "validation",
        test_split: str = "test",
        twin_split: str = "test_twin",
        num_workers: int = 2,
        on_bad_audio: OnBadAudio = "error",
        max_bad_fraction: float = 0.01,
        seed: int = 0,
        eval_seed: int = 0,
        root: str = "",
        cooccurrence: bool = False,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise InputError(f"data.batch_size is {batch_size}, expected at least 1")
        if excerpt_s <= 0:
            raise InputError(
                f"data.excerpt_s is {excerpt_s}, expected a positive number of seconds"
            )
        if num_workers < 0:
            raise InputError(f"data.num_workers is {num_workers}, expected at least 0")
        if not 0 <= max_bad_fraction < 1:
            raise InputError(f"data.max_bad_fraction is {max_bad_fraction}, expected 0 to below 1")
        self.manifest = str(manifest)
        self.root = root or folder_of(self.manifest)
        self.batch_size = batch_size
        self.excerpt_s = excerpt_s
        self.insert = insert
        self.exclude = exclude
        self.splits = {"train": train_split, "validation": validation_split, "test": test_split}
        self.num_workers = num_workers
        self.on_bad_audio: OnBadAudio = on_bad_audio
        self.max_bad_fraction = max_bad_fraction
        self.seed = seed
        self.eval_seed = eval_seed
        self.twin_split = twin_split
        self.cooccurrence = cooccurrence
        self.datasets: dict[str, ClipDataset] = {}
        self.exams: dict[str, Exam] = {}

    def setup(self, stage: str) -> None:
        """Read the manifest and make the datasets that the stage needs.

        Raises:
            InputError: On a bad manifest or vocabulary, or a split without tracks.
        """
        wanted = {"fit": ("train", "validation"), "validate": ("validation",)}.get(stage, ("test",))
        if all(name in self.datasets for name in wanted):
            return
        tracks = read_manifest(self.manifest)
        self.vocabulary = read_vocabulary(self.manifest)
        for name in wanted:
            self._make_dataset(name, tracks.split(self.splits[name]), tracks)

    def _make_dataset(self, name: str, tracks: Tracks, every: Tracks) -> None:
        if not tracks:
            raise InputError(
                f"{self.manifest}: no track of split {self.splits[name]!r}, "
                f"there are {sorted(every.splits())}"
            )
        if mute := tracks.without_caption():
            raise InputError(f"{self.manifest}: track {mute[0].track_id!r} has no caption")
        module: Any = self.trainer.lightning_module if self.trainer else None
        if module is None:
            raise InputError("the data module needs a trainer with a NegClapModule")
        if name == "train":
            self._check_absence(tracks, module.text_kinds)
            self._check_captions(tracks, module.text_kinds)
        sample_rate = module.model.audio_encoder.sample_rate
        if name == "train":
            together = self._count_together(tracks) if self.cooccurrence else None
            training_texts = TrainingTexts(
                self.vocabulary, self.insert, self.exclude, self.seed, module.text_kinds, together
            )
            excerpts = Excerpts(sample_rate, self.excerpt_s, self.seed)
            self.datasets[name] = ClipDataset(
                tracks, self.root, excerpts, training_texts, self.on_bad_audio
            )
            return
        texts: Texts = _original_text
        if name == "test":
            twins = every.split(self.twin_split)
            self.datasets["twins"] = self._evaluation_set(twins, texts, sample_rate)
        self.datasets[name] = self._evaluation_set(tracks, texts, sample_rate)
        self.exams[name] = self._exam(name, tracks, twins if name == "test" else ())
        if name == "validation":
            self.datasets[name].texts = partial(_probe_texts, self.exams[name].probes)

    def _evaluation_set(self, tracks: Tracks, texts: Texts, sample_rate: int) -> ClipDataset:
        excerpts = Excerpts(sample_rate, self.excerpt_s, None)
        return ClipDataset(tracks, self.root, excerpts, texts, self.on_bad_audio)

    def exam_of(self, name: str, rows: Sequence[int], twin_rows: Sequence[int] = ()) -> Exam:
        """The exam of these rows of a split and of the twins: of what could be read."""
        exam = self.exams[name]
        if len(rows) == len(exam.tracks) and len(twin_rows) == len(exam.twin_tracks):
            return exam
        tracks = [self.datasets[name].tracks[row] for row in rows]
        twins = [self.datasets["twins"].tracks[row] for row in twin_rows]
        return self._exam(name, tracks, twins)

    def _exam(self, name: str, tracks: Sequence[Track], twins: Sequence[Track]) -> Exam:
        """A validation is asked neither about twins nor by cue."""
        testing = name == "test"
        return make_exam(tracks, twins, self.vocabulary, self.eval_seed, by_cue=testing)

    def _check_absence(self, tracks: Tracks, kinds: frozenset[TextKind]) -> None:
        """Refuse tracks that do not say what they lack where training texts rely on it."""
        relying = {
            "data.insert": self.insert.p and self.insert.absent_from == "absent_tags",
            "data.exclude": (self.exclude.share or kinds & {"absence", "exclusion"})
            and self.exclude.absent_from == "absent_tags",
        }
        unknown = tracks.of_unknown_absence()
        for option in (name for name, relies in relying.items() if relies and unknown):
            raise InputError(
                f"{self.manifest}: {option}.absent_from is 'absent_tags', but track "
                f"{unknown[0].track_id!r} does not say what it lacks"
            )

    def _check_captions(self, tracks: Tracks, kinds: frozenset[TextKind]) -> None:
        """Refuse captions that invent where training negates what captions say."""
        negating = self.insert.p or self.exclude.share or kinds
        for track in tracks.with_caption_of(INVENTED)[:1] if negating else ():
            raise InputError(
                f"{self.manifest}: track {track.track_id!r} has a caption of kind {INVENTED!r}, "
                "which invents attributes: no truth for negation; prepare the set without them"
            )

    def _count_together(self, tracks: Tracks) -> Cooccurrence:
        return Cooccurrence.count(tracks.column("tags").to_pylist(), self.vocabulary)

    @property
    def batches_per_epoch(self) -> int:
        """Training steps of an epoch."""
        assert self.trainer is not None
        return len(self.datasets["train"]) // (self.batch_size * self.trainer.world_size)

    def _loader(self, name: str) -> DataLoader[Clip]:
        dataset = self.datasets[name]
        training = name == "train"
        assert self.trainer is not None  # setup has checked it
        sampler = PlanSampler(
            len(dataset),
            self.batch_size,
            self.trainer.global_rank,
            self.trainer.world_size,
            self.seed if training else None,
        )
        sampler.set_epoch(
            self.trainer.current_epoch
        )  # a resumed run prefetches before Lightning does
        module: Any = self.trainer.lightning_module
        kind = partial(_TrainingLoader, self.trainer) if training else DataLoader
        return kind(
            dataset,
            batch_size=self.batch_size,
            sampler=sampler,
            num_workers=self.num_workers,
            collate_fn=partial(collate, tokenize=module.model.text_encoder.tokenize),
            persistent_workers=training and self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    def train_dataloader(self) -> DataLoader[Clip]:
        """Shuffled, whole batches."""
        return self._loader("train")

    def val_dataloader(self) -> DataLoader[Clip]:
        """Every validation track once over all ranks."""
        return self._loader("validation")

    def test_dataloader(self) -> list[DataLoader[Clip]]:
        """Every test track once over all ranks; then the twins, if there are any."""
        return [self._loader(name) for name in ("test", "twins") if len(self.datasets[name])]

    def predict_dataloader(self) -> DataLoader[Clip]:
        """The test split again."""
        return self._loader("test")

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        """Move a batch."""
        return batch.to(device, non_blocking=True)

    def calibration_waveforms(self) -> Tensor:
        """``(n, samples)`` training excerpts to fit statistics on, the same on every rank."""
        dataset = self.datasets["train"]
        sampler = PlanSampler(len(dataset), 1, 0, 1, self.seed)
        keys = [key for key, _ in zip(sampler, range(_CALIBRATION_CLIPS), strict=False)]
        return stack_waveforms([dataset[key] for key in keys])


class _TrainingLoader(DataLoader[Clip]):
    """Goes on in the middle of an epoch: Lightning keeps its state in checkpoints."""

    def __init__(self, trainer: pl.Trainer, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._progress = trainer.fit_loop.epoch_loop.batch_progress.current

    def state_dict(self) -> dict[str, int]:
        """Batches that were trained on; some more may have been loaded ahead."""
        assert isinstance(self.sampler, PlanSampler)
        return {"epoch": self.sampler.epoch, "batches": self._progress.ready, **self._batch()}

    def _batch(self) -> dict[str, int]:
        assert isinstance(self.sampler, PlanSampler)
        return {"batch_size": self.sampler.batch_size, "processes": self.sampler.world_size}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on behind them; with other batches some tracks would be heard twice, or never."""
        assert isinstance(self.sampler, PlanSampler)
        was = {name: state.get(name, given) for name, given in self._batch().items()}
        if was != self._batch():
            raise InputError(
                f"the checkpoint is from the middle of an epoch with {was}, this run has "
                f"{self._batch()}; go on with the same, or raise model.micro_batch_size"
            )
        self.sampler.begin_at(state["epoch"], state["batches"])


def _probe_texts(probes: Sequence[Probe], index: int, track: Track, epoch: int) -> dict[str, str]:
    return {role: statement.text for role, statement in probes[index].items()}


def _original_text(index: int, track: Track, epoch: int) -> dict[str, str]:
    return {"original": first_told(track)}
