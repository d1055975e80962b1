"""The manifest: one JSON object per line, one line per track; or Parquet with the same fields.

Fields: ``track_id`` (str), ``audio`` (a location that `negclap.audio` reads, relative to the
manifest's folder), ``start_s`` and ``duration_s`` (seconds, where the track lies in the file),
``captions`` (list of ``{"text", "kind"}``), ``tags`` (list), ``absent_tags`` (list, or null where
it is not known what is absent), ``split`` (str) and ``meta`` (object; in Parquet its JSON). No
torch here. `tracks` opens a manifest of any size in milliseconds.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from negclap.data.parquet import read_rows
from negclap.errors import InputError
from negclap.storage import writing

MAX_CAPTION_WORDS = 1000
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")  # JSON may escape halves of characters
INVENTED = "attribute_prediction"
"""The kind of LP-MusicCaps captions that claim what nobody heard: never truth for negation."""


@dataclass(frozen=True, slots=True)
class Caption:
    """A caption and where it comes from ("template", "writing", ...)."""

    text: str
    kind: str = "caption"


@dataclass(frozen=True, slots=True)
class Track:
    """One record of a manifest; the module's docstring describes the fields."""

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
    """The tracks of a JSONL or Parquet manifest, one after the other, each checked.

    Raises:
        InputError: If the file is missing, empty, or a record is wrong; names ``file:line``, or
            the row of a Parquet file.
    """
    if not path.is_file():
        raise InputError(f"{path}: no manifest there")
    first_place: dict[str, int] = {}
    records = _parquet_records(path) if path.suffix == ".parquet" else _lines(path)
    for number, record in records:
        track = parse_record(record, f"{path}:{number}")
        before = first_place.setdefault(track.track_id, number)
        if before != number:
            raise InputError(
                f"{path}:{number}: track_id {track.track_id!r} stands already in line {before}"
            )
        yield track
    if not first_place:
        raise InputError(f"{path}: the manifest is empty")


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield number, _parse_json(line, f"{path}:{number}")


def _parquet_records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, record in read_rows(path):
        if "meta" in record:
            meta = record["meta"]
            text = meta if isinstance(meta, str) else json.dumps(meta, default=str)
            record["meta"] = _parse_json(text.encode(), f"{path}:{number}: meta")
        yield number, record


def first_told(track: Track) -> str:
    """The first caption that says what is known of the track.

    Raises:
        InputError: If all of them invent.
    """
    for caption in track.captions:
        if caption.kind != INVENTED:
            return caption.text
    raise InputError(f"track {track.track_id!r} has no caption but {INVENTED!r}, which invents")


def write_manifest(path: Path, tracks: Iterable[Track]) -> None:
    """Write a JSONL manifest; under its final name it is always whole."""
    with writing(path) as file:
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
    if _SURROGATE.search(line) and not _is_utf8(record):
        raise InputError(f"{where}: holds half a character (a lone surrogate), expected UTF-8")
    return record


def _is_utf8(record: dict[str, Any]) -> bool:
    try:
        json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def parse_line(line: str, where: str) -> Track:
    """The track of one line.

    Raises:
        InputError: If it is none; ``where`` is the place that the message names.
    """
    return parse_record(_parse_json(line.encode(), where), where)


def parse_record(record: dict[str, Any], where: str) -> Track:
    """The track of one record.

    Raises:
        InputError: If a field is missing, unknown or wrong; ``where`` is the place that it names.
    """
    fields = Track.__dataclass_fields__
    unknown = sorted(record.keys() - fields.keys())
    missing = sorted(fields.keys() - record.keys() - {"meta"})
    if unknown or missing:
        raise InputError(f"{where}: unknown fields {unknown}, missing fields {missing}")
    captions = _expect(record, "captions", list, where)
    tags = _names(record, "tags", where)
    absent = None if record["absent_tags"] is None else _names(record, "absent_tags", where)
    if both := sorted({*tags} & {*(absent or ())}):
        raise InputError(f"{where}: tags and absent_tags both hold {both}")
    return Track(
        track_id=_text(record, "track_id", where),
        audio=_text(record, "audio", where),
        start_s=_seconds(record, "start_s", where, minimum=0.0),
        duration_s=_seconds(record, "duration_s", where, minimum=1e-3),
        captions=tuple(
            _parse_caption(c, f"{where}: captions[{i}]") for i, c in enumerate(captions)
        ),
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
        raise InputError(f"{where}: {name} holds something that is no string")
    return tuple(values)
