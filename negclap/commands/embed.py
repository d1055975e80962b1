"""`negclap embed`: write the windows of many tracks into a catalogue."""

import os

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import PositiveFloat, PositiveInt
from rich.console import Console

from negclap.commands.options import MODEL, new_parser, printable
from negclap.commands.tables import print_some


def parser() -> ArgumentParser:
    """Return the parser of the command."""
    parser = new_parser("embed", "Write the windows of many tracks into a catalogue.")
    add = parser.add_argument
    add("source", help="Manifest, folder of music, or URL of one (s3://...).")
    add("--out", required=True, help="Folder or URL of the catalogue.")
    add("--model", help=f"{MODEL} Without it: that of the existing catalogue, or the built-in one.")
    add(
        "--hop",
        type=float,
        help="Seconds from one window to the next; by default, windows do not overlap.",
    )
    add(
        "--ray",
        metavar="ADDRESS",
        help="Ray cluster to decode and embed on; local starts one on this machine.",
    )
    add("--approximate", type=bool, help="Cluster the windows when all are written.")
    add("--jobs", type=PositiveInt, default=os.cpu_count() or 1, help="Decoders, without Ray.")
    add(
        "--patience",
        type=PositiveFloat,
        default=300.0,
        help="Seconds without a result after which a track is given up.",
    )
    return parser


def run(options: Namespace) -> None:
    """Run the command."""
    from negclap.catalogue import Catalogue
    from negclap.catalogue.embed import embed_tracks
    from negclap.catalogue.tracks import list_tracks
    from negclap.progress import progress

    tracks = list_tracks(options.source)
    catalogue = Catalogue.create(options.out, tracks.root, options.model, options.hop)
    written = embed_tracks(catalogue, tracks, options.ray, options.jobs, options.patience, progress)
    catalogue.tidy(options.approximate)
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    console.print(
        f"{printable(options.out)}: {written.tracks} tracks, {written.windows} windows embedded "
        f"now; {written.before} tracks were there before"
    )
    for line in tracks.passed_over:
        console.print(printable(line))
    heading = f"{len(written.problems)} tracks have problems:"
    print_some(console, heading, [*written.problems.values()])
