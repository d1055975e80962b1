"""Windows are cut from a stream as from the whole, and damaged files keep what can be decoded."""

import re

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st

from negclap.cli import main
from negclap.search import Index
from negclap.search.embed import Windowing
from tests.audio import files
from tests.music import RATE, tone

SIZES = st.lists(st.integers(0, 25), max_size=12)


@given(sizes=SIZES, window=st.integers(1, 12), hop=st.integers(1, 20))
def test_windows_of_a_stream_are_those_of_the_whole(sizes, window, hop):
    whole = np.arange(1, sum(sizes) + 1, dtype=np.float32)
    blocks = np.split(whole, np.cumsum(sizes)[:-1]) if sizes else []
    windowing = Windowing(float(window), float(hop))
    cut = list(windowing.cut(blocks, 1))
    starts = windowing.starts(float(len(whole))).tolist() if len(whole) else []
    assert [start for start, _ in cut] == starts
    for start, samples in cut:
        expected = np.resize(whole[int(start) : int(start) + window], window)
        np.testing.assert_array_equal(samples, expected)


@pytest.fixture
def damaged(tmp_path):
    music = tmp_path / "music"
    music.mkdir()
    whole = files.mp3(tone(3, 30.0), RATE)
    (music / "whole.mp3").write_bytes(whole)
    (music / "broken off.mp3").write_bytes(whole[: len(whole) // 2])
    middle = len(whole) // 2
    noise = np.random.default_rng(0).bytes(8000)
    (music / "damaged.mp3").write_bytes(whole[:middle] + noise + whole[middle + 8000 :])
    nan = tone(5, 9.0)
    nan[RATE * 3] = np.nan
    sf.write(music / "nan.wav", nan, RATE, subtype="FLOAT")
    return music


def test_what_can_be_decoded_is_indexed_and_the_rest_told(damaged, tone_model, tmp_path, capsys):
    where = [str(damaged), "--out", str(tmp_path / "index"), "--model", tone_model]
    assert main(["index", *where]) == 0
    shown = capsys.readouterr().out
    assert "3 files are damaged; what can be decoded is in the index:" in shown
    assert re.search(r"broken off\.mp3: 1\d\.\d\d s of 30\.\d\d s can be decoded", shown)
    assert "damaged parts are left out" in shown
    assert "nan.wav: has NaN or infinite samples" in shown
    index = Index(tmp_path / "index")
    hits = {hit.path: hit for hit in index.search("3", every_file=True)}
    assert hits.keys() == {"whole.mp3", "broken off.mp3", "damaged.mp3", "nan.wav"}
    assert 14 < hits["broken off.mp3"].duration_s < 16
    assert 20 < hits["damaged.mp3"].duration_s < 30
    windows = {number: len(starts) for number, starts, _ in index.store.tracks()}
    assert windows[hits["nan.wav"].track] == 4  # of 5
    update = index.update()
    assert (update.processed, update.unchanged, len(update.damaged)) == (0, 4, 3)


def test_every_kind_of_real_file_is_found(tmp_path, tone_model, capfd):
    music = tmp_path / "music"
    music.mkdir()
    names = files.real_files(music)
    for name, (encoder, container, rate) in files.KINDS.items():
        files.encode(music / name, files.sweep(6, rate), encoder, container, rate)
    (music / "._info.mp3").write_bytes(b"\0\x05\x16\x07" + bytes(4092))
    where = [str(music), "--out", str(tmp_path / "index"), "--model", tone_model]
    assert main(["index", *where]) == 0
    shown = capfd.readouterr()
    assert shown.err == ""
    assert "2 files are damaged; what can be decoded is in the index:" in shown.out
    assert "cannot be read" not in shown.out
    index = Index(tmp_path / "index")
    assert index.store.stamps().keys() == {*names, *files.KINDS}
    for hit in index.search("3", top=99, every_file=True):
        assert hit.duration_s == pytest.approx(files.decoded_s(music / hit.path), abs=0.1)
