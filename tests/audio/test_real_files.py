"""Lengths and sound of files as they lie on disks; FFmpeg's full decode is the reference."""

from pathlib import Path

import numpy as np
import pytest

from negclap.audio import AudioError, AudioStream, probe, read_excerpt, resample
from tests.audio import files
from tests.audio.files import KINDS, RATE, decoded_s, encode, sweep

NAMES = [
    "info.mp3",
    "info and cover.mp3",
    "info and tags behind.mp3",
    "no info.mp3",
    "no info, cover.mp3",
    "vbr soft then loud, no info.mp3",
    "vbr loud then soft, no info.mp3",
    "zeros first.mp3",
    "two rates joined.mp3",
    "joined.mp3",
    "joined, no info.mp3",
    "broken off.mp3",
    "chained.ogg",
    "one file twice.ogg",
    "last page missing.ogg",
    "length unknown.flac",
    "broken off.flac",
    "plain.flac",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("real files")
    assert files.real_files(made) == NAMES
    for name, (encoder, container, rate) in KINDS.items():
        encode(made / name, sweep(12, rate), encoder, container, rate)
    return made


def stream_of(path, rate=RATE):
    stream = AudioStream(path, rate)
    return np.concatenate([np.empty(0, np.float32), *stream]), stream


@pytest.mark.parametrize("name", [*NAMES, *KINDS])
def test_lengths_are_those_of_a_full_decode(folder, name):
    expected_s = decoded_s(folder / name)
    whole, stream = stream_of(folder / name)
    assert stream.duration_s == pytest.approx(expected_s, abs=0.02)
    assert len(whole) == pytest.approx(stream.duration_s * RATE, abs=1)
    assert probe(folder / name).duration_s == pytest.approx(expected_s, abs=0.1)


@pytest.mark.parametrize("name", [*NAMES, *KINDS])
def test_excerpts_are_those_of_the_whole(folder, name):
    """Up to 60 ms: decoders differ in whether they play what encoders put at the start."""
    rate = 8_000
    whole, stream = stream_of(folder / name, rate)
    for start_s in (0.0, 1.7, stream.duration_s / 2, stream.duration_s - 1.1):
        excerpt = read_excerpt(folder / name, start_s, 1.0, rate)
        first = round(start_s * rate)
        near = whole[max(0, first - 480) : first + rate + 480]
        best = np.correlate(near, excerpt[: len(near) - 960], "valid").max()
        power = np.linalg.norm(near[480:-480]) * np.linalg.norm(excerpt)
        assert best > 0.9 * power, start_s


@pytest.mark.parametrize("name", KINDS)
def test_what_was_encoded_is_decoded(folder, name):
    rate = KINDS[name][2]
    whole, stream = stream_of(folder / name, rate)
    assert stream.problem is None
    sound = sweep(12, rate)[rate : 2 * rate]
    near = whole[rate // 2 : 5 * rate // 2]
    best = np.correlate(near, sound, "valid").max()
    assert best > 0.98 * np.linalg.norm(sound) ** 2


def test_a_stream_is_the_resampled_whole(folder):
    native, _ = stream_of(folder / "plain.flac", RATE)
    for rate in (16_000, 48_000):
        converted, stream = stream_of(folder / "plain.flac", rate)
        np.testing.assert_allclose(converted, resample(native, RATE, rate), atol=1e-5)
        assert stream.duration_s == pytest.approx(12.0, abs=1e-4)
    np.testing.assert_allclose(native, read_excerpt(folder / "plain.flac", 0, 12, RATE), atol=1e-6)


def test_damage_in_the_middle_is_passed_over_and_told(tmp_path):
    data = bytearray(files.mp3(sweep(30)))
    middle = len(data) // 2
    data[middle : middle + 20_000] = np.random.default_rng(0).bytes(20_000)
    (tmp_path / "a.mp3").write_bytes(data)
    whole, stream = stream_of(tmp_path / "a.mp3")
    assert stream.duration_s == pytest.approx(decoded_s(tmp_path / "a.mp3"), abs=0.02)
    assert 25 < stream.duration_s < 29
    assert "damaged parts are left out" in stream.problem
    before = read_excerpt(tmp_path / "a.mp3", 3.0, 5.0, RATE)
    np.testing.assert_allclose(before, whole[3 * RATE : 8 * RATE], atol=1e-3)
    with pytest.raises(AudioError, match=r"damaged within 10.000 s from 10.000 s|too short"):
        read_excerpt(tmp_path / "a.mp3", 10.0, 10.0, RATE)


@pytest.mark.parametrize("name", ["broken off.mp3", "broken off.flac"])
def test_a_file_that_ends_early_is_told(folder, name):
    _, stream = stream_of(folder / name)
    assert stream.problem.startswith(f"{folder / name}: ")
    assert "ends at" in stream.problem
    assert "of 12.0" in stream.problem


@pytest.mark.parametrize("name", [name for name in NAMES if "broken off" not in name])
def test_complete_files_have_no_problem(folder, name):
    _, stream = stream_of(folder / name)
    assert stream.problem is None


def test_a_playlist_called_mp3_opens_no_other_file(tmp_path):
    (tmp_path / "secret.wav").write_bytes(files.sound_file(sweep(3), "WAV"))
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:3", "#EXTINF:3,", "secret.wav", "#EXT-X-ENDLIST"]
    (tmp_path / "list.mp3").write_text("\n".join(lines))
    with pytest.raises(AudioError, match="cannot be read as audio"):
        probe(tmp_path / "list.mp3")
    with pytest.raises(AudioError, match="cannot be read as audio"):
        list(AudioStream(tmp_path / "list.mp3", RATE))


def test_names_are_no_protocols(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    encode("a.m4a", sweep(3), "aac", "ipod", RATE)
    Path("a.m4a").rename("song: a.m4a")
    assert probe("song: a.m4a").duration_s == pytest.approx(3.0, abs=0.1)
