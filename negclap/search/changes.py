"""What has happened to the files of an index since its last update."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePath

from negclap.search.store import Stamp

_CLOCK_S, _ROUNDED_S, _LONGEST_S = 900, 2, 26 * 3600


@dataclass
class Changes:
    """How files differ from those of an index; all are paths.

    Attributes:
        new: Files to embed: new ones, and those whose content may have changed.
        moved: New path by old path, of files that have a new place or another clock.
        unchanged: Files that are as they were.
        gone: Tracks whose file is gone although its folder still has audio.
        missing: Tracks whose whole folder is gone or empty, as that of a drive that is not there.
    """

    new: list[str]
    moved: dict[str, str]
    unchanged: list[str]
    gone: list[str]
    missing: list[str]


def find_changes(
    before: Mapping[str, Stamp], now: Mapping[str, Stamp | None], closed: Collection[str]
) -> Changes:
    """Compare the tracks of an index with the files of its folder.

    Args:
        before: Stamps of the index's tracks by path.
        now: Stamps of the files by path; None if a file cannot be opened.
        closed: Folders that could not be opened: their tracks stay as they are.
    """
    changes = Changes([], {}, [], [], [])
    arrived = {}
    for path, stamp in now.items():
        if path not in before:
            arrived[path] = stamp
        elif stamp is not None and before[path] == stamp:
            changes.unchanged.append(path)
        elif _only_clock(before[path], stamp):
            changes.moved[path] = path
        else:
            changes.new.append(path)
    lost = {path: before[path] for path in sorted(before.keys() - now.keys())}
    moves = _moves(lost, arrived)
    changes.moved |= moves
    changes.new = sorted({*changes.new, *arrived} - {*moves.values()})
    alive = {str(PurePath(path).parent) for path in now}
    for path in sorted(lost.keys() - moves.keys()):
        if not _within(path, closed):
            is_alive = str(PurePath(path).parent) in alive
            (changes.gone if is_alive else changes.missing).append(path)
    return changes


def _only_clock(before: Stamp, now: Stamp | None) -> bool:
    """Whether only the clock differs: by quarters of an hour, up to the rounding of FAT."""
    if now is None or now.size != before.size:
        return False
    seconds = abs(now.mtime_ns - before.mtime_ns) / 1e9
    rest = seconds % _CLOCK_S
    shifted = _CLOCK_S - _ROUNDED_S <= seconds <= _LONGEST_S
    return shifted and min(rest, _CLOCK_S - rest) <= _ROUNDED_S


def _moves(lost: Mapping[str, Stamp], found: Mapping[str, Stamp | None]) -> dict[str, str]:
    """Pair lost tracks with new files of the same stamp, of the same name if there are several."""
    places: dict[Stamp, list[str]] = defaultdict(list)
    for path, stamp in found.items():
        if stamp is not None and stamp.size:
            places[stamp].append(path)
    moves = {}
    for same_name in (True, False):
        for old, stamp in lost.items():
            names = [
                new
                for new in places.get(stamp, ())
                if not same_name or PurePath(new).name == PurePath(old).name
            ]
            if old not in moves and names and (same_name or len(names) == 1):
                moves[old] = names[0]
                places[stamp].remove(names[0])
    return moves


def _within(path: str, folders: Collection[str]) -> bool:
    return any(str(parent) in folders for parent in PurePath(path).parents)
