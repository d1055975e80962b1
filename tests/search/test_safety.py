"""Two writers, a killed writer and a full disk lose nothing; the approximate search finds it."""

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile as sf

from negclap.errors import InputError
from negclap.progress import quiet
from negclap.search import Index
from negclap.search.store import Indexed, Stamp, Store
from negclap.search.vectors import current, make, near_index, rescored, tuned
from tests.music import RATE, tone

TRACKS = 300


@pytest.fixture
def many(tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for i in range(TRACKS):
        sf.write(folder / f"{i:03d}.wav", tone(i % 8, 2.0), RATE)
    return folder


def writer(folder, out, tone_model, delay=0.0, limit=None):
    """A process of `negclap index`; with a limit it can write no larger file."""
    arguments = ["index", str(folder), "--out", str(out), "--model", tone_model, "--jobs", "1"]

    def confine():
        if limit:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.Popen(
        [sys.executable, "-m", "negclap.cli", *arguments],
        env=os.environ | {"NEGCLAP_TEST_DELAY": str(delay)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=confine,
    )


def content(out):
    """What is in the store, whatever the order it came in."""
    database = sqlite3.connect(out / "index.sqlite")
    query = "SELECT path, size, mtime_ns, duration_s, problem, starts, embeddings FROM tracks"
    rows = sorted(database.execute(query))
    database.close()
    return rows


def assert_whole(out):
    database = sqlite3.connect(out / "index.sqlite")
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


@pytest.fixture
def straight(many, tmp_path, tone_model):
    """What an index is that nothing happened to."""
    Index.create(tmp_path / "straight", many, tone_model).update()
    return content(tmp_path / "straight")


def test_two_writers_at_once_give_what_one_gives(many, tmp_path, tone_model, straight):
    out = tmp_path / "index"
    writers = [writer(many, out, tone_model, delay=0.1) for _ in range(2)]
    for one in writers:
        _, error = one.communicate(timeout=120)
        assert one.returncode == 0, error
    assert content(out) == straight
    assert len(Index(out).search("3", top=TRACKS)) == TRACKS


def test_a_killed_writer_leaves_whole_tracks_and_the_next_goes_on(
    many, tmp_path, tone_model, straight
):
    out = tmp_path / "index"
    found = 0
    for least in (1, 100, 200):
        killed = writer(many, out, tone_model, delay=1.0)
        while not (out / "index.sqlite").is_file() or len(content_or_nothing(out)) < least:
            time.sleep(0.02)
            assert killed.poll() is None, killed.communicate()
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        rows = content(out)
        assert found <= len(rows) < TRACKS
        assert set(rows) <= set(straight)
        found = len(rows)
    hits = Index(out).search("3", top=TRACKS)  # a search between two writers
    assert len(hits) == found
    last = writer(many, out, tone_model)
    printed, error = last.communicate(timeout=120)
    assert last.returncode == 0, error
    assert f"{TRACKS - found} heard now, {found} unchanged" in " ".join(printed.split())
    assert content(out) == straight


def content_or_nothing(out):
    try:
        return content(out)
    except sqlite3.OperationalError:  # the table is about to be made
        return []


def test_a_full_disk_loses_nothing(many, tmp_path, tone_model, straight):
    out = tmp_path / "index"
    full = writer(many, out, tone_model, limit=40_000)
    _, error = full.communicate(timeout=120)
    assert full.returncode == 2
    assert error.strip().splitlines()[-1].endswith("what was in the index before is still there")
    rows = content(out)
    assert 0 < len(rows) < TRACKS
    assert set(rows) <= set(straight)
    assert_whole(out)
    assert len(Index(out).search("3", top=TRACKS)) == len(rows)
    Index(out).update()
    assert content(out) == straight


def test_a_full_disk_under_the_matrix_leaves_the_index(many, tmp_path, tone_model):
    index = Index.create(tmp_path / "index", many, tone_model)
    index.update()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    (many / "000.wav").unlink()
    try:
        index.store.drop(["000.wav"])
        resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, hard))
        with pytest.raises(InputError, match="the index itself is whole"):
            index.search("3")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert len(index.search("3", top=TRACKS)) == TRACKS - 1
    assert len(list((tmp_path / "index" / "vectors").iterdir())) == 1


def stored(folder, vectors, per_track=4):
    """A store of these windows, some a track."""
    about = {"dim": str(vectors.shape[1]).encode()}
    store = Store.create(folder, about)
    groups = np.split(vectors, range(per_track, len(vectors), per_track))
    starts = np.arange(per_track, dtype=np.float32)
    store.put(
        [
            Indexed(f"{i}", Stamp(1, 1), 9.0, starts[: len(group)], group)
            for i, group in enumerate(groups)
        ]
    )
    return store


@pytest.fixture(scope="module")
def clustered():
    """Unit vectors in a few hundred clouds, and queries that lie beside them."""
    draw = np.random.default_rng(0)
    clouds = draw.standard_normal((200, 32))
    vectors = clouds[draw.integers(200, size=20_000)] + 0.3 * draw.standard_normal((20_000, 32))
    queries = clouds[:60] + 0.8 * draw.standard_normal((60, 32))
    return [
        (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
        for x in (vectors, queries)
    ]


def test_the_approximate_search_keeps_the_recall_that_it_measures(clustered):
    vectors, queries = clustered
    index = near_index(vectors, quiet)
    index.nprobe = tuned(index, vectors, queries[:30])
    assert index.nprobe < index.nlist / 4
    hits = 0
    for query in queries[30:]:  # others than it was tuned on
        _, rows = index.search(query[None], 40)
        rows, scores = rescored(vectors, query, rows[0])
        exact = np.sort(vectors @ query)[::-1][:10]
        np.testing.assert_allclose(scores, vectors[rows] @ query, atol=1e-6)
        hits += int((scores[:10] >= exact[-1] - 1e-6).sum())
    assert hits >= 0.98 * 10 * 30


def test_tracks_by_the_approximate_search_are_those_of_the_exact_one(clustered, tmp_path):
    vectors, queries = clustered
    store = stored(tmp_path, vectors)
    make(tmp_path, store, lambda: queries[:30], quiet)
    made = current(tmp_path, store)
    assert made.is_approximate
    same = 0
    for query in queries[30:]:
        near, exact = (made.rank(query, 10, exact) for exact in (False, True))
        assert len(set(near.tracks.tolist())) == 10
        assert (np.diff(near.scores) <= 0).all()
        same += len(set(near.tracks.tolist()) & set(exact.tracks.tolist()))
        best = vectors.reshape(-1, 4, 32) @ query
        np.testing.assert_allclose(exact.scores, np.sort(best.max(1))[::-1][:10], atol=1e-6)
        rows = (exact.tracks - 1) * 4 + exact.starts.astype(int)
        np.testing.assert_allclose(vectors[rows] @ query, exact.scores, atol=1e-6)
    assert same >= 0.98 * 10 * 30
    everything = made.rank(queries[0], 10_000, exact=False)
    assert len(everything.tracks) <= 5_000


def test_an_index_stays_approximate(many, tmp_path, tone_model):
    index = Index.create(tmp_path / "index", many, tone_model)
    index.update(approximate=True)
    (many / "000.wav").unlink()
    index.update()
    made = current(index.folder, index.store)
    assert made.is_approximate
    assert len(made.windows) == TRACKS - 1
    exact, near = (index.search("3", top=5, exact=exact) for exact in (True, False))
    np.testing.assert_allclose([h.score for h in near], [h.score for h in exact], atol=1e-6)
    index.update(approximate=False)
    shutil.rmtree(index.folder / "vectors")
    assert len(Index(index.folder).search("3", top=5)) == 5
    assert not current(index.folder, index.store).is_approximate


@pytest.mark.parametrize("damage", ["starts.npy", "windows.npy", "tracks.npy", "near.npy"])
def test_a_damaged_matrix_is_made_again(many, tmp_path, tone_model, damage):
    index = Index.create(tmp_path / "index", many, tone_model)
    index.update(approximate=True)
    expected = index.search("3", top=5, exact=True)
    (folder,) = (tmp_path / "index" / "vectors").iterdir()
    for cut in (0, 200):
        os.truncate(folder / damage, cut)
        assert Index(tmp_path / "index").search("3", top=5, exact=True) == expected
    (folder / damage).unlink()
    Index(tmp_path / "index").update()
    assert Index(tmp_path / "index").search("3", top=5, exact=True) == expected
    assert current(index.folder, index.store).is_approximate


def test_a_folder_that_cannot_be_read_is_not_forgotten(many, tmp_path, tone_model, monkeypatch):
    index = Index.create(tmp_path / "index", many, tone_model)
    index.update()

    def walk(root, onerror, followlinks):
        onerror(PermissionError(13, "Permission denied", str(root)))
        return iter(())

    monkeypatch.setattr("negclap.data.sources.folder.os.walk", walk)
    with pytest.raises(InputError, match="many: Permission denied"):
        index.update()
    assert len(index.search("3", top=TRACKS)) == TRACKS


def test_a_stopped_writer_says_so_in_one_line(many, tmp_path, tone_model):
    stopped = writer(many, tmp_path / "index", tone_model, delay=5.0)  # a batch; there are five
    while not content_or_nothing_there(tmp_path / "index"):
        time.sleep(0.02)
    stopped.send_signal(signal.SIGINT)
    _, error = stopped.communicate(timeout=60)
    assert stopped.returncode == 130
    assert error.strip().splitlines()[-1] == "negclap: stopped; what was finished is kept"
    assert "Traceback" not in error
    assert content(tmp_path / "index")


def content_or_nothing_there(out):
    return content_or_nothing(out) if (out / "index.sqlite").is_file() else []
