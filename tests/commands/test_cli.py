"""The table of commands, their help and their error messages."""

import re
import subprocess
import sys

import pytest

from negclap import cli
from negclap.cli import COMMANDS, main

SUBCOMMANDS = (
    ("prepare", "chorales"), ("prepare", "folder"), ("prepare", "shards"),
    ("inspect", "shards"), ("inspect", "text"), ("listening", "pack"), ("listening", "results"),
)  # fmt: skip
HELP = """
import sys
from negclap.cli import main
try:
    main(sys.argv[1:])
except SystemExit as stop:
    assert stop.code in (0, None)
loaded = {"torch", "lightning", "transformers"} & set(sys.modules)
assert not loaded, loaded
"""


def without_training(commands):
    return [name for name in commands if COMMANDS[name][0] != "training"]


@pytest.mark.parametrize(
    "command",
    [(), *((name,) for name in without_training(COMMANDS)), *SUBCOMMANDS],
    ids=lambda command: " ".join(("negclap", *command)),
)
def test_help_loads_neither_torch_nor_lightning_nor_transformers(command):
    done = subprocess.run(
        [sys.executable, "-c", HELP, *command, "--help"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(" ".join(("usage: negclap", *command)))


@pytest.mark.parametrize("command", without_training(COMMANDS))
def test_options_are_in_snake_case_and_documented(command):
    parser = cli.import_module(f"negclap.commands.{command}").parser()
    subcommands = parser._subcommands_action
    for each in subcommands.choices.values() if subcommands else [parser]:
        for action in each._actions:
            assert action.help
            for option in action.option_strings:
                assert re.fullmatch(r"-h|--[a-z][a-z0-9_]*\+?", option)


def test_help_lists_the_commands(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    printed = capsys.readouterr().out
    for name, (_, text) in COMMANDS.items():
        assert re.search(rf"^ +{name} +{re.escape(text)}$", printed, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "it was not provided"),
        (["dance"], "invalid choice: 'dance'"),
        (["inspect"], "{shards,text}"),
        (["prepare", "chorales", "--out", "x", "--clips", "3"], "clips is 3"),
        (["prepare", "chorales", "--out", "x", "--clips", "many"], "Got value: many"),
        (["prepare", "chorales"], "required: chorales.out"),
        (["inspect", "text", "/nowhere/m.jsonl"], "manifest not found"),
        (["inspect", "text", "m.jsonl", "--absent_from", "air"], "Got value: air"),
        (["report", "/nowhere/run"], "no such file"),
        (["search", "x", "y", "--top", "0"], "PositiveInt: 0"),
        (["search", "x", "--to", "3"], "unrecognized arguments: --to"),
        (["benchmark", "--model", "x"], "required: out"),
        (["benchmark", "--model", "a/x", "--model", "b/x", "--out", "o"], "write NAME=b/x"),
        (["fit", "--data.batch_size", "many"], "Got value: many"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, monkeypatch, capfd, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capfd.readouterr().err
    assert error.startswith("negclap: error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not list(tmp_path.iterdir())


def test_an_unwritable_folder_is_one_line(tmp_path, chorales, complaint):
    (tmp_path / "file").touch()
    arguments = ["inspect", "text", str(chorales / "manifest.jsonl"), "--samples", "0"]
    status, line = complaint([*arguments, "--json", str(tmp_path / "file" / "x.json")])
    assert status == 2
    assert line.startswith("negclap: error: ")
    assert "Not a directory" in line


def test_an_interrupt_is_one_line(monkeypatch, complaint):
    def interrupt(name):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "import_module", interrupt)
    assert complaint(["report", "x"]) == (130, "negclap: stopped; finished work is kept")
