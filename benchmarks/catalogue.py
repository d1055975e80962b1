"""Measure a catalogue: embedding on a Ray cluster, and a search among millions of windows.

    python benchmarks/catalogue.py embed
    python benchmarks/catalogue.py search --embeddings INDEX [--tracks 1000000]

`embed` decodes and embeds 60 s of music a track with the built-in model, in one process with one
thread for each core, and on a Ray cluster of this machine, on one core and on two (`taskset`, so
that Ray's own processes are on the same cores). The seconds per track are the difference between
many tracks and few, divided by their number: starting is not in them. Goals: 15 % more than one
process, 1.8 times as fast on two cores as on one.

`search` writes tracks of ten windows into a catalogue. A track is a mix of two random windows of an
index of real music, in random parts; its windows are the track plus noise. So neighbours are not
copies: the tenth best window of a query belongs to another track than the best. Half of the typical
queries tune the approximate search, as always; the other half measures it. Memory is this process's
growth. Writes results/catalogue-embed.json or results/catalogue-search.json.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
from common import resident_mib, write_results

from negclap.catalogue import Catalogue
from negclap.search import Index
from negclap.search.store import IndexedTrack, Stamp

PER_TRACK, MIXED, NOISE = 10, 0.5, 0.5
FEW, MANY, TRACK_S = 4, 28, 60.0
TOP = 10
STARTS = 5.0 * np.arange(PER_TRACK, dtype=np.float32)
EMBED = """
import sys, time, torch
import negclap
from negclap.catalogue import Catalogue
from negclap.catalogue.embed import embed_tracks
from negclap.catalogue.tracks import list_tracks
source, out, cores, ray_too = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "ray"
torch.set_num_threads(cores)
address = None
if ray_too:
    import ray
    ray.init(num_cpus=cores, include_dashboard=False, log_to_driver=False)
    address = ray.get_runtime_context().gcs_address
tracks = list_tracks(source)
catalogue = Catalogue.create(out, tracks.root)
start = time.perf_counter()
written = embed_tracks(catalogue, tracks, address, jobs=cores)
print(written.windows, time.perf_counter() - start)
"""


def embed() -> dict[str, Any]:
    """Time the ways to embed; return their rows."""
    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        counts = {count: make_music(Path(folder, str(count)), count) for count in (FEW, MANY)}
        for cores in (1, 2):
            for way in ("process", "ray"):
                times = {}
                for count, music in counts.items():
                    out = f"{folder}/{way}-{cores}-{count}"
                    command = ["taskset", "-c", "0" if cores == 1 else "0,1", sys.executable, "-c"]
                    environment = os.environ | {"LANCE_LOG": "error"}
                    run = subprocess.run(
                        [*command, EMBED, str(music), out, str(cores), way],
                        check=True, capture_output=True, text=True, env=environment,
                    )  # fmt: skip
                    times[count] = float(run.stdout.split()[-1])
                each = (times[MANY] - times[FEW]) / (MANY - FEW)
                rows[f"{way}, {cores}"] = {
                    "s_a_track": round(each, 3),
                    "times_real_time": round(TRACK_S / each, 1),
                    "s_start_and_few": round(times[FEW], 1),
                }
                print(f"{way}, {cores}", rows[f"{way}, {cores}"], flush=True)
    for cores in (1, 2):
        overhead = rows[f"ray, {cores}"]["s_a_track"] / rows[f"process, {cores}"]["s_a_track"]
        rows[f"ray, {cores}"]["to_process"] = round(overhead, 2)
    gain = rows["ray, 1"]["s_a_track"] / rows["ray, 2"]["s_a_track"]
    return {"track_s": TRACK_S, "rows": rows, "ray_two_to_one": round(gain, 2)}


def make_music(folder: Path, count: int) -> Path:
    """Write tracks of noise that swells, as flac."""
    folder.mkdir()
    rng = np.random.default_rng(count)
    for number in range(count):
        noise = rng.normal(0, 0.1, round(TRACK_S * 44_100)) * np.linspace(
            0.2, 1, round(TRACK_S * 44_100)
        )
        sf.write(folder / f"{number:04d}.flac", noise, 44_100)
    return folder


def make_tracks(
    embeddings: np.ndarray, count: int, first: int, rng: np.random.Generator
) -> list[IndexedTrack]:
    """Return tracks, numbered from ``first``."""
    one, other = (embeddings[rng.integers(len(embeddings), size=count)] for _ in range(2))
    part = rng.uniform(0, MIXED, (count, 1)).astype(np.float32)
    base = unit(one + part * (other - one))
    noise = rng.standard_normal((count, PER_TRACK, base.shape[1]), dtype=np.float32)
    windows = unit(base[:, None] + NOISE * unit(noise))
    return [
        IndexedTrack(f"{first + i:08d}.flac", Stamp(0, 0), 60.0, STARTS, windows[i])
        for i in range(count)
    ]


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return vectors of unit length."""
    scaled: np.ndarray = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return scaled


def search(options: argparse.Namespace) -> dict[str, Any]:
    """Write a catalogue, and time its searches."""
    index = Index(options.embeddings)
    embeddings = np.concatenate([part for _, _, part in index.store.tracks()])
    rng = np.random.default_rng(0)
    out = options.out or Path(tempfile.mkdtemp())
    catalogue = Catalogue.create(str(out / "catalogue"), "/music", index.source)
    queries = index.typical_queries()
    tuning, measured = queries[::2], queries[1::2]
    catalogue.typical_queries = lambda: tuning  # type: ignore[method-assign]
    result: dict[str, Any] = {"tracks": options.tracks, "dim": index.model.dim}
    start = time.perf_counter()
    for first in range(0, options.tracks, 1000):
        catalogue.add(make_tracks(embeddings, min(1000, options.tracks - first), first, rng))
    result["write_s"] = round(time.perf_counter() - start)
    start = time.perf_counter()
    catalogue.tidy(approximate=True)
    result["make_approximate_s"] = round(time.perf_counter() - start)
    result["gb"] = round(sum(f.stat().st_size for f in out.rglob("*") if f.is_file()) / 1e9, 2)
    result["clusters_visited"] = catalogue._visited
    before = resident_mib("VmRSS")
    times: dict[str, list[float]] = {"exact": [], "approximate": []}
    hits, differ = 0, 0
    for query in measured[: options.queries]:
        start = time.perf_counter()
        found, exact = catalogue._nearest(query, TOP, None)
        times["exact"].append(time.perf_counter() - start)
        start = time.perf_counter()
        _, near = catalogue._nearest(query, TOP, catalogue._visited)
        times["approximate"].append(time.perf_counter() - start)
        hits += int((near >= exact[-1] - 1e-6).sum())
        differ += len(set(found["track"].to_pylist()))
    count = len(times["exact"])
    result |= {
        "exact_ms": round(1000 * float(np.median(times["exact"]))),
        "approximate_ms": round(1000 * float(np.median(times["approximate"])), 1),
        "recall@10": round(hits / (TOP * count), 4),
        "tracks_among_ten_best": round(differ / count, 1),
        "search_mib": round(resident_mib("VmHWM") - before),
        "queries": count,
    }
    start = time.perf_counter()
    catalogue.add(make_tracks(embeddings, 1000, options.tracks, rng))
    result["add_1000_s"] = round(time.perf_counter() - start, 2)
    times["after"] = []
    for query in measured[: options.queries]:
        start = time.perf_counter()
        catalogue._nearest(query, TOP, catalogue._visited)
        times["after"].append(time.perf_counter() - start)
    result["approximate_after_ms"] = round(1000 * float(np.median(times["after"])), 1)
    if options.out is None:
        shutil.rmtree(out)
    return result


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["embed", "search"])
    parser.add_argument("--embeddings", type=Path, help="index of real music")
    parser.add_argument("--tracks", type=int, default=1_000_000, help="tracks of ten windows")
    parser.add_argument("--queries", type=int, default=10, help="measured queries")
    parser.add_argument("--out", type=Path, help="folder to keep the catalogue in")
    options = parser.parse_args()
    if options.what == "embed":
        result = embed()
        write_results("catalogue-embed", result)
    else:
        if options.embeddings is None:
            parser.error("search needs --embeddings INDEX")
        result = search(options)
        write_results("catalogue-search", result)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
