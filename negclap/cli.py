"""The command line. Only the module of the chosen command is imported."""

import sys
from collections.abc import Sequence
from importlib import import_module

from jsonargparse import ArgumentError, ArgumentParser

from negclap.commands.options import add_subcommands, new_parser
from negclap.errors import InputError

COMMANDS = {
    "prepare": ("prepare", "Write a manifest from a data set"),
    "inspect": ("inspect", "Verify shards, preview Negation insert"),
    "fit": ("training", "Train a model"),
    "validate": ("training", "Evaluate a checkpoint on the validation split"),
    "test": ("training", "Evaluate a checkpoint on the test split"),
    "predict": ("training", "Write the embeddings of the test split"),
    "report": ("report", "Compare the results of runs"),
    "benchmark": ("benchmark", "Evaluate models on negation, and compare them"),
    "teach": ("teach", "Teach negation to a finished model, from text alone"),
    "export": ("export", "Write a run as a model for others"),
    "index": ("index", "Make a folder of music searchable"),
    "embed": ("embed", "Write the windows of many tracks into a catalogue"),
    "search": ("search", "Find music by a description"),
    "app": ("app", "Search in the browser"),
    "listening": ("listening", "Compare models with human raters"),
    "sweep": ("sweep", "Search hyperparameters locally"),
    "mine": ("mine", "Find negations in human-written captions"),
}
"""Module in `negclap.commands` and help by command.

A module has ``parser() -> ArgumentParser`` and ``run(options)``; `training` has ``run(arguments)``,
since Lightning parses and runs at once.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``negclap`` and return the exit status; a user's mistake is one line on stderr, 2."""
    try:
        _run(list(sys.argv[1:] if arguments is None else arguments))
    except (InputError, ArgumentError) as error:
        return _complain(str(error))
    except OSError as error:  # a folder that cannot be written, a full disk
        return _complain(f"{error.filename or ''}: {error.strerror or error}")
    except KeyboardInterrupt:
        sys.stderr.write("negclap: stopped; finished work is kept\n")
        return 130
    return 0


def _run(arguments: list[str]) -> None:
    command = arguments[0] if arguments else ""
    if command not in COMMANDS:
        overview().parse_args(arguments)  # prints the help or raises an ArgumentError
        return
    module = import_module(f"negclap.commands.{COMMANDS[command][0]}")
    if COMMANDS[command][0] == "training":
        module.run(arguments)
    else:
        module.run(module.parser().parse_args(arguments[1:]))


def overview() -> ArgumentParser:
    """Return a parser that lists the commands, and knows none of their options."""
    parser = new_parser("", "Music audio-text models that understand negation.")
    add_subcommands(parser, "COMMAND", [new_parser(n, text) for n, (_, text) in COMMANDS.items()])
    return parser


def _complain(message: str) -> int:
    """Print an error; jsonargparse writes several lines."""
    line = " ".join(part.strip() for part in message.splitlines())
    sys.stderr.write(f"negclap: error: {line}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
