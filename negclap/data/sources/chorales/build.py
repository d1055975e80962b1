"""Write the built-in data set: audio, manifest and vocabulary. Interrupted builds resume."""

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path

import soundfile as sf

from negclap.data.manifest import Caption, Track, write_manifest
from negclap.data.sources.chorales.arrangement import (
    CLIP_S,
    VOCABULARY,
    Arrangement,
    draw_arrangement,
    toggle,
)
from negclap.data.sources.chorales.render import SAMPLE_RATE, SOUNDFONT, render
from negclap.data.sources.chorales.scores import Score, corpus_files, load_scores
from negclap.errors import InputError
from negclap.progress import Progress
from negclap.rng import derive_seed, stream
from negclap.storage import atomic_write
from negclap.text.templates import write_captions

SPLIT_CLIPS = {"train": 4000, "validation": 512, "test": 2048}
TWIN_SPLIT = "test_twin"
_TWIN_EVERY = 4  # every fourth test clip has a counterfactual twin
_SPLIT_SHARE = {"train": 0.7, "validation": 0.1, "test": 0.2}  # of the melodies
_CAPTIONS_PER_CLIP = 3
_NOUNS = ("piece", "chorale", "track", "song", "recording", "tune")
_FORMAT = 2  # version of the data set; folders with another version are rejected


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """The options that determine the bytes of the data set.

    Attributes:
        clips: Clips in all splits together, without twins; at least 13, so that no split is empty.
        seed: Seed for all random choices.
        chorales: Use only the first N chorales of the corpus (0: all).
        train_clips: Size of the training split (0: in proportion to clips). It does not change the
            other splits.
        soundfont: SoundFont files (.sf2) for rendering. With several, one is drawn for each stem of
            a clip.
    """

    clips: int = sum(SPLIT_CLIPS.values())
    seed: int = 0
    chorales: int = 0
    train_clips: int = 0
    soundfont: tuple[Path, ...] = (SOUNDFONT,)

    def __post_init__(self) -> None:
        """Check the values."""
        if self.clips < 13:
            raise InputError(f"clips is {self.clips}, expected at least 13")
        if self.chorales < 0 or 0 < self.chorales < 20:
            raise InputError(f"chorales is {self.chorales}, expected 0 (all) or at least 20")
        if self.train_clips < 0:
            raise InputError(f"train_clips is {self.train_clips}, expected at least 0")
        for path in self.soundfont:
            if not path.is_file():
                raise InputError(f"{path}: SoundFont not found")

    def split_sizes(self) -> dict[str, int]:
        """Return the number of clips per split, in the proportions of `SPLIT_CLIPS`."""
        total = sum(SPLIT_CLIPS.values())
        sizes = {name: round(self.clips * n / total) for name, n in SPLIT_CLIPS.items()}
        sizes["train"] += self.clips - sum(sizes.values())
        return sizes | ({"train": self.train_clips} if self.train_clips else {})


@dataclass(frozen=True, slots=True)
class _Job:
    track_id: str
    split: str
    score: Score
    arrangement: Arrangement
    level_key: str
    meta: dict[str, str]


def build(plan: BuildPlan, out: Path, jobs: int, progress: Progress) -> list[Track]:
    """Build the data set in ``out`` with ``jobs`` processes, and return its tracks.

    The files depend only on ``plan``. Finished clips are kept, files are written atomically, and
    ``manifest.jsonl`` is written last.

    Raises:
        InputError: If ``out`` has a data set with other options, or ``jobs`` is not positive.
    """
    if jobs < 1:
        raise InputError(f"jobs is {jobs}, expected at least 1")
    (out / "audio").mkdir(parents=True, exist_ok=True)
    _check_folder(out / "build.json", plan)
    files = corpus_files()[: plan.chorales or None]
    parsed = progress("reading chorales", len(files), load_scores(out / "scores.json", files, jobs))
    scores = [score for score in parsed if isinstance(score, Score)]
    work = list(_jobs(plan, scores))
    with ProcessPoolExecutor(jobs) as pool:
        rendered = pool.map(partial(_render_to_file, out, plan.soundfont), work, chunksize=8)
        for _ in progress("rendering clips", len(work), rendered):
            pass
    tracks = [_track(job, plan.seed) for job in work]
    VOCABULARY.save(out / "vocabulary.json")
    write_manifest(out / "manifest.jsonl", tracks)
    return tracks


def _check_folder(path: Path, plan: BuildPlan) -> None:
    """Record the plan in a new folder; raise an InputError if the folder has another plan."""
    digests = [blake2b(file.read_bytes(), digest_size=8).hexdigest() for file in plan.soundfont]
    wanted = {"format": _FORMAT, **asdict(plan), "soundfont": "+".join(digests)}
    if not path.is_file():
        with atomic_write(path) as file:
            file.write(json.dumps(wanted) + "\n")
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise InputError(f"{path}: not valid JSON; choose another folder") from None
    if found != wanted:
        problem = f"the folder has a data set with {found}, expected {wanted}"
        raise InputError(f"{path}: {problem}; choose another folder")


def split_scores(scores: Iterable[Score]) -> dict[str, list[Score]]:
    """Split by melody, so that no melody is in two splits; independent of the seed."""
    by_melody: dict[str, list[Score]] = {}
    for score in scores:
        by_melody.setdefault(score.melody, []).append(score)
    melodies = sorted(by_melody, key=lambda melody: derive_seed("split", melody))
    splits: dict[str, list[Score]] = {}
    start = share = 0.0
    for name, part in _SPLIT_SHARE.items():
        share += part
        chosen = melodies[round(start * len(melodies)) : round(share * len(melodies))]
        splits[name] = [score for melody in chosen for score in by_melody[melody]]
        start = share
    return splits


def _jobs(plan: BuildPlan, scores: list[Score]) -> Iterator[_Job]:
    # The fastest clips need 14 quarter notes.
    splits = split_scores(score for score in scores if score.length >= 20)
    for split, size in plan.split_sizes().items():
        for index in range(size):
            track_id = f"{split}-{index:05d}"
            rng = stream(plan.seed, "clip", track_id)
            score = rng.choice(splits[split])
            arrangement = draw_arrangement(score, rng)
            key = f"{plan.seed}/{track_id}"
            meta = {"score": score.name, "mode": score.mode}
            yield _Job(track_id, split, score, arrangement, key, meta)
            if split == "test" and index % _TWIN_EVERY == 0:
                tag, twin = toggle(score, arrangement, rng)
                of = {"twin_of": track_id, "toggled": tag}
                yield _Job(f"{track_id}-twin", TWIN_SPLIT, score, twin, key, meta | of)


def _audio_name(track_id: str) -> str:
    return f"audio/{track_id}.wav"


def _render_to_file(out: Path, soundfonts: Sequence[Path], job: _Job) -> None:
    target = out / _audio_name(job.track_id)
    if target.is_file():
        return
    audio = render(job.score, job.arrangement, job.level_key, soundfonts)
    with atomic_write(target, "wb") as file:
        sf.write(file, audio, SAMPLE_RATE, subtype="PCM_16", format="WAV")


def _track(job: _Job, seed: int) -> Track:
    tags, rng = job.arrangement.tags, stream(seed, "caption", job.track_id)
    texts = write_captions(tags, VOCABULARY, rng, _CAPTIONS_PER_CLIP, _NOUNS)
    captions = tuple(Caption(text, "template") for text in texts)
    audio, absent = _audio_name(job.track_id), job.arrangement.absent_tags
    return Track(job.track_id, audio, 0.0, CLIP_S, captions, tags, absent, job.split, job.meta)
