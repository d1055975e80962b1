"""An index survives concurrent and killed writers; approximate search has the expected recall."""

import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from negclap.errors import InputError
from negclap.progress import quiet
from negclap.search import Index
from negclap.search.store import IndexedTrack, Stamp, Store
from negclap.search.vectors import build, build_ivf, load_newest, rescore, tune_nprobe
from tests.music import RATE, tone

TRACKS = 300  # five transactions


@pytest.fixture
def many(tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for i in range(TRACKS):
        sf.write(folder / f"{i:03d}.wav", tone(i % 8, 2.0), RATE)
    return folder


class Writer:
    """A process of ``negclap index``; see writer.py for its options."""

    def __init__(self, arguments, **options):
        self._arrived, arrived = os.pipe()
        opened, self._opened = os.pipe()
        options |= {"arrived": arrived, "opened": opened}
        script = Path(__file__).with_name("writer.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script), json.dumps(options), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=(arrived, opened),
        )
        os.close(arrived)
        os.close(opened)

    def wait_at_gate(self):
        """Return when the process has stopped at its gate; fail if it has ended instead."""
        assert os.read(self._arrived, 1), self.process.communicate()

    def open_gate(self):
        os.write(self._opened, b"x")

    def send_signal(self, number):
        self.process.send_signal(number)

    def end(self):
        """Wait for the end of the process; return its exit status and error lines."""
        _, error = self.process.communicate()
        return self.process.returncode, error.strip().splitlines()

    def close(self):
        self.process.kill()
        self.process.communicate()
        os.close(self._arrived)
        os.close(self._opened)


@pytest.fixture
def start(many, tmp_path, tone_model):
    """Start writers; their index is ``tmp_path / "index"``."""
    arguments = ["index", str(many), "--out", str(tmp_path / "index")]
    arguments += ["--model", tone_model, "--jobs", "1"]
    writers = []

    def start_one(**options):
        writers.append(Writer(arguments, **options))
        return writers[-1]

    yield start_one
    for writer in writers:
        writer.close()


def content(out):
    """Return what the store contains, in an order that does not depend on the writers."""
    database = sqlite3.connect(out / "index.sqlite")
    query = "SELECT path, size, mtime_ns, duration_s, problem, starts, embeddings FROM tracks"
    rows = sorted(database.execute(query))
    database.close()
    return rows


def assert_intact(out):
    database = sqlite3.connect(out / "index.sqlite")
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


@pytest.fixture
def undisturbed(many, tmp_path, tone_model):
    """Content of an index that was written without any disturbance."""
    Index.create(tmp_path / "undisturbed", many, tone_model).update()
    return content(tmp_path / "undisturbed")


def test_two_concurrent_writers_give_the_same_index_as_one(start, tmp_path, undisturbed):
    writers = [start(gate="before") for _ in range(2)]
    for writer in writers:
        writer.wait_at_gate()
    for writer in writers:  # now each is in the middle of its update
        writer.open_gate()
    for writer in writers:
        status, error = writer.end()
        assert status == 0, error
    assert content(tmp_path / "index") == undisturbed
    assert len(Index(tmp_path / "index").search("3", every_file=True, top=TRACKS)) == TRACKS


@pytest.mark.parametrize("gate", ["before", "within"])
def test_a_killed_writer_leaves_complete_tracks_and_the_next_one_continues(
    start, tmp_path, undisturbed, gate
):
    out = tmp_path / "index"
    found = 0
    for _ in range(3):
        writer = start(gate=gate)
        writer.wait_at_gate()
        writer.send_signal(signal.SIGKILL)
        writer.end()
        rows = content(out)
        assert found < len(rows) < TRACKS
        assert set(rows) <= set(undisturbed)
        found = len(rows)
    assert len(Index(out).search("3", every_file=True, top=TRACKS)) == found
    update = Index(out).update()
    assert (update.processed, update.unchanged) == (TRACKS - found, found)
    assert content(out) == undisturbed


@pytest.mark.parametrize("gate", ["before", "within"])
def test_an_interrupted_writer_keeps_complete_tracks_and_prints_one_line(
    start, tmp_path, undisturbed, gate
):
    writer = start(gate=gate)
    writer.wait_at_gate()
    writer.send_signal(signal.SIGINT)
    status, error = writer.end()
    assert status == 130
    assert error[-1].startswith("negclap: ")
    assert not any("Traceback" in line for line in error)
    rows = content(tmp_path / "index")
    assert 0 < len(rows) < TRACKS
    assert set(rows) <= set(undisturbed)


def test_a_full_disk_loses_nothing(start, tmp_path, undisturbed):
    out = tmp_path / "index"
    status, error = start(limit=40_000).end()
    assert status == 2
    assert error[-1].endswith("earlier content of the index is unchanged")
    rows = content(out)
    assert 0 < len(rows) < TRACKS
    assert set(rows) <= set(undisturbed)
    assert_intact(out)
    assert len(Index(out).search("3", every_file=True, top=TRACKS)) == len(rows)
    Index(out).update()
    assert content(out) == undisturbed


def test_a_full_disk_while_building_the_matrix_keeps_the_index(many, tmp_path, tone_model):
    index = Index.create(tmp_path / "index", many, tone_model)
    index.update()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    (many / "000.wav").unlink()
    try:
        index.store.remove(["000.wav"])
        resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, hard))
        with pytest.raises(InputError, match="the index itself is intact"):
            index.search("3")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert len(index.search("3", every_file=True, top=TRACKS)) == TRACKS - 1
    assert len(list((tmp_path / "index" / "vectors").iterdir())) == 1


def stored(folder, vectors, per_track=4):
    """Store windows, ``per_track`` of them per track."""
    store = Store.create(folder, {"dim": str(vectors.shape[1]).encode()})
    groups = np.split(vectors, range(per_track, len(vectors), per_track))
    starts = np.arange(per_track, dtype=np.float32)
    store.put(
        [
            IndexedTrack(f"{i}", Stamp(1, 1), 9.0, starts[: len(group)], group)
            for i, group in enumerate(groups)
        ]
    )
    return store


@pytest.fixture(scope="module")
def clustered():
    """Unit vectors in 200 clusters, and queries near the clusters."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((200, 32))
    vectors = centres[rng.integers(200, size=20_000)] + 0.3 * rng.standard_normal((20_000, 32))
    queries = centres[:60] + 0.8 * rng.standard_normal((60, 32))
    return [
        (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
        for x in (vectors, queries)
    ]


def test_approximate_search_has_the_recall_it_is_tuned_for(clustered):
    vectors, queries = clustered
    index = build_ivf(vectors, quiet)
    index.nprobe = tune_nprobe(index, vectors, queries[:30])
    assert index.nprobe < index.nlist / 4
    hits = 0
    for query in queries[30:]:  # not used for tuning
        _, rows = index.search(query[None], 40)
        rows, scores = rescore(vectors, query, rows[0])
        exact = np.sort(vectors @ query)[::-1][:10]
        np.testing.assert_allclose(scores, vectors[rows] @ query, atol=1e-6)
        hits += int((scores[:10] >= exact[-1] - 1e-6).sum())
    assert hits >= 0.98 * 10 * 30


def test_approximate_and_exact_search_find_the_same_tracks(clustered, tmp_path):
    vectors, queries = clustered
    store = stored(tmp_path, vectors)
    build(tmp_path, store, lambda: queries[None, :30], quiet)
    matrix = load_newest(tmp_path, store)
    assert matrix.is_approximate
    same = 0
    for query in queries[30:]:
        near, exact = (matrix.rank(query, 10, exact) for exact in (False, True))
        assert len(set(near.tracks.tolist())) == 10
        assert (np.diff(near.scores) <= 0).all()
        same += len(set(near.tracks.tolist()) & set(exact.tracks.tolist()))
        best = vectors.reshape(-1, 4, 32) @ query
        np.testing.assert_allclose(exact.scores, np.sort(best.max(1))[::-1][:10], atol=1e-6)
        rows = (exact.tracks - 1) * 4 + exact.starts.astype(int)
        np.testing.assert_allclose(vectors[rows] @ query, exact.scores, atol=1e-6)
    assert same >= 0.98 * 10 * 30
    everything = matrix.rank(queries[0], 10_000, exact=False)
    assert len(everything.tracks) <= 5_000


def test_every_window_is_scored_if_no_number_of_clusters_is_enough(clustered, tmp_path):
    """The best windows differ by less than the 8 bits of the approximate search can tell."""
    vectors, queries = clustered
    vectors = vectors.copy()
    vectors[:, 0] *= 1e-3
    vectors[::100, 0] = -1.0
    store = stored(tmp_path, vectors)
    hard = np.eye(32, dtype=np.float32)[:1]
    for tuned_with, agrees in ((queries[:1], False), (hard, True)):
        groups = np.stack([queries[:1], tuned_with])
        matrix = build(tmp_path, store, lambda groups=groups: groups, quiet)
        assert matrix.is_approximate
        near, exact = (matrix.rank(hard[0], 10, way).tracks.tolist() for way in (False, True))
        assert (near == exact) == agrees


def test_an_index_stays_approximate_until_it_is_switched_off(many, tmp_path, tone_model):
    index = Index.create(tmp_path / "index", many, tone_model)
    index.update(approximate=True)
    (many / "000.wav").unlink()
    index.update()
    matrix = load_newest(index.folder, index.store)
    assert matrix.is_approximate
    assert len(matrix.windows) == TRACKS - 1
    exact, near = (
        index.search("3", every_file=True, top=5, exact=exact) for exact in (True, False)
    )
    np.testing.assert_allclose([h.score for h in near], [h.score for h in exact], atol=1e-6)
    index.update(approximate=False)
    shutil.rmtree(index.folder / "vectors")
    assert len(Index(index.folder).search("3", every_file=True, top=5)) == 5
    assert not load_newest(index.folder, index.store).is_approximate


@pytest.mark.parametrize(
    "damage", ["starts.npy", "windows.npy", "tracks.npy", "near.npy", "near.json", "queries.npy"]
)
def test_a_damaged_matrix_is_rebuilt(many, tmp_path, tone_model, damage):
    index = Index.create(tmp_path / "index", many, tone_model)
    index.update(approximate=True)
    expected = index.search("3", every_file=True, top=5, exact=True)
    (folder,) = (tmp_path / "index" / "vectors").iterdir()
    for cut in (0, 200):
        os.truncate(folder / damage, cut)
        assert Index(tmp_path / "index").search("3", every_file=True, top=5, exact=True) == expected
    (folder / damage).unlink()
    Index(tmp_path / "index").update()
    assert Index(tmp_path / "index").search("3", every_file=True, top=5, exact=True) == expected
    assert load_newest(index.folder, index.store).is_approximate


def test_two_writers_may_finish_the_same_matrix(clustered, tmp_path, monkeypatch):
    vectors, _ = clustered
    store = stored(tmp_path, vectors)
    rename = Path.rename

    def rename_second(path, target):
        monkeypatch.setattr(Path, "rename", rename)
        build(tmp_path, store, None, quiet)  # another writer finishes first
        return path.rename(target)

    monkeypatch.setattr(Path, "rename", rename_second)
    assert len(build(tmp_path, store, None, quiet).windows) == len(vectors)
    assert len(load_newest(tmp_path, store).windows) == len(vectors)
    assert len(list((tmp_path / "vectors").iterdir())) == 1


def test_tracks_are_kept_if_their_folder_cannot_be_read(many, tmp_path, tone_model, monkeypatch):
    index = Index.create(tmp_path / "index", many, tone_model)
    index.update()

    def walk(root, onerror, followlinks):
        onerror(PermissionError(13, "Permission denied", str(root)))
        return iter(())

    monkeypatch.setattr("negclap.data.walk.os.walk", walk)
    with pytest.raises(
        InputError, match=r"no audio found, but the index has .* nothing was removed"
    ):
        index.update()
    assert len(index.search("3", every_file=True, top=TRACKS)) == TRACKS
