"""The study: the paper's two axes, five recipes, and what each part of negclap's own is for.

    make study            # everything, cell by cell; finished cells are kept, so it resumes
    make study SMALL=1    # the same on a tiny set with tiny towers; its figures mean nothing
    make study ONLY=recipes              # a group
    make study ONLY=recipes/negclap      # cells whose folder begins so
    make study REPORT=1   # train nothing, write the tables of what is finished
    make study JOBS=2     # two cells at a time, which share the cores

A cell is one training and its test. What it found is kept in cells/ beside this file, so a study of
days goes on wherever the repository is. A cell is done when its record there has the same arguments
and configurations; another recipe in its place is trained anew.
"""

import argparse
import json
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

import numpy as np
import yaml
from matplotlib.figure import Figure

from negclap.cli import main as negclap
from negclap.evaluation.results import HEADLINE, write_json

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CHORALES = "configs/chorales.yaml"  # relative to ROOT, so that a cell is the same wherever that is
METHODS = "configs/methods"
GROUPS = ("recipes", "ablations", "towers", "p", "k", "grid", "benchmark")
LEVELS = ("original", "half", "fully")

COLOURS = ("#0072B2", "#E69F00", "#D55E00")  # Okabe and Ito's, told apart by everybody

RECIPES = ("baseline", "insert", "dissimilarity", "combined", "negclap")
SMALL_RECIPES = ("baseline", "combined", "negclap")
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
"""negclap's recipe with one part taken away, exchanged or added, at the demo's length."""
COMPARED = ("recipes/negclap-0", "recipes/baseline-0", "towers/bag-of-words tower-0")
P_AXIS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
K_AXIS = (1e-1, 1e-2, 1e-3, 1e-4)
FULL = ("-c", "configs/budgets/study.yaml")
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
"""Text towers trained beside the finished ears of negclap's recipe."""
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


@dataclass(frozen=True)
class Cell:
    """One training: the group and name that its folder has, and what it is trained with."""

    group: str
    name: str
    seed: int
    method: str
    arguments: tuple[str, ...] = ()
    ears: "Cell | None" = None  # whose audio tower is taken over

    @property
    def folder(self) -> str:
        """Relative to the study's folder."""
        return f"{self.group}/{self.name}-{self.seed}"


def cells(small: bool, grid: bool) -> Iterator[Cell]:
    """All cells, those that say most first."""
    seeds = (0,) if small else (0, 1, 2)
    ablations = dict(list(ABLATIONS.items())[:2]) if small else ABLATIONS
    p_axis, k_axis = ((0.0, 1.0), (1e-1,)) if small else (P_AXIS, K_AXIS)
    recipes = {
        (method, seed): Cell("recipes", method, seed, method, () if small else FULL)
        for seed in seeds
        for method in (SMALL_RECIPES if small else RECIPES)
    }
    yield from recipes.values()
    for seed in seeds:
        for name, arguments in ablations.items():
            yield Cell("ablations", name, seed, "negclap", arguments)
    for seed in () if small else seeds:
        for name, arguments in TOWERS.items():
            yield Cell("towers", name, seed, "negclap", arguments, recipes["negclap", seed])
    yield from axes(p_axis, k_axis, grid)


def axes(p_axis: Sequence[float], k_axis: Sequence[float], grid: bool) -> Iterator[Cell]:
    """The paper's two axes, and the grid between them."""
    inserts = {p: f"--data.insert.p={p}" for p in p_axis}
    weights = {k: f"--model.losses.dissimilarity.weight={k}" for k in k_axis}
    for p, insert in inserts.items():
        yield Cell("p", f"p={p:g}", 0, "insert", (insert,))
    for k, weight in weights.items():
        yield Cell("k", f"k={k:g}", 0, "dissimilarity", (weight,))
    for (p, insert), (k, weight) in product(inserts.items(), weights.items()) if grid else ():
        if p:
            yield Cell("grid", f"p={p:g} k={k:g}", 0, "combined", (insert, weight))


@dataclass(frozen=True)
class Study:
    """Where a study is kept, and what it is made from."""

    out: Path  # runs with their checkpoints
    target: Path  # records of finished cells, tables, pictures
    manifest: Path | None = None  # of the tiny set, with SMALL

    @property
    def records(self) -> Path:
        """What finished cells found."""
        return self.target / "cells"

    def arguments(self, cell: Cell) -> list[str]:
        """What `negclap fit` is called with in this study."""
        small = [f"--data.manifest={self.manifest.absolute()}", *SMALL] if self.manifest else []
        return arguments_of(cell) + small

    def recipe(self, cell: Cell) -> dict[str, Any]:
        """What makes a cell the same wherever it is run: arguments, configurations, its ears."""
        arguments = self.arguments(cell)
        configs = [yaml.safe_load((ROOT / a).read_text()) for a in arguments if a.endswith(".yaml")]
        recipe: dict[str, Any] = {"arguments": arguments, "configs": configs}
        return recipe | ({"ears": self.recipe(cell.ears)} if cell.ears else {})

    def is_recorded(self, cell: Cell) -> bool:
        """Whether the cell is done, here or elsewhere."""
        return _recipe_in(self.records / cell.folder) == self.recipe(cell)

    def is_run(self, cell: Cell) -> bool:
        """Whether its checkpoint is here, too."""
        return _recipe_in(self.out / cell.folder) == self.recipe(cell)

    def missing(self, chosen: Sequence[Cell]) -> list[Cell]:
        """What is left to run: cells without a record, and before them the ears that they need."""
        left = [cell for cell in chosen if not self.is_recorded(cell)]
        ears = {cell.ears: None for cell in left if cell.ears and not self.is_run(cell.ears)}
        return [*ears, *(cell for cell in left if cell not in ears)]

    def run(self, cell: Cell, environment: Mapping[str, str]) -> None:
        """Train and test a cell and record what it found."""
        folder = (self.out / cell.folder).absolute()
        shutil.rmtree(folder, ignore_errors=True)
        start = time.time()
        arguments = self.arguments(cell)
        if cell.ears:
            arguments += [f"--model.audio_run={(self.out / cell.ears.folder).absolute()}"]
        for command in (
            ["fit", *arguments, f"--run_dir={folder}"],
            ["test", "-c", str(folder / "config.yaml")],
        ):
            whole = [sys.executable, "-m", "negclap.cli", *command]
            if subprocess.run(whole, check=False, cwd=ROOT, env=environment).returncode:
                raise SystemExit(f"{cell.folder}: negclap {command[0]} failed")
        found = {"seconds": round(time.time() - start), "recipe": self.recipe(cell)}
        write_json(folder / "cell.json", found)
        record = self.records / cell.folder
        record.mkdir(parents=True, exist_ok=True)
        keep_scores(folder / "scores.npz", record / "scores.npz")
        for name in ("results.json", "cell.json"):  # the last one makes it whole
            shutil.copy(folder / name, record / name)

    def run_all(self, chosen: Sequence[Cell], jobs: int) -> None:
        """Run the cells, ``jobs`` at a time on as many parts of the cores; ears before towers."""
        threads = max(1, (os.cpu_count() or 1) // jobs)
        environment = os.environ | ({"OMP_NUM_THREADS": str(threads)} if jobs > 1 else {})
        started: dict[Cell, Future[None]] = {}

        def one(number: int, cell: Cell) -> None:
            if cell.ears in started:
                started[cell.ears].result()
            sys.stdout.write(f"[{number}/{len(chosen)}] {cell.folder}\n")
            sys.stdout.flush()
            self.run(cell, environment)

        with ThreadPoolExecutor(jobs) as pool:
            for number, cell in enumerate(chosen, start=1):
                started[cell] = pool.submit(one, number, cell)
            try:
                for future in started.values():
                    future.result()  # raises what a cell raised
            except BaseException:  # also Ctrl-C: what has not begun does not begin
                pool.shutdown(cancel_futures=True)
                raise


def keep_scores(source: Path, target: Path) -> None:
    """Of the scores behind the figures, those that a comparison needs: a tenth of the bytes."""
    compared = [key for key in HEADLINE if not key.endswith("/auc")]
    wanted = {"exam"} | {key + part for key in compared for part in ("", "/items", "/weights")}
    with np.load(source) as arrays:
        kept = {name: arrays[name] for name in arrays.files if name in wanted}
    np.savez_compressed(target, **kept)


def arguments_of(cell: Cell) -> list[str]:
    """What `negclap fit` is called with, files relative to the repository."""
    method = f"{METHODS}/{cell.method}.yaml"
    return ["-c", CHORALES, "-c", method, *cell.arguments, f"--seed_everything={cell.seed}"]


def _recipe_in(folder: Path) -> object:
    path = folder / "cell.json"
    return json.loads(path.read_text())["recipe"] if path.is_file() else None


def finished(group: str, study: Study, every: Sequence[Cell]) -> list[Path]:
    """Records of the group's cells; those of another recipe than the cell has now are told."""
    order = {name: i for i, name in enumerate((*RECIPES, *ABLATIONS, *TOWERS))}
    mine = sorted((c for c in every if c.group == group), key=lambda c: order.get(c.name, 99))
    for cell in mine:
        if (study.records / cell.folder).is_dir() and not study.is_recorded(cell):
            sys.stdout.write(f"left out, it was run with another recipe: {cell.folder}\n")
    return [study.records / cell.folder for cell in mine if study.is_recorded(cell)]


def report(group: str, records: Sequence[Path], target: Path) -> None:
    """Finished cells side by side: results.json, intervals, picture."""
    if records and negclap(["report", *map(str, records), "--out", str(target / group)]):
        raise SystemExit(f"{group}: the report failed")


def plot_axis(group: str, records: Sequence[Path], target: Path) -> None:
    """The paper's picture: Recall@10 per negation level against p or k, and the pairwise bars."""
    found = {}
    for path in records:
        value = float(path.name.split("=")[1].rsplit("-", 1)[0])
        found[value] = json.loads((path / "results.json").read_text())
    if len(found) < 2:
        return
    values = sorted(found)
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for level, colour in zip(LEVELS, COLOURS, strict=True):
        heights = [found[value][f"recall@10/{level}"] for value in values]
        left.plot(values, heights, "o-", color=colour, label=level)
    left.set(xlabel=group, ylabel="Recall@10", title="Recall@10 by negation level", ylim=(0, 1))
    pairs = ("original_vs_fully", "original_vs_half", "half_vs_fully")
    for i, (pair, colour) in enumerate(zip(pairs, ("#56B4E9", "#009E73", "#CC79A7"), strict=True)):
        places = [j + 0.27 * (i - 1) for j in range(len(values))]
        heights = [found[value][f"pairwise/{pair}"] for value in values]
        right.bar(places, heights, 0.25, color=colour, label=pair.replace("_", " "))
    right.axhline(0.5, color="grey", ls=":")
    right.set_xticks(range(len(values)), [f"{value:g}" for value in values])
    right.set(xlabel=group, title="Which caption is closer to the audio", ylim=(0, 1.05))
    if group == "k":
        left.set_xscale("log")
    for axis in (left, right):
        axis.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3)
        axis.spines[["top", "right"]].set_visible(False)
    (target / group).mkdir(parents=True, exist_ok=True)
    figure.savefig(target / group / "axis.png", dpi=130)


def benchmark(study: Study, every: Sequence[Cell]) -> None:
    """What can be gamed: recipes, their free alternatives, a bag of words and the toys at once."""
    out, target = study.out, study.target
    runs = [out / name for name in COMPARED]
    here = {cell.folder for cell in every if cell.folder in COMPARED and study.is_run(cell)}
    missing = [name for name in COMPARED if name not in here]
    if missing:
        sys.stdout.write(f"no benchmark: the checkpoints of {', '.join(missing)} are not here\n")
        return
    folder = out / "gamed"
    done = folder / "results.json"
    newest = max((run / "cell.json").stat().st_mtime for run in runs)
    if not done.is_file() or done.stat().st_mtime < newest:
        manifest = ROOT / "data" / "chorales" / "manifest.jsonl"
        models = [f"--model={run}" for run in runs]
        arguments = [f"--data={manifest}", "--free", "--toys", f"--out={folder}"]
        if negclap(["benchmark", *models, *arguments]):
            raise SystemExit("the benchmark failed")
    (target / "gamed").mkdir(parents=True, exist_ok=True)
    for name in ("table.md", "results.json"):
        shutil.copy(folder / name, target / "gamed" / name)


def main() -> None:
    """Run what is missing, then report what there is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="tiny set, tiny towers")
    parser.add_argument("--grid", action="store_true", help="also the rest of the p x k grid")
    parser.add_argument(
        "--only", default="", metavar="GROUP[/NAME[-SEED]]", help=f"a group: {', '.join(GROUPS)}"
    )
    parser.add_argument(
        "--jobs", type=int, default=1, choices=range(1, 65), metavar="N", help="cells at a time"
    )
    parser.add_argument(
        "--report-only", action="store_true", help="train nothing, show what there is"
    )
    parser.add_argument("--out", type=Path, help="where runs are kept")
    parser.add_argument("--report", type=Path, help="where tables and pictures go")
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
        parser.error(f"no cell is called {options.only}")
    left = study.missing(chosen)
    sys.stdout.write(f"{len(chosen)} cells, {len(left)} to be run\n")
    if not options.report_only:
        study.run_all(left, options.jobs)
    for group in dict.fromkeys(cell.group for cell in chosen):
        records = finished(group, study, every)
        report(group, records, target)
        if group in ("p", "k"):
            plot_axis(group, records, target)
    if options.only in ("", "benchmark") and not options.small:
        benchmark(study, every)


if __name__ == "__main__":
    main()
