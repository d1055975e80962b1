"""Read rows of CSV, TSV, Parquet and JSON Lines tables, with their places.

A file that is missing, has another format, or lacks a needed column is an `InputError`.
"""

import codecs
import csv
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from negclap.errors import InputError

_LONGEST_FIELD = 10_000_000
_ROWS_AT_ONCE = 1024
# Besides Arrow's own errors: invalid UTF-8, and times and dates out of Python's range.
_NOT_PARQUET = (pa.ArrowException, OSError, ValueError, OverflowError, LookupError)


class _Tsv(csv.excel_tab):
    quoting = csv.QUOTE_NONE


class Rejection(NamedTuple):
    """Why an item of a source is not a track."""

    place: str
    track_id: str
    reason: str
    detail: str = ""


class Row(NamedTuple):
    """A row and its place ("train.csv:12"; for Parquet the row number, from 1)."""

    place: str
    values: dict[str, Any]


def read_csv(
    path: Path, needed: Sequence[str], delimiter: str | None = None
) -> Iterator[Row | Rejection]:
    """Yield the rows of a table with a header, and rejections of those with a wrong field count.

    Fields are separated by commas, semicolons or tabs; the header tells which, unless it is given.
    The text is UTF-8, or UTF-16 with a byte order mark.
    """
    for place, header, fields in _csv_lines(path, needed, delimiter):
        if len(fields) == len(header):
            yield Row(place, dict(zip(header, fields, strict=True)))
        else:
            detail = f"{len(fields)} fields, expected {len(header)}"
            yield Rejection(place, "", "malformed row", detail)


def read_ragged_tsv(path: Path, needed: Sequence[str]) -> Iterator[tuple[Row, list[str]]]:
    """Yield the rows of a TSV whose last column may repeat, with its values (MTG-Jamendo)."""
    for place, header, fields in _csv_lines(path, needed, "\t"):
        values = dict.fromkeys(header, "") | dict(zip(header[:-1], fields, strict=False))
        yield Row(place, values), [field for field in fields[len(header) - 1 :] if field]


def _csv_lines(
    path: Path, needed: Sequence[str], delimiter: str | None
) -> Iterator[tuple[str, list[str], list[str]]]:
    csv.field_size_limit(_LONGEST_FIELD)
    text = _text_lines(path)
    first = next(text, "")
    if delimiter is None:
        delimiter = _delimiter(first, needed)
    form = _Tsv if delimiter == "\t" else csv.excel
    # Strict: a quote that is not closed is an error, and does not swallow the rows behind it.
    lines = csv.reader(chain([first], text), form, delimiter=delimiter, strict=True)
    before = 0
    try:
        header = next(lines, [])
        _check_columns(path, header, needed)
        before = lines.line_num
        for fields in lines:
            if fields:
                yield f"{path}:{lines.line_num}", header, fields
            before = lines.line_num
    except csv.Error as error:
        raise InputError(
            f"{path}:{before + 1}: a quoted field does not end as it should, up to line "
            f"{lines.line_num}; is a quote missing? ({error})"
        ) from None


def _delimiter(header: str, needed: Sequence[str]) -> str:
    """Return the delimiter that gives the header the columns it needs, a comma if none does."""
    for delimiter in (",", ";", "\t"):
        names = next(csv.reader([header], delimiter=delimiter), [])
        if len(names) > 1 and {*needed} <= {*names}:
            return delimiter
    return ","


def _text_lines(path: Path) -> Iterator[str]:
    with _opened(path) as file:
        mark = file.read(2)
    if mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        try:
            with path.open(encoding="utf-16", newline="") as lines:
                yield from lines
        except UnicodeError as error:
            raise InputError(f"{path}: not UTF-16 ({error})") from None
        return
    for number, line in enumerate(_lines(path), start=1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{path}:{number}: not UTF-8 ({error.reason} at byte {error.start})"
            ) from None


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file that are not empty, without surrounding spaces."""
    return [line.strip() for line in _text_lines(path) if line.strip()]


def _lines(path: Path) -> Iterator[bytes]:
    with _opened(path) as lines:
        yield from lines


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None


def read_parquet(path: Path, needed: Sequence[str] = ()) -> Iterator[Row]:
    """Yield the rows of a Parquet file."""
    number = 0
    try:
        file = pq.ParquetFile(path)
        _check_columns(path, file.schema_arrow.names, needed)
        for batch in file.iter_batches(_ROWS_AT_ONCE):
            for values in batch.to_pylist():
                number += 1
                yield Row(f"{path}:{number}", values)
    except InputError:
        raise
    except _NOT_PARQUET as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"{path}: cannot be read as Parquet after row {number} ({reason})"
        ) from None


def _check_columns(path: Path, columns: Sequence[str], needed: Sequence[str]) -> None:
    if missing := [name for name in needed if name not in columns]:
        raise InputError(f"{path}: missing columns {missing}; it has {list(columns)!r:.300}")


def read_json_lines(path: Path) -> Iterator[Row | Rejection]:
    """Yield the objects of a JSON Lines file, and rejections of other lines."""
    for number, line in enumerate(_lines(path), start=1):
        place, values = f"{path}:{number}", parse_json(line)
        if isinstance(values, dict):
            yield Row(place, values)
        elif line.strip():
            yield Rejection(place, "", "malformed row", "not a JSON object")


def parse_json(text: bytes) -> Any:
    """Parse JSON; None if it is invalid."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        return None


def find_files(where: Path, suffixes: Sequence[str]) -> list[Path]:
    """Return the file itself, or all files below a folder with these suffixes, sorted."""
    if where.is_file():
        return [where]
    found = sorted(path for path in where.rglob("*") if path.name.endswith(tuple(suffixes)))
    if not found:
        raise InputError(f"{where}: no {' or '.join(suffixes)} file found")
    return found
