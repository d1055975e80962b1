"""Every command of the documentation parses, and the tutorial runs."""

import os
import re
import shlex
import subprocess
import sys
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest

from negclap.cli import COMMANDS
from negclap.commands import prepare

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), *ROOT.glob("experiments/*/README.md")]
EXAMPLES = [
    line
    for page in PAGES
    for block in re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.DOTALL | re.M)
    for line in block.replace("\\\n", " ").splitlines()
    if line.startswith("negclap ")
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_commands_of_the_documentation_parse(example):
    _, command, *arguments = shlex.split(example, comments=True)
    module, _ = COMMANDS[command]
    if module == "training":
        configs = [Path(value) for flag, value in pairwise(arguments) if flag == "-c"]
        assert configs
        assert all((ROOT / path).is_file() for path in configs if path.parts[0] == "configs")
        assert not [flag for flag in arguments if re.match(r"--[\w.]*-", flag)]
    else:
        import_module(f"negclap.commands.{module}").parser().parse_args(arguments)


def test_every_source_has_a_section():
    sections = (ROOT / "docs" / "data.md").read_text()
    for source in ("chorales", "shards", *prepare.SOURCES):
        assert f"\n## {source}\n" in sections
        assert any(example.startswith(f"negclap prepare {source} ") for example in EXAMPLES)


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
