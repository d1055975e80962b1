"""The command line. Heavy modules are imported only by the command that needs them."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import negclap
from negclap.commands import benchmark as benchmark_cli
from negclap.commands import export as export_cli
from negclap.commands import listening as listening_cli
from negclap.commands import search as search_cli
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
    except KeyboardInterrupt:
        sys.stderr.write("negclap: stopped; what was finished is kept\n")
        return 130
    except OSError as error:  # a folder that cannot be written, a full disk
        return _complain(f"{error.filename or ''}: {error.strerror or error}")


def _complain(message: str) -> int:
    sys.stderr.write(f"negclap: error: {message}\n")
    return 2


def _dispatch(arguments: list[str]) -> int:
    if arguments and arguments[0] in _TRAINING_COMMANDS:
        from negclap.commands.training import run

        run(arguments)
        return 0
    if arguments and arguments[0] == "prepare":
        from negclap.commands.prepare import run as prepare

        prepare(arguments[1:])
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
    commands.add_parser("prepare", help="make a manifest from what you have", add_help=False)
    for name, text in _TRAINING_COMMANDS.items():
        commands.add_parser(name, help=text, add_help=False)
    _add_inspect(commands.add_parser("inspect", help="look at what training is fed"))
    _add_report(commands.add_parser("report", help="compare the results of runs, side by side"))
    benchmark_cli.add_options(commands.add_parser("benchmark", help="measure models on negation"))
    export_cli.add_options(commands.add_parser("export", help="hand a trained run to others"))
    search_cli.add_index_options(commands.add_parser("index", help="make a folder searchable"))
    search_cli.add_search_options(commands.add_parser("search", help="find music by description"))
    search_cli.add_app_options(commands.add_parser("app", help="search in a page in the browser"))
    listening_cli.add_options(commands.add_parser("listening", help="ask people by ear"))
    _add_sweep(commands.add_parser("sweep", help="search loss weights, as W&B would, locally"))
    _add_mine(commands.add_parser("mine", help="find the negations in captions that people wrote"))
    return parser


def _add_inspect(parser: argparse.ArgumentParser) -> None:
    subjects = parser.add_subparsers(required=True, metavar="SUBJECT")
    shards = subjects.add_parser("shards", help="compare shards with their checksums")
    shards.add_argument("folder", help="folder or URL that `prepare shards` wrote")
    shards.set_defaults(run=_inspect_shards)
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


def _inspect_shards(options: argparse.Namespace) -> None:
    from negclap.commands.tables import print_verdicts
    from negclap.data.shards import verify_shards
    from negclap.progress import progress

    verdicts = verify_shards(options.folder, progress)
    print_verdicts(verdicts)
    wrong = sum(bool(verdict.problem) for verdict in verdicts)
    if wrong:
        raise InputError(f"{options.folder}: {wrong} of {len(verdicts)} shards are broken")


def _inspect_text(options: argparse.Namespace) -> None:
    from negclap.commands.tables import print_text_inspection
    from negclap.data.tracks import read_manifest, read_vocabulary
    from negclap.evaluation.results import write_json
    from negclap.text.inspection import inspect_insertions

    tracks = read_manifest(options.manifest)
    vocabulary = read_vocabulary(options.manifest)
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
    from negclap.commands.report import compare

    compare(options.runs, options.out)


def _add_sweep(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.ArgumentDefaultsHelpFormatter
    parser.add_argument("sweep", type=Path, help="YAML of a W&B sweep")
    parser.add_argument("--trials", type=int, default=20, help="finished trials to reach")
    parser.add_argument("--seed", type=int, default=0, help="of the sampler")
    parser.add_argument("--out", type=Path, required=True, help="folder; goes on where it stopped")
    parser.add_argument(
        "--fit", nargs=argparse.REMAINDER, default=[], help="what follows goes to each negclap fit"
    )
    parser.set_defaults(run=_sweep)


def _sweep(options: argparse.Namespace) -> None:
    from negclap.training.sweep import Sweep, run_sweep

    sweep = Sweep.read(options.sweep)
    run_sweep(sweep, options.out, options.trials, options.fit, options.seed)


def _add_mine(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.ArgumentDefaultsHelpFormatter
    parser.add_argument(
        "captions", type=Path, help="CSV with a column of captions (MusicCaps), or a manifest.jsonl"
    )
    parser.add_argument("--column", default="caption", help="column of the CSV")
    parser.add_argument("--id-column", default="ytid", help="column of the CSV that names the clip")
    parser.add_argument(
        "--vocabulary", type=Path, help="vocabulary.json that phrases are mapped to"
    )
    parser.add_argument("--out", type=Path, help="JSONL of everything found")
    parser.add_argument("--labels", type=Path, help="JSONL of labels to measure against")
    parser.add_argument("--model", help="a model whose text embeddings are asked")
    parser.set_defaults(run=_mine)


def _mine(options: argparse.Namespace) -> None:
    from negclap.commands.tables import print_label_scores, print_mined, print_text_only
    from negclap.evaluation.mining import (
        mine,
        read_captions,
        read_labels,
        score_labels,
        text_only_accuracy,
    )
    from negclap.evaluation.results import write_lines
    from negclap.text.vocabulary import Vocabulary

    captions = read_captions(options.captions, options.column, options.id_column)
    vocabulary = Vocabulary.load(options.vocabulary) if options.vocabulary else None
    mined = mine(captions, vocabulary)
    print_mined(mined, len(captions))
    if options.out:
        write_lines(options.out, [one.as_dict() for one in mined])
    if options.labels:
        print_label_scores(score_labels(mined, read_labels(options.labels), captions))
    if options.model:
        encode_text = negclap.load(options.model).encode_text
        print_text_only(text_only_accuracy(mined, captions, encode_text))


if __name__ == "__main__":
    sys.exit(main())
