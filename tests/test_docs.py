"""Every command of the documentation is one that parses, and the tutorial runs."""

import os
import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from negclap import cli
from negclap.commands import prepare as prepare_cli

ROOT = Path(__file__).parents[1]
COMMANDS = [
    line
    for name in ("README.md", "docs/data.md", "docs/use.md", "docs/tutorial.md")
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


def test_the_tutorial_runs(tmp_path):
    """Its commands one after the other, then its Python."""
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    tutorial = (ROOT / "docs" / "tutorial.md").read_text()
    blocks = re.findall(r"^```(sh|python)\n(.*?)^```", tutorial, re.DOTALL | re.M)
    assert [kind for kind, _ in blocks] == ["sh"] * 5 + ["python"]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for kind, block in blocks:
        command = ["bash", "-euo", "pipefail", "-c", block]
        if kind == "python":
            command = [sys.executable, "-c", block]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2_000:]
    assert re.fullmatch(r"\[\[.*\]\]\n", done.stdout)
    assert (tmp_path / "runs" / "measured" / "comparison.png").is_file()
