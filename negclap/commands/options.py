"""Options that several commands have."""

import argparse
from pathlib import Path

from negclap.errors import InputError

MODEL = (
    "a run folder, an exported folder, a ClapModel (folder or hub name), a LAION-CLAP .pt, "
    "or FILE.py:CLASS"
)


def add_compared(parser: argparse.ArgumentParser, compared: str) -> None:
    """``--model``, any number of times, and the manifest's split that they are asked about."""
    parser.add_argument(
        "--model",
        action="append",
        required=True,
        dest="models",
        metavar="MODEL",
        help=f"{MODEL}; {compared}",
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path("data/chorales/manifest.jsonl"),
        help="manifest.jsonl; vocabulary.json lies beside it",
    )
    parser.add_argument("--split", default="test", help="the split that is asked about")


def short_names(sources: list[str]) -> dict[str, str]:
    """Models by short name: the last part of a path or hub name, the class of a file.

    Raises:
        InputError: If two would have the same.
    """
    named: dict[str, str] = {}
    for source in sources:
        name = source.rpartition(":")[2] if ".py:" in source else Path(source).name
        if name in named:
            raise InputError(f"{named[name]} and {source} would both be called {name!r}")
        named[name] = source
    return named


def positive(text: str) -> int:
    """A whole number from 1 on, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number}, expected at least 1")
    return number


positive.__name__ = "number"  # what argparse calls it: "invalid number value"
