"""The interface of sources: entries and rejections, before the audio is located.

A source is a dataclass whose fields are its command line options. It reads the files of a data set
and yields an entry for each recording, and a rejection for each row that is not a valid one, so
that nothing is dropped silently.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Protocol

from negclap.data.manifest import Caption


class Candidate(NamedTuple):
    """A possible location of an entry's audio.

    Attributes:
        location: Relative to the audio root.
        start_s: Start of the recording in the file, in seconds.
        duration_s: Its duration in seconds; None extends to the end of the file. A shorter file is
            rejected.
    """

    location: str
    start_s: float = 0.0
    duration_s: float | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One recording.

    Attributes:
        place: Its row or file in the source ("valid.parquet:12").
        track_id: Unique in the source.
        audio: Possible locations of its audio; the first that exists is used.
        captions: As written in the source; may be empty.
        tags: As written in the source, including negated ones ("no vocals").
        split: As named in the source; "" if unknown.
        group: Key of recordings that must be in the same split (album, artist); "" means the track
            itself.
        categories: Category by tag, if the source has them.
        meta: Other metadata, as JSON.
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
    """Why an item of a source is not a track."""

    place: str
    track_id: str
    reason: str
    detail: str = ""


class Source(Protocol):
    """A reader for one data set format."""

    name: ClassVar[str]
    """Name of the subcommand, `negclap prepare NAME`."""

    writes_captions: ClassVar[bool]
    """Whether captions are written from tags if there are none."""

    def entries(self, audio: str) -> Iterator[Entry | Rejection]:
        """Yield everything in the source; candidates are relative to the root ``audio``."""
        ...
