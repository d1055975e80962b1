"""What the command lines share: a parser, options of several commands, names of models."""

import os
from argparse import SUPPRESS, Action, RawDescriptionHelpFormatter
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from jsonargparse import ArgumentParser, DefaultHelpFormatter, Namespace

from negclap.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

MODEL = (
    "built-in, a run folder, an exported folder, a ClapModel (folder or hub name), a LAION-CLAP "
    ".pt, or FILE.py:CLASS."
)
MANIFEST = "manifest.jsonl, with vocabulary.json next to it."


class _HelpFormatter(DefaultHelpFormatter, RawDescriptionHelpFormatter):
    """Shows defaults as they are typed, and no Python types."""

    def _get_help_string(self, action: Action) -> str:
        text, default = action.help or "", action.default
        if action.required and action.option_strings:
            return f"{text} (required)"
        if default is None or default is False or default in (SUPPRESS, [], ""):
            return text
        if isinstance(default, Mapping):
            default = f"{{{', '.join(f'{name}: {value}' for name, value in default.items())}}}"
        elif isinstance(default, tuple | list):
            default = f"[{','.join(map(str, default))}]"
        return f"{text} (default: {default})"


class _Parser(ArgumentParser):
    def add_argument(self, *args: Any, **kwargs: Any) -> Any:
        """Make booleans flags; take paths as they are, since YAML rejects those not in UTF-8."""
        if kwargs.get("type") is bool:
            del kwargs["type"]
            kwargs["action"] = "store_true"
        elif kwargs.get("type") is Path:
            kwargs["type"] = lambda text: Path(text)
        return super().add_argument(*args, **kwargs)


def new_parser(command: str, description: str) -> ArgumentParser:
    """Return a parser for `negclap COMMAND` that raises `ArgumentError` on mistakes."""
    return _Parser(
        prog=f"negclap {command}".rstrip(),
        description=description,
        exit_on_error=False,
        allow_abbrev=False,
        formatter_class=_HelpFormatter,
    )


def add_subcommands(parser: ArgumentParser, metavar: str, own: Iterable[ArgumentParser]) -> None:
    """Add parsers of `new_parser`; the last word of the command is the subcommand.

    The first line of a description is the one-line help.
    """
    commands = parser.add_subcommands(metavar=metavar)
    for each in own:
        prog, text = each.prog, (each.description or "").partition("\n")[0].rstrip(".")
        commands.add_subcommand(prog.rpartition(" ")[2], each, help=text)
        each.prog = prog  # jsonargparse writes "[options]" into it


def chosen(options: Namespace) -> tuple[str, Namespace]:
    """Return the name of the subcommand and its options."""
    return options.subcommand, options[options.subcommand]


def build(dataclass: type[T], options: Namespace) -> T:
    """Return an instance of a dataclass whose fields are options."""
    return dataclass(**{each.name: options[each.name] for each in fields(dataclass)})


def add_models(parser: ArgumentParser, text: str) -> None:
    """Add a repeatable ``--model``, and the manifest and split that models are evaluated on."""
    add, manifest = parser.add_argument, Path("data/chorales/manifest.jsonl")
    add(
        "--model",
        action="append",
        help=f"{MODEL} {text} Without it: the built-in model.",
    )
    add("--data", type=Path, default=manifest, help=MANIFEST)
    add("--split", default="test", help="Split of the manifest.")


def models_of(options: Namespace) -> list[str]:
    """Return the models of `add_models`, or the built-in one."""
    given: list[str] | None = options.model
    return given or ["built-in"]


def named(source: str) -> tuple[str, str]:
    """Split ``NAME=SOURCE``; without a name, return "" and the source."""
    name, equals, rest = source.partition("=")
    return (name, rest) if equals and "/" not in name else ("", source)


def short_names(sources: Iterable[str]) -> dict[str, str]:
    """Return models by name: NAME of ``NAME=SOURCE``, or the last part of a path or hub name.

    Raises:
        InputError: If two models have the same name.
    """
    models: dict[str, str] = {}
    for name, source in map(named, sources):
        name = name or (source.rpartition(":")[2] if ".py:" in source else Path(source).name)
        if name in models:
            raise InputError(
                f"{models[name]} and {source} would both be called {name!r}; write NAME={source}"
            )
        models[name] = source
    return models


def printable(path: str) -> str:
    """Return a file name as text, even if it is not valid UTF-8."""
    return os.fsencode(path).decode("utf-8", "replace")
