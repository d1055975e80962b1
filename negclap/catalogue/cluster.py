"""Decode and embed on the machines of a Ray cluster, with Ray Data.

Decoders are tasks on CPUs. Encoders are actors: one for each GPU, or, if the
cluster has none, one for each core.
Windows go from one to the other through Ray's object store. Ray repeats what a lost worker was
doing; each result reaches the caller once.
"""

import logging
import os
import socket
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from negclap import load
from negclap.catalogue.tracks import Reader, failure
from negclap.errors import InputError, reason
from negclap.models.encoder import Encoder
from negclap.search.embed import File, Part, join
from negclap.search.store import IndexedTrack, Stamp

LOCAL = "local"
"""Address of a cluster that is started on this machine, for one call."""
_CONNECT_S = 10.0
_RETRIES = 2
_BATCH = 64  # windows that an encoder embeds at a time
_BLOCKS = 10_000  # of tracks, at most; a block is the work of one task
_DECODER, _ENCODER = 0.2, 0.8  # cores of each where there is no GPU


def embed_on_cluster(
    names: Sequence[str], reader: Reader, model: str, address: str
) -> Iterator[IndexedTrack]:
    """Decode and embed tracks, and yield them in any order.

    A track that ends the process of its decoder has a problem and no windows.

    Args:
        names: Names of the tracks.
        reader: Decodes them.
        model: The model, as for `negclap.load`, on each machine.
        address: Address of the cluster, or `LOCAL`.

    Raises:
        InputError: If Ray is missing, there is no cluster, or the model fails.
    """
    ray = _connect(address)
    try:
        left = dict(enumerate(names))
        for attempt in range(2):
            for number, track in _embed(ray, left, reader, model, one_by_one=attempt > 0):
                del left[number]
                yield track
        for name in left.values():  # a block's other tracks were not lost a second time
            problem = f"{name}: decoding it ends the process"
            empty = np.empty(0, np.float32)
            yield IndexedTrack(name, Stamp(0, 0), None, empty, empty, problem)
    except ray.exceptions.RayError as error:  # as when the cluster is lost
        raise InputError(f"the cluster fails: {reason(error)}") from None
    finally:
        if address == LOCAL:
            ray.shutdown()


def _connect(address: str) -> Any:
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what fails is reported here
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError:
        raise InputError("--ray needs Ray: pip install 'negclap[catalogue]'") from None
    _check(address)
    with warnings.catch_warnings():
        # LanceDB warns of forks; these start another program at once.
        warnings.filterwarnings("ignore", "lancedb fork support")
        try:
            ray.init(
                None if address == LOCAL else address,
                include_dashboard=False if address == LOCAL else None,
                log_to_driver=False,
                logging_level=logging.ERROR,
                ignore_reinit_error=True,
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise InputError(f"--ray {address}: no cluster ({reason(error)})") from None
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return ray


def _check(address: str) -> None:
    """Raise an InputError if nothing listens; Ray would try for minutes, and end the process."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), _CONNECT_S).close()
    except OSError as error:
        raise InputError(f"--ray {address}: no cluster ({error.strerror or error})") from None


class _Result(NamedTuple):
    """What has arrived of a track."""

    windows: list[tuple[float, NDArray[np.float32]]]
    end: dict[str, Any]  # of the row with the end of the track, if it has come


def _embed(
    ray: Any, tracks: dict[int, str], reader: Reader, model: str, one_by_one: bool
) -> Iterator[tuple[int, IndexedTrack]]:
    """Yield finished tracks by number. A block of which a task fails for good yields nothing."""
    if not tracks:
        return
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.max_errored_blocks = -1
    gpus, cpus = (int(ray.cluster_resources().get(kind, 0)) for kind in ("GPU", "CPU"))
    # Without a limit, a file that ends its decoder would be tried for ever.
    decoder = {"num_cpus": 1 if gpus else _DECODER, "max_retries": _RETRIES}
    encoder = {"num_cpus": 1, "num_gpus": 1} if gpus else {"num_cpus": _ENCODER}
    items = [{"number": number, "name": name} for number, name in tracks.items()]
    blocks = len(items) if one_by_one else min(len(items), _BLOCKS)
    rows = ray.data.from_items(items, override_num_blocks=blocks)
    rows = rows.map_batches(_Decode(reader), batch_size=1, batch_format="numpy", **decoder)
    rows = rows.map_batches(
        _Encode,
        fn_constructor_args=(model,),
        batch_size=_BATCH,
        batch_format="numpy",
        compute=ray.data.ActorPoolStrategy(size=gpus or max(1, cpus)),
        **encoder,
    )
    yield from _assemble(rows.iter_rows(), tracks)


def _assemble(rows: Any, names: dict[int, str]) -> Iterator[tuple[int, IndexedTrack]]:
    """Join the rows of each track, which come in any order."""
    results: dict[int, _Result] = {}
    for row in rows:
        if row["error"]:
            raise InputError(f"the model fails on the cluster: {row['error']}")
        number = int(row["number"])
        result = results.setdefault(number, _Result([], {}))
        if row["has_window"]:
            result.windows.append((float(row["start_s"]), row["vector"]))
        if row["is_last"]:
            result.end.update(row)
        end = result.end
        if end and len(result.windows) == end["windows"]:
            windows = sorted(results.pop(number).windows, key=lambda window: window[0])
            length = None if np.isnan(end["duration_s"]) else float(end["duration_s"])
            file = File(names[number], Stamp(0, 0), length, end["problem"] or None)
            starts = [start for start, _ in windows]
            vectors = np.array([its for _, its in windows], np.float32)
            shaped = vectors.reshape(len(windows), len(row["vector"]))
            yield number, join(file, [(Part(starts, []), shaped)])


class _Decode:
    """Decodes one track; yields a row for each window, and the end of the track in the last row."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def __call__(self, item: dict[str, Any]) -> Iterator[dict[str, Any]]:
        (number,), (name,) = item["number"].tolist(), item["name"].tolist()
        windows = 0
        for part in self._parts(name):
            starts, samples, file = part.starts, part.windows, part.file
            windows += len(starts)
            has_window = np.ones(len(starts), bool)
            if file is not None and not starts:  # the end needs a row
                size = round(self.reader.windowing.window_s * self.reader.sample_rate)
                starts, samples = [0.0], [np.zeros(size, np.float32)]
                has_window = np.zeros(1, bool)
            count = len(starts)
            is_last = np.zeros(count, bool)
            is_last[-1:] = file is not None
            length = None if file is None else file.duration_s
            yield {
                "number": np.full(count, number),
                "start_s": np.array(starts),
                "samples": np.stack(samples),
                "has_window": has_window,
                "is_last": is_last,
                "windows": np.full(count, windows),
                "duration_s": np.full(count, np.nan if length is None else length),
                "problem": np.full(count, (file and file.problem) or "", object),
            }

    def _parts(self, name: str) -> Iterator[Part]:
        try:
            yield from self.reader.parts(name)
        except Exception as error:  # a bad file can make a decoder raise anything
            yield failure(name, f"{name}: {error!r}")


class _Encode:
    """Embeds the windows of a batch; the samples stay behind."""

    def __init__(self, model: str) -> None:
        self.source = model
        self.model: Encoder | None = None  # loaded below, so that its error reaches the caller

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        samples, has_window = batch.pop("samples"), batch["has_window"]
        vectors, error = np.zeros((len(samples), 1), np.float32), ""
        try:
            self.model = self.model or load(self.source)
            vectors = np.zeros((len(samples), self.model.dim), np.float32)
            vectors[has_window] = self.model.encode_audio(samples[has_window])
        except Exception as caught:  # raised by the caller; Ray would drop the block in silence
            error = repr(caught)
        return {**batch, "vector": vectors, "error": np.full(len(samples), error, object)}
