"""What sources say, one recording at a time, before anybody has looked for its audio.

A source is a dataclass whose fields are its options on the command line. It reads what a data set
comes with and yields entries, and a rejection for everything that is none: nothing is dropped
without a word.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Protocol

from negclap.data.manifest import Caption


class Candidate(NamedTuple):
    """Where the audio of an entry may lie, relative to the audio root.

    ``duration_s`` of None takes everything from ``start_s`` on; a file that ends before is none.
    """

    location: str
    start_s: float = 0.0
    duration_s: float | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One recording.

    Attributes:
        place: Where the source says it ("valid.parquet:12").
        track_id: Its name, unique in the source.
        audio: Where its audio may lie; the first that is there is taken.
        captions: As they are written; may be none.
        tags: As they are written, negating ones ("no vocals") included.
        split: As the source names it; "" where it names none.
        group: What belongs into one split together (an album, an artist); "" stands for the track.
        categories: Category by tag, where the source knows it.
        meta: Whatever else is worth keeping; JSON.
    """

    place: str
    track_id: str
    audio: tuple[Candidate, ...]
    captions: tuple[Caption, ...] = ()
    tags: tuple[str, ...] = ()
    split: str = ""
    group: str = ""
    categories: Mapping[str, str] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)


class Rejection(NamedTuple):
    """Why something that a source holds is no track."""

    place: str
    track_id: str
    reason: str
    detail: str = ""


class Source(Protocol):
    """What a data set is read with."""

    name: ClassVar[str]
    """Of the command, `negclap prepare NAME`."""

    writes_captions: ClassVar[bool]
    """Whether captions are made of tags where there are none."""

    def entries(self, audio: str) -> Iterator[Entry | Rejection]:
        """All that the source holds; ``audio`` is the root that candidates are relative to."""
        ...
