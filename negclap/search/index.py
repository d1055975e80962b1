"""An index of a folder of music: made, brought up to date, searched."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from negclap import load
from negclap.data.sources.folder import walk_audio
from negclap.errors import InputError
from negclap.models.encoder import Encoder
from negclap.progress import Progress, quiet
from negclap.search.listen import Cut, listen
from negclap.search.query import Hit, Query
from negclap.search.store import Stamp, Store
from negclap.search.vectors import Vectors, current, is_matrix, make

_SHORTEST_HOP_S = 0.01
_SAME = 0.999  # cosine; other machines and batch sizes change the last digits
_PROBE_TEXTS = ("calm piano", "rock without vocals", "drums")
_WORDS = (
    "piano", "guitar", "drums", "vocals", "violin", "flute", "bass", "choir", "organ", "synth",
    "rock", "jazz", "techno", "folk", "orchestra", "calm", "fast", "slow", "loud", "soft",
)  # fmt: skip
_FORMS = ("{}", "a piece with {}", "{} without {}", "{} and {}", "music with no {}")


class Update(NamedTuple):
    """What an update did: numbers of files, and by path why some have no windows."""

    heard: int
    removed: int
    kept: int
    problems: dict[str, str]


class Index:
    """An index: the folder it is of, the model it is made by, and its windows.

    Args:
        folder: Where it lies.
        model: The model; None loads the one that it was made by.

    Raises:
        InputError: If there is none, or the model is another one.
    """

    def __init__(self, folder: Path | str, model: Encoder | None = None) -> None:
        self.folder = Path(folder)
        self.store = Store(self.folder)
        about = self.store.about
        self.root = Path(os.fsdecode(about["root"]))
        self.source = os.fsdecode(about["model"])
        self.cut = Cut(float(about["window_s"]), float(about["hop_s"]))
        self.model = self._load() if model is None else model
        self._check_model()
        self._vectors: Vectors | None = None
        self._generation = -1

    @classmethod
    def create(
        cls,
        folder: Path | str,
        root: Path | str,
        model: str,
        hop_s: float | None = None,
    ) -> "Index":
        """A new, empty index; one that is there already is opened.

        Args:
            folder: Where it will lie.
            root: The folder of music.
            model: What `negclap.load` takes.
            hop_s: Seconds between windows; None is the model's own length, windows side by side.

        Raises:
            InputError: If the index is of another folder, model or hop.
        """
        encoder = load(model)
        hop = encoder.excerpt_s if hop_s is None else hop_s
        if not _SHORTEST_HOP_S <= hop < float("inf"):
            raise InputError(f"windows every {hop} s, expected at least {_SHORTEST_HOP_S}")
        about = {
            "root": os.fsencode(Path(root).resolve()),
            "model": os.fsencode(_lasting(model)),
            "dim": str(encoder.dim).encode(),
            "window_s": repr(encoder.excerpt_s).encode(),
            "hop_s": repr(float(hop)).encode(),
            "answers": _answers(encoder).astype("<f4").tobytes(),
        }
        store = Store.create(Path(folder), about)
        for key, what in (("root", "music"), ("hop_s", "windows every")):
            had, given = os.fsdecode(store.about[key]), os.fsdecode(about[key])
            if had != given and not (key == "hop_s" and hop_s is None):
                raise InputError(
                    f"{folder}: an index of {what} {had}, not {given}; name another index"
                )
        store.close()
        index = cls(folder, encoder)
        if index.store.about["model"] != about["model"]:  # it has moved
            index.store.note("model", about["model"])
        return index

    def _load(self) -> Encoder:
        try:
            return load(self.source)
        except InputError as error:
            raise InputError(f"{error}; {self.folder} was made by it: say --model MODEL") from None

    def _check_model(self) -> None:
        had = np.frombuffer(self.store.about["answers"], "<f4").reshape(-1, self._dim)
        answers = _answers(self.model) if self.model.dim == self._dim else had[:0]
        alike = (had * answers).sum(axis=1) if len(answers) == len(had) else np.zeros(1)
        if not (alike >= _SAME).all():  # also where they are not numbers
            raise InputError(
                f"{self.folder}: made by the model {self.source}, which this one is not (or it has "
                f"been trained anew). Search with that one, or make another index: negclap index "
                f"{self.root} --out NEW --model MODEL"
            )

    @property
    def _dim(self) -> int:
        return int(self.store.about["dim"])

    def update(
        self,
        jobs: int = 2,
        approximate: bool | None = None,
        progress: Progress = quiet,
    ) -> Update:
        """Hear what is new or changed in the folder, forget what is gone.

        What has been heard is kept whenever it stops; the next update goes on.

        Args:
            jobs: Threads that decode.
            approximate: Whether to make a search that visits a part of the windows, too, for large
                indices; None leaves it as it was.
            progress: Shows it.

        Raises:
            InputError: If the folder or all that was in it is not there, or the index cannot be
                written.
        """
        if not self.root.is_dir():  # or all would be forgotten
            raise InputError(f"{self.root}: no folder there")
        files = [f for f in walk_audio(self.root) if not is_matrix(self.root / f)]
        paths = self.store.paths()
        if paths and not files:  # a drive that is not there leaves an empty folder
            raise InputError(
                f"{self.root}: no audio there, {len(paths)} tracks were; nothing was forgotten "
                f"(remove {self.folder} if it should be)"
            )
        known = self.store.stamps()
        todo = [f for f in files if f not in known or known[f] != _stamp(self.root / f)]
        gone = sorted(paths - set(files))
        if gone:
            self.store.drop(gone)
        if approximate is not None:
            self.store.note("approximate", str(int(approximate)).encode())
        problems = self.store.problems()
        files_shown = progress("listening", len(todo), todo)
        for heard in listen(self.root, files_shown, self.model, self.cut, jobs):
            news = [
                one for one in heard if not one.problem or one.problem != problems.get(one.path)
            ]
            if news:
                self.store.put(news)
        self._make(progress)
        return Update(len(todo), len(gone), len(files) - len(todo), self.store.problems())

    def _make(self, progress: Progress) -> Vectors:
        """The newest matrix, made if it is not there."""
        near = self.store.about.get("approximate") == b"1"
        vectors = current(self.folder, self.store)
        if vectors is None or near != vectors.is_approximate:
            return make(self.folder, self.store, self.likely_queries if near else None, progress)
        return vectors

    def search(
        self,
        text: str | None = None,
        top: int = 10,
        without: Sequence[str] = (),
        like: Sequence[Path] = (),
        exact: bool = False,
    ) -> list[Hit]:
        """The best tracks, each by its best window.

        Args:
            text: A description, which may say what there should not be.
            top: How many.
            without: What there should not be, by name.
            like: Audio files that they should sound like.
            exact: Whether every window is looked at, also where an approximate search is there.

        Raises:
            InputError: If nothing is asked for.
        """
        if top < 1:
            raise InputError(f"top is {top}, expected at least 1")
        query = Query(text, without, [Path(path) for path in like])
        ranked = self._current().rank(query.vector(self.model, self.cut), top, exact)
        found = zip(*(part.tolist() for part in ranked), strict=True)
        hits = (self._hit(*one) for one in found)
        return [hit for hit in hits if hit is not None]

    def _hit(self, track: int, score: float, start_s: float) -> Hit | None:
        found = self.store.file_of(track)
        if found is None:  # a writer has just dropped it
            return None
        path, _, duration_s = found
        end_s = min(start_s + self.cut.window_s, duration_s)
        return Hit(track, path, score, start_s, end_s, duration_s)

    def _current(self) -> Vectors:
        """The newest matrix; made where a writer was stopped before it made it."""
        generation = self.store.generation
        if self._vectors is None or self._generation != generation:
            self._vectors, self._generation = self._make(quiet), generation
        return self._vectors

    def likely_queries(self) -> NDArray[np.float32]:
        """``(q, dim)`` embeddings of texts like those that will be asked."""
        draw = np.random.default_rng(0)
        texts = [form.format(*draw.choice(_WORDS, 2, replace=False)) for form in _FORMS * 20]
        return self.model.encode_text(texts)


def _stamp(path: Path) -> Stamp | None:
    try:
        return Stamp.of(path)
    except OSError:  # it is heard of when it is listened to
        return None


def _lasting(model: str) -> str:
    """A path that means the same from another working directory."""
    file, colon, kind = model.rpartition(":") if ".py:" in model else (model, "", "")
    return f"{Path(file).absolute()}{colon}{kind}" if Path(file).exists() else model


def _answers(model: Encoder) -> NDArray[np.float32]:
    """What a model makes of fixed texts and a fixed sound: tells it from any other."""
    rate = model.sample_rate
    time_s = np.arange(round(model.excerpt_s * rate)) / rate
    sweep = 0.3 * np.sin(2 * np.pi * (110.0 + 40.0 * time_s) * time_s)
    noise = 0.05 * np.random.default_rng(0).standard_normal(len(time_s))
    heard = model.encode_audio((sweep + noise).astype(np.float32)[None])
    answers = np.concatenate([model.encode_text(list(_PROBE_TEXTS)), heard])
    if not np.isfinite(answers).all():
        raise InputError("the model's embeddings hold NaN or infinite values")
    return answers
