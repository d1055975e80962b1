"""Throughput of Negation insert on one core: captions per second.

    python benchmarks/text.py

Captions are those of the built-in set's templates (about 40 characters) and sentences of about 100
characters. Writes results/text.json beside this file. The goal is 50,000 captions/s, so that a
training step does not feel it.
"""

import json
import statistics
import time
from pathlib import Path

from negclap.data.sources.chorales.arrangement import VOCABULARY
from negclap.rng import stream
from negclap.text.negate import insert_negation, negation_levels
from negclap.text.templates import write_captions

N = 20_000
REPEATS = 5
P = 0.6  # the paper's best


def captions() -> list[str]:
    """Template captions of random tag sets."""
    rng = stream("benchmark")
    nouns = [tag.name for tag in VOCABULARY.tags]
    return [write_captions(rng.sample(nouns, 6), VOCABULARY, rng, 1)[0] for _ in range(N)]


def rate(texts: list[str], work) -> float:
    """Median texts per second over the repeats."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        for seed, text in enumerate(texts):
            work(text, seed)
        times.append(time.perf_counter() - start)
    return len(texts) / statistics.median(times)


def main() -> None:
    """Measure, print and write."""
    short = captions()
    long = [
        f"{a}, recorded in a large room, and then {b}"
        for a, b in zip(short, reversed(short), strict=True)
    ]
    rows = {
        "insert, p=0.6, captions": rate(short, lambda c, s: insert_negation(c, VOCABULARY, s, p=P)),
        "insert, p=0.6, sentences": rate(long, lambda c, s: insert_negation(c, VOCABULARY, s, p=P)),
        "insert, p=1.0, captions": rate(
            short, lambda c, s: insert_negation(c, VOCABULARY, s, p=1.0)
        ),
        "half and fully, captions": rate(short, lambda c, s: negation_levels(c, VOCABULARY, s)),
    }
    for name, value in rows.items():
        print(f"{name:28s} {value:10,.0f} captions/s")
    target = Path(__file__).parent / "results" / "text.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(
        json.dumps({name: round(value) for name, value in rows.items()}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
