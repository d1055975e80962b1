"""The index of a music folder: create, update, search."""

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
from negclap.search.embed import Windowing, embed_files
from negclap.search.query import Hit, Query
from negclap.search.store import Stamp, Store
from negclap.search.vectors import Vectors, build, is_vectors_file, load_newest

_SHORTEST_HOP_S = 0.01
_SAME = 0.999  # cosine; other machines and batch sizes change the last digits
_PROBE_TEXTS = ("calm piano", "rock without vocals", "drums")
_QUERY_WORDS = (
    "piano", "guitar", "drums", "vocals", "violin", "flute", "bass", "choir", "organ", "synth",
    "rock", "jazz", "techno", "folk", "orchestra", "calm", "fast", "slow", "loud", "soft",
)  # fmt: skip
_QUERY_FORMS = ("{}", "a piece with {}", "{} without {}", "{} and {}", "music with no {}")


class Update(NamedTuple):
    """The result of an update.

    Attributes:
        processed: Number of new and changed files, including those with a problem.
        removed: Number of tracks removed because their file is gone.
        unchanged: Number of tracks that were already up to date.
        problems: For each path that could not be indexed, the reason.
    """

    processed: int
    removed: int
    unchanged: int
    problems: dict[str, str]


class Index:
    """A search index of a music folder.

    An index stores the embeddings of fixed-length windows of each track. It belongs to one model,
    because embeddings of different models are not comparable.

    Args:
        folder: Folder of the index.
        model: The model; None loads the one that the index was built with.

    Raises:
        InputError: If the folder contains no index, or the index was built with another model.
    """

    def __init__(self, folder: Path | str, model: Encoder | None = None) -> None:
        self.folder = Path(folder)
        self.store = Store(self.folder)
        metadata = self.store.metadata
        self.root = Path(os.fsdecode(metadata["root"]))
        self.source = os.fsdecode(metadata["model"])
        self.windowing = Windowing(float(metadata["window_s"]), float(metadata["hop_s"]))
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
        """Create an empty index, or open the one that exists.

        Args:
            folder: Folder of the index.
            root: Folder of the music.
            model: A model, as for `negclap.load`.
            hop_s: Seconds from one window to the next; None is the window length (no overlap).

        Raises:
            InputError: If the existing index has another music folder, model or hop.
        """
        encoder = load(model)
        hop = encoder.excerpt_s if hop_s is None else hop_s
        if not _SHORTEST_HOP_S <= hop < float("inf"):
            raise InputError(f"the hop is {hop} s, expected at least {_SHORTEST_HOP_S} s")
        metadata = {
            "root": os.fsencode(Path(root).resolve()),
            "model": os.fsencode(_absolute(model)),
            "dim": str(encoder.dim).encode(),
            "window_s": repr(encoder.excerpt_s).encode(),
            "hop_s": repr(float(hop)).encode(),
            "answers": _fingerprint(encoder).astype("<f4").tobytes(),
        }
        store = Store.create(Path(folder), metadata)
        for key, name in (("root", "music folder"), ("hop_s", "hop in seconds")):
            stored, given = os.fsdecode(store.metadata[key]), os.fsdecode(metadata[key])
            if stored != given and not (key == "hop_s" and hop_s is None):
                raise InputError(
                    f"{folder}: the {name} of this index is {stored}, not {given}; "
                    "create a new index elsewhere"
                )
        store.close()
        index = cls(folder, encoder)
        if index.store.metadata["model"] != metadata["model"]:  # the model was moved or copied
            index.store.set_metadata("model", metadata["model"])
        return index

    def _load(self) -> Encoder:
        try:
            return load(self.source)
        except InputError as error:
            raise InputError(
                f"{error}; {self.folder} was built with this model: if it was moved, "
                "give its new location (--model)"
            ) from None

    def _check_model(self) -> None:
        stored = np.frombuffer(self.store.metadata["answers"], "<f4").reshape(-1, self._dim)
        given = _fingerprint(self.model) if self.model.dim == self._dim else stored[:0]
        cosines = (stored * given).sum(axis=1) if len(given) == len(stored) else np.zeros(1)
        if not (cosines >= _SAME).all():  # also true for NaN
            raise InputError(
                f"{self.folder}: built with the model {self.source}, and this one differs (another "
                f"model, or retrained since). Use the original model, or build a new index: "
                f"negclap index {self.root} --out NEW --model MODEL"
            )

    @property
    def _dim(self) -> int:
        return int(self.store.metadata["dim"])

    def update(
        self,
        jobs: int = 2,
        approximate: bool | None = None,
        progress: Progress = quiet,
    ) -> Update:
        """Embed new and changed files, and remove tracks whose file is gone.

        An interrupted update keeps what it has finished; the next one continues from there.

        Args:
            jobs: Number of decoding threads.
            approximate: Whether to build an approximate search as well, for large indices; None
                keeps the current setting.
            progress: Progress display.

        Raises:
            InputError: If the music folder is missing, contains no audio although the index has
                tracks, or the index cannot be written.
        """
        if not self.root.is_dir():  # every track would be removed
            raise InputError(f"{self.root}: no such folder")
        files = [f for f in walk_audio(self.root) if not is_vectors_file(self.root / f)]
        indexed = self.store.paths()
        if indexed and not files:  # an unmounted drive leaves an empty folder
            raise InputError(
                f"{self.root}: no audio found, but the index has {len(indexed)} tracks; nothing "
                f"was removed (if the music is really gone, delete {self.folder})"
            )
        stamps = self.store.stamps()
        outdated = [f for f in files if f not in stamps or stamps[f] != _stamp(self.root / f)]
        gone = sorted(indexed - set(files))
        if gone:
            self.store.remove(gone)
        if approximate is not None:
            self.store.set_metadata("approximate", str(int(approximate)).encode())
        problems = self.store.problems()
        shown = progress("embedding", len(outdated), outdated)
        for tracks in embed_files(self.root, shown, self.model, self.windowing, jobs):
            changed = [t for t in tracks if not t.problem or t.problem != problems.get(t.path)]
            if changed:
                self.store.put(changed)
        self._newest_vectors(progress)
        unchanged = len(files) - len(outdated)
        return Update(len(outdated), len(gone), unchanged, self.store.problems())

    def search(
        self,
        text: str | None = None,
        top: int = 10,
        without: Sequence[str] = (),
        like: Sequence[Path] = (),
        exact: bool = False,
    ) -> list[Hit]:
        """Return the best tracks, ranked by their best window.

        Args:
            text: A description, which may itself contain a negation.
            top: Number of tracks.
            without: Names to exclude.
            like: Audio files that the tracks should resemble.
            exact: Whether to score every window even if there is an approximate search.

        Raises:
            InputError: If there is neither a text nor a file, or one of them is not usable.
        """
        if top < 1:
            raise InputError(f"top is {top}, expected at least 1")
        query = Query(text, without, [Path(path) for path in like])
        vector = query.vector(self.model, self.windowing)
        ranking = self._current_vectors().rank(vector, top, exact)
        rows = zip(*(column.tolist() for column in ranking), strict=True)
        hits = (self._hit(*row) for row in rows)
        return [hit for hit in hits if hit is not None]

    def _hit(self, track: int, score: float, start_s: float) -> Hit | None:
        found = self.store.file_of(track)
        if found is None:  # another process has just removed it
            return None
        path, _, duration_s = found
        end_s = min(start_s + self.windowing.window_s, duration_s)
        return Hit(track, path, score, start_s, end_s, duration_s)

    def _current_vectors(self) -> Vectors:
        generation = self.store.generation
        if self._vectors is None or self._generation != generation:
            self._vectors, self._generation = self._newest_vectors(quiet), generation
        return self._vectors

    def _newest_vectors(self, progress: Progress) -> Vectors:
        """Load the matrix of the store's state; build it if an update has not."""
        approximate = self.store.metadata.get("approximate") == b"1"
        vectors = load_newest(self.folder, self.store)
        if vectors is None or approximate != vectors.is_approximate:
            queries = self.typical_queries if approximate else None
            return build(self.folder, self.store, queries, progress)
        return vectors

    def typical_queries(self) -> NDArray[np.float32]:
        """Return ``(q, dim)`` embeddings of typical query texts, to tune the approximate search."""
        rng = np.random.default_rng(0)
        texts = [
            form.format(*rng.choice(_QUERY_WORDS, 2, replace=False)) for form in _QUERY_FORMS * 20
        ]
        return self.model.encode_text(texts)


def _stamp(path: Path) -> Stamp | None:
    try:
        return Stamp.of(path)
    except OSError:  # reported when the file is embedded
        return None


def _absolute(model: str) -> str:
    """Make a model's path independent of the working directory."""
    file, colon, kind = model.rpartition(":") if ".py:" in model else (model, "", "")
    return f"{Path(file).absolute()}{colon}{kind}" if Path(file).exists() else model


def _fingerprint(model: Encoder) -> NDArray[np.float32]:
    """Embed fixed texts and a fixed sound, to recognise the model by the result."""
    rate = model.sample_rate
    time_s = np.arange(round(model.excerpt_s * rate)) / rate
    sweep = 0.3 * np.sin(2 * np.pi * (110.0 + 40.0 * time_s) * time_s)
    noise = 0.05 * np.random.default_rng(0).standard_normal(len(time_s))
    audio = model.encode_audio((sweep + noise).astype(np.float32)[None])
    fingerprint = np.concatenate([model.encode_text(list(_PROBE_TEXTS)), audio])
    if not np.isfinite(fingerprint).all():
        raise InputError("the model returns NaN or infinite embeddings")
    return fingerprint
