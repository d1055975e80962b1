"""Rows of Parquet files; whatever is wrong with one is one line."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from negclap.errors import InputError

_ROWS_AT_ONCE = 1024
# Besides Arrow's own: texts that are no UTF-8, times and dates that Python has no value for.
_UNREADABLE = (pa.ArrowException, OSError, ValueError, OverflowError, LookupError)


def read_rows(path: Path, needed: Sequence[str] = ()) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows, counted from 1.

    Raises:
        InputError: If the file is missing, no Parquet, or lacks a needed column.
    """
    number = 0
    try:
        file = pq.ParquetFile(path)
        check_columns(path, file.schema_arrow.names, needed)
        for batch in file.iter_batches(_ROWS_AT_ONCE):
            for values in batch.to_pylist():
                number += 1
                yield number, values
    except InputError:
        raise
    except _UNREADABLE as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"{path}: cannot be read as Parquet after row {number} ({reason})"
        ) from None


def check_columns(path: Path, columns: Sequence[str], needed: Iterable[str]) -> None:
    """Refuse a table that lacks a column.

    Raises:
        InputError: If it does.
    """
    missing = [name for name in needed if name not in columns]
    if missing:
        raise InputError(f"{path}: no columns {missing}; it has {list(columns)!r:.300}")
