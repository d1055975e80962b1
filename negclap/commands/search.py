"""`negclap search`: find music by a description."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import PositiveInt
from rich.text import Text

from negclap.commands.options import MODEL, new_parser, printable
from negclap.commands.tables import print_table
from negclap.errors import InputError

if TYPE_CHECKING:
    from negclap.search import Hit


def parser() -> ArgumentParser:
    """Return the parser of the command."""
    parser = new_parser("search", "Find music by a description.")
    add = parser.add_argument
    add("index", help="Folder that negclap index wrote, or folder or URL of negclap embed.")
    add("text", nargs="?", help='Description, as in "calm piano without drums".')
    add(
        "--not",
        action="append",
        default=[],
        metavar="TEXT",
        help="What to exclude, with any model; repeatable.",
    )
    add(
        "--like",
        action="append",
        default=[],
        metavar="FILE",
        help="Audio file that the music is similar to; repeatable.",
    )
    add("--top", type=PositiveInt, default=10, help="Number of tracks.")
    add(
        "--model",
        help=f"{MODEL} It may have another text encoder than the index's own model, but not "
        "another audio encoder.",
    )
    add("--exact", type=bool, help="Score every window, even if the index has approximate search.")
    add("--json", type=bool, help="Print JSON.")
    add("--m3u", type=Path, metavar="FILE", help="Playlist to write.")
    return parser


def run(options: Namespace) -> None:
    """Run the command."""
    from negclap.catalogue import open_searchable

    index = open_searchable(options.index, options.model)
    if unread := index.model.unread(options.text or ""):
        sys.stderr.write(f"negclap: the text is too long; the model does not read: {unread}\n")
    like = [Path(file) for file in options.like]
    hits = index.search(options.text, options.top, options["not"], like, options.exact)
    (_print_json if options.json else _print_hits)(hits)
    if options.m3u:
        for left_out in write_playlist(options.m3u, str(index.root), hits):
            sys.stderr.write(f"negclap: not in {options.m3u}: {left_out}\n")


def _print_json(hits: Sequence["Hit"]) -> None:
    found = [{"rank": rank, **hit._asdict()} for rank, hit in enumerate(hits, start=1)]
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


def _print_hits(hits: Sequence["Hit"]) -> None:
    from negclap.search.explain import in_words
    from negclap.search.query import clock

    titles = ["", "track", "from", "to", "score"]
    rows = [
        [
            rank,
            Text("\n  = ".join(map(printable, (h.path, *h.copies)))),
            clock(h.start_s),
            clock(h.end_s),
            f"{h.score:.3f}",
        ]
        for rank, h in enumerate(hits, start=1)
    ]
    if any(hit.tags for hit in hits):
        titles.append("tags")
        rows = [[*row, in_words(hit.tags)] for row, hit in zip(rows, hits, strict=True)]
    print_table("", titles, rows, left=1, wrap=True)


def write_playlist(path: Path, root: str, hits: Sequence["Hit"]) -> list[str]:
    """Write an extended M3U playlist; VLC starts each track at its best window.

    Returns:
        The tracks that are left out, with the reason: names that a playlist cannot contain.

    Raises:
        InputError: If the file cannot be written.
    """
    from negclap.data.manifest import is_utf8
    from negclap.storage import join

    lines, left_out = [b"#EXTM3U"], []
    for hit in hits:
        if "\n" in hit.path or "\r" in hit.path:
            left_out.append(f"{hit.path!r} (the name has a line break)")
            continue
        if path.suffix == ".m3u8" and not is_utf8(hit.path):
            left_out.append(f"{hit.path!r} (the name is not UTF-8, as .m3u8 is)")
            continue
        lines += [
            f"#EXTINF:{round(hit.duration_s)},{Path(printable(hit.path)).stem}".encode(),
            f"#EXTVLCOPT:start-time={round(hit.start_s)}".encode(),
            os.fsencode(join(root, hit.path)),
        ]
    try:
        path.write_bytes(b"\n".join(lines) + b"\n")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    return left_out
