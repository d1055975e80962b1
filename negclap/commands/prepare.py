"""`negclap prepare`: write a manifest from a data set, and the audio of the built-in set."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from docstring_parser import parse_from_object
from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import PositiveInt
from rich.console import Console

from negclap.commands.options import add_subcommands, build, chosen, new_parser
from negclap.commands.tables import print_counts, print_table
from negclap.data.entries import Source
from negclap.data.manifest import Track
from negclap.data.prepare import PrepareOptions, Summary, prepare_manifest
from negclap.data.shards import ShardOptions, ShardStatus, write_shards
from negclap.data.sources import chorales
from negclap.data.sources.folder import Folder
from negclap.data.sources.lp_musiccaps import LpMusicCapsMsd, LpMusicCapsMtt
from negclap.data.sources.mtg_jamendo import MtgJamendo
from negclap.data.sources.musiccaps import MusicCaps
from negclap.data.sources.song_describer import SongDescriber
from negclap.data.sources.webdataset import WebDataset
from negclap.data.stems.prepare import StemsPlan, StemsSummary, prepare_stems
from negclap.progress import progress
from negclap.storage import write_json

_ALL = (LpMusicCapsMsd, LpMusicCapsMtt, MusicCaps, SongDescriber, MtgJamendo, WebDataset, Folder)
SOURCES: dict[str, type[Source]] = {source.name: source for source in _ALL}


def parser() -> ArgumentParser:
    """Return the parser of the command."""
    built_in = new_parser("prepare chorales", "Render the built-in set from Bach chorales.")
    built_in.add_argument("--out", type=Path, required=True, help="Folder of the set.")
    built_in.add_class_arguments(chorales.BuildPlan, as_group=False)
    stems = _parser_of("stems", StemsPlan)
    for each in (built_in, stems):
        each.add_argument(
            "--jobs", type=PositiveInt, default=os.cpu_count() or 1, help="Number of processes."
        )
    parser = new_parser("prepare", "Write a manifest from a data set.")
    sources = [_parser_of(name, source, PrepareOptions) for name, source in SOURCES.items()]
    shards = _parser_of("shards", ShardOptions)
    add_subcommands(parser, "SOURCE", [built_in, stems, *sources, shards])
    return parser


def _parser_of(name: str, *dataclasses: type) -> ArgumentParser:
    """Return a parser with the fields as options, described as the first dataclass."""
    parser = new_parser(f"prepare {name}", parse_from_object(dataclasses[0]).description or "")
    for each in dataclasses:
        parser.add_class_arguments(each, as_group=False)
    return parser


def run(options: Namespace) -> None:
    """Run the command."""
    name, options = chosen(options)
    if name == "chorales":
        arguments = build(chorales.BuildPlan, options), options.out, options.jobs
        tracks = chorales.build(*arguments, progress)
        _print_tracks(options.out / "manifest.jsonl", tracks)
    elif name == "stems":
        prepared = prepare_stems(build(StemsPlan, options), options.jobs, progress)
        _print_stems(options.out, prepared)
        write_json(options.out / "summary.json", vars(prepared))
    elif name == "shards":
        _print_status(options.out, write_shards(build(ShardOptions, options), progress))
    else:
        source, plan = build(SOURCES[name], options), build(PrepareOptions, options)
        summary = prepare_manifest(source, plan, progress)
        _print_summary(plan.out / "manifest.jsonl", summary)
        write_json(plan.out / "summary.json", vars(summary))


def _print_tracks(path: Path, tracks: Sequence[Track]) -> None:
    rows = []
    for split in dict.fromkeys(track.split for track in tracks):
        of = [track for track in tracks if track.split == split]
        hours = sum(track.duration_s for track in of) / 3600
        tags = sum(len(track.tags) for track in of) / len(of)
        captions = sum(len(track.captions) for track in of)
        rows.append((split, len(of), f"{hours:.2f}", captions, f"{tags:.1f}"))
    print_table(str(path), ("split", "clips", "hours", "captions", "tags per clip"), rows)


def _print_stems(out: Path, summary: StemsSummary) -> None:
    splits = dict.fromkeys([*summary.songs, *summary.mixes])
    rows = [(split, summary.songs[split], summary.mixes[split]) for split in splits]
    print_table(str(out / "manifest.jsonl"), ("split", "songs", "mixes"), rows)
    print_counts("stems by tag", summary.stems)
    print_counts("rejected (rejected.jsonl)", summary.rejected)


def _print_status(out: str, status: ShardStatus) -> None:
    text = f"{status.done} of {status.shards} shards are complete"
    if status.done == status.shards:
        text += f": {status.tracks} tracks in {out}/manifest.jsonl, {status.rejected} rejected"
    Console(highlight=False).print(text)


def _print_summary(path: Path, summary: Summary) -> None:
    rows = [(split, n, f"{summary.hours[split]:.2f}") for split, n in summary.tracks.items()]
    print_table(str(path), ("split", "tracks", "hours"), rows)
    print_counts("captions by kind", summary.captions)
    print_counts("dropped captions", summary.dropped_captions)
    print_counts("rejected", summary.rejected)
    print_counts("tags left out", Counter(summary.left_out_tags.values()))
    Console().print(
        f"{summary.read} recordings read, {summary.tracks.total()} kept, "
        f"{summary.rejected.total()} rejected (rejected.jsonl); {summary.tags} tags, "
        f"{summary.without_tags} tracks without tags; {100 * summary.mention_rate:.1f} % of the "
        f"captions mention a tag; {summary.denied} tracks have a negated tag, "
        f"{summary.contradicted} negated tags contradicted by another tag; {summary.unsure} "
        "unsure denials in captions left out (see: negclap inspect text)"
    )
