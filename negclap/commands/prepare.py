"""`negclap prepare SOURCE`: a manifest, and audio where it must be made, from what people have."""

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from docstring_parser import Docstring, parse_from_object

from negclap.commands.tables import print_manifest_summary, print_progressed, print_summary
from negclap.data.entries import Source
from negclap.data.gather import Gathering, gather
from negclap.data.shards import Sharding, write_shards
from negclap.data.sources.chorales import BuildPlan, build
from negclap.data.sources.folder import Folder
from negclap.data.sources.lp_musiccaps import LpMusicCapsMsd, LpMusicCapsMtt
from negclap.data.sources.mtg_jamendo import MtgJamendo
from negclap.data.sources.musiccaps import MusicCaps
from negclap.data.sources.song_describer import SongDescriber
from negclap.data.sources.webdataset import WebDataset
from negclap.evaluation.results import write_json
from negclap.progress import progress

SOURCES: tuple[type[Source], ...] = (
    LpMusicCapsMsd,
    LpMusicCapsMtt,
    MusicCaps,
    SongDescriber,
    MtgJamendo,
    WebDataset,
    Folder,
)


def run(arguments: Sequence[str]) -> None:
    """Run the command."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], None] = options.run
    command(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="negclap prepare", description=__doc__)
    sources = parser.add_subparsers(required=True, metavar="SOURCE")
    _add_chorales(sources.add_parser("chorales", help="the built-in set: Bach chorales, rendered"))
    _add_shards(sources.add_parser("shards", help="a manifest as tar shards, part by part"))
    for source in SOURCES:
        doc = parse_from_object(source)
        entry = sources.add_parser(
            source.name,
            help=(doc.short_description or "").rstrip("."),
            description=doc.description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        _add_fields(entry, source, doc)
        _add_fields(entry, Gathering, parse_from_object(Gathering))
        entry.set_defaults(run=_prepare, source=source)
    return parser


def _add_chorales(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, help="folder of the set")
    _add_fields(parser, BuildPlan, parse_from_object(BuildPlan))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.set_defaults(run=_prepare_chorales)


def _prepare_chorales(options: argparse.Namespace) -> None:
    tracks = build(_made(BuildPlan, options), options.out, options.jobs, progress)
    print_manifest_summary(options.out / "manifest.jsonl", tracks)


def _add_shards(parser: argparse.ArgumentParser) -> None:
    doc = parse_from_object(Sharding)
    parser.description = doc.description
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    _add_fields(parser, Sharding, doc)
    parser.set_defaults(run=_prepare_shards)


def _prepare_shards(options: argparse.Namespace) -> None:
    plan = _made(Sharding, options)
    print_progressed(plan.out, write_shards(plan, progress))


def _prepare(options: argparse.Namespace) -> None:
    plan = _made(Gathering, options)
    summary = gather(_made(options.source, options), plan, progress)
    print_summary(plan.out / "manifest.jsonl", summary)
    write_json(plan.out / "summary.json", vars(summary))


def _add_fields(parser: argparse.ArgumentParser, of: type[Any], doc: Docstring) -> None:
    """An option for each field of a dataclass, with the help that its docstring gives."""
    told = {param.arg_name: " ".join((param.description or "").split()) for param in doc.params}
    hints = get_type_hints(of)
    for each in fields(of):
        flag = "--" + each.name.replace("_", "-")
        default = _default(each)
        shown = "" if default in (MISSING, None, False) else f" (default: {_shown(default)})"
        text = told[each.name].replace("%", "%%") + shown
        if hints[each.name] is bool:
            parser.add_argument(flag, action="store_true", help=text)
        else:
            parser.add_argument(
                flag,
                required=default is MISSING,
                default=None if default is MISSING else default,
                help=text,
                **_reading(hints[each.name]),
            )


def _default(each: "Field[Any]") -> Any:
    if each.default_factory is not MISSING:
        return each.default_factory()
    return each.default


def _shown(default: Any) -> str:
    if isinstance(default, Mapping):
        return ",".join(f"{name}={share}" for name, share in default.items())
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)


def _reading(hint: Any) -> dict[str, Any]:
    """How argparse reads a type: a value, a choice, several of either, or shares by name."""
    kinds = [kind for kind in get_args(hint) if kind is not NoneType]
    if get_origin(hint) is Literal:
        return {"choices": get_args(hint)}
    if hint == Mapping[str, float]:
        return {"type": _shares, "metavar": "NAME=SHARE,..."}
    if hint == tuple[Path, ...]:
        return {"type": Path, "nargs": "+", "metavar": "FILE"}
    if get_origin(hint) in (tuple, Sequence):
        choices = get_args(kinds[0])
        return {"type": lambda text: _several(text, choices), "metavar": "|".join(choices)}
    return {"type": kinds[0] if kinds else hint}


def _several(text: str, choices: Sequence[str]) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    wrong = [name for name in names if name not in choices]
    if wrong or not names:
        raise argparse.ArgumentTypeError(f"{text!r}: expected some of {','.join(choices)}")
    return names


def _shares(text: str) -> dict[str, float]:
    try:
        return {name: float(share) for name, share in (one.split("=") for one in text.split(","))}
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: expected NAME=SHARE,NAME=SHARE") from None


def _made(of: type[Any], options: argparse.Namespace) -> Any:
    given = {each.name: getattr(options, each.name) for each in fields(of)}
    return of(**{k: tuple(v) if isinstance(v, list) else v for k, v in given.items()})
