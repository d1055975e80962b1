"""`negclap benchmark`: evaluate and compare models on negation."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import PositiveInt
from rich.console import Console

from negclap.commands.options import add_models, models_of, new_parser, short_names
from negclap.commands.tables import ASSUMED
from negclap.errors import InputError

if TYPE_CHECKING:
    from negclap.evaluation.exam import Exam


def parser() -> ArgumentParser:
    """Return the parser of the command."""
    parser = new_parser("benchmark", "Evaluate models on negation, and compare them.")
    add_models(parser, "Repeat it to compare models with the first one; NAME=MODEL sets a name.")
    add = parser.add_argument
    add("--twin_split", default="test_twin", help="Split of the counterfactual twins.")
    add("--validation_split", default="validation", help="Split that --free tunes on.")
    add("--free", type=bool, help="Add three training-free baselines of each model.")
    add("--toys", type=bool, help="Add six toy models, which show what can be gamed.")
    add("--gallery_size", type=PositiveInt, default=512, help="Clips per gallery.")
    add("--galleries", type=PositiveInt, default=10, help="Number of random galleries.")
    add("--seed", type=int, default=0, help="Seed of questions and galleries.")
    add(
        "--on_bad_audio",
        type=Literal["error", "skip"],
        default="error",
        help="Stop at an unreadable track, or leave it out and report it.",
    )
    add("--out", type=Path, required=True, help="Folder for tables and pictures.")
    add("--all", type=bool, help="Print all headline metrics.")
    return parser


def run(options: Namespace) -> None:
    """Run the command."""
    import negclap
    from negclap.commands.report import report
    from negclap.evaluation import benchmark
    from negclap.evaluation.baselines import GRIDS
    from negclap.evaluation.benchmark import EncodedSplit, Outcome
    from negclap.evaluation.metrics.toys import TOYS
    from negclap.evaluation.plots import PlotData, plot_data, plot_models
    from negclap.evaluation.results import read_results, slug, write_results
    from negclap.evaluation.suite import Suite
    from negclap.progress import progress
    from negclap.storage import write_json

    suite = Suite(options.gallery_size, options.galleries, options.seed)
    folders: dict[str, Path] = {}
    plotted: dict[str, PlotData] = {}

    def keep(name: str, outcome: Outcome, split: EncodedSplit) -> None:
        folder = options.out / slug(name)
        if folder in folders.values():
            raise InputError(f"{folder}: two models would write there; rename one with NAME=MODEL")
        folders[name] = folder
        each = outcome.estimates, outcome.results.scores
        write_results(folder, *each, split.exam, suite, method=name, seed=options.seed)

    for name, source in short_names(models_of(options)).items():
        model = negclap.load(source)
        data = benchmark.BenchmarkData.read(options.data, model.excerpt_s)
        data = data._replace(seed=options.seed, on_bad_audio=options.on_bad_audio)
        split = data.encode(model, options.split, options.twin_split, progress)
        _print_unreadable(split.unreadable)
        if not folders:
            _print_exam(split.exam)
            exam, bounds = split.exam.fingerprint, suite.bounds(split.exam)
        elif split.exam.fingerprint != exam:
            raise InputError(
                f"{name} cannot read the same tracks as {next(iter(folders))}, so they cannot be "
                "compared; evaluate each of them alone"
            )
        split = split._replace(bounds=bounds)
        embed = benchmark.text_embedder(model)
        outcome = benchmark.score(suite, split, embed, model.threshold)
        keep(name, outcome, split)
        plotted[name] = plot_data(split.exam, split.audio, embed, outcome.results.values)
        if options.free:
            validation = data.encode(model, options.validation_split, "", progress)
            for method in GRIDS:
                parameter = benchmark.tune(method, suite, validation, embed)
                freely = benchmark.with_baseline(method, parameter, embed, data.vocabulary)
                free_name = f"{name} + {method}"
                keep(free_name, benchmark.score(suite, split, freely), split)
                write_json(folders[free_name] / "parameter.json", {method: parameter})
    if options.toys:
        for name, toy in TOYS.items():
            results = suite.run_toy(split.exam, toy)
            keep(name, Outcome(suite.estimates(split.exam, results, bounds), results), split)
    plot_models(plotted, options.out / "pictures")
    report([read_results(folder) for folder in folders.values()], options.out, options.all)


def _print_exam(exam: "Exam") -> None:
    """Print the number of questions, and which kinds are missing and why."""
    console = Console()
    console.print(
        f"{len(exam.tracks)} clips, {len(exam.choices)} choices, {len(exam.queries)} exclusion "
        f"queries, {len(exam.twins)} pairs of twins"
    )
    if exam.assumed:
        console.print(f"absent tags are not known for all clips: {ASSUMED}")
    for questions, part, reason in (
        (exam.choices, "choices (cues, scope)", "no balanced pair of present and absent tags"),
        (exam.queries, "exclusion retrieval", "no pair of tags has enough clips on both sides"),
        (exam.twins, "twins", "the manifest has no counterfactual twins"),
    ):
        if not questions:
            console.print(f"left out: {part}; {reason}")


def _print_unreadable(messages: Sequence[str]) -> None:
    console = Console(highlight=False)
    if messages:
        console.print(f"[bold]{len(messages)} tracks left out, they cannot be read:[/bold]")
    for message in messages:
        console.print(f"  {message}", markup=False)
