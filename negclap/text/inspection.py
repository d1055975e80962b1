"""What Negation insert does to a set of captions, for whoever must trust it."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from negclap.rng import stream
from negclap.text.negate import AbsentFrom, insert_negation
from negclap.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class TextInspection:
    """Counts over all captions, and samples to read.

    Attributes:
        captions: Captions seen.
        without_tag: Captions that mention no tag.
        inserted: Captions with an insertion.
        tags: Insertions by tag.
        cues: Insertions by cue.
        positions: Insertions by kind of place.
        prevented: Draws in so many that would have denied an alias, a broader or a narrower term of
            what the caption (and, as asked, the track) has, had a tag only not to be written there.
        samples: (track id, caption, caption after the insertion), drawn at random.
    """

    captions: int
    without_tag: int
    inserted: int
    tags: Counter[str]
    cues: Counter[str]
    positions: Counter[str]
    prevented: float
    samples: list[tuple[str, str, str]]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            name: dict(value) if isinstance(value, Counter) else value
            for name, value in vars(self).items()
        }


def inspect_insertions(
    tracks: Sequence[Any],
    vocabulary: Vocabulary,
    *,
    p: float,
    absent_from: AbsentFrom,
    seed: int,
    samples: int,
) -> TextInspection:
    """Insert into every caption of every track once and count."""
    tags: Counter[str] = Counter()
    cues: Counter[str] = Counter()
    positions: Counter[str] = Counter()
    without_tag = 0
    prevented = 0.0
    changed: list[tuple[str, str, str]] = []
    texts = [
        (track, i, caption.text) for track in tracks for i, caption in enumerate(track.captions)
    ]
    for track, index, text in texts:
        insertion = insert_negation(
            text,
            vocabulary,
            f"{seed}/{track.track_id}/{index}",
            p=p,
            absent_from=absent_from,
            tags=track.tags,
            absent_tags=track.absent_tags,
        )
        without_tag += not vocabulary.find(text)
        if insertion.tag and absent_from != "absent_tags":
            tags_held = track.tags if absent_from == "tags" else ()
            prevented += _prevented_share(text, tags_held, vocabulary)
        if insertion.tag and insertion.cue and insertion.position:
            tags[insertion.tag] += 1
            cues[insertion.cue] += 1
            positions[insertion.position] += 1
            changed.append((track.track_id, text, insertion.text))
    shown = stream(seed, "samples").sample(changed, min(samples, len(changed)))
    return TextInspection(
        len(texts), without_tag, len(changed), tags, cues, positions, prevented, shown
    )


def _prevented_share(text: str, tags: Collection[str], vocabulary: Vocabulary) -> float:
    """Of the tags that are not written in a caption nor listed, those that hold all the same."""
    mentions = vocabulary.find(text)
    written = {m.tag for m in mentions if text[m.start : m.end].casefold() == m.tag} | set(tags)
    held = vocabulary.held_by({*tags, *(mention.tag for mention in mentions)})
    free = len(vocabulary) - len(written & set(vocabulary.names))
    return len((held & set(vocabulary.names)) - written) / max(1, free)
