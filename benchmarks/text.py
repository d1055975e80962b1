"""Measure the speed of Negation insert: captions per second on one core.

    python benchmarks/text.py

The inputs are the template captions of the built-in data set (about 40 characters), and sentences
of about 100 characters. Writes results/text.json. Goal: 50,000 captions per second, so that
training does not slow down.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

from common import write_results

from negclap.data.sources.chorales.arrangement import VOCABULARY
from negclap.rng import stream
from negclap.text.negate import insert_negation, negation_levels
from negclap.text.templates import write_captions

N = 20_000
REPEATS = 5
P = 0.6  # the paper's best


def make_captions() -> list[str]:
    """Return template captions of random tags."""
    rng = stream("benchmark")
    names = [tag.name for tag in VOCABULARY.tags]
    return [write_captions(rng.sample(names, 6), VOCABULARY, rng, 1)[0] for _ in range(N)]


def rate(texts: list[str], process: Callable[[str, int], Any]) -> float:
    """Return the median number of texts per second over the repeats."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        for seed, text in enumerate(texts):
            process(text, seed)
        times.append(time.perf_counter() - start)
    return len(texts) / statistics.median(times)


def main() -> None:
    """Measure, print and write."""
    captions = make_captions()
    sentences = [
        f"{a}, recorded in a large room, and then {b}"
        for a, b in zip(captions, reversed(captions), strict=True)
    ]
    rows = {
        f"insert, p={p}, {kind}": rate(
            texts, lambda text, seed, p=p: insert_negation(text, VOCABULARY, seed, p=p)
        )
        for kind, p, texts in (
            ("captions", P, captions),
            ("sentences", P, sentences),
            ("captions", 1.0, captions),
        )
    }
    rows["half and fully, captions"] = rate(
        captions, lambda text, seed: negation_levels(text, VOCABULARY, seed)
    )
    for name, value in rows.items():
        print(f"{name:28s} {value:10,.0f} captions/s")
    write_results("text", {name: round(value) for name, value in rows.items()})


if __name__ == "__main__":
    main()
