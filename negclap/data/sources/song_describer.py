"""Song Describer: crowdsourced captions of two-minute excerpts of MTG-Jamendo tracks."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar

from negclap.data.entries import Candidate, Entry
from negclap.data.manifest import Caption
from negclap.data.tables import Rejection, Row, read_csv


@dataclass(frozen=True)
class SongDescriber:
    """Song Describer: 1,106 captions of 706 tracks, for testing.

    Input: `song_describer.csv` as --metadata and the audio folder as --audio (`06/1004706.mp3` or
    `06/1004706.2min.mp3`). There are no tags: instruments, voices and genres (or the tags of
    --vocabulary) are found in the captions. All tracks are "test". Licence: CC BY-SA 4.0 (audio:
    Creative Commons, differs by track). Source: Manco et al., The Song Describer Dataset, NeurIPS
    Workshop on Machine Learning for Audio, 2023.

    Args:
        metadata: song_describer.csv.
        valid_only: Use only captions of the validated subset.
    """

    metadata: Path
    valid_only: bool = False

    name: ClassVar[str] = "song-describer"
    writes_captions: ClassVar[bool] = False

    def entries(self, audio: str) -> Iterator[Entry | Rejection]:
        """Yield the tracks, each with all its captions."""
        tracks: dict[str, list[Row]] = {}
        for row in read_csv(self.metadata, ["track_id", "caption", "path", "is_valid_subset"]):
            if isinstance(row, Rejection):
                yield row
            elif self.valid_only and row.values["is_valid_subset"].strip().lower() != "true":
                yield Rejection(row.place, row.values["track_id"], "not in the validated subset")
            else:
                tracks.setdefault(row.values["track_id"], []).append(row)
        for track_id, rows in tracks.items():
            path = PurePosixPath(rows[0].values["path"])
            names = (path, path.with_suffix(f".2min{path.suffix}")) if path.name else ()
            yield Entry(
                rows[0].place,
                track_id,
                tuple(Candidate(str(name)) for name in names),
                tuple(Caption(row.values["caption"], "human") for row in rows),
                split="test",
            )
