"""`negclap listening pack`: a folder with a page for raters and, beside it, the key."""

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
from negclap.evaluation.benchmark import texts_of
from negclap.listening.draw import Question, draw
from negclap.listening.study import KEY, PAGE, SIDES, Clip, Study, Trial
from negclap.models.encoder import Encoder
from negclap.progress import Progress
from negclap.rng import derive_seed, stream
from negclap.storage import folder_of, join

_STATIC = {"page.html": "index.html", "page.css": "page.css", "page.js": "page.js"}
_RATE = 44_100  # the most that a clip is written with; WAV plays in every browser


class Plan(NamedTuple):
    """What is packed.

    Attributes:
        manifest: The clips, with ``vocabulary.json`` beside it.
        split: The split that is asked about.
        pairs: Questions per negation level.
        checks: Attention checks, each asked twice.
        seconds: From the middle of each track; of shorter ones all that there is.
        seed: All randomness.
    """

    manifest: Path
    split: str
    pairs: int
    checks: int
    seconds: float
    seed: int


class _Tracks(NamedTuple):
    tracks: Sequence[Track]
    root: str


def pack(plan: Plan, models: Mapping[str, str], out: Path, progress: Progress) -> Study:
    """Draw the trials, ask the models, and write the folder, whole or not at all.

    Args:
        plan: What is asked.
        models: Sources of models by the names that tables will call them.
        out: The folder; must be new or empty, a study that runs is never overwritten.
        progress: Shows how far it is.

    Raises:
        InputError: If the folder holds something, or the manifest does not suffice.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: holds something already; name another folder")
    tracks = read_manifest(plan.manifest)
    chosen = tracks.split(plan.split)
    if not chosen:
        raise InputError(f"no track of split {plan.split!r}, there are {sorted(tracks.splits())}")
    vocabulary = read_vocabulary(plan.manifest)
    questions = draw(chosen, vocabulary, plan.pairs, plan.checks, plan.seed)
    source = _Tracks(chosen, folder_of(str(plan.manifest)))
    rows = sorted({row for question in questions for row in question.rows})
    # Shuffled, so that neither the manifest's order nor a track's number shows in a name.
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
            trials = _asked(name, negclap.load(location), trials, questions, source, lengths)
        study = Study(_name(plan, trials), _made_of(plan), tuple(models), tuple(trials))
        study.write(folder / KEY)
        _write_page(page, study)
        if out.exists():
            out.rmdir()
        folder.rename(out)
    return study


def _write_clip(source: _Tracks, row: int, seconds: float, path: Path) -> float:
    """Write what raters hear of a track; returns how long that is."""
    track = source.tracks[row]
    rate = min(_RATE, probe(join(source.root, track.audio)).sample_rate)
    waveform = _heard(source, row, seconds, rate)
    sf.write(path, waveform, rate, subtype="PCM_16")
    return len(waveform) / rate


def _heard(source: _Tracks, row: int, seconds: float, rate: int) -> NDArray[np.float32]:
    """The middle of a track, mono."""
    track = source.tracks[row]
    cut = Excerpts(rate, min(seconds, track.duration_s), None)
    try:
        return as_waveform(cut.read(source.root, track, 0))
    except AudioError as error:
        raise AudioError(f"track {track.track_id!r}: {error}") from None


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


def _asked(
    name: str,
    model: Encoder,
    trials: Sequence[Trial],
    questions: Sequence[Question],
    source: _Tracks,
    lengths: Mapping[int, float],
) -> list[Trial]:
    """The trials with the cosines of one more model.

    It hears what raters hear; where that is longer than what it hears at a time, the middle.
    """
    texts = texts_of(model)([trial.text for trial in trials]).numpy()
    heard = {
        row: np.asarray(
            model.encode_audio(
                _heard(source, row, min(model.excerpt_s, lengths[row]), model.sample_rate)[None]
            )
        )[0]
        for row in lengths
    }
    asked = []
    for trial, question, text in zip(trials, questions, texts, strict=True):
        first, second = (float(heard[row] @ text) for row in question.rows)
        asked.append(replace(trial, similarities=trial.similarities | {name: (first, second)}))
    return asked


def _made_of(plan: Plan) -> dict[str, object]:
    return plan._asdict() | {"manifest": str(plan.manifest), "version": negclap.__version__}


def _name(plan: Plan, trials: Sequence[Trial]) -> str:
    """The same for the same trials, whatever models were asked; says nothing of them."""
    return f"{derive_seed(plan.seed, [(t.text, t.clips) for t in trials]):016x}"


def _write_page(page: Path, study: Study) -> None:
    """What raters get: nothing but texts and clips."""
    for source, name in _STATIC.items():
        shutil.copyfile(Path(__file__).with_name(source), page / name)
    shown = {
        "study": study.name,
        "trials": [
            {"trial": trial.number, "text": trial.text, "clips": [c.file for c in trial.clips]}
            for trial in study.trials
        ],
    }
    # A script, since a page that was opened from a disk may not fetch JSON.
    text = f"window.STUDY = {json.dumps(shown, indent=1)};\n"
    (page / "trials.js").write_text(text, encoding="utf-8")
