import contextlib
import struct
import subprocess
import sys

import numpy as np
import pytest
import soundfile as sf

from negclap.audio import AudioError, as_waveform, probe, read_excerpt, read_samples

RATE = 16_000


def tone(seconds=2.0, rate=RATE, channels=1, hertz=440.0):
    wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("channels", [1, 2])
def test_reads_excerpts_of_all_formats(tmp_path, suffix, channels):
    path = tmp_path / f"a.{suffix}"
    sf.write(path, tone(channels=channels), RATE)
    excerpt = read_excerpt(path, 0.5, 1.0, RATE)
    assert excerpt.shape == (RATE,)
    assert excerpt.dtype == np.float32
    assert np.sqrt((excerpt**2).mean()) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)
    assert probe(path).channels == channels
    assert probe(path).duration_s == pytest.approx(2.0, abs=0.1)


def test_excerpt_equals_the_slice_of_the_file(tmp_path):
    path = tmp_path / "a.wav"
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 2 * RATE).astype(np.float32)
    sf.write(path, noise, RATE, subtype="FLOAT")
    np.testing.assert_array_equal(read_excerpt(path, 0.25, 1.0, RATE), noise[4000:20_000])


def test_channels_are_averaged(tmp_path):
    path = tmp_path / "surround.wav"
    samples = tone(channels=6)
    samples[:, 1:] = 0
    sf.write(path, samples, RATE)
    assert np.abs(read_excerpt(path, 0, 1, RATE)).max() == pytest.approx(0.5 / 6, rel=0.01)


@pytest.mark.parametrize("rate", [8000, 22_050, 44_100, 48_000, 96_000])
def test_resamples_to_the_requested_rate(tmp_path, rate):
    path = tmp_path / "a.wav"
    sf.write(path, tone(rate=rate), rate)
    excerpt = read_excerpt(path, 0.5, 1.0, RATE)
    assert excerpt.shape == (RATE,)
    spectrum = np.abs(np.fft.rfft(excerpt))
    assert spectrum.argmax() == 440  # one bin per hertz


@pytest.mark.parametrize("rate", [22_050, 24_000, 44_100, 48_000])
@pytest.mark.parametrize("compression", [0.0, 0.99])
def test_mp3_excerpts_are_exact_and_print_no_warnings(tmp_path, rate, compression, capfd):
    noise = np.random.default_rng(0).normal(0, 0.1, 6 * rate)
    path = tmp_path / "a.mp3"
    sf.write(path, noise, rate, bitrate_mode="CONSTANT", compression_level=compression)
    whole, _ = sf.read(path, dtype="float32")
    for start_s in (0.0, 0.1, 1.234, 3.3):
        excerpt = read_excerpt(path, start_s, 1.0, rate)
        first = round(start_s * rate)
        np.testing.assert_allclose(excerpt, whole[first : first + rate], atol=1e-6)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("name", "subtype"), [("a.wav", "PCM_16"), ("a.flac", "PCM_16")])
def test_16_bit_mono_is_returned_as_int16(tmp_path, name, subtype):
    path = tmp_path / name
    sf.write(path, tone(), RATE, subtype=subtype)
    samples = read_samples(path, 0.5, 1.0, RATE)
    assert samples.dtype == np.int16
    whole, _ = sf.read(path, dtype="float32")
    np.testing.assert_array_equal(as_waveform(samples), whole[RATE // 2 : RATE // 2 + RATE])
    np.testing.assert_array_equal(read_excerpt(path, 0.5, 1.0, RATE), as_waveform(samples))


@pytest.mark.parametrize(
    ("subtype", "channels", "wanted"),
    [("PCM_24", 1, RATE), ("FLOAT", 1, RATE), ("PCM_16", 2, RATE), ("PCM_16", 1, RATE // 2)],
)
def test_other_formats_are_returned_as_float32(tmp_path, subtype, channels, wanted):
    sf.write(tmp_path / "a.wav", tone(channels=channels), RATE, subtype=subtype)
    assert read_samples(tmp_path / "a.wav", 0.5, 1.0, wanted).dtype == np.float32


def broken_files(folder):
    sf.write(folder / "good.wav", tone(), RATE)
    whole = (folder / "good.wav").read_bytes()
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.wav").write_text("not audio at all, only words")
    (folder / "header.wav").write_bytes(whole[:20])
    (folder / "folder.wav").mkdir()
    sf.write(folder / "silent.wav", np.zeros(2 * RATE, np.float32), RATE)
    sf.write(folder / "short.wav", tone(0.05), RATE)
    samples = tone()
    samples[5000] = np.nan
    sf.write(folder / "nan.wav", samples, RATE, subtype="FLOAT")
    (folder / "truncated.wav").write_bytes(whole[: len(whole) // 8])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.wav", "not found"),
        ("empty.wav", "empty file"),
        ("text.wav", "cannot be read as audio"),
        ("header.wav", "cannot be read as audio"),
        ("folder.wav", "is a folder"),
        ("silent.wav", "silent"),
        ("short.wav", "too short, 0.050 s"),
        ("nan.wav", "NaN or infinite"),
        ("truncated.wav", "too short|cannot be read"),
    ],
)
def test_bad_files_raise_one_line_errors_with_the_path(tmp_path, name, message):
    broken_files(tmp_path)
    with pytest.raises(AudioError, match=message) as error:
        read_excerpt(tmp_path / name, 0.0, 1.0, RATE)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_excerpts_past_the_end_are_too_short(tmp_path):
    sf.write(tmp_path / "a.wav", tone(1.0), RATE)
    with pytest.raises(AudioError, match=r"too short, 0.000 s from 5.000 s"):
        read_excerpt(tmp_path / "a.wav", 5.0, 1.0, RATE)
    with pytest.raises(AudioError, match=r"too short"):
        read_excerpt(tmp_path / "a.wav", 0.5, 1.0, RATE)


def test_up_to_one_missing_frame_is_padded(tmp_path):
    sf.write(tmp_path / "a.wav", tone(0.98), RATE)
    excerpt = read_excerpt(tmp_path / "a.wav", 0.0, 1.0, RATE)
    assert excerpt.shape == (RATE,)
    assert not excerpt[-300:].any()


def test_probe_reports_missing_files(tmp_path):
    with pytest.raises(AudioError, match=r"not found"):
        probe(tmp_path / "missing.wav")


def test_a_path_is_always_a_local_file(tmp_path):
    """As a string, the same names would be a window of a file, or a command."""
    for name in ("a.tar#0+8.wav", "pipe:touch x.wav"):
        path = tmp_path / name
        sf.write(path, 0.1 * np.ones(8_000), 8_000)
        assert len(read_excerpt(path, 0.0, 1.0, 8_000)) == 8_000
        assert probe(path).duration_s == 1.0
    with pytest.raises(AudioError):
        read_excerpt(str(tmp_path / "a.tar#0+8.wav"), 0.0, 1.0, 8_000)


@pytest.mark.parametrize(("subtype", "name"), [("PCM_16", "a.wav"), ("PCM_24", "a.flac")])
def test_channels_that_cancel_out_are_not_silence(tmp_path, subtype, name):
    left = 0.3 * np.random.default_rng(0).standard_normal(RATE)
    sf.write(tmp_path / name, np.stack((left, -left), axis=1).clip(-1, 1), RATE, subtype)
    heard = read_excerpt(tmp_path / name, 0.0, 1.0, RATE)
    np.testing.assert_allclose(np.abs(heard), np.abs(left.clip(-1, 1)), atol=1e-4)
    quiet = np.stack((left, np.zeros(RATE)), axis=1).clip(-1, 1)
    sf.write(tmp_path / name, quiet, RATE, subtype)  # one channel alone is averaged as ever
    heard = read_excerpt(tmp_path / name, 0.0, 1.0, RATE)
    np.testing.assert_allclose(heard, left.clip(-1, 1) / 2, atol=1e-4)


def test_a_song_beside_what_macos_keeps_of_it_is_read(tmp_path):
    tone = 0.3 * np.sin(np.arange(5 * 44_100) / 20)
    sf.write(tmp_path / "a.mp3", tone, 44_100)
    fork = b"\0\x05\x16\x07\0\x02\0\0Mac OS X        " + struct.pack(">HIII", 2, 9, 50, 4046)
    (tmp_path / "._a.mp3").write_bytes(fork.ljust(4096, b"\0"))
    assert probe(tmp_path / "a.mp3").duration_s == pytest.approx(5.0, abs=0.1)
    assert np.abs(read_excerpt(tmp_path / "a.mp3", 1.0, 3.0, 16_000)).max() > 0.2


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\0\0\0\x20ftypM4A " + bytes(100), "a damaged MP4 or AAC file"),
        (b"wvpk" + bytes(100), "a damaged WavPack file"),
        (b"MAC " + bytes(100), "a damaged Monkey's Audio file"),
        (b"MThd" + bytes(100), "a MIDI file, which has no sound"),
    ],
)
def test_what_a_file_is_in_truth_is_said(tmp_path, data, kind):
    (tmp_path / "a.mp3").write_bytes(data)
    with pytest.raises(AudioError, match=rf"cannot be read as audio \({kind}: "):
        probe(tmp_path / "a.mp3")


def test_libmpg123_is_silent_and_python_is_not(tmp_path, capfd):
    sf.write(tmp_path / "a.mp3", 0.3 * np.sin(np.arange(5 * 44_100) / 20), 44_100)
    data = (tmp_path / "a.mp3").read_bytes()
    middle = len(data) // 2
    damaged = data[:middle] + bytes(range(256)) * 40 + data[middle:]
    (tmp_path / "b.mp3").write_bytes(damaged)
    for name in ("a.mp3", "b.mp3"):
        with contextlib.suppress(AudioError):
            probe(tmp_path / name)
            read_excerpt(tmp_path / name, 0.0, 4.5, 16_000)
    assert capfd.readouterr().err == ""
    script = (
        "import os, sys\nfrom negclap.audio.sndfile import _SILENCED_STDERR\n"
        "with _SILENCED_STDERR:\n"
        "    os.write(2, b'library')\n    print('python', file=sys.stderr)\n"
        "print('after', file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stderr == "python\nafter\n"
