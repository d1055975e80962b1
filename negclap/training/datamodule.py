"""The LightningDataModule: batches of clips and captions from a manifest."""

from collections.abc import Sequence
from functools import partial
from itertools import islice
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning_utilities.core.rank_zero import rank_zero_warn
from torch import Tensor

from negclap.data.batch import Batch, ClipTexts, Tokenize, collate, stack_waveforms
from negclap.data.dataset import ClipDataset, Excerpts, OnBadAudio, Texts
from negclap.data.loading import PlanLoader, PlanSampler
from negclap.data.manifest import ATTRIBUTE_PREDICTION, Track, reference_caption
from negclap.data.mixes import MixDataset
from negclap.data.stems.mixing import Mixing
from negclap.data.tracks import Tracks, read_manifest, read_vocabulary
from negclap.data.training_texts import Exclude, Insert, TrainingTexts
from negclap.errors import InputError
from negclap.evaluation.exam import Exam, make_exam
from negclap.rng import stream
from negclap.storage import folder_of
from negclap.text.cooccurrence import Cooccurrence
from negclap.text.negate import Unread
from negclap.text.probes import TextKind
from negclap.training.resume import ResumableLoader

_CALIBRATION_CLIPS = 256
_SAMPLED = 2000  # tracks whose captions are measured
_STAGES = {"fit": ("train", "validation"), "validate": ("validation",)}

NO_INSERT = Insert()
DEFAULT_EXCLUDE = Exclude()


class NegClapDataModule(pl.LightningDataModule):
    """Batches of clips and captions for training, validation and test.

    It works without a trainer. In `negclap fit`, the model sets ``sample_rate``, ``tokenize``,
    ``text_kinds`` and ``unread``.

    Args:
        manifest: Path or URL of a manifest (JSONL or Parquet), with ``vocabulary.json`` next to it.
        sample_rate: Sample rate of the waveforms in Hz.
        tokenize: Maps texts to padded tensors ``(n, length)``.
        text_kinds: Kinds of texts to make for training besides the caption (see `TrainingTexts`).
        unread: Returns the end of a text that the model does not read; negations are put before it.
        batch_size: Clips per process and step.
        excerpt_s: Seconds of audio per clip: at random in training, from the middle in evaluation.
        insert: Negation insert.
        exclude: Exclusion captions, and which tags count as absent in the loss terms.
        train_split: Split to train on.
        validation_split: Split to select checkpoints on.
        test_split: Split to test on.
        twin_split: Split with counterfactual twins of test tracks; may be empty.
        num_workers: Number of loader processes.
        on_bad_audio: "error" stops at the first unreadable track, "skip" replaces and counts it.
        max_bad_fraction: With "skip", the largest fraction of a split that may be unreadable.
        seed: Seed of order, excerpts, caption choice and insertions.
        eval_seed: Seed of the exams of validation and test. It is not the training seed, so that
            runs with different seeds can be compared.
        root: Folder or URL that audio paths are relative to; by default that of the manifest.
        mixing: Train on mixes of stems, which are drawn anew in each epoch, instead of on the
            training split. `negclap prepare stems` wrote the folder of the manifest.
        cooccurrence: Where absent tags are unknown, draw a tag as absent less often, the more often
            it occurs with the track's tags in the training split (by lift, from PMI).

    >>> data = NegClapDataModule("data/tiny/manifest.jsonl", 16_000, tokenize, batch_size=4)
    >>> data.setup("fit")
    >>> batch = next(iter(data.train_dataloader()))
    >>> batch.waveform.shape  # four seconds at 16 kHz
    torch.Size([4, 64000])
    """

    def __init__(
        self,
        manifest: str,
        sample_rate: int,
        tokenize: Tokenize,
        text_kinds: frozenset[TextKind] = frozenset(),
        unread: Unread | None = None,
        batch_size: int = 128,
        excerpt_s: float = 4.0,
        insert: Insert = NO_INSERT,
        exclude: Exclude = DEFAULT_EXCLUDE,
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
        mixing: Mixing | None = None,
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
        self.sample_rate = sample_rate
        self.tokenize = tokenize
        self.text_kinds = text_kinds
        self.unread = unread
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
        self.mixing = mixing
        self.datasets: dict[str, ClipDataset | MixDataset] = {}
        self.exams: dict[str, Exam] = {}

    def setup(self, stage: str) -> None:
        """Read the manifest and make the datasets that the stage needs.

        Raises:
            InputError: On a bad manifest or vocabulary, or a split without tracks.
        """
        wanted = _STAGES.get(stage, ("test",))
        if all(name in self.datasets for name in wanted):
            return
        tracks = read_manifest(self.manifest)
        self.vocabulary = read_vocabulary(self.manifest)
        for name in wanted:
            if name == "train" and self.mixing:
                self.datasets[name] = self._mixes(self.mixing)
            else:
                self._make_dataset(name, tracks.split(self.splits[name]), tracks)

    def _mixes(self, mixing: Mixing) -> MixDataset:
        if self.cooccurrence:
            raise InputError(
                "data.cooccurrence needs a training split, but data.mixing draws mixes"
            )
        options = self.insert, self.exclude, self.seed, self.text_kinds
        texts = TrainingTexts(self.vocabulary, *options, None, self.unread)
        folder, split = Path(self.root), self.splits["train"]
        excerpts = Excerpts(self.sample_rate, self.excerpt_s, self.seed)
        return MixDataset(folder, split, self.vocabulary, mixing, excerpts, texts)

    def _make_dataset(self, name: str, tracks: Tracks, all_tracks: Tracks) -> None:
        if not tracks:
            raise InputError(
                f"{self.manifest}: no track of split {self.splits[name]!r}, "
                f"expected one of {sorted(all_tracks.splits())}"
            )
        if bad := tracks.without_caption():
            raise InputError(f"{self.manifest}: track {bad[0].track_id!r} has no caption")
        if name == "train":
            self._check_absence(tracks)
            self._check_captions(tracks)
            self._count_unread(tracks)
            self.datasets[name] = self._dataset(tracks, self._training_texts(tracks), self.seed)
            return
        twins = all_tracks.split(self.twin_split) if name == "test" else all_tracks[:0]
        self.datasets[name] = self._dataset(tracks, _caption, None)
        self.exams[name] = self._exam(name, tracks, twins)
        if name == "test":
            self.datasets["twins"] = self._dataset(twins, _caption, None)

    def _dataset(self, tracks: Tracks, texts: Texts, seed: int | None) -> ClipDataset:
        excerpts = Excerpts(self.sample_rate, self.excerpt_s, seed)
        return ClipDataset(tracks, self.root, excerpts, texts, self.on_bad_audio)

    def _training_texts(self, tracks: Tracks) -> TrainingTexts:
        counts = None
        if self.cooccurrence:
            counts = Cooccurrence.count(tracks.column("tags").to_pylist(), self.vocabulary)
        options = self.insert, self.exclude, self.seed, self.text_kinds
        return TrainingTexts(self.vocabulary, *options, counts, self.unread)

    def exam_of(self, name: str, rows: Sequence[int], twin_rows: Sequence[int] = ()) -> Exam:
        """Return the exam about some rows of a split and of its twins: the readable tracks."""
        exam = self.exams[name]
        if (len(rows), len(twin_rows)) == (len(exam.tracks), len(exam.twin_tracks)):
            return exam
        tracks = [self._evaluated(name).tracks[row] for row in rows]
        twins = [self._evaluated("twins").tracks[row] for row in twin_rows]
        return self._exam(name, tracks, twins)

    def _evaluated(self, name: str) -> ClipDataset:
        dataset = self.datasets[name]
        assert isinstance(dataset, ClipDataset)
        return dataset

    def _exam(self, name: str, tracks: Sequence[Track], twins: Sequence[Track]) -> Exam:
        by_cue = name == "test"
        return make_exam(tracks, twins, self.vocabulary, self.eval_seed, by_cue=by_cue)

    def _check_absence(self, tracks: Tracks) -> None:
        """Reject tracks with unknown absent tags if training texts need them."""
        kinds = self.text_kinds
        needed = {
            "data.insert": self.insert.p and self.insert.absent_from == "absent_tags",
            "data.exclude": (self.exclude.share or kinds & {"absence", "exclusion"})
            and self.exclude.absent_from == "absent_tags",
        }
        unknown = tracks.with_unknown_absence()
        for option in (name for name, needs in needed.items() if needs and unknown):
            raise InputError(
                f"{self.manifest}: {option}.absent_from is 'absent_tags', but track "
                f"{unknown[0].track_id!r} has absent_tags null (unknown); set it to 'tags'"
            )

    def _check_captions(self, tracks: Tracks) -> None:
        """Reject captions with predicted attributes if training negates captions."""
        negating = self.insert.p or self.exclude.share or self.text_kinds
        if negating and (bad := tracks.with_caption_kind(ATTRIBUTE_PREDICTION)):
            raise InputError(
                f"{self.manifest}: track {bad[0].track_id!r} has a caption of kind "
                f"{ATTRIBUTE_PREDICTION!r}, whose attributes may be false, so it cannot be "
                "negated; prepare the data without such captions"
            )

    def _count_unread(self, tracks: Tracks) -> None:
        """Warn if captions are longer than what the model reads; a sample of them is looked at."""
        if self.unread is None:
            return
        rows = stream("unread captions").sample(range(len(tracks)), min(len(tracks), _SAMPLED))
        captions = [caption.text for row in rows for caption in tracks[row].captions]
        cut = sum(bool(self.unread(caption)) for caption in captions)
        if cut:
            rank_zero_warn(
                f"{cut} of {len(captions)} captions of {len(rows)} training tracks are longer than "
                "what the model reads (max_tokens of its text encoder); their ends are not used"
            )

    @property
    def batches_per_epoch(self) -> int:
        """Training batches per epoch and process."""
        _, world_size = self._processes()
        return len(self.datasets["train"]) // (self.batch_size * world_size)

    def _processes(self) -> tuple[int, int]:
        """Return the rank of this process and the number of processes."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _loader(self, name: str) -> PlanLoader:
        dataset = self.datasets[name]
        seed = self.seed if name == "train" else None
        sampler = PlanSampler(len(dataset), self.batch_size, *self._processes(), seed)
        if self.trainer:  # in a resumed run, loading starts before Lightning sets the epoch
            sampler.set_epoch(self.trainer.current_epoch)
        make_batch = partial(collate, tokenize=self.tokenize)
        if name == "train" and self.trainer:
            loader = ResumableLoader.of(dataset, sampler, self.num_workers, make_batch)
            loader.progress = self.trainer.fit_loop.epoch_loop.batch_progress.current
            return loader
        return PlanLoader.of(dataset, sampler, self.num_workers, make_batch)

    def train_dataloader(self) -> PlanLoader:
        """Return the loader of shuffled, full training batches."""
        return self._loader("train")

    def val_dataloader(self) -> PlanLoader:
        """Return the loader of all validation tracks, each once over all processes."""
        return self._loader("validation")

    def test_dataloader(self) -> list[PlanLoader]:
        """Return the loaders of all test tracks, each once over all processes, and of the twins."""
        return [self._loader(name) for name in ("test", "twins") if len(self.datasets[name])]

    def predict_dataloader(self) -> PlanLoader:
        """Return the loader of all test tracks, each once over all processes."""
        return self._loader("test")

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        """Move a batch to a device."""
        return batch.to(device, non_blocking=True)

    def calibration_waveforms(self) -> Tensor:
        """Return ``(n, samples)`` training excerpts for input statistics, the same on all ranks."""
        dataset = self.datasets["train"]
        sampler = PlanSampler(len(dataset), 1, 0, 1, self.seed)
        return stack_waveforms([dataset[key] for key in islice(sampler, _CALIBRATION_CLIPS)])


def _caption(track: Track, epoch: int) -> ClipTexts:
    return ClipTexts(reference_caption(track))
