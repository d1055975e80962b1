"""MusicCaps: captions by musicians of 10 s excerpts from YouTube videos."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from negclap.data.entries import Candidate, Entry
from negclap.data.manifest import Caption
from negclap.data.sources.lp_musiccaps import captions_of, names
from negclap.data.tables import Rejection, Row, find_files, read_csv, read_parquet

_SUFFIXES = ("wav", "flac", "mp3", "ogg", "opus", "m4a", "webm")
_LENGTH_S = 10.0
_LONGEST_S = 10**6  # of a video
_TABLES = (".csv", ".parquet")

Kind = Literal["ground_truth", "writing", "summary", "paraphrase", "attribute_prediction"]


@dataclass(frozen=True)
class MusicCaps:
    """MusicCaps from Google's CSV or from LP-MusicCaps-MC (Parquet): 5,500 clips of 10 s.

    Input: the table as --metadata, and a folder with the audio of the clips or of whole videos as
    --audio, named `[ytid]-[30-40].wav` or `ytid_30_40.wav` (the clip) or `ytid.wav` (the clip, or a
    whole video, from which the 10 s are cut); also flac, mp3, ogg, opus, m4a, webm. Rows of
    AudioSet's evaluation split are "test", all others "train". Licence of the captions: CC BY-SA
    4.0 (LP-MusicCaps-MC: CC BY-NC 4.0). Source: Agostinelli et al., MusicLM, 2023; Doh et al.,
    LP-MusicCaps, ISMIR 2023.

    Args:
        metadata: The CSV or Parquet file, or a folder of such files.
        captions: Kinds of captions; the CSV has only "ground_truth".
    """

    metadata: Path
    captions: tuple[Kind, ...] = ("ground_truth",)

    name: ClassVar[str] = "musiccaps"
    writes_captions: ClassVar[bool] = False

    def entries(self, audio: str) -> Iterator[Entry | Rejection]:
        """Yield the rows."""
        for path in find_files(self.metadata, _TABLES):
            if path.suffix == ".csv":
                needed = ["ytid", "start_s", "end_s", "aspect_list", "caption", "is_audioset_eval"]
                for row in read_csv(path, needed):
                    yield row if isinstance(row, Rejection) else self._public(row)
            else:
                for row in read_parquet(path, ["fname", "aspect_list", "is_audioset_eval"]):
                    yield self._lp(row)

    def _public(self, row: Row) -> Entry | Rejection:
        values = row.values
        ytid = values["ytid"]
        try:
            start_s, end_s = _seconds(values["start_s"], values["end_s"])
            aspects = ast.literal_eval(values["aspect_list"] or "[]")
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
            return Rejection(row.place, ytid, "malformed row", f"{type(error).__name__}: {error}")
        caption = Caption(values["caption"], "ground_truth")
        test = values["is_audioset_eval"].strip().lower() == "true"
        return _entry(row.place, ytid, start_s, end_s, (caption,), names(aspects), test)

    def _lp(self, row: Row) -> Entry | Rejection:
        values = row.values
        fname = str(values["fname"] or "")
        ytid, _, span = fname.removeprefix("[").removesuffix("]").partition("]-[")
        start, _, end = span.partition("-")
        try:
            start_s, end_s = _seconds(start, end)
        except ValueError:
            return Rejection(row.place, fname, "malformed row", "fname is not [ytid]-[start-end]")
        captions = captions_of(values, self.captions)
        aspects, test = names(values["aspect_list"]), bool(values["is_audioset_eval"])
        return _entry(row.place, ytid, start_s, end_s, captions, aspects, test)


def _seconds(start: str, end: str) -> tuple[int, int]:
    """Parse the offsets; raise a ValueError if they are out of range."""
    start_s, end_s = int(start), int(end)
    if not 0 <= start_s < end_s < _LONGEST_S:
        raise ValueError(f"invalid excerpt from {start_s} s to {end_s} s")
    return start_s, end_s


def _entry(
    place: str,
    ytid: str,
    start_s: int,
    end_s: int,
    captions: tuple[Caption, ...],
    tags: tuple[str, ...],
    test: bool,
) -> Entry:
    audio = (
        (f"[{ytid}]-[{start_s}-{end_s}]", 0, None),
        (f"{ytid}_{start_s}_{end_s}", 0, None),
        (ytid, start_s, _LENGTH_S),
        (ytid, 0, None),
    )
    candidates = tuple(Candidate(f"{stem}.{s}", *span) for stem, *span in audio for s in _SUFFIXES)
    split = "test" if test else "train"
    meta = {"ytid": ytid, "start_s": start_s}
    return Entry(place, ytid, candidates, captions, tags, split, meta=meta)
