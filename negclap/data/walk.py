"""Find the audio files of a folder, and say what is passed over."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SUFFIXES = (
    ".wav", ".wave", ".w64", ".rf64", ".flac", ".mp3", ".mp2", ".ogg", ".oga", ".opus", ".aif",
    ".aiff", ".aifc", ".au", ".caf", ".m4a", ".m4b", ".mp4", ".aac", ".alac", ".wma", ".ape", ".wv",
    ".mpc", ".tta", ".tak", ".dsf", ".dff", ".ac3", ".dts", ".mka", ".webm", ".ra", ".amr", ".spx",
    ".npy",
)  # fmt: skip
"""Names of files that can be read."""
_UNREAD = frozenset({
    ".m4p", ".aax", ".wmv", ".mkv", ".mov", ".avi", ".mid", ".midi", ".kar", ".mod", ".xm", ".it",
    ".s3m", ".sid", ".nsf", ".spc", ".gp5",
})  # fmt: skip
_BINS = frozenset({"$recycle.bin", "#recycle", "@eadir", "__macosx", "system volume information"})
_SHOWN = 5
_RESOURCE_FORK = "._"
"""What macOS writes beside files on other file systems begins with it."""


@dataclass
class Walk:
    """What a folder contains.

    Attributes:
        files: Audio files relative to the folder, sorted.
        unread: Number of audio files of kinds that cannot be read, by suffix.
        links: Links to folders, which are not followed.
        hidden: Hidden folders and bins, which are not searched.
        unreadable: Folders that cannot be opened, with the reason.
    """

    files: list[str] = field(default_factory=list)
    unread: Counter[str] = field(default_factory=Counter)
    links: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)

    def passed_over(self) -> Iterator[str]:
        """Yield a line for each kind of thing that is not among the files."""
        if self.unread:
            kinds = ", ".join(f"{suffix} {n}" for suffix, n in self.unread.most_common())
            yield f"{self.unread.total()} files are of kinds that cannot be read: {kinds}"
        if self.links:
            yield f"{len(self.links)} links to folders are not followed: {_some(self.links)}"
        if self.hidden:
            yield f"{len(self.hidden)} hidden folders are not searched: {_some(self.hidden)}"
        yield from (f"{folder}: {reason}" for folder, reason in self.unreadable.items())


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def walk_audio(root: Path) -> Walk:
    """Find the audio files below a folder.

    What macOS keeps in ``._`` files is no music and left out.
    """
    walk = Walk()

    def fail(error: OSError) -> None:
        folder = os.path.relpath(error.filename, root)
        walk.unreadable[folder] = error.strerror or str(error)

    for place, folders, files in os.walk(root, onerror=fail, followlinks=False):
        folders.sort()
        for name in list(folders):
            path = Path(place, name)
            if path.is_symlink():
                walk.links.append(str(path.relative_to(root)))
            elif name.startswith(".") or name.casefold() in _BINS:
                walk.hidden.append(str(path.relative_to(root)))
                folders.remove(name)
        for name in sorted(files):
            suffix = Path(name).suffix.lower()
            if name.startswith(_RESOURCE_FORK):
                continue
            if suffix in SUFFIXES:
                walk.files.append(str(Path(place, name).relative_to(root)))
            elif suffix in _UNREAD:
                walk.unread[suffix] += 1
    return walk
