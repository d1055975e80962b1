"""Read and write bytes by location: local paths, and URLs through fsspec.

Credentials and endpoints come from fsspec's own configuration file and environment variables.
WebDataset's ``pipe:COMMAND`` is rejected: commands are not run. What cannot be read or written
raises a `StorageError`.
"""

import hashlib
import io
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal, TypeVar
from uuid import uuid4

from fsspec.asyn import AsyncFileSystem, sync
from fsspec.core import url_to_fs

from negclap.errors import InputError

T = TypeVar("T")

_COMMAND = "pipe:"
_TRIES = 4
_FIRST_WAIT_S = 0.5  # doubled after each try
_TIMEOUT_S = 60.0
_BLOCK = 1 << 16
_NUMBERS = re.compile(r"\{(\d+)\.\.(\d+)\}")
_PERMANENT = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)


class StorageError(InputError):
    """A location that cannot be read or written, after all retries."""


def is_command(location: str) -> bool:
    """Whether the location is WebDataset's ``pipe:COMMAND``, which is never run."""
    return location.startswith(_COMMAND)


def is_remote(location: str) -> bool:
    """Whether the location is a URL of another machine."""
    return "://" in location and not location.startswith(("file://", _COMMAND))


def local_path(location: str) -> Path:
    """Return the path of a location that is not remote; a command raises a `StorageError`."""
    return Path(local_name(location))


def local_name(location: str) -> str:
    """Return the path of a location as `local_path` does, in a fraction of its time."""
    if is_command(location):
        raise StorageError(
            f"{location}: commands are not run; save the output to a file and give its path"
        )
    return location.removeprefix("file://")


def join(root: str, location: str) -> str:
    """Return ``location`` relative to ``root``; absolute paths, URLs and commands stay as is."""
    absolute = location.startswith(("/", "file://", _COMMAND)) or is_remote(location)
    return location if absolute or not root else f"{root.rstrip('/')}/{location}"


def folder_of(location: str) -> str:
    """Return the folder of a file; "." for a bare name."""
    return location.rpartition("/")[0] or ("/" if location.startswith("/") else ".")


def read(location: str) -> bytes:
    """Read all bytes of a location."""
    return _read(location, 0, None)


def read_range(location: str, start: int, size: int) -> bytes:
    """Read ``size`` bytes from byte ``start``, without transferring the others."""
    data = _read(location, start, size)
    if len(data) != size:
        raise StorageError(
            f"{location}: got {len(data)} bytes from byte {start}, expected {size}; the file is "
            "truncated, or changed after its manifest was written"
        )
    return data


def _read(location: str, start: int, size: int | None) -> bytes:
    if is_remote(location):
        span = (None, None) if size is None else (start, start + size)
        data = _retry(location, lambda: _read_once(location, *span))
        ignored = size is not None and len(data) >= start + size  # the server sent the whole file
        return data[slice(*span)] if ignored else data
    path = local_path(location)
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(start)
            return file.read(-1 if size is None else size) or b""
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from None


def _retry(location: str, action: Callable[[], T]) -> T:
    """Run ``action``, and retry errors that may pass: a busy server, a lost connection."""
    for attempt in range(1, _TRIES + 1):
        try:
            return action()
        except _PERMANENT as error:
            raise StorageError(f"{location}: {type(error).__name__}") from None
        except Exception as error:  # fsspec's backends have exceptions without a common base
            reason = " ".join(str(error).split()) or type(error).__name__
            if attempt == _TRIES:
                raise StorageError(f"{location}: {reason} ({_TRIES} tries)") from None
            time.sleep(_FIRST_WAIT_S * 2 ** (attempt - 1))
    raise AssertionError


def _read_once(location: str, start: int | None, end: int | None) -> bytes:
    system, path = url_to_fs(location)
    if isinstance(system, AsyncFileSystem):
        data = sync(system.loop, system._cat_file, path, start=start, end=end, timeout=_TIMEOUT_S)
    else:
        data = system.cat_file(path, start=start, end=end)
    return bytes(data)


def exists(location: str) -> bool:
    """Whether there is something at a location; False if that cannot be found out."""
    try:
        if not is_remote(location):
            return local_path(location).exists()
        system, path = url_to_fs(location)
        return bool(system.exists(path))
    except Exception:  # fsspec's backends have exceptions without a common base
        return False


def open_binary(location: str) -> IO[bytes]:
    """Open a location as a seekable file; a URL is read in blocks."""
    if not is_remote(location):
        try:
            return local_path(location).open("rb")
        except OSError as error:
            raise StorageError(f"{location}: {error.strerror}") from None
    try:
        system, path = url_to_fs(location)
        file: IO[bytes] = system.open(path, "rb", block_size=_BLOCK, cache_type="readahead")
        return file if file.seekable() else io.BytesIO(read(location))
    except _PERMANENT as error:
        raise StorageError(f"{location}: {type(error).__name__}") from None


def list_files(root: str, pattern: str) -> list[str]:
    """List the files below ``root`` that match a pattern, relative to it and sorted.

    The pattern is a glob, or a name with a range of numbers in braces ("train-{000..012}.tar").
    Braces work on servers that cannot list files: the names are not checked.
    """
    if numbers := _NUMBERS.search(pattern):
        every = range(int(numbers[1]), int(numbers[2]) + 1)
        names = (pattern.replace(numbers[0], f"{i:0{len(numbers[1])}d}", 1) for i in every)
        return [file for name in names for file in list_files(root, name)]
    if not any(sign in pattern for sign in "*?["):
        return [pattern]
    if is_remote(root):
        system, path = url_to_fs(root)
        found = system.glob(f"{path.rstrip('/')}/{pattern}")
        return sorted(name.removeprefix(path.rstrip("/") + "/") for name in found)
    base = local_path(root)
    return sorted(str(path.relative_to(base)) for path in base.glob(pattern))


@contextmanager
def atomic_write(path: Path, mode: Literal["w", "wb"] = "w") -> Iterator[IO[Any]]:
    """Open a local file that appears under its name only when the block has succeeded.

    On an error, an earlier file is kept. The folder must exist; mode "w" writes UTF-8 text.
    """
    temporary = path.with_name(f"{path.name}.{uuid4().hex}.partial")
    try:
        with temporary.open(mode, encoding="utf-8" if mode == "w" else None) as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, data: object) -> None:
    """Write a local JSON file with `atomic_write`."""
    with atomic_write(path) as file:
        file.write(json.dumps(data, indent=1) + "\n")


def write_lines(path: Path, entries: Iterable[object]) -> None:
    """Write a local JSON Lines file with `atomic_write`; its folder is created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.writelines(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)


def write(location: str, data: bytes) -> None:
    """Write bytes to a location, completely or not at all."""
    with tempfile.TemporaryDirectory(prefix="negclap-") as folder:
        path = Path(folder) / "data"
        path.write_bytes(data)
        put(path, location)


def put(path: Path, location: str) -> None:
    """Copy a local file to a location, completely or not at all."""

    def upload() -> None:
        system, target = url_to_fs(location)
        system.put_file(str(path), target)

    if is_remote(location):
        _retry(location, upload)
        return
    target = local_path(location)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with path.open("rb") as source, atomic_write(target, "wb") as file:
            shutil.copyfileobj(source, file)
    except OSError as error:
        raise StorageError(f"{location}: {error.strerror}") from None


def local_copy(location: str) -> Path:
    """Return the local path of a location; a URL is downloaded into the cache at each call."""
    if not is_remote(location):
        return local_path(location)
    data = read(location)
    key = hashlib.sha256(location.encode()).hexdigest()[:32]
    path = cache_folder() / "copies" / key / location.rpartition("/")[2]
    if not path.is_file() or path.read_bytes() != data:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path, "wb") as file:
            file.write(data)
    return path


def cache_folder() -> Path:
    """Return the folder for copies of remote files: ``$XDG_CACHE_HOME/negclap``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "negclap"
