"""Statistics and samples of what is done with a set of captions: insertions, and denials."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from negclap.rng import stream
from negclap.text.detect import DENYING, find_negations
from negclap.text.negate import AbsentFrom, Insertion, Unread, insert_negation
from negclap.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class TextInspection:
    """Counts over all captions, and random samples (track id, caption, caption with insertion).

    ``cut`` counts captions that are longer than what the model reads; ``tags``, ``cues`` and
    ``positions`` count the insertions; ``without_tag`` counts captions that
    mention no tag. ``prevented`` is the expected number of false negations that the filter for
    related tags prevented: insertions that would have negated an alias or a broader or narrower
    term of a tag of the caption (or track, if so chosen) if only exact names were filtered.
    """

    captions: int
    cut: int
    without_tag: int
    inserted: int
    tags: Counter[str]
    cues: Counter[str]
    positions: Counter[str]
    prevented: float
    samples: list[tuple[str, str, str]]

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain data for JSON."""
        counters = {name: dict(v) for name, v in vars(self).items() if isinstance(v, Counter)}
        return vars(self) | counters


def inspect_insertions(
    tracks: Sequence[Any],
    vocabulary: Vocabulary,
    *,
    p: float,
    absent_from: AbsentFrom,
    seed: int,
    samples: int,
    unread: Unread,
) -> TextInspection:
    """Apply Negation insert once to every caption of every track, and count.

    Phrases are inserted where they are read, before what ``unread`` returns.
    """
    insertions: list[Insertion] = []
    changed: list[tuple[str, str, str]] = []
    cut = without_tag = 0
    prevented = 0.0
    texts = [(track, i, each.text) for track in tracks for i, each in enumerate(track.captions)]
    for track, index, text in texts:
        insertion = insert_negation(
            text,
            vocabulary,
            f"{seed}/{track.track_id}/{index}",
            p=p,
            absent_from=absent_from,
            tags=track.tags,
            absent_tags=track.absent_tags,
            unread=unread,
        )
        cut += bool(unread(text))
        without_tag += not vocabulary.find(text)
        if not insertion.tag:
            continue
        insertions.append(insertion)
        changed.append((track.track_id, text, insertion.text))
        if absent_from != "absent_tags":
            filtered = track.tags if absent_from == "tags" else ()
            prevented += _prevented_share(text, filtered, vocabulary)
    tags, cues, positions = (
        Counter(str(getattr(insertion, name)) for insertion in insertions)
        for name in ("tag", "cue", "position")
    )
    shown = stream(seed, "samples").sample(changed, min(samples, len(changed)))
    return TextInspection(
        len(texts), cut, without_tag, len(changed), tags, cues, positions, prevented, shown
    )


@dataclass(frozen=True)
class DenialInspection:
    """What captions deny, and random samples (track id, caption, denied names, doubt).

    ``kinds`` counts the negations of all captions by kind. ``sure`` are denials that
    ``negclap prepare`` believes, ``unsure`` those that it leaves out.
    """

    kinds: Counter[str]
    sure_count: int
    unsure_count: int
    sure: list[tuple[str, str, str, str]]
    unsure: list[tuple[str, str, str, str]]

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain data for JSON."""
        return vars(self) | {"kinds": dict(self.kinds)}


def inspect_denials(
    tracks: Sequence[Any], vocabulary: Vocabulary, *, seed: int, samples: int
) -> DenialInspection:
    """Find the negations in the captions of tracks."""
    kinds: Counter[str] = Counter()
    sure: list[tuple[str, str, str, str]] = []
    unsure: list[tuple[str, str, str, str]] = []
    for track in tracks:
        for caption in track.captions:
            for negation in find_negations(caption.text, vocabulary):
                kinds[negation.kind] += 1
                if negation.kind in DENYING:
                    names = ", ".join(negation.names)
                    row = (track.track_id, caption.text, names, negation.doubt)
                    (sure if negation.denies else unsure).append(row)
    rng = stream(seed, "denials")
    shown = [rng.sample(rows, min(samples, len(rows))) for rows in (sure, unsure)]
    return DenialInspection(kinds, len(sure), len(unsure), *shown)


def _prevented_share(text: str, tags: Collection[str], vocabulary: Vocabulary) -> float:
    """Return the share of overlapping tags among those that are neither written nor listed."""
    mentions = vocabulary.find(text)
    written = {m.tag for m in mentions if text[m.start : m.end].casefold() == m.tag} | set(tags)
    overlapping = vocabulary.overlapping({*tags, *(mention.tag for mention in mentions)})
    free = len(vocabulary) - len(written & set(vocabulary.names))
    return len((overlapping & set(vocabulary.names)) - written) / max(1, free)
