"""`negclap index`: make a folder of music searchable."""

import os
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from jsonargparse import ActionYesNo, ArgumentParser, Namespace
from jsonargparse.typing import PositiveInt
from rich.console import Console

from negclap.commands.options import MODEL, new_parser, printable
from negclap.commands.tables import print_some

if TYPE_CHECKING:
    from negclap.search import Index
    from negclap.search.index import Update

_FOLDERS_SHOWN = 5


def parser() -> ArgumentParser:
    """Return the parser of the command."""
    parser = new_parser("index", "Make a folder of music searchable, or update its index.")
    add = parser.add_argument
    add("folder", type=Path, help="Folder of music, searched recursively.")
    add("--out", type=Path, required=True, help="Folder of the index.")
    add(
        "--model",
        help=f"{MODEL} It becomes the model that searches the index by default. Without it: "
        "that of the existing index, or the built-in one.",
    )
    add(
        "--hop",
        type=float,
        help="Seconds from one window to the next; by default, windows do not overlap.",
    )
    add(
        "--approximate",
        action=ActionYesNo(yes_prefix="", no_prefix="no_"),
        help="Add approximate search, for hundreds of thousands of windows.",
    )
    add(
        "--forget",
        type=bool,
        help="Remove tracks whose whole folder is gone, which are otherwise kept.",
    )
    add("--jobs", type=PositiveInt, default=os.cpu_count() or 1, help="Files to decode at a time.")
    return parser


def run(options: Namespace) -> None:
    """Run the command."""
    from negclap.progress import progress
    from negclap.search import Index

    index = Index.create(options.out, options.folder, options.model, options.hop)
    update = index.update(options.jobs, options.approximate, progress, options.forget)
    _print_update(index, update)


def _print_update(index: "Index", update: "Update") -> None:
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    tracks, windows = index.store.counts()
    console.print(
        f"{printable(str(index.folder))}: {tracks} tracks, {windows} windows; "
        f"{update.processed - update.failed} encoded now, {update.moved} moved, "
        f"{update.unchanged} unchanged, {update.removed} removed"
    )
    for line in update.passed_over:
        console.print(printable(line))
    if update.missing:
        folders = sorted({str(PurePath(path).parent) for path in update.missing})
        console.print(
            f"{len(update.missing)} tracks are missing with their folder and are kept (--forget "
            f"removes them): {printable(', '.join(folders[:_FOLDERS_SHOWN]))}"
        )
    print_some(
        console,
        f"{len(update.damaged)} files are damaged; what can be decoded is in the index:",
        list(update.damaged.values()),
    )
    print_some(
        console,
        f"{len(update.problems)} files are not in the index, they cannot be read:",
        list(update.problems.values()),
    )
