"""The interface of sources: dataclasses that read the files of a data set."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Protocol

from negclap.data.manifest import Caption
from negclap.data.tables import Rejection


class Candidate(NamedTuple):
    """A possible location of an entry's audio, relative to the audio root.

    ``start_s`` and ``duration_s`` are the recording's part of the file, in seconds; without a
    duration it extends to the end, else a shorter file is rejected.
    """

    location: str
    start_s: float = 0.0
    duration_s: float | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One recording, as the source describes it.

    Attributes:
        place: Its row or file in the source ("valid.parquet:12").
        track_id: Unique in the source.
        audio: Possible locations of its audio; the first that exists is used.
        captions: May be empty.
        tags: Including negated ones ("no vocals").
        split: "" if unknown.
        group: Recordings of a group (album, artist) stay in one split; "" means the track itself.
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


class Source(Protocol):
    """A reader for one data set format; its fields are the options of `negclap prepare NAME`."""

    __dataclass_fields__: ClassVar[dict[str, Any]]
    name: ClassVar[str]
    writes_captions: ClassVar[bool]
    """Whether captions are written from tags if there are none."""

    def entries(self, audio: str) -> Iterator[Entry | Rejection]:
        """Yield an entry for each recording and a rejection for each row that is not a valid one.

        ``audio`` is the root that the locations of candidates are relative to.
        """
        ...
