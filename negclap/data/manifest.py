"""The manifest: one JSON object per line, one line per track.

Fields: ``track_id`` (str), ``audio`` (path, relative to the manifest's folder), ``start_s`` and
``duration_s`` (seconds, where the track lies in the file), ``captions`` (list of
``{"text", "kind"}``), ``tags`` (list), ``absent_tags`` (list, or null where it is not known what is
absent), ``split`` (str) and ``meta`` (object). No torch here.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from negclap.errors import InputError

MAX_CAPTION_WORDS = 1000


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


def read_manifest(path: Path) -> list[Track]:
    """Read a JSONL manifest.

    Raises:
        InputError: If the file is missing, empty, or a line is wrong; names ``file:line``.
    """
    if not path.is_file():
        raise InputError(f"{path}: no manifest there")
    tracks: list[Track] = []
    first_line: dict[str, int] = {}
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            where = f"{path}:{number}"
            track = _parse_track(_parse_json(line, where), where)
            if track.track_id in first_line:
                raise InputError(
                    f"{where}: track_id {track.track_id!r} stands already in line "
                    f"{first_line[track.track_id]}"
                )
            first_line[track.track_id] = number
            tracks.append(track)
    if not tracks:
        raise InputError(f"{path}: the manifest is empty")
    return tracks


def write_manifest(path: Path, tracks: Iterable[Track]) -> None:
    """Write a JSONL manifest; under its final name it is always whole."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8") as file:
        for track in tracks:
            file.write(json.dumps(asdict(track), ensure_ascii=False) + "\n")
    partial.replace(path)


def _parse_json(line: bytes, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: not UTF-8 ({error.reason} at byte {error.start})") from None
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{where}: not JSON ({error})") from None
    if not isinstance(record, dict):
        raise InputError(f"{where}: expected an object, got {type(record).__name__}")
    return record


def _parse_track(record: dict[str, Any], where: str) -> Track:
    fields = Track.__dataclass_fields__
    unknown = sorted(record.keys() - fields.keys())
    missing = sorted(fields.keys() - record.keys() - {"meta"})
    if unknown or missing:
        raise InputError(f"{where}: unknown fields {unknown}, missing fields {missing}")
    captions = _expect(record, "captions", list, where)
    absent = record["absent_tags"]
    return Track(
        track_id=_text(record, "track_id", where),
        audio=_text(record, "audio", where),
        start_s=_seconds(record, "start_s", where, minimum=0.0),
        duration_s=_seconds(record, "duration_s", where, minimum=1e-3),
        captions=tuple(
            _parse_caption(c, f"{where}: captions[{i}]") for i, c in enumerate(captions)
        ),
        tags=_names(record, "tags", where),
        absent_tags=None if absent is None else _names(record, "absent_tags", where),
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
