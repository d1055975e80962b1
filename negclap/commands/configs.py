"""Configuration files on the command line: their order, and what a later one replaces."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

_FLAGS = ("-c", "--config")
_CLASS = ".class_path"


def arrange(arguments: list[str]) -> list[str]:
    """Put configuration files before all other options, so that options overrule files.

    If a later file or an option gives another class for a part (``model.audio_encoder``), what an
    earlier file says of this part is left out: it belongs to the class that is replaced, even if
    the new one has arguments of the same names.
    """
    files, options = _split(arguments)
    contents = [_read(file) for file in files]
    later = _parts(_strings_of_options(options))
    arranged: list[str] = []
    for file, content in reversed([*zip(files, contents, strict=True)]):
        strings = dict(_strings(content))
        classes = _parts((name, text) for name, text in strings.items() if name.endswith(_CLASS))
        replaced = [
            part
            for part, name in classes.items()
            if part in later and _short(name) != _short(later[part])
        ]
        text = OmegaConf.to_yaml(_without(content, replaced)) if replaced else file
        arranged = [f"{_FLAGS[1]}={text}", *arranged]
        later = _parts(strings.items()) | later
    place = 1 if options and not options[0].startswith("-") else 0  # behind the subcommand
    return [*options[:place], *arranged, *options[place:]]


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return the configuration files, and all other arguments."""
    files, options = [], []
    rest = iter(arguments)
    for argument in rest:
        flag, equals, value = argument.partition("=")
        if flag not in _FLAGS:
            options.append(argument)
        elif equals or (value := next(rest, "")):
            files.append(value)
        else:
            options.append(argument)  # lacks its file, which the parser reports
    return files, options


def _read(file: str) -> Any:
    """Return the content of a file as plain containers; empty if the parser has to report it."""
    try:
        content = OmegaConf.to_container(OmegaConf.load(Path(file)), resolve=False)
    except (OSError, ValueError, YAMLError, OmegaConfBaseException):
        return {}
    return content if isinstance(content, dict) else {}


def _strings(content: Mapping[Any, Any], part: str = "") -> Iterator[tuple[str, str]]:
    """Yield the names ``a.b.c`` and values of all strings."""
    for key, value in content.items():
        name = f"{part}.{key}" if part else str(key)
        if isinstance(value, Mapping):
            yield from _strings(value, name)
        elif isinstance(value, str):
            yield name, value


def _strings_of_options(options: list[str]) -> Iterator[tuple[str, str]]:
    for option, following in pairwise([*options, ""]):
        flag, equals, value = option.partition("=")
        if flag.startswith("--"):
            yield flag[2:], value if equals else following


def _parts(strings: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the class of each part; a class may be given without ``class_path``, too."""
    return {name.removesuffix(_CLASS): text for name, text in strings}


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _without(content: dict[Any, Any], parts: list[str]) -> dict[Any, Any]:
    """Return a copy without some parts, given as ``a.b.c``."""

    def copy(value: Any, part: str) -> Any:
        if not isinstance(value, dict):
            return value
        inner = {key: f"{part}.{key}" if part else str(key) for key in value}
        return {key: copy(value[key], name) for key, name in inner.items() if name not in parts}

    result: dict[Any, Any] = copy(content, "")
    return result
