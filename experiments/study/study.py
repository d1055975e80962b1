"""The study: seven recipes, the paper's two axes, ablations, text encoders and architectures.

    make study                           # everything; finished cells are kept, so it resumes
    make study SMALL=1                   # the same on a tiny set with tiny models, for tests
    make study ONLY=recipes              # one group
    make study ONLY=recipes/negclap      # cells whose folder starts with this
    make study REPORT=1                  # no training, write the tables of finished cells
    make study JOBS=2                    # two cells at a time; they share the cores

A cell is one training and its test. Records of finished cells are kept in cells/ next to this file
(see records.py). A cell is finished if its record has the same arguments and configurations;
otherwise it is trained again.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import yaml
from matplotlib.figure import Figure
from records import Records

from negclap.cli import main as negclap
from negclap.commands.report import report
from negclap.evaluation.results import RunResults, slug
from negclap.storage import write_json

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CHORALES = "configs/chorales.yaml"  # relative to ROOT, so that recipes are the same everywhere
METHODS = "configs/methods"
GROUPS = ("recipes", "ablations", "towers", "architectures", "p", "k", "grid", "benchmark")
LEVELS = ("original", "half", "fully")

COLOURS = ("#0072B2", "#E69F00", "#D55E00")  # of Okabe and Ito, safe for the colour-blind

RECIPES = ("baseline", "insert", "dissimilarity", "combined", "negclap")
SMALL_RECIPES = ("baseline", "combined", "negclap")
TAUGHT = {"taught": "baseline", "negclap + taught": "negclap"}
"""Recipes whose text encoder is then taught, from text alone (`negclap teach`)."""
FROM_SCRATCH = ("trainer.max_epochs=4",)
"""A text encoder from scratch needs more passes over the lessons than a pretrained one."""
ABLATIONS: dict[str, tuple[str, ...]] = {
    "negclap": (),
    "no exclusion term": ("--model.losses.exclusion.weight=0",),
    "no absence": ("--model.losses.absence.weight=0",),
    "no graded margin": ("--model.losses.graded_margin.weight=0",),
    "one exclusion a clip": ("--data.exclude.per_clip=1",),
    "with own negatives": ("--model.losses.exclusion.negatives=own",),
    "with shared negatives": ("--model.losses.exclusion.negatives=shared",),
    "with choice": ("--model.losses.choice.weight=1",),
    "with own negatives and choice": (
        "--model.losses.exclusion.negatives=own",
        "--model.losses.choice.weight=1",
    ),
    "with positives that negate": ("--data.exclude.share=0.3",),
}
"""negclap's recipe with one part removed, replaced or added, trained as long as the demo."""
COMPARED = ("recipes/negclap-0", "recipes/baseline-0", "towers/bag-of-words-tower-0")
"""Cells of the benchmark."""
P_AXIS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
K_AXIS = (1e-1, 1e-2, 1e-3, 1e-4)
FULL = ("-c", "configs/budgets/study.yaml")
SET, LARGE_SET = (f"data/chorales{size}/manifest.jsonl" for size in ("", "-large"))
TOWERS: dict[str, tuple[str, ...]] = {
    "convolutions": (*FULL, "--trainer.max_epochs=6"),
    "bag-of-words tower": (
        *FULL,
        "--trainer.max_epochs=6",
        "--model.text_encoder.init_args.scratch=[128,0]",
    ),
    "convolutions, many words": (*FULL, "--trainer.max_epochs=6", "--data.exclude.words=many"),
    "minilm": (*FULL, "-c", "configs/budgets/minilm.yaml"),
    "minilm, seen words": (
        *FULL,
        "-c",
        "configs/budgets/minilm.yaml",
        "--data.exclude.words=seen",
    ),
}
"""Text encoders trained with the frozen audio encoder of negclap's recipe."""
AUDIO_ENCODERS: dict[str, tuple[str, ...]] = {
    "ConvEncoder": (),
    "HTS-AT": (
        "--model.audio_encoder=negclap.models.audio_encoders.HtsatEncoder",
        "--model.audio_encoder.init_args.overrides={patch_embeds_hidden_size: 24, "
        "hidden_size: 192, depths: [1, 1, 2, 1], num_attention_heads: [1, 2, 4, 8]}",
    ),
}
TEXT_ENCODERS: dict[str, tuple[str, ...]] = {
    "convolutions": (),
    "MiniLM": (
        "--model.text_encoder.init_args.scratch=null",
        "--model.text_encoder.init_args.trained_layers=3",
        "--model.pretrained_rate=1e-4",
    ),
}
"""Small architectures, trained as long as the demo."""
SMALL = (
    "--data.batch_size=16",
    "--data.num_workers=0",
    "--model.audio_encoder.init_args.widths=[8,8,8,8]",
    "--model.audio_encoder.init_args.depths=[1,1,1,1]",
    "--model.embed_dim=16",
    "--trainer.max_epochs=1",
    "--trainer.check_val_every_n_epoch=1",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
)


SMALL_LESSONS = ("data.lessons=256", "data.validation_lessons=64", "trainer.max_epochs=1")


@dataclass(frozen=True)
class Cell:
    """One training.

    Attributes:
        group: Table that the cell is in.
        title: Its column there; seeds of a title are averaged.
        seed: Seed of the training.
        overlay: Name of the configuration in configs/methods.
        arguments: Further arguments of `negclap fit`, or of `negclap teach`.
        audio_from: Cell whose trained audio encoder is used; in teaching, with its text encoder.
    """

    group: str
    title: str
    seed: int
    overlay: str
    arguments: tuple[str, ...] = ()
    audio_from: "Cell | None" = None

    @property
    def folder(self) -> str:
        """Folder of the run and of the record."""
        return f"{self.group}/{slug(self.title)}-{self.seed}"

    @property
    def is_taught(self) -> bool:
        """Whether the cell teaches a finished model instead of training one."""
        return self.overlay == "teach"


def cells(small: bool, grid: bool) -> Iterator[Cell]:
    """Yield all cells, the most informative first."""
    seeds = (0,) if small else (0, 1, 2)
    ablations = dict(list(ABLATIONS.items())[:2]) if small else ABLATIONS
    p_axis, k_axis = ((0.0, 1.0), (1e-1,)) if small else (P_AXIS, K_AXIS)
    recipes = {
        (name, seed): Cell("recipes", name, seed, name, () if small else FULL)
        for seed in seeds
        for name in (SMALL_RECIPES if small else RECIPES)
    }
    yield from recipes.values()
    for seed in seeds:
        for title, source in TAUGHT.items():
            lessons = () if small else (f"--captions={LARGE_SET}", *FROM_SCRATCH)
            yield Cell("recipes", title, seed, "teach", lessons, recipes[source, seed])
    for seed in seeds:
        for title, arguments in ablations.items():
            yield Cell("ablations", title, seed, "negclap", arguments)
    for seed in () if small else seeds:
        for title, arguments in TOWERS.items():
            yield Cell("towers", title, seed, "negclap", arguments, recipes["negclap", seed])
    yield from () if small else architectures()
    yield from axes(p_axis, k_axis, grid)


def architectures() -> Iterator[Cell]:
    """Yield four methods over small audio and text encoders."""
    for (text, its), (audio, others) in product(TEXT_ENCODERS.items(), AUDIO_ENCODERS.items()):
        name = f"{audio} and {text}"
        trained = {
            method: Cell("architectures", f"{method}: {name}", 0, method, (*others, *its))
            for method in SMALL_RECIPES
        }
        yield from trained.values()
        lessons = (f"--captions={SET}", *(() if its else FROM_SCRATCH))
        yield Cell("architectures", f"taught: {name}", 0, "teach", lessons, trained["baseline"])


def axes(p_axis: Sequence[float], k_axis: Sequence[float], grid: bool) -> Iterator[Cell]:
    """Yield the cells of the paper's two axes, and of the grid between them."""
    inserts = {p: f"--data.insert.p={p}" for p in p_axis}
    weights = {k: f"--model.losses.dissimilarity.weight={k}" for k in k_axis}
    for p, insert in inserts.items():
        yield Cell("p", f"p={p:g}", 0, "insert", (insert,))
    for k, weight in weights.items():
        yield Cell("k", f"k={k:g}", 0, "dissimilarity", (weight,))
    for (p, insert), (k, weight) in product(inserts.items(), weights.items()) if grid else ():
        if p:
            yield Cell("grid", f"p={p:g} k={k:g}", 0, "combined", (insert, weight))


class Study:
    """A study in its folders.

    Args:
        out: Folder of the runs with their checkpoints.
        target: Folder of the records, tables and pictures.
        manifest: Manifest of the tiny set; None for the full study.
    """

    def __init__(self, out: Path, target: Path, manifest: Path | None = None) -> None:
        self.out, self.target, self.manifest = out, target, manifest
        self.records = Records(target / "cells")
        self.runs = Records(out)  # a run folder has its cell.json, too

    def arguments(self, cell: Cell) -> list[str]:
        """Return the arguments of `negclap fit` or `negclap teach` that decide what is trained."""
        if self.manifest is None:
            return arguments_of(cell)
        manifest = self.manifest.absolute()
        if cell.is_taught:
            return [f"--captions={manifest}", *arguments_of(cell), *SMALL_LESSONS]
        return [*arguments_of(cell), f"--data.manifest={manifest}", *SMALL]

    def recipe(self, cell: Cell) -> dict[str, Any]:
        """Return what decides the result of a cell: arguments, configurations, audio encoder.

        ``method`` of a configuration is a name for tables, so it is no part of the recipe.
        """
        arguments = self.arguments(cell)
        configs = [yaml.safe_load((ROOT / a).read_text()) for a in arguments if a.endswith(".yaml")]
        for config in configs:
            config.pop("method", None)
        recipe: dict[str, Any] = {"arguments": arguments, "configs": configs}
        return recipe | ({"audio_from": self.recipe(cell.audio_from)} if cell.audio_from else {})

    def is_recorded(self, cell: Cell) -> bool:
        """Whether the cell has a record, made on any machine."""
        return self.records.recipe(cell.folder) == self.recipe(cell)

    def is_run(self, cell: Cell) -> bool:
        """Whether the cell's checkpoint is on this machine."""
        return self.runs.recipe(cell.folder) == self.recipe(cell)

    def missing(self, chosen: Sequence[Cell]) -> list[Cell]:
        """Return the cells to run: those without a record, after the audio encoders they need."""
        left = [cell for cell in chosen if not self.is_recorded(cell)]
        needed = [cell.audio_from for cell in left if cell.audio_from]
        audio = {cell: None for cell in needed if not self.is_run(cell)}
        return [*audio, *(cell for cell in left if cell not in audio)]

    def run(self, cell: Cell, environment: Mapping[str, str]) -> None:
        """Train, test and record a cell."""
        folder = (self.out / cell.folder).absolute()
        shutil.rmtree(folder, ignore_errors=True)
        start = time.time()
        method = f"--method={cell.title}"
        test = ["test", "-c", str(folder / "config.yaml"), method]
        for command in (self.training(cell, folder, method), test):
            whole = [sys.executable, "-m", "negclap.cli", *command]
            if subprocess.run(whole, check=False, cwd=ROOT, env=environment).returncode:
                raise SystemExit(f"{cell.folder}: negclap {command[0]} failed")
        description = {
            "group": cell.group,
            "title": cell.title,
            "seed": cell.seed,
            "seconds": round(time.time() - start),
            "recipe": self.recipe(cell),
        }
        write_json(folder / "cell.json", description)
        self.records.add(cell.folder, folder, description)

    def training(self, cell: Cell, folder: Path, method: str) -> list[str]:
        """Return the command that trains a cell, or teaches the model of another one."""
        source = (self.out / cell.audio_from.folder).absolute() if cell.audio_from else None
        if cell.is_taught:
            return ["teach", f"--model={source}", f"--out={folder}", *self.arguments(cell)]
        audio = [f"--model.audio_run={source}"] if source else []
        return ["fit", *self.arguments(cell), method, f"--run_dir={folder}", *audio]

    def run_all(self, chosen: Sequence[Cell], jobs: int) -> None:
        """Run cells, ``jobs`` at a time on equal parts of the cores.

        A cell waits for the cell of its audio encoder.
        """
        threads = max(1, (os.cpu_count() or 1) // jobs)
        environment = os.environ | ({"OMP_NUM_THREADS": str(threads)} if jobs > 1 else {})
        started: dict[Cell, Future[None]] = {}

        def one(number: int, cell: Cell) -> None:
            if cell.audio_from in started:
                started[cell.audio_from].result()
            sys.stdout.write(f"[{number}/{len(chosen)}] {cell.folder}\n")
            sys.stdout.flush()
            self.run(cell, environment)

        with ThreadPoolExecutor(jobs) as pool:
            for number, cell in enumerate(chosen, start=1):
                started[cell] = pool.submit(one, number, cell)
            try:
                for future in started.values():
                    future.result()  # raises the error of a cell
            except BaseException:  # Ctrl-C, too: start no other cell
                pool.shutdown(cancel_futures=True)
                raise

    def finished(self, group: str, every: Sequence[Cell]) -> list[Cell]:
        """Return the group's finished cells, and print which records have another recipe."""
        order = {title: i for i, title in enumerate((*RECIPES, *TAUGHT, *ABLATIONS, *TOWERS))}
        mine = sorted((c for c in every if c.group == group), key=lambda c: order.get(c.title, 99))
        for cell in mine:
            if self.records.recipe(cell.folder) and not self.is_recorded(cell):
                sys.stdout.write(f"left out, trained with another recipe: {cell.folder}\n")
        return [cell for cell in mine if self.is_recorded(cell)]

    def report(self, group: str, every: Sequence[Cell]) -> None:
        """Print and write the tables and pictures of a group."""
        runs = self.records.read([cell.folder for cell in self.finished(group, every)])
        if runs:
            report(runs, self.target / group)
        if group in ("p", "k") and len(runs) > 1:
            plot_axis(group, runs, self.target / group / "axis.png")


def arguments_of(cell: Cell) -> list[str]:
    """Return the arguments of `negclap fit` or `teach`; files are relative to the repository."""
    overlay = f"{METHODS}/{cell.overlay}.yaml"
    if cell.is_taught:
        return ["--config", overlay, *cell.arguments, f"seed_everything={cell.seed}"]
    return ["-c", CHORALES, "-c", overlay, *cell.arguments, f"--seed_everything={cell.seed}"]


def plot_axis(axis_name: str, runs: Sequence[RunResults], path: Path) -> None:
    """Draw the paper's figure: Recall@10 per negation level against p or k, pairwise accuracies."""
    by_value = {float(run.method.partition("=")[2]): run.metrics for run in runs}
    found = dict(sorted(by_value.items()))
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for level, colour in zip(LEVELS, COLOURS, strict=True):
        heights = [metrics[f"recall@10/{level}"] for metrics in found.values()]
        left.plot(list(found), heights, "o-", color=colour, label=level)
    left.set(xlabel=axis_name, ylabel="Recall@10", ylim=(0, 1))
    left.set_title("Recall@10 by negation level")
    pairs = ("original_vs_fully", "original_vs_half", "half_vs_fully")
    for i, (pair, colour) in enumerate(zip(pairs, ("#56B4E9", "#009E73", "#CC79A7"), strict=True)):
        places = [j + 0.27 * (i - 1) for j in range(len(found))]
        heights = [metrics[f"pairwise/{pair}"] for metrics in found.values()]
        right.bar(places, heights, 0.25, color=colour, label=pair.replace("_", " "))
    right.axhline(0.5, color="grey", ls=":")
    right.set_xticks(range(len(found)), [f"{value:g}" for value in found])
    right.set(xlabel=axis_name, title="Which caption is closer to the audio", ylim=(0, 1.05))
    if axis_name == "k":
        left.set_xscale("log")
    for axis in (left, right):
        axis.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)


def benchmark(study: Study, every: Sequence[Cell]) -> None:
    """Compare models with the training-free baselines and the toy models."""
    compared = {cell.folder: cell for cell in every if cell.folder in COMPARED}
    missing = [name for name in COMPARED if not study.is_run(compared[name])]
    if missing:
        sys.stdout.write(f"no benchmark: no checkpoints of {', '.join(missing)} on this machine\n")
        return
    folder, target = study.out / "benchmark", study.target / "benchmark"
    done = folder / "results.json"
    newest = max((study.out / name / "cell.json").stat().st_mtime for name in COMPARED)
    if not done.is_file() or done.stat().st_mtime < newest:
        manifest = ROOT / "data" / "chorales" / "manifest.jsonl"
        models = [f"--model={compared[name].title}={study.out / name}" for name in COMPARED]
        arguments = [f"--data={manifest}", "--free", "--toys", f"--out={folder}"]
        if negclap(["benchmark", *models, *arguments]):
            raise SystemExit("the benchmark failed")
    target.mkdir(parents=True, exist_ok=True)
    for name in ("table.md", "results.json"):
        shutil.copy(folder / name, target / name)


def main() -> None:
    """Run missing cells, then report finished ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="tiny set, tiny models")
    parser.add_argument("--grid", action="store_true", help="also the rest of the p x k grid")
    parser.add_argument(
        "--only", default="", metavar="GROUP[/NAME[-SEED]]", help=f"a group: {', '.join(GROUPS)}"
    )
    parser.add_argument(
        "--jobs", type=int, default=1, choices=range(1, 65), metavar="N", help="cells at a time"
    )
    parser.add_argument("--report_only", action="store_true", help="do not train")
    parser.add_argument("--out", type=Path, help="folder of the runs")
    parser.add_argument("--report", type=Path, help="folder of records, tables and pictures")
    options = parser.parse_args()
    out = options.out or ROOT / "runs" / ("study-small" if options.small else "study")
    target = options.report or (out / "report" if options.small else HERE)
    manifest = None
    if options.small:
        data = out / "data"
        negclap(["prepare", "chorales", "--out", str(data), "--clips", "120", "--chorales", "30"])
        manifest = data / "manifest.jsonl"
    study = Study(out, target, manifest)
    every = list(cells(options.small, options.grid or options.only.startswith("grid")))
    chosen = [cell for cell in every if f"{cell.folder}/".startswith(options.only)]
    if not chosen and options.only != "benchmark":
        parser.error(f"--only: no cell's folder starts with {options.only!r}")
    left = study.missing(chosen)
    sys.stdout.write(f"{len(chosen)} cells, {len(left)} to run\n")
    if not options.report_only:
        study.run_all(left, options.jobs)
    for group in dict.fromkeys(cell.group for cell in chosen):
        study.report(group, every)
    if options.only in ("", "benchmark") and not options.small:
        benchmark(study, every)


if __name__ == "__main__":
    main()
