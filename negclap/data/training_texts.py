"""The texts of training clips: captions with Negation insert, and what the loss terms need."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from negclap.data.batch import ClipTexts, ExclusionTexts
from negclap.data.manifest import Track
from negclap.errors import InputError
from negclap.rng import stream
from negclap.text.compose import MANY, SEEN, Exclusion, Lexicon, draw_exclusion
from negclap.text.cooccurrence import Cooccurrence
from negclap.text.cues import NOT
from negclap.text.negate import AbsentFrom, Unread, insert_negation, negation_levels, read_part
from negclap.text.probes import (
    TextKind,
    absence_texts,
    assumed_absent,
    comparable_pairs,
    context,
)
from negclap.text.vocabulary import Vocabulary

_ABSENT_TRIED = 24  # of a thousand absent tags, only this many are searched for a pair


@dataclass(frozen=True)
class Insert:
    """Negation insert of training captions (arXiv 2601.13931).

    Attributes:
        p: Probability of an insertion; the paper's best is 0.6.
        absent_from: Where the drawn tag must be absent: "caption" (the paper), "tags", or
            "absent_tags".
    """

    p: float = 0.0
    absent_from: AbsentFrom = "caption"

    def __post_init__(self) -> None:
        """Check the probability."""
        if not 0.0 <= self.p <= 1.0:
            raise InputError(f"data.insert.p is {self.p}, expected a probability from 0 to 1")


@dataclass(frozen=True)
class Exclude:
    """Exclusion captions ("piano, no drums") whose negations are true of the clip.

    Attributes:
        share: Share of training captions that an exclusion caption replaces.
        per_clip: Exclusion captions per clip and step, for the loss terms that need them. Texts
            are cheap next to audio, and each caption is about other tags.
        absent_from: Where the negated tags must be absent: "absent_tags", or "tags" if absent
            tags are unknown (then nothing related to the track's tags is negated).
        words: The vocabulary of negation and affirmation: the benchmark's "seen" cues, or "many"
            more cues and affirmations. Neither contains held-out cues. From many cues a pretrained
            text encoder learns what cues have in common.
    """

    share: float = 0.0
    per_clip: int = 1
    absent_from: Literal["tags", "absent_tags"] = "absent_tags"
    words: Literal["seen", "many"] = "seen"

    @property
    def lexicon(self) -> Lexicon:
        """The lexicon that `words` names."""
        return {"seen": SEEN, "many": MANY}[self.words]

    def __post_init__(self) -> None:
        """Check share and count."""
        if not 0.0 <= self.share <= 1.0:
            raise InputError(f"data.exclude.share is {self.share}, expected 0 to 1")
        if self.per_clip < 1:
            raise InputError(f"data.exclude.per_clip is {self.per_clip}, expected at least 1")


@dataclass(frozen=True)
class TrainingTexts:
    """Draw the texts of a training clip: a pure function of (seed, epoch, track).

    The caption is one of the track's, drawn again each epoch, after Negation insert; or an
    exclusion caption instead (`Exclude.share`). ``kinds`` are the texts to make besides it:

    - "levels": the original, half and fully negated caption; a level is missing if the caption
      has too few tags;
    - "absence": a true and a false negation (`probes.absence_texts`) after up to two of the
      track's tags; missing if no pair of tags is comparable;
    - "exclusion": `Exclude.per_clip` exclusion captions; the original caption for a track that
      has none, because it has no tags, say;
    - "falsehoods": the false forms of the exclusion captions.

    Of a long caption only what the model reads is used: all but what ``unread`` returns.
    """

    vocabulary: Vocabulary
    insert: Insert
    exclude: Exclude
    seed: int
    kinds: frozenset[TextKind]
    cooccurrence: Cooccurrence | None = None
    unread: Unread | None = None

    def __call__(self, track: Track, epoch: int) -> ClipTexts:
        """Draw the texts of a track in an epoch."""
        key = f"{self.seed}/{epoch}/{track.track_id}"
        original = stream(key, "caption").choice(track.captions).text
        if self.unread:
            original = read_part(original, self.unread)
        texts: dict[str, str | None] = {}
        if "levels" in self.kinds:
            levels = negation_levels(original, self.vocabulary, f"{key}/levels")
            half, fully = (level.text if level else None for level in (levels.half, levels.fully))
            texts |= {"original": original, "half": half, "fully": fully}
        if "absence" in self.kinds and (pair := self._absence(track, key)):
            texts |= {"absence_true": pair[0], "absence_false": pair[1]}
        turns = range(self.exclude.per_clip if "exclusion" in self.kinds else 0)
        exclusions = (self._exclusion_texts(original, track, f"{key}/{turn}") for turn in turns)
        return ClipTexts(self._caption(original, track, key), exclusions=tuple(exclusions), **texts)

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
            unread=self.unread,
        ).text

    def _exclusion_texts(self, original: str, track: Track, key: str) -> ExclusionTexts:
        exclusion = self._exclusion(track, key)
        if exclusion is None:
            return ExclusionTexts(original)
        false = tuple(exclusion.false.values()) if "falsehoods" in self.kinds else ()
        return ExclusionTexts(exclusion.text, false)

    def _exclusion(self, track: Track, key: str) -> Exclusion | None:
        absent = self._absent(track, key)
        return draw_exclusion(track.tags, absent, self.vocabulary, key, self.exclude.lexicon)

    def _absence(self, track: Track, key: str) -> tuple[str, str] | None:
        rng = stream(key, "absence")
        absent = sorted(self._absent(track, key))
        some = rng.sample(absent, min(len(absent), _ABSENT_TRIED))
        pairs = list(comparable_pairs(track.tags, some, self.vocabulary))
        if not pairs:
            return None
        pair = rng.choice(pairs)
        start = context(track.tags, pair, rng.randint(0, 2), self.vocabulary, f"{key}/context")
        noun = self.vocabulary[pair[0]].part_of_speech == "noun"
        cue = rng.choice(self.exclude.lexicon.cues if noun else (NOT,))
        return absence_texts(start.text, *pair, self.vocabulary, f"{key}/absence", cue)

    def _absent(self, track: Track, key: str) -> Collection[str]:
        if self.exclude.absent_from == "absent_tags":
            return track.absent_tags or ()
        assumed = assumed_absent(track.tags, self.vocabulary)
        return self.cooccurrence.thin(assumed, track.tags, key) if self.cooccurrence else assumed
