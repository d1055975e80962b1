"""`negclap app`: search in the browser."""

import sys
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from negclap.commands.options import MODEL, new_parser
from negclap.errors import InputError


def parser() -> ArgumentParser:
    """Return the parser of the command."""
    parser = new_parser("app", "Search in the browser, with one model or two side by side.")
    add = parser.add_argument
    add("indices", nargs="+", metavar="INDEX", help="One index or catalogue, or two to compare.")
    add("--model", help=f"{MODEL} Searches the one index as well, in a second column.")
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
    if len(options.indices) == 2 and options.model is not None:
        raise InputError(
            "two indices and --model, the page compares two models at most; leave out one of them"
        )
    sys.stdout.write(f"http://{options.host}:{options.port}\n")
    sys.stdout.flush()
    serve(options.indices, options.model, options.benchmark, options.host, options.port)
