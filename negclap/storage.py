"""Bytes from wherever they lie: files of this machine, and whatever fsspec reaches.

A location is a path, a URL (``s3://``, ``gs://``, ``http://``, ``file://``; credentials and
endpoints come from fsspec's own configuration file and environment), or WebDataset's
``pipe:COMMAND``, whose output is kept in a local file. Of a large file no more is read than is
asked for.
"""

import hashlib
import io
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, TypeVar
from uuid import uuid4

from fsspec.asyn import AsyncFileSystem, sync
from fsspec.core import url_to_fs

from negclap.errors import InputError

T = TypeVar("T")

_PIPE = "pipe:"
_TRIES = 4
_FIRST_WAIT_S = 0.5  # doubled from try to try
_TIMEOUT_S = 60.0
_BLOCK = 1 << 16
_NUMBERS = re.compile(r"\{(\d+)\.\.(\d+)\}")
_PERMANENT = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)


class StorageError(InputError):
    """Bytes that cannot be had, after all tries."""


def is_remote(location: str) -> bool:
    """Whether the location is a URL of another machine, or a pipe."""
    return location.startswith(_PIPE) or ("://" in location and not location.startswith("file://"))


def is_pipe(location: str) -> bool:
    """Whether the location is a command that is run."""
    return location.startswith(_PIPE)


def local_path(location: str) -> Path:
    """The path of a location that is not remote."""
    return Path(location.removeprefix("file://"))


def join(root: str, location: str) -> str:
    """``location``, which is relative to ``root`` unless it is absolute, a URL or a pipe."""
    if is_remote(location) or location.startswith(("/", "file://")) or not root:
        return location
    return f"{root.rstrip('/')}/{location}"


def folder_of(location: str) -> str:
    """The folder that a file lies in; "." of a bare name."""
    return location.rpartition("/")[0] or ("/" if location.startswith("/") else ".")


def read(location: str) -> bytes:
    """All bytes of a location.

    Raises:
        StorageError: If they cannot be had.
    """
    if _is_url(location):
        return _read_url(location, None, None)
    return _read_file(_local(location), 0, None)


def read_range(location: str, start: int, size: int) -> bytes:
    """``size`` bytes from byte ``start`` on.

    Raises:
        StorageError: If they cannot be had, or the file ends before.
    """
    if _is_url(location):
        data = _read_url(location, start, start + size)
    else:
        data = _read_file(_local(location), start, size)
    if len(data) != size:
        raise StorageError(
            f"{location}: {len(data)} bytes from byte {start} on, expected {size} (truncated, or "
            "not what its index was made of)"
        )
    return data


def _is_url(location: str) -> bool:
    return is_remote(location) and not location.startswith(_PIPE)


def _local(location: str) -> Path:
    return _spooled(location) if location.startswith(_PIPE) else local_path(location)


def _read_file(path: Path, start: int, size: int | None) -> bytes:
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(start)
            return file.read(-1 if size is None else size) or b""
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from None


def _read_url(location: str, start: int | None, end: int | None) -> bytes:
    data = _tried(location, lambda: _read_once(location, start, end))
    if start is not None and end is not None and len(data) >= end:
        return data[start:end]  # a server that knows no ranges sent everything
    return data


def _tried(location: str, once: Callable[[], T]) -> T:
    """Again after what may pass, a busy server or a lost connection."""
    for attempt in range(1, _TRIES + 1):
        try:
            return once()
        except _PERMANENT as error:
            raise StorageError(f"{location}: {type(error).__name__}") from None
        except (
            Exception
        ) as error:  # every backend has its own; what is not permanent is tried again
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
    """Whether there is something at a location; what cannot be asked is not there."""
    try:
        if not _is_url(location):
            return _local(location).exists()
        system, path = url_to_fs(location)
        return bool(system.exists(path))
    except Exception:  # every fsspec backend raises its own kinds; files: a name that is too long
        return False


def open_binary(location: str) -> IO[bytes]:
    """A location as a file that can be sought in; of a URL little more is read than is asked for.

    Raises:
        StorageError: If it cannot be had.
    """
    if not _is_url(location):
        try:
            return _local(location).open("rb")
        except OSError as error:
            raise StorageError(f"{location}: {error.strerror}") from None
    try:
        system, path = url_to_fs(location)
        file: IO[bytes] = system.open(path, "rb", block_size=_BLOCK, cache_type="readahead")
        return file if file.seekable() else io.BytesIO(read(location))
    except _PERMANENT as error:
        raise StorageError(f"{location}: {type(error).__name__}") from None


def list_files(root: str, pattern: str) -> list[str]:
    """Locations below ``root`` of a glob, or of numbers in braces ("train-{000..012}.tar"), sorted.

    Braces are for servers that list nothing; their files are not looked for.
    """
    numbers = _NUMBERS.search(pattern)
    if numbers:
        first, last = numbers[1], numbers[2]
        names = (f"{i:0{len(first)}d}" for i in range(int(first), int(last) + 1))
        return [
            file
            for name in names
            for file in list_files(root, pattern.replace(numbers[0], name, 1))
        ]
    if not any(sign in pattern for sign in "*?["):
        return [pattern]
    if _is_url(root):
        system, path = url_to_fs(root)
        found = system.glob(f"{path.rstrip('/')}/{pattern}")
        return sorted(name.removeprefix(path.rstrip("/") + "/") for name in found)
    base = local_path(root)
    return sorted(str(path.relative_to(base)) for path in base.glob(pattern))


def write(location: str, data: bytes) -> None:
    """Bytes to a location, whole or not at all.

    Raises:
        StorageError: If they cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="negclap-") as folder:
        path = Path(folder) / "data"
        path.write_bytes(data)
        put(path, location)


def put(path: Path, location: str) -> None:
    """Copy a file of this machine to a location, whole or not at all.

    Raises:
        StorageError: If it cannot be written there.
    """
    if location.startswith(_PIPE):
        raise StorageError(f"{location}: a pipe is read, not written")
    if _is_url(location):
        _tried(location, lambda: _put_once(path, location))
        return
    target = local_path(location)
    partial = target.with_name(f"{target.name}.{uuid4().hex}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, partial)
        partial.replace(target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StorageError(f"{location}: {error.strerror}") from None


def _put_once(path: Path, location: str) -> None:
    system, target = url_to_fs(location)
    system.put_file(str(path), target)


@contextmanager
def writing(path: Path) -> Iterator[IO[str]]:
    """A text file of this machine that has its name only when it is whole."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8") as file:
        yield file
    partial.replace(path)


def local_copy(location: str) -> Path:
    """The path of a location's bytes on this machine; those of a URL are copied at each call.

    Raises:
        StorageError: If they cannot be had.
    """
    if not _is_url(location):
        return _local(location)
    data = read(location)
    key = hashlib.sha256(location.encode()).hexdigest()[:32]
    path = cache_folder() / "copies" / key / location.rpartition("/")[2]
    if not path.is_file() or path.read_bytes() != data:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{uuid4().hex}.partial")
        partial.write_bytes(data)
        partial.replace(path)
    return path


def cache_folder() -> Path:
    """Where copies of what lies elsewhere are kept: ``$XDG_CACHE_HOME/negclap``."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "negclap"


@lru_cache(maxsize=256)
def _spooled(location: str) -> Path:
    """The output of a pipe as a file of the cache; the command runs once."""
    target = cache_folder() / "pipes" / hashlib.sha256(location.encode()).hexdigest()[:32]
    if not target.exists():
        command = location.removeprefix(_PIPE)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as partial:
            done = subprocess.run(command, shell=True, stdout=partial, check=False)
        if done.returncode:
            Path(partial.name).unlink()
            raise StorageError(f"{location}: the command's exit status is {done.returncode}")
        Path(partial.name).replace(target)
    return target
