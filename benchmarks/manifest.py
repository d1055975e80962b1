"""Measure a manifest of half a million tracks: opening, reading a track, memory of a worker.

    python benchmarks/manifest.py [TRACKS]

Tracks are like those of LP-MusicCaps-MSD: three captions, and ten of a thousand tags. A worker is a
process that reads random tracks; its memory is the increase of memory that only this process uses
(Linux). Writes results/manifest.json. Goals: open in less than 2 s, read a track in less than
100 microseconds, less than 100 MB per worker.
"""

import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from common import write_results

from negclap.data.manifest import Caption, Track, write_manifest
from negclap.data.tracks import Tracks, read_manifest
from negclap.rng import stream

TRACKS = 500_000
READS = 20_000
ROUNDS = 5
WORDS = [f"word{number}" for number in range(2000)]
TAGS = [f"tag {number}" for number in range(1000)]


def make_tracks(count: int) -> Iterator[Track]:
    """Yield tracks with captions of random words."""
    rng = stream("benchmark", "manifest")
    kinds = ("writing", "summary", "paraphrase")
    for number in range(count):
        split = "train" if number % 10 < 8 else "valid" if number % 10 == 8 else "test"
        captions = tuple(Caption(" ".join(rng.choices(WORDS, k=30)), kind) for kind in kinds)
        tags = tuple(rng.sample(TAGS, 10))
        path = f"{number % 10}/{number % 7}/{number}.clip.mp3"
        track_id = f"TR{number:016d}"
        meta = {"title": f"Song {number}"}
        yield Track(track_id, path, 0.0, 30.0, captions, tags, None, split, meta)


def anonymous_mb() -> float:
    """Return this process's memory that is not backed by a file, in MB."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    kilobytes = {line.split()[0]: int(line.split()[1]) for line in lines[1:]}
    return kilobytes["Anonymous:"] / 1024


def work(tracks: Tracks, seed: int, answers: "multiprocessing.Queue[tuple[float, float]]") -> None:
    """Read random tracks in a worker; report its additional memory and the seconds per track."""
    before = anonymous_mb()
    rng = stream("benchmark", seed)
    rows = [rng.randrange(len(tracks)) for _ in range(READS)]
    start = time.perf_counter()
    captions = sum(len(tracks[row].captions) for row in rows)
    seconds = time.perf_counter() - start
    assert captions == 3 * READS
    answers.put((anonymous_mb() - before, seconds / READS))


def run_worker(method: str, tracks: Tracks, seed: int) -> tuple[float, float]:
    """Run `work` in a process started by "fork" or "spawn", and return its report."""
    context = multiprocessing.get_context(method)
    answers = context.Queue()
    process = context.Process(target=work, args=(tracks, seed, answers))
    process.start()
    answer: tuple[float, float] = answers.get()
    process.join()
    return answer


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
    write_results("manifest", results)


if __name__ == "__main__":
    main()
