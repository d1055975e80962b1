"""Read rows of Parquet files; every problem is an InputError with a one-line message."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from negclap.errors import InputError

_ROWS_AT_ONCE = 1024
# Besides Arrow's own errors: invalid UTF-8, and times and dates out of Python's range.
_UNREADABLE = (pa.ArrowException, OSError, ValueError, OverflowError, LookupError)


def read_rows(path: Path, needed: Sequence[str] = ()) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows with their numbers, from 1.

    Raises:
        InputError: If the file is missing, not Parquet, or lacks a needed column.
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
    """Check that a table has the needed columns.

    Raises:
        InputError: If one is missing.
    """
    missing = [name for name in needed if name not in columns]
    if missing:
        raise InputError(f"{path}: missing columns {missing}; it has {list(columns)!r:.300}")
