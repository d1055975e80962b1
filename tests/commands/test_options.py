"""The parser that all commands share."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from jsonargparse import ArgumentError

from negclap.commands.options import add_subcommands, build, chosen, named, new_parser, short_names
from negclap.errors import InputError


@dataclass(frozen=True)
class Plan:
    """Do something.

    Attributes:
        out: Where to.
        kinds: Which kinds.
        shares: How much.
        quick: Be quick.
    """

    out: Path
    kinds: tuple[str, ...] = ("a", "b")
    shares: dict[str, float] = field(default_factory=lambda: {"x": 0.5})
    quick: bool = False


@pytest.fixture
def parser():
    parser = new_parser("test", "A test.")
    parser.add_argument("file", type=Path, help="A file.")
    parser.add_argument("--flag", type=bool, help="A flag.")
    parser.add_class_arguments(Plan, as_group=False)
    return parser


def test_a_dataclass_is_built_from_options(parser):
    options = parser.parse_args(["f", "--out=o", "--kinds=[c,d]", "--shares={y: 1}", "--quick"])
    assert build(Plan, options) == Plan(Path("o"), ("c", "d"), {"y": 1.0}, True)
    assert build(Plan, parser.parse_args(["f", "--out=o"])) == Plan(Path("o"))


def test_booleans_are_flags(parser):
    assert parser.parse_args(["f", "--out=o", "--flag"]).flag is True
    assert parser.parse_args(["f", "--out=o"]).flag is False


@pytest.mark.parametrize("name", ["1", "null", "[a]", "a: b", "\udcff.wav"])
def test_paths_are_not_read_as_yaml(parser, name):
    assert parser.parse_args([name, "--out=o"]).file == Path(name)


def test_help_has_docstrings_and_defaults_but_no_types(parser):
    text = parser.format_help()
    assert "Where to. (required)" in text
    assert "Which kinds. (default: [a,b])" in text
    assert "How much. (default: {x: 0.5})" in text
    assert "Be quick.\n" in text
    assert "type:" not in text


def test_subcommands_have_their_own_usage_and_options():
    parser = new_parser("test", "A test.")
    one = new_parser("test one", "One thing.\n\nMore about it.")
    one.add_argument("--top", type=int, help="A number.")
    add_subcommands(parser, "THING", [one])
    name, options = chosen(parser.parse_args(["one", "--top", "3"]))
    assert (name, options.top) == ("one", 3)
    assert (
        one.format_help().startswith("usage: negclap test one [-h]")
        or "usage: negclap test one " in one.format_help()
    )
    assert "    one                 One thing\n" in parser.format_help()
    with pytest.raises(ArgumentError, match="top"):
        parser.parse_args(["one", "--top", "x"])


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("runs/mine", ("", "runs/mine")),
        ("ours=runs/mine", ("ours", "runs/mine")),
        ("runs/p=0.5", ("", "runs/p=0.5")),
        ("ours=runs/p=0.5", ("ours", "runs/p=0.5")),
    ],
)
def test_a_source_may_have_a_name(source, expected):
    assert named(source) == expected


def test_models_have_short_names():
    sources = ["runs/mine", "laion/clap", "dir/adapter.py:Pitch", "ours=runs/mine"]
    assert short_names(sources) == {
        "mine": "runs/mine",
        "clap": "laion/clap",
        "Pitch": "dir/adapter.py:Pitch",
        "ours": "runs/mine",
    }
    with pytest.raises(InputError, match="both be called 'mine'; write NAME=other/mine"):
        short_names(["runs/mine", "other/mine"])
