"""Every command of the documentation is one that parses."""

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest

from negclap import cli, prepare_cli

ROOT = Path(__file__).parents[1]
COMMANDS = [
    line
    for name in ("README.md", "docs/data.md", "docs/use.md")
    for block in re.findall(r"^```sh\n(.*?)^```", (ROOT / name).read_text(), re.DOTALL | re.M)
    for line in block.splitlines()
    if line.startswith("negclap ")
]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_of_the_documentation_parse(command):
    _, subcommand, *arguments = shlex.split(command, comments=True)
    if subcommand == "prepare":
        prepare_cli._parser().parse_args(arguments)
    elif subcommand in cli._TRAINING_COMMANDS:
        configs = [Path(value) for flag, value in pairwise(arguments) if flag == "-c"]
        ours = [path for path in configs if path.parts[0] == "configs"]
        assert configs
        assert all((ROOT / path).is_file() for path in ours)
    else:
        cli._parser().parse_args([subcommand, *arguments])


def test_every_source_has_a_section():
    sections = (ROOT / "docs" / "data.md").read_text()
    for source in ("chorales", "shards", *(source.name for source in prepare_cli.SOURCES)):
        assert f"\n## {source}\n" in sections
        assert any(command.startswith(f"negclap prepare {source} ") for command in COMMANDS)
