"""Measure the data loader: clips per second of two workers, with texts, negations and tokens.

    pip install webdataset
    python benchmarks/loader.py

Recordings of 30 s (music of the built-in data set, at 22,050 Hz) are read as mp3 and flac from a
folder and from shards, in random excerpts of 10 s; and the built-in data set (clips of 5 s) in
excerpts of 4 s. negclap's loader has two worker processes; the main process takes the batches.
It is compared with

(a) bare soundfile loops, which seek and decode the same excerpts in two processes, without texts,
    batches, and their way into another process;
(b) WebDataset as used by LAION-CLAP and open_clip, which decodes whole files, then crops.

The systems take turns in every round. An epoch reads each track three times, a track of the
built-in set ten times, so that it has thousands of clips, as in training. Writes
results/loader.json. Goals on two cores: 0.9 of (a) from mp3 and flac, 0.7 from the built-in data
set; at least 2 times (b) from mp3, and 10 times (b) from 16-bit samples (s16).
"""

import io
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
import torch
import webdataset as wds
from common import write_results
from torch.utils.data import DataLoader

from negclap.audio import Window, resample
from negclap.data.batch import Clip, ClipTexts, Tokenize, collate
from negclap.data.dataset import ClipDataset, Excerpts
from negclap.data.loading import PlanLoader, PlanSampler
from negclap.data.manifest import Track, write_manifest
from negclap.data.shards import ShardOptions, write_shards
from negclap.data.sources.chorales import BuildPlan, build
from negclap.data.sources.chorales.render import SAMPLE_RATE
from negclap.data.tracks import Tracks, read_manifest, read_vocabulary
from negclap.data.training_texts import Exclude, Insert, TrainingTexts
from negclap.models.text_encoders import TextEncoder
from negclap.progress import quiet

RATE = 22_050
RECORDINGS = 384
LENGTH_S, EXCERPT_S = 30.0, 10.0
BATCH = 16
WORKERS = 2
ROUNDS = 5
REPEATS, SHORT_REPEATS = 3, 10
SEED = 0

Epoch = Callable[[], int]
"""Reads all clips and returns their number."""


def make_recordings(folder: Path, built: Path) -> None:
    """Concatenate clips of the built-in data set to recordings, as mp3 and as flac."""
    clips = [track for track in read_manifest(built) if "twin" not in track.split]
    samples = [sf.read(built.parent / track.audio, dtype="float32")[0] for track in clips]
    rng = random.Random(SEED)
    for form in ("mp3", "flac"):
        (folder / form).mkdir()
        tracks = []
        for number in range(RECORDINGS):
            chosen = rng.sample(range(len(clips)), 6)
            waveform = np.concatenate([samples[index] for index in chosen])
            name = f"{number}.{form}"
            sf.write(folder / form / name, resample(waveform, SAMPLE_RATE, RATE), RATE)
            first = clips[chosen[0]]
            tracks.append(
                Track(f"t{number}", name, 0.0, LENGTH_S, first.captions, first.tags,
                      first.absent_tags, "train")
            )  # fmt: skip
        write_manifest(folder / form / "manifest.jsonl", tracks)
        vocabulary = (built.parent / "vocabulary.json").read_bytes()
        (folder / form / "vocabulary.json").write_bytes(vocabulary)


def repeated(manifest: Path, excerpt_s: float) -> Tracks:
    """Return the tracks to read: each of them several times, with other ids."""
    turns = range(REPEATS if excerpt_s == EXCERPT_S else SHORT_REPEATS)
    tracks = [*read_manifest(manifest).split("train")]
    return Tracks.of(
        replace(track, track_id=f"{track.track_id}-{turn}") for turn in turns for track in tracks
    )


def negclap_loader(
    manifest: Path, tokenize: Tokenize, excerpt_s: float = EXCERPT_S, rate: int = RATE
) -> Epoch:
    """Return an epoch of negclap's loader, with the texts of the paper's combined method."""
    tracks = repeated(manifest, excerpt_s)
    kinds: Any = frozenset({"levels"})
    texts = TrainingTexts(read_vocabulary(manifest), Insert(p=0.6), Exclude(), SEED, kinds)
    dataset = ClipDataset(tracks, str(manifest.parent), Excerpts(rate, excerpt_s, SEED), texts)
    sampler = PlanSampler(len(dataset), BATCH, 0, 1, SEED)
    loader = PlanLoader.of(dataset, sampler, WORKERS, partial(collate, tokenize=tokenize))
    return lambda: sum(len(batch.track_ids) for batch in loader)


def soundfile_loops(
    manifest: Path, pool: ProcessPoolExecutor, excerpt_s: float = EXCERPT_S, rate: int = RATE
) -> Epoch:
    """Return an epoch of bare soundfile loops over the same excerpts."""
    tracks = repeated(manifest, excerpt_s)
    excerpts = Excerpts(rate, excerpt_s, SEED)
    items = [(track.audio, excerpts.start_s(track, 0)) for track in tracks]
    loop = partial(soundfile_loop, root=manifest.parent, excerpt_s=excerpt_s, rate=rate)
    parts = [items[worker::WORKERS] for worker in range(WORKERS)]
    return lambda: sum(pool.map(loop, parts))


def soundfile_loop(items: list[tuple[str, float]], root: Path, excerpt_s: float, rate: int) -> int:
    """Decode excerpts, given by their location and start in seconds; return their number."""
    for audio, start_s in items:
        window = Window.parse(audio)
        if window and window.form.startswith("s16"):
            with (root / window.file).open("rb") as shard:
                shard.seek(window.start + 2 * round(start_s * rate))
                data = shard.read(2 * round(excerpt_s * rate))
            np.frombuffer(data, "<i2").astype(np.float32)
            continue
        with sf.SoundFile(root / audio) as file:
            file.seek(round(start_s * rate))
            file.read(round(excerpt_s * rate), dtype="float32")
    return len(items)


def decode_and_crop(sample: dict[str, Any]) -> Clip:
    """Decode the whole file, as the loaders of LAION-CLAP and open_clip do, then crop it."""
    (form,) = (name for name in sample if name in ("mp3", "flac"))
    waveform, _ = sf.read(io.BytesIO(sample[form]), dtype="float32")
    start = random.randrange(max(1, len(waveform) - round(EXCERPT_S * RATE)))
    caption = json.loads(sample["json"])["text"][0]
    excerpt = waveform[start : start + round(EXCERPT_S * RATE)]
    return Clip(0, sample["__key__"], excerpt, ClipTexts(caption))


def webdataset(folder: Path, tokenize: Tokenize) -> Epoch:
    """Return an epoch of WebDataset on shards of the original files."""
    urls = [str(path) for path in sorted(folder.rglob("*.tar"))]
    dataset: Any = wds.WebDataset(urls, shardshuffle=False).map(decode_and_crop)
    loader: Any = DataLoader(
        dataset.repeat(REPEATS), BATCH, num_workers=WORKERS, persistent_workers=True,
        collate_fn=partial(collate, tokenize=tokenize),
    )  # fmt: skip
    return lambda: sum(len(batch.track_ids) for batch in loader)


def systems(
    folder: Path, tokenize: Tokenize, pool: ProcessPoolExecutor
) -> Iterator[tuple[str, Epoch]]:
    """Yield the name and an epoch of every system; creates the data."""
    built = folder / "built" / "manifest.jsonl"
    build(BuildPlan(clips=400, seed=SEED, chorales=60), built.parent, 2, quiet)
    make_recordings(folder, built)
    for form in ("mp3", "flac"):
        manifest = folder / form / "manifest.jsonl"
        yield f"{form} folder", negclap_loader(manifest, tokenize)
        yield f"{form} folder, (a)", soundfile_loops(manifest, pool)
        shards = folder / f"{form}-shards"
        plan = ShardOptions(str(manifest), str(shards), "original", tracks_per_shard=32, jobs=2)
        write_shards(plan, quiet)
        yield f"{form} shards", negclap_loader(shards / "manifest.jsonl", tokenize)
        yield f"{form} shards, (b)", webdataset(shards, tokenize)
    shards = folder / "s16-shards"
    manifest = folder / "mp3" / "manifest.jsonl"
    write_shards(ShardOptions(str(manifest), str(shards), "s16", RATE, 32, jobs=2), quiet)
    manifest = shards / "manifest.jsonl"
    yield "s16 shards", negclap_loader(manifest, tokenize)
    yield "s16 shards, (a)", soundfile_loops(manifest, pool)
    yield "built-in set", negclap_loader(built, tokenize, 4.0, SAMPLE_RATE)
    yield "built-in set, (a)", soundfile_loops(built, pool, 4.0, SAMPLE_RATE)


def row(name: str, median: dict[str, float]) -> dict[str, float | None]:
    """Return the clips per second of a system, and their ratios to (a) and (b)."""
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
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(WORKERS) as pool:
        epochs = dict(systems(Path(folder), tokenize, pool))
        for turn in range(ROUNDS + 1):
            for name, epoch in epochs.items():
                start = time.perf_counter()
                clips = epoch()
                if turn:  # the first round starts the workers
                    rates.setdefault(name, []).append(clips / (time.perf_counter() - start))
    median = {name: statistics.median(values) for name, values in rates.items()}
    rows = {name: row(name, median) for name in median if "(" not in name}
    print(f"{'':26s} {'clips/s':>8s} {'to (a)':>8s} {'to (b)':>8s}")
    for name, values in rows.items():
        to_a = "" if values["to_a"] is None else f"{values['to_a']:.2f}"
        print(f"{name:26s} {values['clips_per_s']:8.0f} {to_a:>8s} {values['to_b']:8.1f}")
    others = {name: round(rate, 1) for name, rate in median.items() if "(" in name}
    write_results(
        "loader", {"excerpt_s": EXCERPT_S, "workers": WORKERS, "loader": rows, "others": others}
    )


if __name__ == "__main__":
    main()
