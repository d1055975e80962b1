"""``negclap benchmark``: models side by side on negation."""

import argparse
from pathlib import Path

from negclap.commands.options import add_compared, short_names


def add_options(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.formatter_class = argparse.ArgumentDefaultsHelpFormatter
    add_compared(parser, "several are compared with the first")
    parser.add_argument("--twin-split", default="test_twin", help="its counterfactual twins")
    parser.add_argument(
        "--validation-split", default="validation", help="what free alternatives are tuned on"
    )
    parser.add_argument(
        "--free", action="store_true", help="also each model with the free alternatives to training"
    )
    parser.add_argument("--toys", action="store_true", help="also the six toy models")
    parser.add_argument("--gallery-size", type=int, default=512, help="clips per gallery")
    parser.add_argument("--galleries", type=int, default=10, help="random galleries")
    parser.add_argument("--seed", type=int, default=0, help="of the questions and galleries")
    parser.add_argument(
        "--on-bad-audio",
        choices=("error", "skip"),
        default="error",
        help="stop at a track that cannot be read, or leave it out and say so",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for tables and pictures")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    import negclap
    from negclap.commands.report import compare
    from negclap.commands.tables import explain_exam, print_unreadable
    from negclap.errors import InputError
    from negclap.evaluation.baselines import GRIDS, embed_with
    from negclap.evaluation.benchmark import Heard, Material, Outcome, score, texts_of, tune
    from negclap.evaluation.metrics.toys import TOYS
    from negclap.evaluation.pictures import Portrait, draw, portray
    from negclap.evaluation.results import beside, write_json, write_results
    from negclap.evaluation.suite import Suite
    from negclap.progress import progress

    names = short_names(options.models)
    suite = Suite(options.gallery_size, options.galleries, options.seed)
    folders: list[Path] = []
    portraits: dict[str, Portrait] = {}

    def keep(name: str, outcome: Outcome, heard: Heard) -> None:
        folders.append(options.out / name)
        write_results(folders[-1], outcome.estimates, outcome.results.scores, heard.exam, suite)

    for name, source in names.items():
        model = negclap.load(source)
        material = Material.read(options.data, model.excerpt_s)._replace(
            seed=options.seed, on_bad_audio=options.on_bad_audio
        )
        heard = material.hear(model, options.split, options.twin_split, progress)
        print_unreadable(heard.unreadable)
        if not folders:
            explain_exam(heard.exam)
            asked, bounds = heard.exam.fingerprint, suite.bounds(heard.exam)
        elif heard.exam.fingerprint != asked:
            raise InputError(
                f"{name} cannot hear the same tracks as {folders[0].name}, so they cannot be "
                "compared; measure each alone"
            )
        heard = heard._replace(bounds=bounds)
        embed = texts_of(model)
        outcome = score(suite, heard, embed, model.threshold)
        keep(name, outcome, heard)
        portraits[name] = portray(heard.exam, heard.audio, embed, outcome.results.values)
        if options.free:
            validation = material.hear(model, options.validation_split, "", progress)
            for method in GRIDS:
                parameter = tune(method, suite, validation, embed)
                freely = embed_with(method, parameter, embed, material.vocabulary)
                free_name = beside(name, method)
                keep(free_name, score(suite, heard, freely), heard)
                write_json(options.out / free_name / "parameter.json", {method: parameter})
    if options.toys:
        for name, toy in TOYS.items():
            results = suite.run_toy(heard.exam, toy)
            keep(name, Outcome(suite.estimates(heard.exam, results, bounds), results), heard)
    draw(portraits, options.out / "pictures")
    compare(folders, options.out)
