"""Lengths and sound of files as they lie on disks; FFmpeg's full decode is the reference."""

import contextlib
import io
import re
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st

from negclap.audio import AudioError, AudioStream, ffmpeg, probe, read_excerpt, resample
from negclap.audio.headers import is_chained, may_be_mp3, read_info_frame
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
    assert re.search(r" [56]\.\d\d s of 12\.0\d s can be decoded$", stream.problem)


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


def tags_in_latin_1():
    """Return files with tags that are not UTF-8, by name."""
    info = b"INFOISFT" + (4).to_bytes(4, "little") + b"caf\xe9"
    chunk = b"LIST" + len(info).to_bytes(4, "little") + info
    wav = files.sound_file(sweep(5), "WAV") + chunk
    return {
        "id3v1.mp3": files.without_info(files.mp3(sweep(5)))
        + b"TAG"
        + b"caf\xe9".ljust(125, b"\0"),
        "info.wav": wav[:4] + (len(wav) - 8).to_bytes(4, "little") + wav[8:],
        "vorbis comment.flac": files.with_comment(files.sound_file(sweep(5), "FLAC"), b"caf\xe9"),
    }


@pytest.mark.parametrize("name", ["id3v1.mp3", "info.wav", "vorbis comment.flac"])
def test_tags_that_are_not_utf_8_do_not_matter(tmp_path, name):
    (tmp_path / name).write_bytes(tags_in_latin_1()[name])
    _, stream = stream_of(tmp_path / name)
    assert stream.duration_s == pytest.approx(5.0, abs=0.1)
    assert stream.problem is None
    assert probe(tmp_path / name).duration_s == pytest.approx(5.0, abs=0.1)
    decoded, rate = ffmpeg.decode(tmp_path / name)
    assert len(decoded) / rate == pytest.approx(5.0, abs=0.1)


@pytest.mark.parametrize(
    ("channels", "form"), [(6, "WAV"), (8, "WAV"), (16, "WAV"), (6, "FLAC"), (8, "FLAC")]
)
def test_files_of_many_channels(tmp_path, channels, form):
    sound = np.zeros((2 * RATE, channels), np.float32)
    sound[:, 2] = sweep(2)
    sf.write(tmp_path / "a", sound, RATE, format=form)
    whole, _ = stream_of(tmp_path / "a")
    decoded, _ = ffmpeg.decode(tmp_path / "a")
    for mono in (whole, decoded):
        np.testing.assert_allclose(mono, sweep(2) / channels, atol=1e-4)


@pytest.mark.parametrize("junk", [b"", bytes(5_000), b"text" * 300_000, "cover", "noise"])
def test_what_is_behind_the_sound_is_no_damage(tmp_path, junk):
    """Tags that FFmpeg does not know are among the packets of an mp3."""
    if isinstance(junk, str):
        noise = np.random.default_rng(1).bytes(400_000)
        junk = noise if junk == "noise" else files.with_cover(b"", 1_000_000)
    (tmp_path / "a.mp3").write_bytes(files.without_info(files.mp3(sweep(20))) + junk)
    _, stream = stream_of(tmp_path / "a.mp3")
    expected_s = decoded_s(tmp_path / "a.mp3")
    assert stream.duration_s == pytest.approx(expected_s, abs=0.02)
    assert stream.problem is None
    assert probe(tmp_path / "a.mp3").duration_s == pytest.approx(20.0, abs=0.3)


def test_mp3s_that_were_joined_with_their_tags(tmp_path):
    one = files.without_info(files.mp3(sweep(20)))
    (tmp_path / "a.mp3").write_bytes(one + files.with_cover(one, 300_000))
    whole, stream = stream_of(tmp_path / "a.mp3")
    assert probe(tmp_path / "a.mp3").duration_s == pytest.approx(stream.duration_s, abs=0.1)
    excerpt = read_excerpt(tmp_path / "a.mp3", 33.0, 2.0, RATE)
    near = whole[33 * RATE - 2000 : 35 * RATE + 2000]
    assert np.correlate(near, excerpt, "valid").max() > 0.98 * np.linalg.norm(excerpt) ** 2


def test_a_wav_whose_header_was_never_finished(tmp_path):
    data = bytearray(files.sound_file(sweep(5), "WAV"))
    at = data.find(b"data")
    data[at + 4 : at + 8] = bytes(4)
    (tmp_path / "a.wav").write_bytes(data)
    assert probe(tmp_path / "a.wav").duration_s == pytest.approx(5.0, abs=0.01)
    np.testing.assert_allclose(
        read_excerpt(tmp_path / "a.wav", 2.0, 2.0, RATE), sweep(5)[2 * RATE : 4 * RATE], atol=1e-4
    )


@pytest.mark.parametrize("name", ["a.wv", "a.m4a", "a.tta", "alac.m4a", "a.mka", "a.wma"])
def test_half_a_file_has_the_length_of_its_half(folder, tmp_path, name):
    data = (folder / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    try:
        expected_s = decoded_s(tmp_path / name)
    except av.FFmpegError:  # its table is at its end
        with pytest.raises(AudioError, match="cannot be read as audio"):
            probe(tmp_path / name)
        return
    _, stream = stream_of(tmp_path / name)
    assert stream.duration_s == pytest.approx(expected_s, abs=0.02)
    assert probe(tmp_path / name).duration_s == pytest.approx(expected_s, abs=0.1)


def test_times_of_ac3_are_counted(tmp_path):
    """FFmpeg guesses them from the bit rate: 0.15 s are wrong after 11 minutes."""
    encode(tmp_path / "a.ac3", np.tile(sweep(60), 11), "ac3", "ac3", RATE)
    whole, stream = stream_of(tmp_path / "a.ac3", 8_000)
    assert probe(tmp_path / "a.ac3").duration_s == pytest.approx(stream.duration_s, abs=0.01)
    excerpt = read_excerpt(tmp_path / "a.ac3", 650.0, 2.0, 8_000)
    np.testing.assert_allclose(excerpt, whole[650 * 8_000 : 652 * 8_000], atol=1e-3)


@pytest.mark.parametrize("suffix", [".wav", ".m4a", ".mp3"])
def test_libmpg123_is_silent_whatever_the_name(tmp_path, suffix, capfd):
    data = files.mp3(sweep(10))
    noise = np.random.default_rng(0).bytes(3000)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data[:60_000] + noise + data[60_000:])
    for start_s in (0.0, 8.0):
        with contextlib.suppress(AudioError):
            read_excerpt(path, start_s, 1.0, RATE)
    probe(path)
    list(AudioStream(path, RATE))
    assert capfd.readouterr().err == ""


@given(
    data=st.binary(max_size=200),
    mark=st.sampled_from([b"", b"ID3", b"TAG", b"APETAGEX", b"\xff\xfb"]),
)
def test_headers_of_any_bytes_are_read(data, mark):
    forms = (b"RIFF", b"RF64", b"riff", b"fLaC", b"OggS", b"FORM", b"caff", b".snd")
    for content in (mark + data, data + mark, data + mark + bytes(24)):
        source = io.BytesIO(content)
        info = read_info_frame(source)
        assert info is None or b"Xing" in content or b"Info" in content
        pages = [
            content[at + 5] for at in range(len(content) - 5) if content[at:].startswith(b"OggS\0")
        ]
        begins = [bool(flags & 2) for flags in pages if flags < 8]
        assert is_chained(source) == (begins != sorted(begins, reverse=True))
        assert may_be_mp3(source) or content.startswith(forms)
        assert source.getvalue() == content


def test_pages_of_ogg_files_that_were_joined():
    first, later = b"OggS\0\2" + bytes(20), b"OggS\0\0" + bytes(20)
    assert not is_chained(io.BytesIO(first + later + later))
    assert not is_chained(io.BytesIO(first + first + later))  # two streams side by side
    assert is_chained(io.BytesIO(first + later + first + later))
