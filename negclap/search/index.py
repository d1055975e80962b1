"""The index of a music folder: create, update, search."""

import json
import os
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from negclap import __version__, load
from negclap.data.walk import walk_audio
from negclap.errors import InputError
from negclap.models.encoder import Encoder
from negclap.models.pretrained import BUILT_IN
from negclap.progress import Progress, quiet
from negclap.search.changes import Changes, find_changes
from negclap.search.embed import Windowing, embed_files
from negclap.search.fingerprint import are_equal, embed_sounds
from negclap.search.query import Hit
from negclap.search.searchable import Rows, Searchable
from negclap.search.store import Stamp, Store
from negclap.search.typical import typical_texts
from negclap.search.vectors import Vectors, build, is_vectors_file, load_newest

_MISSING, _VERSION = "missing", "negclap"  # metadata: numbers of tracks; version of the update
_SAMPLE = 3  # tuning queries per group that tell text encoders apart


class Update(NamedTuple):
    """The result of an update.

    Attributes:
        processed: Number of new and changed files, including those with a problem.
        failed: Number of these that could not be indexed.
        moved: Number of tracks whose file has another place or clock; they are not embedded anew.
        removed: Number of tracks removed because their file is gone.
        unchanged: Number of files that were already up to date, including those with a problem.
        missing: Tracks whose whole folder is gone; they are kept, but not found.
        problems: For each path that could not be indexed, the reason.
        damaged: For each path that could be indexed in part only, what is missing.
        passed_over: A line for each kind of file and folder that is not looked at.
    """

    processed: int
    failed: int
    moved: int
    removed: int
    unchanged: int
    missing: list[str]
    problems: dict[str, str]
    damaged: dict[str, str]
    passed_over: list[str]


class Index(Searchable):
    """A search index of a music folder.

    Any model with the same audio encoder can search the index, and add tracks to it.

    Args:
        folder: Folder of the index.
        model: The model; None loads the index's own one: the one that `create` was last given.

    Raises:
        InputError: If the folder contains no index, or the model has another audio encoder.
    """

    def __init__(self, folder: Path | str, model: Encoder | None = None) -> None:
        self.folder = Path(folder)
        self.store = Store(self.folder)
        metadata = self.store.metadata
        windowing = Windowing(float(metadata["window_s"]), float(metadata["hop_s"]))
        self.root = Path(os.fsdecode(metadata["root"]))
        super().__init__(str(folder), windowing, _sounds(metadata), model)
        self._vectors: Vectors | None = None
        self._generation = -1

    @classmethod
    def create(
        cls,
        folder: Path | str,
        root: Path | str,
        model: str | None = None,
        hop_s: float | None = None,
    ) -> "Index":
        """Create an empty index, or open the one that exists.

        Args:
            folder: Folder of the index.
            root: Folder of the music.
            model: A model, as for `negclap.load`. It becomes the index's own one. By default it is
                that of the existing index, or the built-in one.
            hop_s: Seconds from one window to the next; None is the window length (no overlap).

        Raises:
            InputError: If the existing index has another music folder, audio encoder or hop.
        """
        if model is None:
            model = _source(Store(Path(folder))) if Store.exists(Path(folder)) else BUILT_IN
        encoder = load(model)
        windowing = Windowing.of(encoder, hop_s)
        sounds = embed_sounds(encoder, encoder.excerpt_s)
        metadata = {
            "root": os.fsencode(Path(root).resolve()),
            "model": os.fsencode(absolute(model)),
            "dim": str(encoder.dim).encode(),
            "window_s": repr(windowing.window_s).encode(),
            "hop_s": repr(windowing.hop_s).encode(),
            "sounds": sounds.astype("<f4").tobytes(),
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
        index.check_sounds(_sounds(index.store.metadata), sounds)
        index.store.set_metadata("model", metadata["model"])
        return index

    def update(
        self,
        jobs: int = 2,
        approximate: bool | None = None,
        progress: Progress = quiet,
        forget: bool = False,
    ) -> Update:
        """Embed new and changed files, and remove tracks whose file is gone.

        Files that were moved keep their embeddings. Tracks whose whole folder is gone or empty, as
        that of a drive that is not mounted, are kept until it is back, and not found meanwhile.
        Files that could not be read are tried again when they have changed.

        An approximate search that was tuned with another model is built again.
        An interrupted update keeps what it has finished; the next one continues from there.

        Args:
            jobs: Number of decoding threads.
            approximate: Whether to build an approximate search as well, for large indices; None
                keeps the current setting.
            progress: Progress display.
            forget: Whether to remove tracks whose whole folder is gone, too.

        Raises:
            InputError: If the music folder is missing, contains no audio although the index has
                tracks, or the index cannot be written.
        """
        if not self.root.is_dir():  # every track would be removed
            raise InputError(f"{self.root}: no such folder")
        walk = walk_audio(self.root)
        files = [f for f in walk.files if not is_vectors_file(self.root / f)]
        before = self._stamps()
        if before and not files:  # an unmounted drive leaves an empty folder
            raise InputError(
                f"{self.root}: no audio found, but the index has {len(before)} tracks; nothing "
                f"was removed (if the music is really gone, delete {self.folder})"
            )
        now = {file: _stamp(self.root / file) for file in files}
        changes = find_changes(before, now, walk.unreadable)
        if forget:
            changes.gone, changes.missing = changes.gone + changes.missing, []
        self._apply(changes, before, now)
        if approximate is not None:
            self.store.set_metadata("approximate", str(int(approximate)).encode())
        failed = self._embed(progress("embedding", len(changes.new), changes.new), jobs)
        self.store.set_metadata(_VERSION, __version__.encode())
        self._newest_vectors(progress, tuned=True)
        return Update(
            len(changes.new),
            failed,
            len(changes.moved),
            len(changes.gone),
            len(changes.unchanged),
            changes.missing,
            self.store.problems(),
            self.store.damaged(),
            list(walk.passed_over()),
        )

    def _apply(
        self, changes: Changes, before: Mapping[str, Stamp], now: Mapping[str, Stamp | None]
    ) -> None:
        """Move, remove and mark tracks as their files were."""
        if changes.moved:
            moves = [(old, new, now[new] or before[old]) for old, new in changes.moved.items()]
            self.store.move(moves)
        if changes.gone:
            self.store.remove(changes.gone)
        missing = sorted(self.store.ids(changes.missing).values())
        self.store.set_metadata(_MISSING, json.dumps(missing).encode())

    def _embed(self, files: Iterable[str], jobs: int) -> int:
        """Embed and store files; return how many could not be indexed."""
        known, problems = self.store.stamps(), self.store.problems()
        failed = 0
        for tracks in embed_files(self.root, files, self.model, self.windowing, jobs):
            failed += sum(not len(track.starts) for track in tracks)
            changed = [
                track
                for track in tracks
                if (track.stamp, track.problem) != (known.get(track.path), problems.get(track.path))
                or len(track.starts)
            ]
            if changed:  # a file that still cannot be opened changes nothing
                self.store.put(changed)
        return failed

    def _stamps(self) -> dict[str, Stamp]:
        """Return the stamps of the tracks; another version of negclap tries broken files again."""
        stamps = self.store.stamps()
        if self.store.metadata.get(_VERSION) != __version__.encode():
            tried = self.store.problems() | self.store.damaged()
            stamps |= dict.fromkeys(tried, Stamp(0, 0))
        return stamps

    @property
    def source(self) -> str:
        """The index's own model: the one that `create` was last given."""
        return _source(self.store)

    @property
    def anew(self) -> str:
        """The command that embeds the same tracks."""
        return f"negclap index {self.root}"

    def best(self, vector: NDArray[np.float32], top: int, exact: bool) -> tuple[Rows, bool]:
        """Return the best tracks that are not missing, and whether there are more tracks.

        Every window is also scored if the approximate search was tuned with another model.
        """
        vectors = self._current_vectors()
        ranking = vectors.rank(vector, top, exact or not self._is_tuned(vectors))
        missing = {*json.loads(self.store.metadata.get(_MISSING, b"[]"))}
        rows = [
            (self._hit(track, score, start_s), window)
            for track, score, start_s, window in zip(*ranking, strict=True)
            if track not in missing
        ]
        hits = [(hit, window) for hit, window in rows if hit is not None]
        return hits, len(ranking.tracks) >= top

    def _hit(self, number: np.int64, score: np.float32, start: np.float32) -> Hit | None:
        track, start_s = int(number), float(start)
        found = self.store.file_of(track)
        if found is None:  # another process has just removed it
            return None
        path, _, duration_s = found
        end_s = min(start_s + self.windowing.window_s, duration_s)
        return Hit(track, path, float(score), start_s, end_s, duration_s)

    def audio(self, track: int) -> Path | None:
        """Return the file of a track, also if it is a link to a file elsewhere."""
        found = self.store.file_of(track)
        if found is None:
            return None
        name, stamp, _ = found
        path = Path(self.root, name).resolve(strict=True)
        if Stamp.of(path) != stamp:
            raise FileNotFoundError("the file has changed since it was indexed")
        return path

    def _current_vectors(self) -> Vectors:
        generation = self.store.generation
        if self._vectors is None or self._generation != generation:
            self._vectors, self._generation = self._newest_vectors(quiet, tuned=False), generation
        return self._vectors

    def _newest_vectors(self, progress: Progress, tuned: bool) -> Vectors:
        """Load the matrix of the store's state; build it if an update has not.

        With ``tuned``, build it again if it is tuned with the queries of another model.
        """
        approximate = self.store.metadata.get("approximate") == b"1"
        vectors = load_newest(self.folder, self.store)
        if (
            vectors is None
            or vectors.is_approximate != approximate
            or (tuned and not self._is_tuned(vectors))
        ):
            queries = self._tuning_queries if approximate else None
            return build(self.folder, self.store, queries, progress)
        return vectors

    def _is_tuned(self, vectors: Vectors) -> bool:
        """Whether the approximate search, if there is one, is tuned with this model's queries."""
        if vectors.queries is None:
            return True
        return are_equal(np.concatenate(vectors.queries[:, :_SAMPLE]), self._sample)

    @cached_property
    def _sample(self) -> NDArray[np.float32]:
        texts = [text for group in typical_texts() for text in group[:_SAMPLE]]
        return self.model.encode_text(texts)

    def _tuning_queries(self) -> NDArray[np.float32]:
        return self.typical_queries().reshape(2, -1, self.model.dim)


def _stamp(path: Path) -> Stamp | None:
    try:
        return Stamp.of(path)
    except OSError:  # reported when the file is embedded
        return None


def _sounds(metadata: Mapping[str, bytes]) -> NDArray[np.float32]:
    dim = int(metadata["dim"])
    # Earlier versions stored "answers": embeddings of texts, then of the first sound.
    sounds = metadata.get("sounds") or metadata["answers"][-4 * dim :]
    return np.frombuffer(sounds, "<f4").reshape(-1, dim)


def _source(store: Store) -> str:
    return os.fsdecode(store.metadata["model"])


def absolute(model: str) -> str:
    """Make a model's path independent of the working directory."""
    file, colon, kind = model.rpartition(":") if ".py:" in model else (model, "", "")
    return f"{Path(file).absolute()}{colon}{kind}" if Path(file).exists() else model
