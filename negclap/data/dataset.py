"""The clips of a split as a map-style dataset; items are pure functions of (seed, epoch, track)."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from torch.utils.data import Dataset

from negclap.audio import TOLERANCE_S, Allocate, AudioError, Samples, read_samples
from negclap.data.batch import Clip, ClipTexts
from negclap.data.manifest import Track
from negclap.data.tracks import Tracks
from negclap.errors import InputError
from negclap.rng import stream
from negclap.storage import join

Key = tuple[int, int]
"""(epoch, index into the split); the epoch reaches persistent workers with the key."""
Texts = Callable[[Track, int], ClipTexts]
"""The texts of (track, epoch); a pure function."""
OnBadAudio = Literal["error", "skip"]

_MAX_SUBSTITUTES = 20


class Items(Dataset[Any], ABC):
    """A dataset whose items have keys (epoch, index), and are pure functions of them.

    Attributes:
        samples: Samples of an item's waveform. If it is not 0, items are `Clip`s.
    """

    samples: int = 0

    def fetch(self, keys: Sequence[Key], empty: Allocate) -> Iterator[Any]:
        """Yield the items of a batch.

        A waveform may be the whole array that ``empty`` returned. The next item's call may return
        the same memory, so a waveform must be stored before the next item is fetched.
        """
        return (self[key] for key in keys)

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of items of an epoch."""


@dataclass(frozen=True)
class Excerpts:
    """Which part of a track to read: ``length_s`` seconds, resampled to ``sample_rate`` Hz.

    ``seed`` draws random excerpts; None always takes the middle.
    """

    sample_rate: int
    length_s: float
    seed: int | None

    @property
    def samples(self) -> int:
        """Number of samples."""
        return round(self.length_s * self.sample_rate)

    def start_s(self, track: Track, epoch: int) -> float:
        """Return the start of the excerpt, in seconds from the start of the file."""
        slack = max(0.0, track.duration_s - self.length_s)
        if self.seed is None:
            return track.start_s + slack / 2
        return track.start_s + slack * stream(self.seed, epoch, track.track_id, "excerpt").random()

    def read(self, root: str, track: Track, epoch: int, empty: Allocate = np.empty) -> Samples:
        """Read the samples of the excerpt, like `read_samples`; may raise an `AudioError`."""
        start_s = self.start_s(track, epoch)
        return read_samples(
            join(root, track.audio), start_s, self.length_s, self.sample_rate, empty
        )


class ClipDataset(Items):
    """The clips of one split.

    Args:
        tracks: The tracks.
        root: Folder or URL that audio paths are relative to.
        excerpts: Which part of a track to read.
        texts: The texts of a track.
        on_bad_audio: "error" raises an error about an unreadable track; "skip" replaces it by
            another one, so that batches keep their size on every rank, and records the message.

    Raises:
        InputError: If a track is shorter than the excerpt.
    """

    def __init__(
        self,
        tracks: Tracks,
        root: str,
        excerpts: Excerpts,
        texts: Texts,
        on_bad_audio: OnBadAudio = "error",
    ) -> None:
        for track in tracks.shorter_than(excerpts.length_s - TOLERANCE_S)[:1]:
            raise InputError(
                f"track {track.track_id!r} lasts {track.duration_s} s, "
                f"shorter than the excerpts of {excerpts.length_s} s"
            )
        self.tracks = tracks
        self.root = root
        self.excerpts = excerpts
        self.samples = excerpts.samples
        self.texts = texts
        self.on_bad_audio = on_bad_audio

    def __len__(self) -> int:
        """Return the number of tracks."""
        return len(self.tracks)

    def __getitem__(self, key: Key) -> Clip:
        """Return the clip of ``(epoch, index)``."""
        return next(self.fetch([key], np.empty))

    def fetch(self, keys: Sequence[Key], empty: Allocate) -> Iterator[Clip]:
        """Yield the clips of a batch; see `Items`."""
        # All texts come first, because a decoder empties the caches that they are made in.
        for key, (track, texts) in zip(keys, [self._describe(*key) for key in keys], strict=True):
            yield self._clip(key, track, texts, empty)

    def _describe(self, epoch: int, index: int) -> tuple[Track, ClipTexts]:
        track = self.tracks[index]
        return track, self.texts(track, epoch)

    def _clip(self, key: Key, track: Track, texts: ClipTexts, empty: Allocate) -> Clip:
        epoch, index = key
        try:
            return self._read(key, track, texts, empty)
        except AudioError as error:
            if self.on_bad_audio == "error":
                raise
            unreadable = [str(error)]
        for instead in self._substitutes(epoch, index):
            try:
                clip = self._read((epoch, instead), *self._describe(epoch, instead), empty)
            except AudioError as error:
                unreadable.append(str(error))
            else:
                return replace(clip, unreadable=tuple(unreadable))
        raise AudioError(
            f"{len(unreadable)} tracks in a row cannot be read; the last: {unreadable[-1]}"
        )

    def _substitutes(self, epoch: int, index: int) -> list[int]:
        """Draw from the whole split: the neighbours of a track may be in the same missing shard."""
        count = min(len(self), _MAX_SUBSTITUTES)
        others = stream("substitutes", epoch, index).sample(range(len(self)), count)
        return [other for other in others if other != index]

    def _read(self, key: Key, track: Track, texts: ClipTexts, empty: Allocate) -> Clip:
        epoch, index = key
        try:
            waveform = self.excerpts.read(self.root, track, epoch, empty)
        except AudioError as error:
            raise AudioError(f"track {track.track_id!r}: {error}") from None
        return Clip(index, track.track_id, waveform, texts)
