"""Map-style dataset and the sampling plan.

An item is a pure function of (seed, epoch, track_id): the sampler hands out ``(epoch, index)``
keys, so the epoch reaches persistent workers with the item itself.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch.utils.data import Dataset, Sampler

from negclap.audio import TOLERANCE_S, AudioError, Samples, read_samples
from negclap.data.batch import Clip
from negclap.data.manifest import Track
from negclap.data.tracks import Tracks
from negclap.errors import InputError
from negclap.rng import derive_seed, stream
from negclap.storage import join
from negclap.text.compose import MANY, SEEN, Exclusion, Lexicon, draw_exclusion
from negclap.text.cooccurrence import Cooccurrence
from negclap.text.cues import NOT
from negclap.text.negate import AbsentFrom, insert_negation, negation_levels
from negclap.text.probes import (
    TextKind,
    absence_texts,
    assumed_absent,
    comparable_pairs,
    context,
)
from negclap.text.vocabulary import Vocabulary

Key = tuple[int, int]
"""(epoch, index into the split)."""
Texts = Callable[[int, Track, int], Mapping[str, str]]
"""The texts by role of (index, track, epoch); a pure function."""
OnBadAudio = Literal["error", "skip"]

_MAX_SUBSTITUTES = 20
_ABSENT_TRIED = 24  # of a thousand absent tags, so many are looked at for a pair


@dataclass(frozen=True)
class Insert:
    """Negation insert of training captions (arXiv 2601.13931).

    Attributes:
        p: Probability of an insertion; the paper's best is 0.6.
        absent_from: What the drawn tag must be absent from: "caption" (the paper), "tags", or
            "absent_tags".
    """

    p: float = 0.0
    absent_from: AbsentFrom = "caption"

    def __post_init__(self) -> None:
        """Refuse what is no probability."""
        if not 0.0 <= self.p <= 1.0:
            raise InputError(f"data.insert.p is {self.p}, expected a probability from 0 to 1")


@dataclass(frozen=True)
class Exclude:
    """Exclusion-style captions ("piano, no drums") whose negations are true of the clip.

    Attributes:
        share: Share of the training captions that such a text replaces (positives that negate).
        per_clip: Exclusion-style captions of each clip and step, each with its false forms, for the
            terms that need them. Texts cost little beside audio, and each asks about other tags.
        absent_from: What the negated tags must be absent from: "absent_tags", or "tags" where it
            is not known what a track lacks (nothing related to the track's tags).
        words: What texts have for "there is" and "there is not" a noun: the "seen" cues of the
            benchmark, or "many" more, and more ways to affirm. Neither has held-out cues; from many
            a pretrained text tower learns what cues have in common.
    """

    share: float = 0.0
    per_clip: int = 1
    absent_from: Literal["tags", "absent_tags"] = "absent_tags"
    words: Literal["seen", "many"] = "seen"

    @property
    def lexicon(self) -> Lexicon:
        """The words."""
        return {"seen": SEEN, "many": MANY}[self.words]

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        if not 0.0 <= self.share <= 1.0:
            raise InputError(f"data.exclude.share is {self.share}, expected 0 to 1")
        if self.per_clip < 1:
            raise InputError(f"data.exclude.per_clip is {self.per_clip}, expected at least 1")


@dataclass(frozen=True)
class TrainingTexts:
    """Texts of a training clip: one of its captions, drawn anew each epoch, and what losses need.

    Roles: "caption" is the caption after Negation insert, or an exclusion-style caption in its
    place. On demand, by ``kinds``:

    - "levels": "original" (the caption before the insertion), "half" and "fully" negated; missing
      where the caption names too few tags;
    - "absence": "absence_true" and "absence_false", see `probes.absence_texts`, after up to two
      of the clip's tags; missing where no pair of tags fits;
    - "exclusion": "exclusion 0", "exclusion 1", ...; a clip without any (no tags) has its caption
      there;
    - "falsehoods": the false forms of each exclusion, "denied 0", "affirmed 0", "swapped 0", ....
    """

    vocabulary: Vocabulary
    insert: Insert
    exclude: Exclude
    seed: int
    kinds: frozenset[TextKind]
    cooccurrence: Cooccurrence | None = None

    def __call__(self, index: int, track: Track, epoch: int) -> dict[str, str]:
        """The texts by role."""
        key = f"{self.seed}/{epoch}/{track.track_id}"
        original = stream(key, "caption").choice(track.captions).text
        texts = {"caption": self._caption(original, track, key)}
        if "levels" in self.kinds:
            levels = negation_levels(original, self.vocabulary, f"{key}/levels")
            texts["original"] = original
            texts |= {
                level: negated.text
                for level, negated in (("half", levels.half), ("fully", levels.fully))
                if negated
            }
        if "absence" in self.kinds:
            texts |= self._absence(track, key)
        if "exclusion" in self.kinds:
            for turn in range(self.exclude.per_clip):
                exclusion = self._exclusion(track, f"{key}/{turn}")
                texts[f"exclusion {turn}"] = exclusion.text if exclusion else original
                if exclusion and "falsehoods" in self.kinds:
                    texts |= {f"{kind} {turn}": text for kind, text in exclusion.false.items()}
        return texts

    def _caption(self, original: str, track: Track, key: str) -> str:
        if self.exclude.share and stream(key, "exclude").random() < self.exclude.share:
            exclusion = self._exclusion(track, f"{key}/caption")
            if exclusion:
                return exclusion.text
        return insert_negation(
            original,
            self.vocabulary,
            f"{key}/insert",
            p=self.insert.p,
            absent_from=self.insert.absent_from,
            tags=track.tags,
            absent_tags=track.absent_tags,
            cooccurrence=self.cooccurrence,
        ).text

    def _exclusion(self, track: Track, key: str) -> Exclusion | None:
        absent, lexicon = self._absent(track, key), self.exclude.lexicon
        return draw_exclusion(track.tags, absent, self.vocabulary, key, lexicon)

    def _absence(self, track: Track, key: str) -> dict[str, str]:
        rng = stream(key, "absence")
        absent = sorted(self._absent(track, key))
        some = rng.sample(absent, min(len(absent), _ABSENT_TRIED))
        pairs = list(comparable_pairs(track.tags, some, self.vocabulary))
        if not pairs:
            return {}
        pair = rng.choice(pairs)
        told = context(track.tags, pair, rng.randint(0, 2), self.vocabulary, f"{key}/context")
        cues = self.exclude.lexicon.cues if self._is_noun(pair[0]) else (NOT,)
        cue = rng.choice(cues)
        true, false = absence_texts(told.text, *pair, self.vocabulary, f"{key}/absence", cue)
        return {"absence_true": true, "absence_false": false}

    def _is_noun(self, tag: str) -> bool:
        return self.vocabulary[tag].part_of_speech == "noun"

    def _absent(self, track: Track, key: str) -> Collection[str]:
        if self.exclude.absent_from == "absent_tags":
            return track.absent_tags or ()
        assumed = assumed_absent(track.tags, self.vocabulary)
        return self.cooccurrence.thin(assumed, track.tags, key) if self.cooccurrence else assumed


@dataclass(frozen=True)
class Excerpts:
    """Which part of a track is read.

    Attributes:
        sample_rate: Hz of the waveform that comes out.
        length_s: Seconds of each excerpt.
        seed: Seed of random excerpts; None cuts the middle, always.
    """

    sample_rate: int
    length_s: float
    seed: int | None

    def start_s(self, track: Track, epoch: int) -> float:
        """Where the excerpt begins, in seconds from the beginning of the file."""
        slack = max(0.0, track.duration_s - self.length_s)
        if self.seed is None:
            return track.start_s + slack / 2
        return track.start_s + slack * stream(self.seed, epoch, track.track_id, "excerpt").random()

    def read(self, root: str, track: Track, epoch: int) -> Samples:
        """The samples of the excerpt.

        Raises:
            AudioError: If they cannot be had.
        """
        location = join(root, track.audio)
        return read_samples(location, self.start_s(track, epoch), self.length_s, self.sample_rate)


class ClipDataset(Dataset[Clip]):
    """Clips of one split.

    Args:
        tracks: The tracks.
        root: The folder or URL that their audio is relative to.
        excerpts: Which part is read.
        texts: Their texts.
        on_bad_audio: "error" stops at an unreadable track with its id; "skip" lets another
            track stand in for it (so that batches keep their size on every rank) and
            hands the message on for counting.

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
        self.texts = texts
        self.on_bad_audio = on_bad_audio

    def __len__(self) -> int:
        """Number of tracks."""
        return len(self.tracks)

    def __getitem__(self, key: Key) -> Clip:
        """The clip of ``(epoch, index)``."""
        epoch, index = key
        unreadable: list[str] = []
        for instead in (index, *self._substitutes(epoch, index)):
            try:
                return self._clip(epoch, instead, tuple(unreadable))
            except AudioError as error:
                if self.on_bad_audio == "error":
                    raise
                unreadable.append(str(error))
        raise AudioError(
            f"{len(unreadable)} tracks in a row cannot be read; the last: {unreadable[-1]}"
        )

    def _substitutes(self, epoch: int, index: int) -> Iterator[int]:
        """From anywhere: the neighbours of a track lie in the same shard, which may be missing."""
        others = stream("substitutes", epoch, index).sample(
            range(len(self.tracks)), min(len(self.tracks), _MAX_SUBSTITUTES)
        )
        return (other for other in others if other != index)

    def _clip(self, epoch: int, index: int, unreadable: tuple[str, ...]) -> Clip:
        track = self.tracks[index]
        try:
            waveform = self.excerpts.read(self.root, track, epoch)
        except AudioError as error:
            raise AudioError(f"track {track.track_id!r}: {error}") from None
        texts = self.texts(index, track, epoch)
        return Clip(index, track.track_id, waveform, texts, unreadable)


class PlanSampler(Sampler[Key]):
    """The one sampling plan: which rank sees which item in which order.

    A pure function of (seed, epoch, world size). In training every rank gets equally many items
    and the global batch of step i is the same for any world size with the same global batch size.
    In evaluation nothing is padded or dropped: rank r has the items r, r + world size, ...

    Args:
        n_items: Size of the split.
        batch_size: Items per rank and step.
        rank: This process.
        world_size: Number of processes.
        seed: Order of the items; None keeps the manifest's order and every item.
    """

    def __init__(
        self, n_items: int, batch_size: int, rank: int, world_size: int, seed: int | None
    ) -> None:
        if seed is not None and n_items < batch_size * world_size:
            raise InputError(
                f"{n_items} training tracks do not fill a batch of {batch_size} on {world_size} "
                "processes; lower data.batch_size"
            )
        self.n_items = n_items
        self.batch_size = batch_size
        self.rank = rank
        self.world_size = world_size
        self.seed = seed
        self.epoch = 0
        self.begin = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning at the start of each epoch."""
        if epoch != self.epoch:
            self.epoch, self.begin = epoch, 0

    def begin_at(self, epoch: int, batch: int) -> None:
        """Leave out the first batches if this is the epoch."""
        if epoch == self.epoch:
            self.begin = batch * self.batch_size

    def _order(self) -> list[int]:
        if self.seed is None:
            return list(range(self.rank, self.n_items, self.world_size))
        generator = torch.Generator().manual_seed(derive_seed(self.seed, self.epoch, "order"))
        order = torch.randperm(self.n_items, generator=generator)
        steps = self.n_items // (self.batch_size * self.world_size)
        whole = order[: steps * self.batch_size * self.world_size]
        mine = whole.view(steps, self.world_size, self.batch_size)[:, self.rank]
        return [int(i) for i in mine.flatten()]

    def __iter__(self) -> Iterator[Key]:
        """The keys of this rank's items."""
        epoch = self.epoch
        return ((epoch, index) for index in self._order()[self.begin :])

    def __len__(self) -> int:
        """How many items this rank has in a whole epoch."""
        return len(self._order())
