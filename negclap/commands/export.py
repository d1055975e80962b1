"""`negclap export`: write a model in a format for others."""

import sys
from pathlib import Path
from typing import Literal

from jsonargparse import ArgumentParser, Namespace

from negclap.commands.options import new_parser


def parser() -> ArgumentParser:
    """Return the parser of the command."""
    parser = new_parser("export", "Write a model in a format for others, and upload it.")
    add = parser.add_argument
    add("model", metavar="MODEL", help="A run folder, or any model as for --model elsewhere.")
    add("out", type=Path, metavar="DIR", help="Folder to write; replaces an earlier export.")
    add(
        "--format",
        type=Literal["negclap", "small", "clap", "torch", "onnx"],
        default="negclap",
        help="negclap: for negclap.load; small: without the weights that packages have; clap: a "
        "ClapModel of transformers; torch: torch.export; onnx: for onnxruntime, without torch.",
    )
    add("--push_to_hub", metavar="NAME", help="Also upload it as OWNER/NAME.")
    add("--private", type=bool, help="With --push_to_hub, upload it as a private model.")
    return parser


def run(options: Namespace) -> None:
    """Run the command."""
    from negclap.evaluation.results import HEADLINE
    from negclap.models.export import export, push

    export(options.model, options.out, options.format, HEADLINE)
    sys.stdout.write(f"wrote {options.out}\n")
    if options.push_to_hub:
        address = push(options.out, options.push_to_hub, options.private)
        sys.stdout.write(f"uploaded to {address}\n")
