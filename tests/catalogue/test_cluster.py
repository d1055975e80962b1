"""Embedding on a Ray cluster, here of this machine, against one process."""

import os
import signal
import threading

import numpy as np
import pytest
import ray

from negclap.catalogue import Catalogue
from negclap.catalogue.cluster import embed_on_cluster
from negclap.catalogue.embed import embed_tracks
from negclap.catalogue.tracks import Reader, list_tracks
from negclap.cli import main
from negclap.errors import InputError
from negclap.search.embed import Windowing
from tests.catalogue.test_catalogue import rows, write
from tests.music import RATE, WINDOW_S

PATIENCE_S = 300.0


@pytest.fixture(scope="module")
def address():
    """Address of a cluster on loopback with four slots of a core."""
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


def reader(music, kind=Reader):
    return kind(str(music), Windowing(WINDOW_S, WINDOW_S), RATE, PATIENCE_S)


def by_path(tracks):
    found = {track.path: track for track in tracks}
    assert len(found) == len(tracks)
    return found


def test_the_result_is_that_of_one_process(tmp_path, music, tone_model, address):
    """The first tracks are written without the cluster, which continues."""
    here, _ = write(music, tmp_path / "here", tone_model)
    tracks = list_tracks(str(music))
    there = Catalogue.create(str(tmp_path / "there"), tracks.root, tone_model)
    first = embed_tracks(there, tracks._replace(names=tracks.names[:4]))
    written = embed_tracks(there, tracks, ray=address)
    assert written.before == 4
    assert first.tracks + written.tracks == 11
    assert rows(there) == rows(here)
    assert there.problems() == here.problems()
    vectors = [
        {
            (row["path"], row["start_s"]): row["vector"]
            for row in catalogue.table.to_arrow().to_pylist()
            if row["vector"]
        }
        for catalogue in (here, there)
    ]
    for key, vector in vectors[0].items():
        np.testing.assert_allclose(vectors[1][key], vector, atol=1e-5)


def test_a_killed_worker_is_replaced(tmp_path, music, tone_model, address):
    """Each decoder, and each encoder, is killed once in the middle of its work."""
    marks = tmp_path / "marks"
    marks.mkdir()
    killing = tmp_path / "killing.py"
    killing.write_text(
        (tmp_path / "adapter.py").read_text()
        + f"""
import os, signal
class Killed(Pitch):
    def encode_audio(self, waveforms):
        mark = os.path.join({str(marks)!r}, "encoder")
        if os.getenv("RAY_JOB_ID") and not os.path.exists(mark):
            open(mark, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encode_audio(waveforms)
"""
    )

    class KilledOnce(Reader):
        def parts(self, name):
            for part in super().parts(name):
                yield part
                mark = marks / "decoder"
                if name == "three parts.flac" and not mark.exists():
                    mark.touch()
                    os.kill(os.getpid(), signal.SIGKILL)

    names = list_tracks(str(music)).names
    model = f"{killing}:Killed"
    found = by_path(list(embed_on_cluster(names, reader(music, KilledOnce), model, address)))
    assert {mark.name for mark in marks.iterdir()} == {"decoder", "encoder"}
    expected, _ = write(music, tmp_path / "here", tone_model)
    assert found.keys() == set(names)
    windows = sum(len(track.starts) for track in found.values())
    assert (11, windows) == expected.counts()
    assert {path: t.problem for path, t in found.items() if t.problem} == expected.problems()


def test_a_file_that_ends_its_decoder_costs_no_other(music, tone_model, address):
    class Poisoned(Reader):
        def parts(self, name):
            if name == "short.ogg":
                os.kill(os.getpid(), signal.SIGKILL)
            if name == "album/band4.wav":  # nothing comes, as from a drive that no longer answers
                self.patience_s = 0.1
            if name == "album/band3.wav":
                raise RuntimeError("a fault of the decoder")
            yield from super().parts(name)

        def _decode(self, name):
            if name == "album/band4.wav":
                threading.Event().wait()
            yield from super()._decode(name)

    names = list_tracks(str(music)).names
    found = by_path(list(embed_on_cluster(names, reader(music, Poisoned), tone_model, address)))
    assert found.keys() == set(names)
    assert found["short.ogg"].problem == "short.ogg: decoding it ends the process"
    assert "a fault of the decoder" in found["album/band3.wav"].problem
    assert "nothing could be read for 0.1 s" in found["album/band4.wav"].problem
    assert sum(len(track.starts) > 0 for track in found.values()) == 8


def test_a_model_that_fails_stops_the_work(tmp_path, music, tone_model, address):
    (tmp_path / "failing.py").write_text(
        (tmp_path / "adapter.py").read_text()
        + """
import os

class Missing(Pitch):
    def __init__(self):
        if os.getenv("RAY_JOB_ID"):
            raise OSError("no weights on this machine")

class Failing(Pitch):
    def encode_audio(self, waveforms):
        if len(waveforms) > 3:  # not for the sounds by which a model is recognised
            raise MemoryError("full")
        return super().encode_audio(waveforms)
"""
    )
    names = list_tracks(str(music)).names
    with pytest.raises(InputError, match="no weights on this machine"):
        list(embed_on_cluster(names, reader(music), f"{tmp_path / 'failing.py'}:Missing", address))
    with pytest.raises(InputError, match=r"the model fails on the cluster: .*full"):
        list(embed_on_cluster(names, reader(music), f"{tmp_path / 'failing.py'}:Failing", address))


def test_the_command_starts_a_cluster_of_its_own(tmp_path, music, tone_model, capfd):
    """Also when there is none; what Ray prints stays away."""
    if ray.is_initialized():
        ray.shutdown()
    out = str(tmp_path / "out")
    arguments = ["embed", str(music), "--out", out, "--model", tone_model, "--ray", "local"]
    assert main(arguments) == 0
    assert not ray.is_initialized()
    printed = capfd.readouterr()
    assert f"{out}: 11 tracks" in printed.out
    assert "Traceback" not in printed.err
    assert "Error" not in printed.err
