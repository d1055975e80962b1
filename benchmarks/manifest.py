"""A manifest of half a million tracks: opening it, reading a track, what a loader worker costs.

    python benchmarks/manifest.py [TRACKS]

Tracks as LP-MusicCaps-MSD has them: three captions, ten tags of a thousand. A worker is a process
of its own that reads tracks at random; its cost is what it holds in memory of its own after that,
beyond what it held before (Linux). Writes results/manifest.json beside this file. Goals: open
in less than 2 s, a track in less than 100 microseconds, less than 100 MB for each worker.
"""

import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from negclap.data.manifest import Caption, Track, write_manifest
from negclap.data.tracks import Tracks, read_manifest
from negclap.rng import stream

TRACKS = 500_000
READS = 20_000
ROUNDS = 5
WORDS = [f"word{number}" for number in range(2000)]
TAGS = [f"tag {number}" for number in range(1000)]


def make_tracks(count: int) -> Iterator[Track]:
    """Tracks with random words."""
    rng = stream("benchmark", "manifest")
    kinds = ("writing", "summary", "paraphrase")
    for number in range(count):
        split = "train" if number % 10 < 8 else "valid" if number % 10 == 8 else "test"
        captions = tuple(Caption(" ".join(rng.choices(WORDS, k=30)), kind) for kind in kinds)
        tags = tuple(rng.sample(TAGS, 10))
        path = f"{number % 10}/{number % 7}/{number}.clip.mp3"
        name = f"TR{number:016d}"
        yield Track(name, path, 0.0, 30.0, captions, tags, None, split, {"title": f"Song {number}"})


def own_memory_mb() -> float:
    """Memory that no file backs; a mapped file costs nothing that cannot be given back."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    kilobytes = {line.split()[0]: int(line.split()[1]) for line in lines[1:]}
    return kilobytes["Anonymous:"] / 1024


def work(tracks: Tracks, seed: int, answers: "multiprocessing.Queue[tuple[float, float]]") -> None:
    """A worker: memory that it came to hold, seconds a track."""
    before = own_memory_mb()
    rng = stream("benchmark", seed)
    rows = [rng.randrange(len(tracks)) for _ in range(READS)]
    start = time.perf_counter()
    words = sum(len(tracks[row].captions) for row in rows)
    seconds = time.perf_counter() - start
    assert words == 3 * READS
    answers.put((own_memory_mb() - before, seconds / READS))


def run_worker(method: str, tracks: Tracks, seed: int) -> tuple[float, float]:
    """What a worker says that was started so."""
    context = multiprocessing.get_context(method)
    answers = context.Queue()
    process = context.Process(target=work, args=(tracks, seed, answers))
    process.start()
    found: tuple[float, float] = answers.get()
    process.join()
    return found


def main() -> None:
    """Measure, print and write."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else TRACKS
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "manifest.jsonl"
        write_manifest(path, make_tracks(count))
        start = time.perf_counter()
        read_manifest(path)
        build_s = time.perf_counter() - start
        opens = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            tracks = read_manifest(path).split("train")
            opens.append(time.perf_counter() - start)
        workers = {
            method: [run_worker(method, tracks, seed) for seed in range(ROUNDS)]
            for method in ("fork", "spawn")
        }
        results = {
            "tracks": count,
            "jsonl_mb": round(path.stat().st_size / 1e6),
            "arrow_mb": round(path.with_name("manifest.jsonl.arrow").stat().st_size / 1e6),
            "build_s": round(build_s, 1),
            "open_s": round(statistics.median(opens), 3),
            "workers": {
                method: {
                    "memory_mb": round(max(memory for memory, _ in answers), 1),
                    "track_us": round(1e6 * statistics.median(s for _, s in answers), 1),
                }
                for method, answers in workers.items()
            },
        }
    print(json.dumps(results, indent=1))
    target = Path(__file__).parent / "results" / "manifest.json"
    target.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
