"""The study: the paper's two axes, five recipes, and what each part of negclap's own is for.

    make study            # everything, cell by cell; finished cells are kept, so it resumes
    make study SMALL=1    # the same on a tiny set with tiny towers; its figures mean nothing
    make study ONLY=recipes
    make study REPORT=1   # train nothing, write the tables of what is finished
    make study JOBS=2     # two cells at a time, which share the cores

A cell is one training and its test. It is done when its folder holds cell.json with the same
arguments and configurations; another recipe in its place is trained anew.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from matplotlib.figure import Figure

from negclap.cli import main as negclap

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CHORALES = "configs/chorales.yaml"  # relative to ROOT, so that a cell is the same wherever that is
METHODS = "configs/methods"
GROUPS = ("recipes", "ablations", "towers", "p", "k", "grid", "benchmark")
LEVELS = ("original", "half", "fully")

RECIPES = ("baseline", "insert", "dissimilarity", "combined", "negclap")
SMALL_RECIPES = ("baseline", "combined", "negclap")
ABLATIONS: dict[str, tuple[str, ...]] = {
    "negclap": (),
    "no exclusion term": ("--model.losses.exclusion.weight=0",),
    "no own negatives": ("--model.losses.exclusion.negatives=none",),
    "shared negatives": ("--model.losses.exclusion.negatives=shared",),
    "no choice": ("--model.losses.choice.weight=0",),
    "no graded margin": ("--model.losses.graded_margin.weight=0",),
    "no absence": ("--model.losses.absence.weight=0",),
    "with positives that negate": ("--data.exclude.share=0.3",),
    "one exclusion a clip": ("--data.exclude.per_clip=1",),
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
    ears: str = ""  # folder of the cell whose audio tower is taken over

    @property
    def folder(self) -> str:
        """Relative to the study's folder."""
        return f"{self.group}/{self.name}-{self.seed}"


def cells(small: bool, grid: bool) -> Iterator[Cell]:
    """All cells, those that say most first."""
    seeds = (0,) if small else (0, 1, 2)
    ablations = dict(list(ABLATIONS.items())[:2]) if small else ABLATIONS
    p_axis, k_axis = ((0.0, 1.0), (1e-1,)) if small else (P_AXIS, K_AXIS)
    for seed in seeds:
        for method in SMALL_RECIPES if small else RECIPES:
            yield Cell("recipes", method, seed, method, () if small else FULL)
    for seed in seeds:
        for name, arguments in ablations.items():
            yield Cell("ablations", name, seed, "negclap", arguments)
    for seed in () if small else seeds:
        for name, arguments in TOWERS.items():
            yield Cell("towers", name, seed, "negclap", arguments, f"recipes/negclap-{seed}")
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


def run_all(chosen: Sequence[Cell], out: Path, manifest: Path | None, jobs: int) -> None:
    """Run the cells that are missing, ``jobs`` at a time on as many parts of the cores."""
    threads = max(1, (os.cpu_count() or 1) // jobs)
    environment = os.environ | ({"OMP_NUM_THREADS": str(threads)} if jobs > 1 else {})

    def one(numbered: tuple[int, Cell]) -> None:
        number, cell = numbered
        sys.stdout.write(f"[{number}/{len(chosen)}] {cell.folder}\n")
        sys.stdout.flush()
        run(cell, out, manifest, environment)

    with ThreadPoolExecutor(jobs) as pool:
        for _ in pool.map(one, enumerate(chosen, start=1)):
            pass  # raises what a cell raised


def arguments_of(cell: Cell) -> list[str]:
    """What `negclap fit` is called with, files relative to the repository."""
    method = f"{METHODS}/{cell.method}.yaml"
    return ["-c", CHORALES, "-c", method, *cell.arguments, f"--seed_everything={cell.seed}"]


def run(cell: Cell, out: Path, manifest: Path | None, environment: dict[str, str]) -> None:
    """Train and test a cell, unless that is done with the same arguments and configurations."""
    folder = (out / cell.folder).absolute()
    arguments = arguments_of(cell)
    arguments += [f"--data.manifest={manifest.absolute()}", *SMALL] if manifest else []
    files = [part for part in arguments if part.endswith(".yaml")]
    configs = [(ROOT / path).read_text() for path in files]
    recipe = {"arguments": arguments, "configs": configs}
    if cell.ears:
        ears_record = out / cell.ears / "cell.json"
        if not ears_record.is_file():
            raise SystemExit(f"{cell.folder} takes over the ears of {cell.ears}: run that first")
        recipe["ears"] = json.loads(ears_record.read_text())["recipe"]
    record = folder / "cell.json"
    if record.is_file() and json.loads(record.read_text())["recipe"] == recipe:
        return
    shutil.rmtree(folder, ignore_errors=True)
    start = time.time()
    ears = [f"--model.audio_run={(out / cell.ears).absolute()}"] if cell.ears else []
    for command in (
        ["fit", *arguments, *ears, f"--run_dir={folder}"],
        ["test", "-c", str(folder / "config.yaml")],
    ):
        whole = [sys.executable, "-m", "negclap.cli", *command]
        if subprocess.run(whole, check=False, cwd=ROOT, env=environment).returncode:
            raise SystemExit(f"{cell.folder}: negclap {command[0]} failed")
    seconds = round(time.time() - start)
    record.write_text(json.dumps({"seconds": seconds, "recipe": recipe}, indent=1) + "\n")


def report(group: str, out: Path, target: Path) -> None:
    """The group's finished cells side by side: results.json, deviations, picture."""
    finished = [path.parent for path in sorted((out / group).glob("*/results.json"))]
    order = {name: i for i, name in enumerate((*RECIPES, *ABLATIONS, *TOWERS))}
    finished.sort(key=lambda path: order.get(path.name.rpartition("-")[0], 99))
    if finished and negclap(["report", *map(str, finished), "--out", str(target / group)]):
        raise SystemExit(f"{group}: the report failed")


def plot_axis(group: str, out: Path, target: Path) -> None:
    """The paper's picture: Recall@10 per negation level against p or k, and the pairwise bars."""
    found = {}
    for path in (out / group).glob("*/results.json"):
        value = float(path.parent.name.split("=")[1].rsplit("-", 1)[0])
        found[value] = json.loads(path.read_text())
    if len(found) < 2:
        return
    values = sorted(found)
    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for level, colour in zip(LEVELS, ("#0072B2", "#E69F00", "#D55E00"), strict=True):
        heights = [found[value][f"recall@10/{level}"] for value in values]
        left.plot(values, heights, "o-", color=colour, label=level)
    left.set(xlabel=group, ylabel="Recall@10", title="Recall@10 by negation level", ylim=(0, 1))
    pairs = ("original_vs_fully", "original_vs_half", "half_vs_fully")
    for i, pair in enumerate(pairs):
        places = [j + 0.27 * (i - 1) for j in range(len(values))]
        heights = [found[value][f"pairwise/{pair}"] for value in values]
        right.bar(places, heights, 0.25, label=pair.replace("_", " "))
    right.axhline(0.5, color="grey", ls=":")
    right.set_xticks(range(len(values)), [f"{value:g}" for value in values])
    right.set(xlabel=group, title="Which caption is closer to the audio", ylim=(0, 1.05))
    if group == "k":
        left.set_xscale("log")
    for axis in (left, right):
        axis.legend(frameon=False, fontsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    (target / group).mkdir(parents=True, exist_ok=True)
    figure.savefig(target / group / "axis.png", dpi=130)


def benchmark(out: Path, target: Path) -> None:
    """What can be gamed: recipes, their free alternatives, a bag of words and the toys at once."""
    runs = [out / name for name in COMPARED]
    missing = [run.name for run in runs if not (run / "cell.json").is_file()]
    if missing:
        sys.stdout.write(f"no benchmark yet: {', '.join(missing)} not finished\n")
        return
    folder = out / "gamed"
    done = folder / "results.json"
    newest = max((run / "cell.json").stat().st_mtime for run in runs)
    if not done.is_file() or done.stat().st_mtime < newest:
        manifest = ROOT / "data" / "chorales" / "manifest.jsonl"
        arguments = ["--manifest", str(manifest), "--free", "--toys", "--out", str(folder)]
        if negclap(["benchmark", *map(str, runs), *arguments]):
            raise SystemExit("the benchmark failed")
    (target / "gamed").mkdir(parents=True, exist_ok=True)
    for name in ("table.md", "results.json"):
        shutil.copy(folder / name, target / "gamed" / name)


def write_costs(out: Path, target: Path) -> None:
    """Seconds of each finished cell, training and test."""
    seconds = {
        str(path.parent.relative_to(out)): json.loads(path.read_text())["seconds"]
        for path in sorted(out.glob("*/*/cell.json"))
    }
    (target / "seconds.json").write_text(json.dumps(seconds, indent=1) + "\n")


def main() -> None:
    """Run what is missing, then report what there is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="tiny set, tiny towers")
    parser.add_argument("--grid", action="store_true", help="also the rest of the p x k grid")
    parser.add_argument("--only", choices=GROUPS)
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
    every = cells(options.small, options.grid or options.only == "grid")
    chosen = [cell for cell in every if options.only in (None, cell.group)]
    if not options.report_only:
        run_all(chosen, out, manifest, options.jobs)
    for group in dict.fromkeys(cell.group for cell in chosen):
        report(group, out, target)
        if group in ("p", "k"):
            plot_axis(group, out, target)
    if options.only in (None, "benchmark") and not options.small:
        benchmark(out, target)
    write_costs(out, target)


if __name__ == "__main__":
    main()
