"""The command line. Heavy modules are imported only by the command that needs them."""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from negclap.errors import InputError

_TRAINING_COMMANDS = {
    "fit": "train a model",
    "validate": "measure a checkpoint on the validation split",
    "test": "measure a checkpoint on the test split: tables and results.json",
    "predict": "write the embeddings of the test split",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``negclap`` and return the exit status; a user's mistake is one line on stderr, 2."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(arguments)
    except InputError as error:
        # A loader worker hands an error on with its traceback as text; the last line is the error.
        line = str(error).strip().splitlines()[-1]
        _, _, message = line.rpartition("Error: ") if "Traceback" in str(error) else ("", "", line)
        return _complain(message)
    except OSError as error:  # a folder that cannot be written, a full disk
        return _complain(f"{error.filename or ''}: {error.strerror or error}")


def _complain(message: str) -> int:
    sys.stderr.write(f"negclap: error: {message}\n")
    return 2


def _dispatch(arguments: list[str]) -> int:
    if arguments and arguments[0] in _TRAINING_COMMANDS:
        from negclap.training_cli import run

        run(arguments)
        return 0
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], None] = options.run
    command(options)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="negclap", description="Music audio-text models that understand negation."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, text in _TRAINING_COMMANDS.items():
        commands.add_parser(name, help=text, add_help=False)
    _add_prepare(commands.add_parser("prepare", help="make a manifest and its audio from a source"))
    _add_inspect(commands.add_parser("inspect", help="look at what training is fed"))
    _add_report(commands.add_parser("report", help="compare the results of runs, side by side"))
    return parser


def _add_prepare(parser: argparse.ArgumentParser) -> None:
    sources = parser.add_subparsers(required=True, metavar="SOURCE")
    chorales = sources.add_parser(
        "chorales",
        help="the built-in set: Bach chorales, re-orchestrated and rendered",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    chorales.add_argument("--out", type=Path, required=True, help="folder of the set")
    chorales.add_argument("--clips", type=int, default=6560, help="clips in all splits together")
    chorales.add_argument("--seed", type=int, default=0, help="all randomness")
    chorales.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    chorales.add_argument(
        "--chorales", type=int, default=0, help="use only the first so many chorales; 0: all"
    )
    chorales.set_defaults(run=_prepare_chorales)


def _prepare_chorales(options: argparse.Namespace) -> None:
    from negclap.data.sources.chorales import BuildPlan, build
    from negclap.report import print_manifest_summary

    plan = BuildPlan(options.clips, options.seed, options.chorales)
    tracks = build(plan, options.out, options.jobs, _progress)
    print_manifest_summary(options.out / "manifest.jsonl", tracks)


def _progress(title: str, total: int, items: Iterable[object]) -> Iterable[object]:
    from rich.progress import track

    return track(items, description=title, total=total)


def _add_inspect(parser: argparse.ArgumentParser) -> None:
    subjects = parser.add_subparsers(required=True, metavar="SUBJECT")
    text = subjects.add_parser(
        "text",
        help="what Negation insert does to the captions of a manifest",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    text.add_argument("manifest", type=Path, help="manifest.jsonl; vocabulary.json lies beside it")
    text.add_argument("--p", type=float, default=0.6, help="probability of an insertion")
    text.add_argument(
        "--absent-from", choices=("caption", "tags", "absent_tags"), default="caption"
    )
    text.add_argument("--seed", type=int, default=0, help="all randomness")
    text.add_argument("--samples", type=int, default=50, help="captions to print")
    text.add_argument("--json", type=Path, help="write the counts and samples there, too")
    text.set_defaults(run=_inspect_text)


def _inspect_text(options: argparse.Namespace) -> None:
    from negclap.data.manifest import read_manifest
    from negclap.report import print_text_inspection, write_json
    from negclap.text.inspection import inspect_insertions
    from negclap.text.vocabulary import Vocabulary

    tracks = read_manifest(options.manifest)
    vocabulary = Vocabulary.load(options.manifest.with_name("vocabulary.json"))
    inspection = inspect_insertions(
        tracks,
        vocabulary,
        p=options.p,
        absent_from=options.absent_from,
        seed=options.seed,
        samples=options.samples,
    )
    print_text_inspection(inspection)
    if options.json:
        write_json(options.json, inspection.as_dict())


def _add_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs", nargs="+", type=Path, help="run folders; NAME-0, NAME-1, ... are seeds of NAME"
    )
    parser.add_argument("--out", type=Path, help="folder for results.json and comparison.png")
    parser.set_defaults(run=_report)


def _report(options: argparse.Namespace) -> None:
    from negclap.report import plot_comparison, print_comparison, read_runs, write_json

    summaries = read_runs(options.runs)
    print_comparison(summaries)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        write_json(options.out / "results.json", {n: s.mean for n, s in summaries.items()})
        plot_comparison(summaries, options.out / "comparison.png")


if __name__ == "__main__":
    sys.exit(main())
