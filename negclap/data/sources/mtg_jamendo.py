"""MTG-Jamendo: full songs with genre, instrument and mood tags."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar

from negclap.data.entries import Candidate, Entry
from negclap.data.tables import Rejection, find_files, read_ragged_tsv

_COLUMNS = ("TRACK_ID", "ARTIST_ID", "ALBUM_ID", "PATH", "DURATION", "TAGS")
_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class MtgJamendo:
    """MTG-Jamendo: 55,000 full songs with tags; captions are written from the tags.

    Input: a TSV of the data set (`autotagging_instrument.tsv`, ...) or a folder of its split files
    (`split-0/autotagging-train.tsv`, ...) as --metadata, and the audio as --audio
    (`48/948.mp3` or `48/948.low.mp3`). Without split files, splits are drawn by artist. Licence of
    the metadata: CC BY-NC-SA 4.0 (audio: Creative Commons, differs by track). Source: Bogdanov et
    al., The MTG-Jamendo Dataset for Automatic Music Tagging, ICML Workshop ML4MD, 2019.

    Args:
        metadata: A TSV file, or a folder of TSV files.
    """

    metadata: Path

    name: ClassVar[str] = "mtg-jamendo"
    writes_captions: ClassVar[bool] = True

    def entries(self, audio: str) -> Iterator[Entry | Rejection]:
        """Yield the rows; each tag is `category---name` in a column of its own."""
        for path in find_files(self.metadata, [".tsv"]):
            split = next((name for name in _SPLITS if path.stem.endswith(name)), "")
            for row, tags in read_ragged_tsv(path, _COLUMNS):
                values = row.values
                audio_path = PurePosixPath(values["PATH"])
                if not values["TRACK_ID"] or not audio_path.name:
                    yield Rejection(row.place, values["TRACK_ID"], "malformed row")
                    continue
                low = audio_path.with_suffix(f".low{audio_path.suffix}")
                parted = [tag.rpartition("---") for tag in tags]
                yield Entry(
                    row.place,
                    values["TRACK_ID"],
                    (Candidate(str(audio_path)), Candidate(str(low))),
                    tags=tuple(name for _, _, name in parted),
                    split=split,
                    group=values["ARTIST_ID"],
                    categories={name: _category(kind) for kind, _, name in parted if kind},
                    meta={"artist_id": values["ARTIST_ID"], "album_id": values["ALBUM_ID"]},
                )


def _category(kind: str) -> str:
    return "mood" if kind == "mood/theme" else kind
