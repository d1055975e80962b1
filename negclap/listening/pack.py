"""Write a study: a folder with the raters' page and, next to it, the key."""

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

import negclap
from negclap.audio import AudioError, as_waveform, probe
from negclap.data.dataset import Excerpts
from negclap.data.manifest import Track
from negclap.data.tracks import read_manifest, read_vocabulary
from negclap.errors import InputError
from negclap.evaluation.benchmark import text_embedder
from negclap.listening.questions import Question, draw_questions
from negclap.listening.study import KEY, PAGE, SIDES, Clip, Study, Trial
from negclap.models.encoder import Encoder
from negclap.progress import Progress
from negclap.rng import derive_seed, stream
from negclap.storage import folder_of, join

_STATIC = {"page.html": "index.html", "page.css": "page.css", "page.js": "page.js"}
_MAX_RATE = 44_100  # Hz; 16-bit WAV up to this rate plays in every browser


class Plan(NamedTuple):
    """Settings of a study.

    Attributes:
        manifest: The manifest, with ``vocabulary.json`` next to it.
        split: The split to take tracks from.
        pairs: Questions per negation level.
        checks: Attention checks, each of which appears twice.
        seconds: Length of the clips, cut from the middle of the tracks; shorter tracks are used
            whole.
        seed: Random seed.
    """

    manifest: Path
    split: str
    pairs: int
    checks: int
    seconds: float
    seed: int


class _Source(NamedTuple):
    """The tracks of the split, and the folder that their audio paths are relative to."""

    tracks: Sequence[Track]
    root: str

    def read(self, row: int, seconds: float, rate: int) -> NDArray[np.float32]:
        """Read the middle of a track, mono."""
        track = self.tracks[row]
        excerpts = Excerpts(rate, min(seconds, track.duration_s), None)
        try:
            return as_waveform(excerpts.read(self.root, track, 0))
        except AudioError as error:
            raise AudioError(f"track {track.track_id!r}: {error}") from None


def pack(plan: Plan, models: Mapping[str, str], out: Path, progress: Progress) -> Study:
    """Draw the trials, compute the models' similarities, and write the folder in one step.

    Args:
        plan: Settings of the study.
        models: Models, as for `negclap.load`, by the names for the tables.
        out: The folder; must be new or empty, so that a study in progress is never overwritten.
        progress: Progress display.

    Raises:
        InputError: If the folder is not empty, the split has no tracks or too few, or a track
            cannot be read.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: not an empty folder; choose another --out")
    tracks = read_manifest(plan.manifest)
    chosen = tracks.split(plan.split)
    if not chosen:
        raise InputError(
            f"{plan.manifest}: no track of split {plan.split!r}, expected one of "
            f"{sorted(tracks.splits())}"
        )
    vocabulary = read_vocabulary(plan.manifest)
    questions = draw_questions(chosen, vocabulary, plan.pairs, plan.checks, plan.seed)
    source = _Source(chosen, folder_of(str(plan.manifest)))
    rows = sorted({row for question in questions for row in question.rows})
    # Shuffled, so that file names do not reveal the order or the numbers of the tracks.
    shuffled = stream(plan.seed, "names").sample(rows, len(rows))
    files = {row: f"audio/{number:04d}.wav" for number, row in enumerate(shuffled, start=1)}
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as temporary:
        folder = Path(temporary) / "study"
        page = folder / PAGE
        (page / "audio").mkdir(parents=True)
        lengths = {
            row: _write_clip(source, row, plan.seconds, page / files[row])
            for row in progress("writing clips", len(rows), shuffled)
        }
        trials = [
            _trial(number, question, chosen, files, lengths)
            for number, question in enumerate(questions, start=1)
        ]
        for name, location in models.items():
            model = negclap.load(location)
            trials = _with_similarities(name, model, trials, questions, source, lengths)
        study = Study(_name(plan, trials), _settings(plan), tuple(models), tuple(trials))
        study.write(folder / KEY)
        _write_page(page, study)
        if out.exists():
            out.rmdir()
        folder.rename(out)
    return study


def _write_clip(source: _Source, row: int, seconds: float, path: Path) -> float:
    """Write the clip of a track; return its duration in seconds."""
    location = join(source.root, source.tracks[row].audio)
    rate = min(_MAX_RATE, probe(location).sample_rate)
    waveform = source.read(row, seconds, rate)
    sf.write(path, waveform, rate, subtype="PCM_16")
    return len(waveform) / rate


def _trial(
    number: int,
    question: Question,
    tracks: Sequence[Track],
    files: Mapping[int, str],
    lengths: Mapping[int, float],
) -> Trial:
    first, second = (
        Clip(files[row], tracks[row].track_id, lengths[row], fit)
        for row, fit in zip(question.rows, question.fits, strict=True)
    )
    return Trial(
        number=number,
        text=question.text.text,
        claims=question.text.claims,
        level=question.level,
        check=question.check,
        truth=SIDES[question.fits[1] > question.fits[0]],
        assumed=question.assumed,
        clips=(first, second),
        similarities={},
    )


def _with_similarities(
    name: str,
    model: Encoder,
    trials: Sequence[Trial],
    questions: Sequence[Question],
    source: _Source,
    lengths: Mapping[int, float],
) -> list[Trial]:
    """Add a model's cosines to the trials.

    The model encodes the clips that raters listen to. If they are longer than its excerpt length,
    it encodes their middle.
    """
    texts = text_embedder(model)([trial.text for trial in trials]).numpy()
    rate = model.sample_rate
    clips = {
        row: np.asarray(
            model.encode_audio(source.read(row, min(model.excerpt_s, length), rate)[None])
        )[0]
        for row, length in lengths.items()
    }
    extended = []
    for trial, question, text in zip(trials, questions, texts, strict=True):
        first, second = (float(clips[row] @ text) for row in question.rows)
        similarities = trial.similarities | {name: (first, second)}
        extended.append(replace(trial, similarities=similarities))
    return extended


def _settings(plan: Plan) -> dict[str, object]:
    return plan._asdict() | {"manifest": str(plan.manifest), "version": negclap.__version__}


def _name(plan: Plan, trials: Sequence[Trial]) -> str:
    """Derive the study's name from its texts and clips; it reveals nothing about them."""
    return f"{derive_seed(plan.seed, [(t.text, t.clips) for t in trials]):016x}"


def _write_page(page: Path, study: Study) -> None:
    """Write the raters' page, which contains only texts and clips."""
    for source, name in _STATIC.items():
        shutil.copyfile(Path(__file__).with_name(source), page / name)
    shown = {
        "study": study.name,
        "trials": [
            {"trial": trial.number, "text": trial.text, "clips": [c.file for c in trial.clips]}
            for trial in study.trials
        ],
    }
    # A script, because a page that is opened from a disk cannot fetch JSON.
    text = f"window.STUDY = {json.dumps(shown, indent=1)};\n"
    (page / "trials.js").write_text(text, encoding="utf-8")
