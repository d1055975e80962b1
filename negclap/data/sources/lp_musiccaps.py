"""LP-MusicCaps: captions written from tags by a language model. No audio is included."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Literal

from negclap.data.entries import Candidate, Entry
from negclap.data.manifest import Caption
from negclap.data.tables import Rejection, Row, find_files, read_parquet
from negclap.errors import InputError

Kind = Literal["writing", "summary", "paraphrase", "attribute_prediction"]
KINDS: tuple[Kind, ...] = ("writing", "summary", "paraphrase")
"""The kinds that state only the tags; "attribute_prediction" makes up attributes."""

_SPLITS = ("train", "valid", "test")
_ECALS = {f"{split}_track": split for split in ("train", "extra", "valid", "test")}


def captions_of(values: dict[str, Any], kinds: Sequence[str]) -> tuple[Caption, ...]:
    """Return the chosen captions of a row, including empty ones, so that they are counted."""
    return tuple(Caption(str(values.get(f"caption_{kind}") or ""), kind) for kind in kinds)


def check_kinds(kinds: Sequence[Kind]) -> None:
    """Raise an InputError if no kind of caption is chosen."""
    if not kinds:
        raise InputError(f"captions is empty, expected some of {(*KINDS, 'attribute_prediction')}")


def names(value: Any) -> tuple[str, ...]:
    """Convert a list to strings; other values become an empty tuple."""
    listed = value if isinstance(value, list) else []
    return tuple(str(name) for name in listed if name is not None)


def split_of(path: Path) -> str:
    """Return the split in the name of a Parquet file or its folder ("train-00000.parquet")."""
    for split in _SPLITS:
        if path.name.startswith(split) or path.parent.name == split:
            return split
    raise InputError(
        f"{path}: unknown split; expected a file name that starts with one of {_SPLITS}"
    )


def with_npy(path: str) -> tuple[Candidate, ...]:
    """Return candidates for an audio file, or .npy samples (float, 16 kHz) with its name."""
    if not PurePosixPath(path).name:
        return ()
    bare = str(PurePosixPath(path).with_suffix(""))
    return Candidate(path), Candidate(f"{bare}.npy"), Candidate(f"{path}.npy")


@dataclass(frozen=True)
class LpMusicCapsMsd:
    """LP-MusicCaps-MSD: the Million Song Dataset with captions (514,000 tracks).

    Input: the Parquet files of `LP-MusicCaps-MSD` (on the Hugging Face hub, access on request) as
    --metadata, and the 30 s previews from 7digital, which may not be redistributed, as --audio. The
    layout of the audio is detected: `8/1/8134074.clip.mp3` as in the column `path`, `.npy` with the
    same name (float, 16 kHz), or `{id[2]}/{id[3]}/{id[4]}/{id}.mp3` by track id. Licence of the
    captions: CC BY-NC 4.0, research. Source: Doh et al., LP-MusicCaps, ISMIR 2023; Bertin-Mahieux
    et al., The Million Song Dataset, ISMIR 2011; ECALS split: Doh et al., Toward Universal
    Text-to-Music Retrieval, ICASSP 2023.

    Args:
        metadata: Folder of train*.parquet, valid*.parquet and test*.parquet, or one of these files.
        ecals: ECALS split JSON (train_track, extra_track, valid_track, test_track); overrides the
            splits of the Parquet files.
        captions: Kinds of captions. "attribute_prediction" makes up attributes, so training with
            negation rejects it.
    """

    metadata: Path
    ecals: Path | None = None
    captions: Sequence[Kind] = KINDS

    name: ClassVar[str] = "lp-musiccaps-msd"
    writes_captions: ClassVar[bool] = False

    def entries(self, audio: str) -> Iterator[Entry | Rejection]:
        """Yield the rows, split by split."""
        check_kinds(self.captions)
        splits = _read_ecals(self.ecals) if self.ecals else None
        for path in find_files(self.metadata, [".parquet"]):
            split = "" if splits else split_of(path)
            for row in read_parquet(path, ["track_id", "tag", "path"]):
                yield self._entry(row, split, splits)

    def _entry(self, row: Row, split: str, splits: dict[str, str] | None) -> Entry | Rejection:
        values = row.values
        track_id, path = str(values["track_id"] or ""), str(values["path"] or "")
        if splits is not None and track_id not in splits:
            return Rejection(row.place, track_id, "not in any split", f"of {self.ecals}")
        by_id = f"{'/'.join(track_id[2:5])}/{track_id}.mp3"
        kept = ("title", "artist_name", "release", "year")
        return Entry(
            row.place,
            track_id,
            (*with_npy(path), Candidate(by_id)),
            captions_of(values, self.captions),
            names(values["tag"]),
            split if splits is None else splits[track_id],
            meta={name: _plain(values[name]) for name in kept if values.get(name)},
        )


def _plain(value: Any) -> str | int | float:
    """Convert dates and bytes to strings, for JSON."""
    return value if isinstance(value, str | int | float) else str(value)


def _read_ecals(path: Path) -> dict[str, str]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error})") from None
    lists = {key: data.get(key) for key in _ECALS} if isinstance(data, dict) else {}
    found = {key: tracks for key, tracks in lists.items() if isinstance(tracks, list)}
    if not found:
        raise InputError(f"{path}: not an ECALS split, expected the lists {list(_ECALS)}")
    return {str(track): _ECALS[key] for key, tracks in found.items() for track in tracks}


@dataclass(frozen=True)
class LpMusicCapsMtt:
    """LP-MusicCaps-MTT: MagnaTagATune with captions (26,000 clips of 29 s).

    Input: the Parquet files of `LP-MusicCaps-MTT` as --metadata, and the mp3 files of MagnaTagATune
    as --audio. Negated tags such as "no vocals" become absent tags. Licence of the captions: CC
    BY-NC 4.0, research. Source: Doh et al., LP-MusicCaps, ISMIR 2023; Law et al., Evaluation of
    Algorithms Using Games, ISMIR 2009.

    Args:
        metadata: Folder of train*.parquet, valid*.parquet and test*.parquet, or one of these files.
        captions: Kinds of captions. "attribute_prediction" makes up attributes, so training with
            negation rejects it.
        tags: Column of tags: the 50 or the 188 most frequent.
    """

    metadata: Path
    captions: Sequence[Kind] = KINDS
    tags: Literal["tag_top50", "tag_top188"] = "tag_top188"

    name: ClassVar[str] = "lp-musiccaps-mtt"
    writes_captions: ClassVar[bool] = False

    def entries(self, audio: str) -> Iterator[Entry | Rejection]:
        """Yield the rows, split by split."""
        check_kinds(self.captions)
        for path in find_files(self.metadata, [".parquet"]):
            for row in read_parquet(path, ["track_id", self.tags, "path"]):
                values = row.values
                yield Entry(
                    row.place,
                    str(values["track_id"] or ""),
                    with_npy(str(values["path"] or "")),
                    captions_of(values, self.captions),
                    names(values[self.tags]),
                    split_of(path),
                )
