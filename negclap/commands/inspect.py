"""`negclap inspect`: verify shards, preview Negation insert, list denials."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from negclap.commands.options import MANIFEST, add_subcommands, chosen, new_parser
from negclap.commands.tables import print_counts, print_table
from negclap.errors import InputError

if TYPE_CHECKING:
    from negclap.text.inspection import DenialInspection, TextInspection


def parser() -> ArgumentParser:
    """Return the parser of the command."""
    shards = new_parser("inspect shards", "Compare shards with their checksums.")
    shards.add_argument("folder", help="Folder or URL that negclap prepare shards wrote.")
    text = new_parser(
        "inspect text", "Show what the captions deny, and what Negation insert does to them."
    )
    add = text.add_argument
    add("manifest", type=Path, help=MANIFEST)
    add("--p", type=float, default=0.6, help="Probability of an insertion.")
    add(
        "--absent_from",
        type=Literal["caption", "tags", "absent_tags"],
        default="caption",
        help="What decides which tags are absent, as in data.insert.absent_from.",
    )
    add(
        "--model",
        default="built-in",
        help="Whose text encoder reads the captions: insertions are put where it reads them.",
    )
    add("--seed", type=int, default=0, help="Seed of the insertions.")
    add("--samples", type=int, default=50, help="Captions to print of each kind.")
    add("--json", type=Path, help="File to write the counts and samples to.")
    parser = new_parser("inspect", "Look at training data.")
    add_subcommands(parser, "SUBJECT", [shards, text])
    return parser


def run(options: Namespace) -> None:
    """Run the command."""
    subject, options = chosen(options)
    if subject == "shards":
        _inspect_shards(options.folder)
    else:
        _inspect_text(options)


def _inspect_shards(folder: str) -> None:
    from negclap.data.shards import verify_shards
    from negclap.progress import progress

    verdicts = verify_shards(folder, progress)
    console = Console(highlight=False, soft_wrap=True)
    wrong = [verdict for verdict in verdicts if verdict.problem]
    for shard, problem in wrong:
        console.print(f"{shard}: {problem}")
    console.print(f"{len(verdicts)} shards, {len(wrong)} broken")
    if wrong:
        raise InputError(f"{folder}: {len(wrong)} of {len(verdicts)} shards are broken")


def _inspect_text(options: Namespace) -> None:
    from negclap import load
    from negclap.data.tracks import read_manifest, read_vocabulary
    from negclap.storage import write_json
    from negclap.text.inspection import inspect_denials, inspect_insertions

    tracks, vocabulary = read_manifest(options.manifest), read_vocabulary(options.manifest)
    denials = inspect_denials(tracks, vocabulary, seed=options.seed, samples=options.samples)
    inspection = inspect_insertions(
        tracks,
        vocabulary,
        p=options.p,
        absent_from=options.absent_from,
        seed=options.seed,
        samples=options.samples,
        unread=load(options.model).unread,
    )
    _print_insertions(inspection)
    _print_denials(denials)
    if options.json:
        write_json(options.json, inspection.as_dict() | {"denials": denials.as_dict()})


def _print_denials(denials: "DenialInspection") -> None:
    console = Console(highlight=False)
    console.print(
        f"{denials.sure_count} denials in captions are sure, {denials.unsure_count} are not"
    )
    print_counts("negations in captions", denials.kinds)
    for title, rows in (("sure", denials.sure), ("unsure", denials.unsure)):
        for track_id, caption, names, doubt in rows:
            reason = f" ({doubt})" if doubt else ""
            console.print(f"{title}: {track_id}: no {names}{reason}\n  {caption}", markup=False)


def _print_insertions(inspection: "TextInspection") -> None:
    console = Console(highlight=False)
    console.print(
        f"{inspection.captions} captions, {inspection.cut} longer than what the model reads, "
        f"{inspection.without_tag} without a tag, "
        f"{inspection.inserted} with an insertion; {inspection.prevented:.1f} draws rejected "
        "because they would negate an alias, a broader or a narrower term of a present tag"
    )
    tables = {
        "inserted tags": inspection.tags,
        "cues": inspection.cues,
        "positions": inspection.positions,
    }
    for title, counts in tables.items():
        total = inspection.inserted
        shares = [(name, f"{100 * n / total:.1f} %") for name, n in counts.most_common()]
        print_table("", (title, "share"), shares)
    for track_id, before, after in inspection.samples:
        console.print(f"{track_id}: {before}\n  [bold]{after}[/bold]")
