"""`negclap mine`: find negations in human-written captions."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from negclap.commands.options import MODEL, new_parser
from negclap.commands.tables import number, print_counts, print_table

if TYPE_CHECKING:
    from negclap.evaluation.mining import Counts, MinedNegation, TextOnly

_SHOWN = 15


def parser() -> ArgumentParser:
    """Return the parser of the command."""
    parser = new_parser("mine", "Find negations in human-written captions.")
    add = parser.add_argument
    add("captions", type=Path, help="CSV with a column of captions (MusicCaps), or manifest.jsonl.")
    add("--column", default="caption", help="Column of the captions in a CSV.")
    add("--id_column", default="ytid", help="Column of the clip ids in a CSV.")
    add("--vocabulary", type=Path, help="vocabulary.json; negated phrases are mapped to its tags.")
    add("--out", type=Path, help="JSONL file to write the negations to.")
    add("--labels", type=Path, help="JSONL file of labels; prints precision and recall.")
    add("--model", help=f"{MODEL} Tests its text encoder on the negations.")
    return parser


def run(options: Namespace) -> None:
    """Run the command."""
    import negclap
    from negclap.evaluation import mining
    from negclap.storage import write_lines
    from negclap.text.vocabulary import Vocabulary

    captions = mining.read_captions(options.captions, options.column, options.id_column)
    vocabulary = Vocabulary.load(options.vocabulary) if options.vocabulary else None
    mined = mining.mine(captions, vocabulary)
    _print_mined(mined, len(captions))
    if options.out:
        write_lines(options.out, [one.as_dict() for one in mined])
    if options.labels:
        _print_scores(mining.score_labels(mined, mining.read_labels(options.labels), captions))
    if options.model:
        encode_text = negclap.load(options.model).encode_text
        _print_text_only(mining.text_only_accuracy(mined, captions, encode_text))


def _print_mined(mined: Sequence["MinedNegation"], captions: int) -> None:
    negating = len({one.caption_id for one in mined})
    Console().print(f"{captions} captions, {negating} with {len(mined)} negations")
    print_counts("kind", Counter(one.negation.kind for one in mined), _SHOWN)
    print_counts("cue", Counter(one.negation.cue.lower() for one in mined), _SHOWN)
    print_counts("negated tag", Counter(one.negation.tag or "(other)" for one in mined), _SHOWN)


def _print_scores(scores: Mapping[str, "Counts"]) -> None:
    columns = ("kind", "precision", "recall", "right", "extra", "missed")
    rows = [(kind, number(c.precision), number(c.recall), *c) for kind, c in scores.items()]
    print_table("against the labels", columns, rows)


def _print_text_only(outcome: "TextOnly") -> None:
    Console().print(
        f"text only: {outcome.accuracy:.3f} of {outcome.n} captions move closer to the negated "
        "phrase when the negation is removed (chance 0.500, bag of words "
        f"{outcome.bag_of_words:.3f})"
    )
