"""``negclap export``: hand a trained run to others."""

import argparse
import sys
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.formatter_class = argparse.ArgumentDefaultsHelpFormatter
    parser.add_argument("run_dir", metavar="RUN", type=Path, help="a run folder of negclap fit")
    parser.add_argument(
        "out", metavar="DIR", type=Path, help="the folder to write; an earlier export is replaced"
    )
    parser.add_argument(
        "--format",
        choices=("negclap", "clap", "torch"),
        default="negclap",
        help="for negclap.load; a plain ClapModel of transformers; programs of torch.export",
    )
    parser.add_argument("--push-to-hub", metavar="NAME", help="also upload it as OWNER/NAME")
    parser.add_argument("--private", action="store_true", help="upload for yourself alone")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    from negclap.evaluation.results import HEADLINE
    from negclap.models.checkpoint import read_run
    from negclap.models.export import export, push

    export(read_run(options.run_dir), options.run_dir, options.out, options.format, HEADLINE)
    sys.stdout.write(f"wrote {options.out}\n")
    if options.push_to_hub:
        address = push(options.out, options.push_to_hub, options.private)
        sys.stdout.write(f"uploaded to {address}\n")
