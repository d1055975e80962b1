"""``negclap index`` and ``negclap search``: your own music, by what it is and is not."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from negclap.commands.options import MODEL, positive
from negclap.errors import InputError

if TYPE_CHECKING:
    from negclap.search import Hit, Index
    from negclap.search.index import Update

_SHOWN = 20  # problems that are printed; all of them are in the index


def add_index_options(parser: argparse.ArgumentParser) -> None:
    """What ``negclap index`` takes."""
    parser.formatter_class = argparse.ArgumentDefaultsHelpFormatter
    parser.add_argument("folder", type=Path, help="folder of music, searched at any depth")
    parser.add_argument("--out", type=Path, required=True, help="the index; brought up to date")
    parser.add_argument(
        "--model",
        required=True,
        help=MODEL,
    )
    parser.add_argument(
        "--hop", type=float, help="seconds between windows; without it, side by side"
    )
    parser.add_argument(
        "--approximate",
        action=argparse.BooleanOptionalAction,
        help="also a search that visits a part of the windows, for hundreds of thousands of them",
    )
    parser.add_argument(
        "--jobs", type=positive, default=os.cpu_count() or 1, help="files decoded at a time"
    )
    parser.set_defaults(run=_index)


def add_search_options(parser: argparse.ArgumentParser) -> None:
    """What ``negclap search`` takes."""
    parser.add_argument("index", type=Path, help="what negclap index wrote")
    parser.add_argument("text", nargs="?", help='as in "calm piano without drums"')
    parser.add_argument(
        "--not",
        dest="without",
        action="append",
        default=[],
        metavar="TEXT",
        help="what there should not be, by name, for models that do not understand negation, too",
    )
    parser.add_argument(
        "--like", type=Path, action="append", default=[], metavar="FILE", help="sounds like it"
    )
    parser.add_argument("--top", type=positive, default=10, help="tracks to show (default: 10)")
    parser.add_argument("--model", help="instead of the one that the index names, if it has moved")
    parser.add_argument("--exact", action="store_true", help="look at every window")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--m3u", type=Path, metavar="FILE", help="also write a playlist")
    parser.set_defaults(run=_search)


def add_app_options(parser: argparse.ArgumentParser) -> None:
    """What ``negclap app`` takes."""
    parser.formatter_class = argparse.ArgumentDefaultsHelpFormatter
    parser.add_argument(
        "indices", nargs="+", type=Path, metavar="INDEX", help="one, or two to be compared"
    )
    parser.add_argument("--benchmark", type=Path, help="what negclap benchmark --out wrote")
    parser.add_argument("--host", default="127.0.0.1", help="who may come: this machine alone")
    parser.add_argument("--port", type=int, default=7860, help="of the page's address")
    parser.set_defaults(run=_app)


def _app(options: argparse.Namespace) -> None:
    try:
        from negclap.app.server import serve
    except ImportError as error:
        raise InputError(f"the page needs {error.name}: pip install 'negclap[app]'") from None
    if len(options.indices) > 2:
        raise InputError(f"{len(options.indices)} indices, the page compares two at most")
    sys.stdout.write(f"http://{options.host}:{options.port}\n")
    sys.stdout.flush()
    serve(options.indices, options.benchmark, options.host, options.port)


def _index(options: argparse.Namespace) -> None:
    from negclap.progress import progress
    from negclap.search import Index

    index = Index.create(options.out, options.folder, options.model, options.hop)
    _print_update(index, index.update(options.jobs, options.approximate, progress))


def _print_update(index: "Index", update: "Update") -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    tracks, windows = index.store.counts()
    heard = update.heard - len(update.problems)
    console.print(
        f"{_printable(str(index.folder))}: {tracks} tracks, {windows} windows; {heard} heard now, "
        f"{update.kept} unchanged, {update.removed} gone"
    )
    if update.problems:
        console.print(f"{len(update.problems)} files are not in the index, they cannot be heard:")
    for problem in list(update.problems.values())[:_SHOWN]:
        console.print(f"  {_printable(problem)}")
    if len(update.problems) > _SHOWN:
        console.print(f"  and {len(update.problems) - _SHOWN} more")


def _search(options: argparse.Namespace) -> None:
    from negclap import load
    from negclap.search import Index

    index = Index(options.index, load(options.model) if options.model else None)
    hits = index.search(options.text, options.top, options.without, options.like, options.exact)
    if options.json:
        _print_json(hits)
    else:
        _print_table(hits)
    if options.m3u:
        write_playlist(options.m3u, index.root, hits)


def _print_json(hits: Sequence["Hit"]) -> None:
    found = [{"rank": rank, **hit._asdict()} for rank, hit in enumerate(hits, start=1)]
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


def _print_table(hits: Sequence["Hit"]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for column in ("", "track", "from", "to", "score"):
        table.add_column(column, justify="left" if column == "track" else "right")
    for rank, hit in enumerate(hits, start=1):
        times = _clock(hit.start_s), _clock(hit.end_s)
        table.add_row(str(rank), Text(_printable(hit.path)), *times, f"{hit.score:.3f}")
    Console().print(table)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def _printable(path: str) -> str:
    """A file name that need not be text."""
    return os.fsencode(path).decode("utf-8", "replace")


def write_playlist(path: Path, root: Path, hits: Sequence["Hit"]) -> None:
    """Write an extended M3U of the tracks, each played from its best window on (VLC)."""
    lines = [b"#EXTM3U"]
    for hit in hits:
        if "\n" in hit.path or "\r" in hit.path:
            raise InputError(f"{hit.path!r}: a playlist has no way to write such a name")
        name = Path(_printable(hit.path)).stem
        lines += [
            f"#EXTINF:{round(hit.duration_s)},{name}".encode(),
            f"#EXTVLCOPT:start-time={round(hit.start_s)}".encode(),
            os.fsencode(root / hit.path),
        ]
    path.write_bytes(b"\n".join(lines) + b"\n")
