"""`negclap app`: search in the browser."""

import sys
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from negclap.commands.options import new_parser
from negclap.errors import InputError


def parser() -> ArgumentParser:
    """Return the parser of the command."""
    parser = new_parser("app", "Search in the browser, with one index or two side by side.")
    add = parser.add_argument
    add("indices", nargs="+", type=Path, metavar="INDEX", help="One index, or two to compare.")
    add("--benchmark", type=Path, help="Folder that negclap benchmark wrote, to show.")
    add("--host", default="127.0.0.1", help="Address to listen on.")
    add("--port", type=int, default=7860, help="Port to listen on.")
    return parser


def run(options: Namespace) -> None:
    """Run the command."""
    try:
        from negclap.app.server import serve
    except ImportError as error:
        raise InputError(f"the page needs {error.name}: pip install 'negclap[app]'") from None
    if len(options.indices) > 2:
        raise InputError(f"{len(options.indices)} indices, the page compares two at most")
    sys.stdout.write(f"http://{options.host}:{options.port}\n")
    sys.stdout.flush()
    serve(options.indices, options.benchmark, options.host, options.port)
