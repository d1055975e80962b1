"""Clips a second and core that the loader delivers: texts written, negated and tokenised, too.

    pip install webdataset
    python benchmarks/loader.py

Recordings of 30 s (music of the built-in set, at 22,050 Hz) as mp3 and flac in a folder, and as
shards; excerpts of 10 s at random places; besides, the built-in set (5 s, excerpts of 4 s). One
loader process each, and the same without one ("in process": what it costs to hand samples from
process to process is left out). Compared with

(a) soundfile in a bare loop: the same excerpts, sought and decoded, no texts, no batches;
(b) WebDataset as LAION-CLAP and open_clip use it: the same bytes, decoded whole, then cropped.

All take turns in every round. Writes results/loader.json beside this file. Goals: at least 0.9 of
(a); at least 2 times (b) from mp3, and 10 times (b) from plain samples.
"""

import io
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
import torch
import webdataset as wds
from torch.utils.data import DataLoader

from negclap.audio import Window, resample
from negclap.data.batch import Clip, collate
from negclap.data.dataset import (
    ClipDataset,
    Excerpts,
    Exclude,
    Insert,
    PlanSampler,
    TrainingTexts,
)
from negclap.data.manifest import Track, write_manifest
from negclap.data.shards import Sharding, write_shards
from negclap.data.sources.chorales import BuildPlan, build
from negclap.data.sources.chorales.render import SAMPLE_RATE
from negclap.data.tracks import read_manifest, read_vocabulary
from negclap.models.text_encoders import TextEncoder

RATE = 22_050
RECORDINGS = 128
LENGTH_S, EXCERPT_S = 30.0, 10.0
BATCH = 16
ROUNDS = 5
SEED = 0


def silent(title: str, total: int | None, items: Any) -> Any:
    """No bar: this is timed."""
    return items


def make_recordings(folder: Path, built: Path) -> None:
    """Six clips of the built-in set in a row, as mp3 and as flac."""
    clips = [track for track in read_manifest(built) if "twin" not in track.split]
    samples = [sf.read(built.parent / track.audio, dtype="float32")[0] for track in clips]
    rng = random.Random(SEED)
    for form in ("mp3", "flac"):
        (folder / form).mkdir()
        tracks = []
        for number in range(RECORDINGS):
            chosen = rng.sample(range(len(clips)), 6)
            whole = np.concatenate([samples[index] for index in chosen])
            wave = resample(whole, SAMPLE_RATE, RATE)
            sf.write(folder / form / f"{number}.{form}", wave, RATE)
            about = clips[chosen[0]]
            tracks.append(
                Track(f"t{number}", f"{number}.{form}", 0.0, LENGTH_S, about.captions, about.tags,
                      about.absent_tags, "train")
            )  # fmt: skip
        write_manifest(folder / form / "manifest.jsonl", tracks)
        vocabulary = (built.parent / "vocabulary.json").read_bytes()
        (folder / form / "vocabulary.json").write_bytes(vocabulary)


def loaded(
    manifest: Path,
    tokenize: Any,
    workers: int,
    excerpt_s: float = EXCERPT_S,
    rate: int = RATE,
) -> Callable[[], int]:
    """Negclap's loader on a manifest, with the texts of the paper's combined method."""
    tracks = read_manifest(manifest).split("train")
    vocabulary = read_vocabulary(manifest)
    kinds: Any = frozenset({"levels"})
    texts = TrainingTexts(vocabulary, Insert(p=0.6), Exclude(), SEED, kinds)
    excerpts = Excerpts(rate, excerpt_s, SEED)
    dataset = ClipDataset(tracks, str(manifest.parent), excerpts, texts)
    sampler = PlanSampler(len(dataset), BATCH, 0, 1, SEED)
    loader: Any = DataLoader(
        dataset, BATCH, sampler=sampler, num_workers=workers, persistent_workers=workers > 0,
        collate_fn=partial(collate, tokenize=tokenize),
    )  # fmt: skip
    return lambda: sum(len(batch.track_ids) for batch in loader)


def bare(manifest: Path, excerpt_s: float = EXCERPT_S, rate: int = RATE) -> Callable[[], int]:
    """Soundfile on the same excerpts."""
    tracks = list(read_manifest(manifest).split("train"))
    excerpts = Excerpts(rate, excerpt_s, SEED)

    def run() -> int:
        for track in tracks:
            window = Window.parse(track.audio)
            start_s = excerpts.start_s(track, 0)
            if window and window.form.startswith("s16"):
                with (manifest.parent / window.file).open("rb") as shard:
                    shard.seek(window.start + 2 * round(start_s * rate))
                    data = shard.read(2 * round(excerpt_s * rate))
                np.frombuffer(data, "<i2").astype(np.float32)
                continue
            with sf.SoundFile(manifest.parent / track.audio) as file:
                file.seek(round(start_s * rate))
                file.read(round(excerpt_s * rate), dtype="float32")
        return len(tracks)

    return run


def crop(sample: dict[str, Any]) -> Clip:
    """Decode the whole file, as LAION-CLAP's and open_clip's loaders do, then crop."""
    (key,) = (name for name in sample if name in ("mp3", "flac"))
    whole, _ = sf.read(io.BytesIO(sample[key]), dtype="float32")
    start = random.randrange(max(1, len(whole) - round(EXCERPT_S * RATE)))
    text = json.loads(sample["json"])["text"][0]
    wave = whole[start : start + round(EXCERPT_S * RATE)]
    return Clip(0, sample["__key__"], wave, {"caption": text})


def webdataset(folder: Path, tokenize: Any) -> Callable[[], int]:
    """WebDataset on shards of the original bytes."""
    urls = [str(path) for path in sorted(folder.rglob("*.tar"))]
    dataset: Any = wds.WebDataset(urls, shardshuffle=False).map(crop)
    loader: Any = DataLoader(
        dataset, BATCH, num_workers=1, persistent_workers=True,
        collate_fn=partial(collate, tokenize=tokenize),
    )  # fmt: skip
    return lambda: sum(len(batch.track_ids) for batch in loader)


def contestants(folder: Path, tokenize: Any) -> Iterator[tuple[str, Callable[[], int]]]:
    """By name, what delivers an epoch of clips and says how many."""
    built = folder / "built" / "manifest.jsonl"
    build(BuildPlan(clips=400, seed=SEED, chorales=60), built.parent, 2, silent)
    make_recordings(folder, built)
    for form in ("mp3", "flac"):
        manifest = folder / form / "manifest.jsonl"
        yield f"{form} folder", loaded(manifest, tokenize, 1)
        yield f"{form} folder, in process", loaded(manifest, tokenize, 0)
        yield f"{form} folder, (a)", bare(manifest)
        shards = folder / f"{form}-shards"
        plan = Sharding(str(manifest), str(shards), "original", tracks_per_shard=32, jobs=2)
        write_shards(plan, silent)
        yield f"{form} shards", loaded(shards / "manifest.jsonl", tokenize, 1)
        yield f"{form} shards, (b)", webdataset(shards, tokenize)
    shards = folder / "s16-shards"
    manifest = folder / "mp3" / "manifest.jsonl"
    write_shards(Sharding(str(manifest), str(shards), "s16", RATE, 32, jobs=2), silent)
    yield "s16 shards", loaded(shards / "manifest.jsonl", tokenize, 1)
    yield "s16 shards, in process", loaded(shards / "manifest.jsonl", tokenize, 0)
    yield "s16 shards, (a)", bare(shards / "manifest.jsonl")
    yield "built-in set", loaded(built, tokenize, 1, 4.0, SAMPLE_RATE)
    yield "built-in set, in process", loaded(built, tokenize, 0, 4.0, SAMPLE_RATE)
    yield "built-in set, (a)", bare(built, 4.0, SAMPLE_RATE)


def row(name: str, median: dict[str, float]) -> dict[str, float | None]:
    """Clips a second, and how many times those of (a) and of (b)."""
    kind = name.partition(",")[0]
    bare = median.get(f"{kind}, (a)")
    whole = median.get(f"{kind.split()[0]} shards, (b)", median["mp3 shards, (b)"])
    return {
        "clips_per_s": round(median[name], 1),
        "to_a": round(median[name] / bare, 3) if bare else None,
        "to_b": round(median[name] / whole, 2),
    }


def main() -> None:
    """Measure, print and write."""
    torch.set_num_threads(1)
    tokenize = TextEncoder(scratch=(128, 2)).tokenize
    rates: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        runs = dict(contestants(Path(folder), tokenize))
        for turn in range(ROUNDS + 1):
            for name, run in runs.items():
                start = time.perf_counter()
                clips = run()
                if turn:  # the first one starts the workers
                    rates.setdefault(name, []).append(clips / (time.perf_counter() - start))
    median = {name: statistics.median(values) for name, values in rates.items()}
    rows = {name: row(name, median) for name in median if "(" not in name}
    print(f"{'':26s} {'clips/s':>8s} {'to (a)':>8s} {'to (b)':>8s}")
    for name, one in rows.items():
        to_a = "" if one["to_a"] is None else f"{one['to_a']:.2f}"
        print(f"{name:26s} {one['clips_per_s']:8.0f} {to_a:>8s} {one['to_b']:8.1f}")
    others = {name: round(rate, 1) for name, rate in median.items() if "(" in name}
    results = {"excerpt_s": EXCERPT_S, "loader": rows, "others": others}
    target = Path(__file__).parent / "results" / "loader.json"
    target.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
