"""Write tracks into a catalogue, each once."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from negclap.catalogue.cluster import embed_on_cluster
from negclap.catalogue.table import Catalogue, track_number
from negclap.catalogue.tracks import Reader, Tracks
from negclap.parallel import chain_ahead
from negclap.progress import Progress
from negclap.search.embed import embed_parts
from negclap.search.store import IndexedTrack

_WINDOWS_PER_COMMIT = 4096
_AHEAD = 2  # tracks that are decoded ahead, per thread


class Written(NamedTuple):
    """What a call has written.

    Attributes:
        tracks: Number of tracks that were embedded.
        windows: Number of their windows.
        before: Number of tracks that were in the catalogue already.
        problems: What is wrong with tracks, by name: all that is missing, or a part.
    """

    tracks: int
    windows: int
    before: int
    problems: dict[str, str]


def embed_tracks(
    catalogue: Catalogue,
    tracks: Tracks,
    ray: str | None = None,
    jobs: int = 2,
    patience_s: float = 300.0,
    progress: Progress | None = None,
) -> Written:
    """Embed the tracks that are not in a catalogue yet.

    An interrupted call keeps what it has committed, and the next one continues from there. Only one
    call at a time may write to a catalogue.

    Args:
        catalogue: The catalogue.
        tracks: The tracks; their root is the catalogue's.
        ray: Address of a Ray cluster, "local" to start one, or None to use this process.
        jobs: Number of decoding threads, without Ray.
        patience_s: Seconds without a result after which a track is given up.
        progress: Progress display.

    Raises:
        InputError: If the cluster or the model fails.
    """
    done = {*catalogue.finished().tolist()}
    left = [name for name in tracks.names if track_number(name) not in done]
    model = catalogue.model
    reader = Reader(tracks.root, catalogue.windowing, model.sample_rate, patience_s)
    if ray is None:
        embedded = _embed_here(catalogue, left, reader, jobs)
    else:
        embedded = embed_on_cluster(left, reader, catalogue.source, ray)
    if progress is not None:
        embedded = iter(progress("embedding", len(left), embedded))
    written = windows = 0
    problems = {}
    for commit in _commits(embedded):
        catalogue.add(commit)
        for track in commit:
            windows += len(track.starts)
            written += bool(len(track.starts))
            if track.problem is not None:
                problems[track.path] = track.problem
    return Written(written, windows, len(tracks.names) - len(left), problems)


def _embed_here(
    catalogue: Catalogue, names: Sequence[str], reader: Reader, jobs: int
) -> Iterator[IndexedTrack]:
    with ThreadPoolExecutor(jobs) as pool:
        parts = chain_ahead(pool, (reader.parts(name) for name in names), _AHEAD * jobs)
        for tracks in embed_parts(parts, catalogue.model):
            yield from tracks


def _commits(tracks: Iterable[IndexedTrack]) -> Iterator[list[IndexedTrack]]:
    commit: list[IndexedTrack] = []
    for track in tracks:
        commit.append(track)
        if sum(max(1, len(each.starts)) for each in commit) >= _WINDOWS_PER_COMMIT:
            yield commit
            commit = []
    if commit:
        yield commit
