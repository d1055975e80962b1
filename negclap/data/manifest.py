"""The manifest: JSON Lines with one track per line, or Parquet with the same fields."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from negclap.data.tables import read_parquet
from negclap.errors import InputError
from negclap.storage import atomic_write

MAX_CAPTION_WORDS = 1000
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")  # JSON can escape half a character
ATTRIBUTE_PREDICTION = "attribute_prediction"
"""The LP-MusicCaps captions whose attributes a language model made up; no ground truth."""


@dataclass(frozen=True, slots=True)
class Caption:
    """A caption and its origin ("template", "writing", ...)."""

    text: str
    kind: str = "caption"


@dataclass(frozen=True, slots=True)
class Track:
    """One record of a manifest.

    Attributes:
        track_id: Unique in the manifest.
        audio: A location that `negclap.audio` reads, relative to the manifest's folder.
        start_s: Start of the track in the audio file, in seconds.
        duration_s: Its duration, in seconds.
        captions: Objects with the keys ``text`` and ``kind``.
        tags: Present tags.
        absent_tags: Absent tags; null if they are unknown.
        split: The split.
        meta: Anything else; optional; in Parquet as JSON.
    """

    track_id: str
    audio: str
    start_s: float
    duration_s: float
    captions: tuple[Caption, ...]
    tags: tuple[str, ...]
    absent_tags: tuple[str, ...] | None
    split: str
    meta: Mapping[str, Any] = field(default_factory=dict)


def parse_manifest(path: Path) -> Iterator[Track]:
    """Yield the tracks of a JSON Lines or Parquet manifest, after validation.

    Raises:
        InputError: If the file is missing or empty, or a record is invalid; the message has the
            path and the line (or Parquet row).
    """
    if not path.is_file():
        raise InputError(f"{path}: manifest not found")
    first_line: dict[str, str] = {}
    records = _parquet_records(path) if path.suffix == ".parquet" else _lines(path)
    for place, record in records:
        track = parse_record(record, place)
        number = place.rpartition(":")[2]
        earlier = first_line.setdefault(track.track_id, number)
        if earlier != number:
            problem = f"track_id {track.track_id!r} is a duplicate of line {earlier}"
            raise InputError(f"{place}: {problem}")
        yield track
    if not first_line:
        raise InputError(f"{path}: the manifest is empty")


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield f"{path}:{number}", _parse_json(line, f"{path}:{number}")


def _parquet_records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for place, record in read_parquet(path):
        if "meta" in record:
            meta = record["meta"]
            text = meta if isinstance(meta, str) else json.dumps(meta, default=str)
            record["meta"] = _parse_json(text.encode(), f"{place}: meta")
        yield place, record


def reference_caption(track: Track) -> str:
    """Return the first caption that is not an attribute prediction, or raise an `InputError`."""
    for caption in track.captions:
        if caption.kind != ATTRIBUTE_PREDICTION:
            return caption.text
    raise InputError(
        f"track {track.track_id!r}: all captions are of kind {ATTRIBUTE_PREDICTION!r}, whose "
        "attributes are made up; expected another kind"
    )


def write_manifest(path: Path, tracks: Iterable[Track]) -> None:
    """Write a JSON Lines manifest with `atomic_write`."""
    with atomic_write(path) as file:
        for track in tracks:
            file.write(json.dumps(asdict(track), ensure_ascii=False) + "\n")


def _parse_json(line: bytes, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: not UTF-8 ({error.reason} at byte {error.start})") from None
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{where}: not JSON ({error})") from None
    if not isinstance(record, dict):
        raise InputError(f"{where}: expected an object, got {type(record).__name__}")
    if _SURROGATE.search(line) and not is_utf8(json.dumps(record, ensure_ascii=False)):
        raise InputError(f"{where}: contains a lone surrogate, expected valid Unicode")
    return record


def is_utf8(text: str) -> bool:
    """Whether a string can be encoded as UTF-8: it has no lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def parse_line(line: str, where: str) -> Track:
    """Parse one line of a manifest; ``where`` is its place for the `InputError`."""
    return parse_record(_parse_json(line.encode(), where), where)


def parse_record(record: dict[str, Any], where: str) -> Track:
    """Convert one record of a manifest; ``where`` is its place for the `InputError`."""
    fields = Track.__dataclass_fields__
    unknown = sorted(record.keys() - fields.keys())
    missing = sorted(fields.keys() - record.keys() - {"meta"})
    if unknown or missing:
        raise InputError(f"{where}: unknown fields {unknown}, missing fields {missing}")
    tags = _names(record, "tags", where)
    absent = None if record["absent_tags"] is None else _names(record, "absent_tags", where)
    if both := sorted({*tags} & {*(absent or ())}):
        raise InputError(f"{where}: tags and absent_tags both contain {both}")
    captions = enumerate(_expect(record, "captions", list, where))
    return Track(
        track_id=_text(record, "track_id", where),
        audio=_text(record, "audio", where),
        start_s=_seconds(record, "start_s", where, minimum=0.0),
        duration_s=_seconds(record, "duration_s", where, minimum=1e-3),
        captions=tuple(_parse_caption(each, f"{where}: captions[{i}]") for i, each in captions),
        tags=tags,
        absent_tags=absent,
        split=_text(record, "split", where),
        meta=_expect(record, "meta", dict, where) if "meta" in record else {},
    )


def _parse_caption(entry: Any, where: str) -> Caption:
    if not isinstance(entry, dict) or not isinstance(entry.get("text"), str):
        raise InputError(f'{where}: expected {{"text": ..., "kind": ...}}, got {entry!r:.80}')
    n_words = len(entry["text"].split())
    if not 1 <= n_words <= MAX_CAPTION_WORDS:
        raise InputError(f"{where} has {n_words} words, expected 1 to {MAX_CAPTION_WORDS}")
    return Caption(entry["text"], str(entry.get("kind", "caption")))


def _expect(record: dict[str, Any], name: str, kind: type, where: str) -> Any:
    value = record[name]
    if not isinstance(value, kind):
        raise InputError(f"{where}: {name} is {value!r:.80}, expected a {kind.__name__}")
    return value


def _text(record: dict[str, Any], name: str, where: str) -> str:
    value: str = _expect(record, name, str, where)
    if not value.strip():
        raise InputError(f"{where}: {name} is empty")
    return value


def _seconds(record: dict[str, Any], name: str, where: str, minimum: float) -> float:
    value = record[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not minimum <= value < 1e7:
        raise InputError(f"{where}: {name} is {value!r:.80}, expected seconds, at least {minimum}")
    return float(value)


def _names(record: dict[str, Any], name: str, where: str) -> tuple[str, ...]:
    values = _expect(record, name, list, where)
    if not all(isinstance(value, str) for value in values):
        raise InputError(f"{where}: {name} is {values!r:.80}, expected a list of strings")
    return tuple(values)
