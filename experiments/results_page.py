"""Write docs/results.md and the results table of README.md from the JSON files of the experiments.

    make results

The prose is in results.md.template; {name} there is a table or number of this script.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import results_shown as shown

from negclap.commands.tables import number
from negclap.evaluation.metrics.toys import TOYS

HERE = Path(__file__).parent
ROOT = HERE.parent
PAGE = ROOT / "docs" / "results.md"
README = ROOT / "README.md"
BLOCK = re.compile(r"(?<=<!-- results:begin -->\n).*?(?=<!-- results:end -->)", re.DOTALL)

T_OF_THREE = 4.303  # Student's t for the 95 % interval of three values
TEACH_SEEDS = ("baseline-0", "baseline-1", "baseline-2")
SHARES = ("share of Y", "share of X", "X and not Y")

Metrics = Mapping[str, float]


def read(path: str) -> Any:
    """Return the content of a JSON file of the experiments."""
    return json.loads((HERE / path).read_text(encoding="utf-8"))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    first, *others = (f"| {' | '.join(cells)} |" for cells in (header, *rows))
    return "\n".join((first, "|" + "---|" * len(header), *others))


def by_key(
    columns: Mapping[str, Metrics], keys: Sequence[str], half_widths: Mapping[str, Metrics]
) -> str:
    """Return a table with a row per key and a column per model, chance and oracle."""

    def cell(name: str, key: str) -> str:
        width = half_widths.get(name, {}).get(key)
        return number(columns[name].get(key)) + ("" if width is None else f" ± {width:.3f}")

    first = next(iter(columns.values()))
    return table(
        ("metric", *columns, "chance", "oracle"),
        [
            (
                f"`{key}`",
                *(cell(name, key) for name in columns),
                *(number(first.get(f"{key}/{part}")) for part in ("chance", "oracle")),
            )
            for key in keys
        ],
    )


def by_model(models: Mapping[str, Metrics], keys: Sequence[str]) -> str:
    """Return a table with a row per model and a column per key."""
    return table(
        ("", *(f"`{key}`" for key in keys)),
        [(name, *(number(found[key]) for key in keys)) for name, found in models.items()],
    )


def group(name: str, keys: Sequence[str], titles: Sequence[str], seeds: bool = True) -> str:
    """Return the table of a group of the study; ``seeds`` writes their number into the header."""
    means, widths = (read(f"study/{name}/{file}.json") for file in ("results", "half_widths"))
    names = {title: f"{title} ({count(name, title)})" if seeds else title for title in titles}
    return by_key(
        {names[title]: means[title] for title in titles},
        keys,
        {names[title]: widths[title] for title in titles if title in widths},
    )


def count(name: str, title: str) -> int:
    """Return the number of recorded seeds of a title."""
    records = (HERE / "study" / "cells" / name).glob("*/cell.json")
    return sum(json.loads(path.read_text())["title"] == title for path in records)


def differences(name: str) -> str:
    """Return the paired differences to the first title of a group."""

    def cell(difference: Metrics) -> str:
        value, low, high = (f"{difference[part]:+.3f}" for part in ("value", "low", "high"))
        return f"{value} ({low} to {high})"

    return table(
        ("", *(f"`{key}`" for key in shown.DIFFERENCE)),
        [
            (title, *(cell(found[key]) for key in shown.DIFFERENCE))
            for title, found in read(f"study/{name}/differences.json").items()
        ],
    )


def study() -> dict[str, str]:
    """Return the tables of the study."""
    p, k = (read(f"study/{axis}/results.json") for axis in ("p", "k"))
    return {
        "recipes": group("recipes", shown.RECIPE, shown.RECIPES),
        "recipes_differences": differences("recipes"),
        "p": by_key(p, shown.AXIS, {}),
        "k": by_key(dict(sorted(k.items())), shown.AXIS, {}),
        "ablations": by_model(read("study/ablations/results.json"), shown.ABLATION),
        "ablations_differences": differences("ablations"),
        "architectures": architectures(),
    }


def architectures() -> str:
    """Return a table with a row for each pair of encoders and method."""
    rows = []
    for title, found in read("study/architectures/results.json").items():
        method, _, encoders = title.partition(": ")
        rows.append((encoders, method, *(number(found[key]) for key in shown.ARCHITECTURE)))
    return table(("encoders", "method", *shown.ARCHITECTURE), rows)


def text_encoders() -> dict[str, str]:
    """Return the tables of the text encoders."""
    columns = {
        "convolutions (negclap)": read("study/recipes/results.json")["negclap"],
        "bag of words": read("study/towers/results.json")["bag-of-words tower"],
        "MiniLM": read("study/cells/towers/minilm-0/results.json"),
    }
    keys = [key for key in columns["MiniLM"] if re.fullmatch(r"cue/[^_]+/true_absence", key)]
    cues = {key.split("/")[1]: key for key in keys if key != "cue/seen/true_absence"}
    rows = [(f'"{c}"', *(number(of[key]) for of in columns.values())) for c, key in cues.items()]
    return {
        "text_encoders": by_key(columns, shown.TEXT_ENCODERS, {}),
        "cues": table(("cue", *columns), rows),
    }


def benchmark() -> dict[str, str]:
    """Return the table of baselines without training, and toy models."""
    found = read("study/benchmark/results.json")
    named = {f"{name} (toy)" if name in TOYS else name: of for name, of in found.items()}
    return {"benchmark": by_model(named, shown.BENCHMARK)}


def search() -> dict[str, str]:
    """Return the tables of the search."""
    found = read("search/results.json")
    rows = [
        (model, query, *(number(of[key]) for key in SHARES))
        for model, queries in found.items()
        for query, of in queries.items()
        if not query.startswith("validation")
    ]
    first = next(iter(found.values()))
    weights = [
        (query.rpartition(" ")[2], *(number(of[query]["X and not Y"]) for of in found.values()))
        for query in first
        if query.startswith("validation")
    ]
    return {
        "search": table(("model", "query", *SHARES), rows),
        "search_weights": table(("weight", *found), weights),
        "pairs": str(first['"X"']["pairs"]),
    }


def interval(found: Sequence[float]) -> str:
    """Return a mean and its interval as text."""
    mean, low, high = found
    return f"{mean:.3f} ({low:.3f} to {high:.3f})"


def stems() -> dict[str, str]:
    """Return the tables of the methods on mixes of stems."""
    means, widths = (
        read(f"real/templates/methods/{file}.json") for file in ("results", "half_widths")
    )
    songs, models = (
        read(f"real/{folder}/by_song.json") for folder in ("templates/methods", "models")
    )
    keys = [*next(iter(songs.values()))]
    rows = [(f"`{key}`", *(interval(of[key]) for of in songs.values())) for key in keys]
    of_models = [
        (name, *(interval(of[key]) for key in keys))
        for name, of in models.items()
        if name in shown.MODELS_OF_STEMS
    ]
    conditions = {}
    for condition, folder in shown.CONDITIONS.items():
        for method, found in read(f"real/{folder}/results.json").items():
            conditions[f"{condition}: {method}"] = found
    return {
        "stems": by_key(means, shown.STEMS, widths),
        "stems_by_song": table(("95 % by song", *songs), rows),
        "stems_models": table(("95 % by song", *(f"`{key}`" for key in keys)), of_models),
        "stems_conditions": by_model(conditions, shown.CONDITION),
        "stems_p": by_key(read("real/templates/p/results.json"), shown.CONDITION, {}),
        "stems_k": by_key(read("real/templates/k/results.json"), shown.CONDITION, {}),
    }


def soundfont() -> dict[str, str]:
    """Return the table of the other SoundFont."""
    runs = {
        "": read("soundfont/results.json")["metrics"],
        "one: ": read("soundfont/one/results.json")["metrics"],
        "two: ": read("soundfont/two/results.json")["metrics"],
    }

    def cells(key: str, found: Mapping[str, Metrics]) -> tuple[str, str, str]:
        own, other = found["own"][key], found["other"][key]
        kept = (1 - other) / (1 - own) if "violation" in key else other / own
        return number(own), number(other), number(kept)

    header = [f"{name}{column}" for name in runs for column in ("own", "other", "kept")]
    rows = [
        (f"`{key}`", *(cell for found in runs.values() for cell in cells(key, found)))
        for key in runs[""]["own"]
    ]
    return {"soundfont": table(("metric", *header), rows)}


def teaching() -> dict[str, str]:
    """Return the tables of teaching: values, wordings, and controls."""
    seeds = [read(f"teach/{name}/results.json") for name in TEACH_SEEDS]
    first, negclap = seeds[0], read("teach/negclap-0/results.json")
    oracle = "oracle, subtract 0.75"
    columns = {
        "untaught": ("untaught", seeds),
        "Boolean score": ("boolean", seeds),
        "the target itself": (oracle, seeds),
        "taught": ("taught", seeds),
        "MiniLM, taught (1)": ("minilm", [first]),
        "negclap + taught (1)": ("taught", [negclap]),
    }

    def cell(name: str, of: Sequence[Any], key: str) -> str:
        values = [one[name]["suite"][key] for one in of]
        if len(values) == 1:
            return number(values[0])
        return f"{number(mean(values))} ± {T_OF_THREE * stdev(values) / len(values) ** 0.5:.3f}"

    asked = [name for name in first if "phrases" in first[name]]

    def rows(*groups: str) -> list[tuple[str, ...]]:
        return [
            (key, *(number(first[name][group].get(key)) for name in asked))
            for group in groups
            for key in first["untaught"][group]
        ]

    controls = [
        (name, *(number(first[name]["suite"][key]) for key in shown.TEACH_CONTROLS))
        for name in asked
    ]
    targets = [
        (
            name.removeprefix("oracle, "),
            number(of["text"]["understanding"]),
            number(of["validation"]["understanding"]),
            *(number(of["suite"][key]) for key in shown.TEACH_CONTROLS),
        )
        for name, of in first.items()
        if name.startswith("oracle")
    ]
    heads = [f"`{key}`" for key in shown.TEACH_CONTROLS]
    return {
        "taught": table(
            ("metric", *columns),
            [
                (f"`{k}`", *(cell(name, of, k) for name, of in columns.values()))
                for k in shown.TEACH
            ],
        ),
        "taught_wordings": table(("wording", *asked), rows("phrases", "sentences")),
        "taught_ceiling": number(
            mean(first["untaught"]["tags"][t]["bare"] for t in first["known tags"])
        ),
        "taught_controls": table(("", *heads), controls),
        "taught_targets": table(("target", "by texts", "by clips", *heads), targets),
    }


def natural_negation() -> dict[str, str]:
    """Return the table and numbers of negation in human-written captions."""
    found = read("natural_negation/results.json")
    counts = found["musiccaps"]

    def rows(part: str, *names: str) -> list[tuple[str, ...]]:
        shares = ("precision", "recall", "deny nothing")
        return [
            (
                *(row[name] for name in names),
                *(number(row[share]) for share in shares if share in row),
            )
            for row in found[part]
        ]

    return {
        "denied": table(
            ("sentences", "method", "precision", "recall", "deny nothing, right"),
            rows("sentences", "sentences", "method"),
        ),
        "absent_tags": table(
            ("sentences", "detector", "precision", "recall"), rows("tags", "sentences", "detector")
        ),
        "natural_negation": table(
            ("captions", "precision", "recall"), rows("captions", "captions")
        ),
        "captions": f"{counts['captions']:,}",
        "negations": str(sum(counts["negations"].values())),
        "negating": str(counts["negating captions"]),
        "kinds": ", ".join(f"{n} {kind}" for kind, n in counts["negations"].items()),
    }


def page() -> str:
    """Return the text of docs/results.md."""
    parts = (
        *(study, text_encoders, teaching, benchmark, search, soundfont, natural_negation),
        stems,
    )
    values = {name: value for part in parts for name, value in part().items()}
    template = (HERE / "results.md.template").read_text(encoding="utf-8")
    return template.format_map(values)


def readme(text: str) -> str:
    """Return the text of README.md with the current results between its markers."""
    block = group("recipes", shown.README, shown.RECIPES, seeds=False) + "\n"
    text, found = BLOCK.subn(lambda _: block, text)
    if found != 1:
        raise SystemExit(f"{README}: expected one block results:begin ... results:end, got {found}")
    return text


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    README.write_text(readme(README.read_text(encoding="utf-8")), encoding="utf-8")
