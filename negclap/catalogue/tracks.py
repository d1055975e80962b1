"""List the tracks of a folder, URL or manifest, and decode them window by window."""

import queue
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from negclap.data.manifest import parse_manifest
from negclap.data.walk import SUFFIXES, walk_audio
from negclap.errors import InputError
from negclap.search.embed import File, Part, Windowing, file_parts
from negclap.search.store import Stamp
from negclap.storage import (
    StorageError,
    folder_of,
    is_remote,
    join,
    list_files,
    local_copy,
    local_path,
    read,
)

T = TypeVar("T")

_MANIFESTS = (".jsonl", ".parquet")


class Tracks(NamedTuple):
    """Audio files.

    Attributes:
        root: Folder or URL that the names are relative to.
        names: Names of the files, each once.
        passed_over: A line for each kind of file and folder that is not looked at.
    """

    root: str
    names: list[str]
    passed_over: list[str]


def list_tracks(source: str) -> Tracks:
    """List the audio files of a manifest, a folder or a URL.

    Raises:
        InputError: If the source cannot be read, has no audio, or is a manifest of shards.
    """
    if source.endswith(_MANIFESTS):
        tracks = _of_manifest(source)
    elif is_remote(source):
        names = [name for name in list_files(source, "**") if name.lower().endswith(SUFFIXES)]
        tracks = Tracks(source.rstrip("/"), names, [])
    else:
        folder = local_path(source)
        if not folder.is_dir():
            raise InputError(f"{source}: no such folder")
        walk = walk_audio(folder)
        tracks = Tracks(str(folder.resolve()), walk.files, list(walk.passed_over()))
    if not tracks.names:
        raise InputError(f"{source}: no audio found")
    return tracks


def _of_manifest(source: str) -> Tracks:
    """List the files of a manifest; several tracks may be parts of one file."""
    root = folder_of(source if is_remote(source) else str(local_path(source).resolve()))
    names = dict.fromkeys(track.audio for track in parse_manifest(local_copy(source)))
    for name in names:
        if not name.lower().endswith(SUFFIXES):
            raise InputError(f"{source}: {name!r} is no audio file; shards cannot be embedded")
    return Tracks(root, list(names), [])


class Reader:
    """Decodes tracks into windows.

    Args:
        root: Folder or URL that names are relative to.
        windowing: How tracks are divided.
        sample_rate: Sample rate of the windows in Hz.
        patience_s: Seconds without a result after which a track is given up.
    """

    def __init__(
        self, root: str, windowing: Windowing, sample_rate: int, patience_s: float
    ) -> None:
        self.root, self.windowing, self.sample_rate = root, windowing, sample_rate
        self.patience_s = patience_s

    def parts(self, name: str) -> Iterator[Part]:
        """Decode a track: all that can be decoded, and what is wrong with the rest."""
        try:
            yield from within(self._decode(name), self.patience_s)
        except TimeoutError:
            problem = f"{join(self.root, name)}: nothing could be read for {self.patience_s:g} s"
            yield failure(name, problem)

    def _decode(self, name: str) -> Iterator[Part]:
        location, windowing, rate = join(self.root, name), self.windowing, self.sample_rate
        if not is_remote(location):
            yield from file_parts(local_path(location), name, windowing, rate)
            return
        with tempfile.TemporaryDirectory(prefix="negclap-") as folder:
            path = Path(folder, name.rpartition("/")[2])
            try:
                path.write_bytes(read(location))
            except StorageError as error:
                yield failure(name, str(error))
            else:
                yield from file_parts(path, name, windowing, rate, location)


def failure(name: str, problem: str) -> Part:
    """Return the last part of a track that cannot be decoded further."""
    return Part([], [], File(name, Stamp(0, 0), None, problem))


def within(items: Iterator[T], patience_s: float) -> Iterator[T]:
    """Yield items that come within ``patience_s`` seconds of each other.

    Raises:
        TimeoutError: If an item does not come; the thread that waits for it is left alone.
    """
    ready: queue.Queue[tuple[bool, T | BaseException | None]] = queue.Queue(maxsize=1)

    def work() -> None:
        try:
            for item in items:
                ready.put((True, item))
            ready.put((False, None))
        except BaseException as error:  # raised again where the items are consumed
            ready.put((False, error))

    threading.Thread(target=work, daemon=True).start()
    while True:
        try:
            is_item, value = ready.get(timeout=patience_s)
        except queue.Empty:
            raise TimeoutError from None
        if not is_item:
            if isinstance(value, BaseException):
                raise value
            return
        yield value  # type: ignore[misc]  # by the flag it is an item, which mypy cannot know
