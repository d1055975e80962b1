"""Files as they lie on disks: made by FFmpeg's encoders, and damaged by hand."""

import contextlib
import io
from fractions import Fraction

import av
import numpy as np
import soundfile as sf

RATE = 44_100
KINDS = {  # encoder, container, rate
    "a.m4a": ("aac", "ipod", RATE),
    "alac.m4a": ("alac", "ipod", RATE),
    "a.mp4": ("aac", "mp4", RATE),
    "a.aac": ("aac", "adts", RATE),
    "a.wma": ("wmav2", "asf", RATE),
    "a.wv": ("wavpack", "wv", RATE),
    "a.tta": ("tta", "tta", RATE),
    "a.ac3": ("ac3", "ac3", RATE),
    "a.mp2": ("mp2", "mp2", RATE),
    "a.mka": ("aac", "matroska", RATE),
    "a.webm": ("libopus", "webm", 48_000),
}


def sweep(seconds, rate=RATE):
    """Return a tone that rises, so that each moment sounds otherwise."""
    time = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * (200 * time + 20 * time**2)
    return (0.3 * np.sin(phase)).astype(np.float32)


def encode(path, mono, encoder, container, rate):
    """Write ``(samples,)`` with one of FFmpeg's encoders."""
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(encoder, rate=rate)
        stream.layout, stream.bit_rate = "mono", 96_000
        whole = av.AudioFrame.from_ndarray(mono[None], format="fltp", layout="mono")
        whole.sample_rate, whole.pts, whole.time_base = rate, 0, Fraction(1, rate)
        queue = av.AudioFifo()
        for frame in av.AudioResampler(stream.format, stream.layout, rate).resample(whole):
            queue.write(frame)
        size = stream.codec_context.frame_size or 4096
        while (frame := queue.read(size, partial=True)) is not None:
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def decoded_s(path):
    """Return how many seconds FFmpeg's command decodes: all but the damaged packets."""
    length_s = 0.0
    with (
        av.open(str(path), metadata_errors="replace") as file,
        contextlib.suppress(av.FFmpegError),  # nothing can be read behind it
    ):
        for packet in file.demux(audio=0):
            with contextlib.suppress(av.FFmpegError):
                length_s += sum(frame.samples / frame.sample_rate for frame in packet.decode())
    return length_s


def mp3(mono, rate=RATE, mode="CONSTANT", level=0.5):
    """Return the bytes of an mp3 with an Info frame."""
    file = io.BytesIO()
    sf.write(file, mono, rate, format="MP3", bitrate_mode=mode, compression_level=level)
    return file.getvalue()


def without_info(data):
    """Remove the first frame of an mp3, as `lame -t` leaves it out."""
    first = data.find(b"\xff\xfb")
    second = data.find(data[first : first + 2], first + 4)
    assert b"Info" in data[first:second] or b"Xing" in data[first:second]
    return data[second:]


def with_cover(data, size):
    """Put an ID3v2 tag with a picture before an mp3."""
    body = b"\0image/jpeg\0\x03\0" + np.random.default_rng(0).bytes(size)
    frame = b"APIC" + len(body).to_bytes(4, "big") + b"\0\0" + body
    sizes = [len(frame) >> shift & 127 for shift in (21, 14, 7, 0)]
    return b"ID3\x03\0\0" + bytes(sizes) + frame + data


def with_ape_tag(data):
    """Put an APEv2 tag behind an mp3."""
    item = (4).to_bytes(4, "little") + bytes(4) + b"Title\0song"
    size = (len(item) + 32).to_bytes(4, "little")
    start = b"APETAGEX" + (2000).to_bytes(4, "little") + size + (1).to_bytes(4, "little")
    head = start + (0xA0000000).to_bytes(4, "little") + bytes(8)
    foot = start + (0x80000000).to_bytes(4, "little") + bytes(8)
    return data + head + item + foot


def without_length(flac):
    """Set the number of samples in the header of a flac to 0, which means unknown."""
    data = bytearray(flac)
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    return bytes(data)


def with_comment(flac, title):
    """Put a Vorbis comment with a title behind the stream info of a flac."""
    text = b"TITLE=" + title
    body = (0).to_bytes(4, "little") + (1).to_bytes(4, "little")
    body += len(text).to_bytes(4, "little") + text
    block = b"\x04" + len(body).to_bytes(3, "big") + body
    return flac[:4] + bytes([flac[4] & 0x7F]) + flac[5:42] + block + flac[42:]


def sound_file(mono, form, rate=RATE):
    """Return the bytes that libsndfile writes, in pieces because of its faults with long writes."""
    file = io.BytesIO()
    with sf.SoundFile(file, "w", rate, 1, format=form) as out:
        for start in range(0, len(mono), rate):
            out.write(mono[start : start + rate])
    return file.getvalue()


def real_files(folder):
    """Write files with wrong, missing and contradicting lengths; return their names."""
    noise = np.random.default_rng(0).uniform(-1, 1, 8 * RATE + 31)
    loud = np.convolve(noise, np.ones(32) / 10, "valid")  # mostly below 1.4 kHz
    both = np.concatenate((0.01 * sweep(8), loud.astype(np.float32)))
    cbr, vbr = mp3(sweep(12)), mp3(both, mode="VARIABLE", level=0.1)
    reverse = mp3(both[::-1].copy(), mode="VARIABLE", level=0.1)
    ogg, flac = sound_file(sweep(6), "OGG"), sound_file(sweep(12), "FLAC")
    files = {
        "info.mp3": cbr,
        "info and cover.mp3": with_cover(cbr, 300_000),
        "info and tags behind.mp3": with_ape_tag(cbr) + b"TAG" + bytes(125),
        "no info.mp3": without_info(cbr),
        "no info, cover.mp3": with_cover(without_info(cbr), 300_000),
        "vbr soft then loud, no info.mp3": without_info(vbr),
        "vbr loud then soft, no info.mp3": without_info(reverse),
        "zeros first.mp3": bytes(4096) + cbr,
        "two rates joined.mp3": cbr + mp3(sweep(6, 22_050), 22_050),
        "joined.mp3": cbr + cbr,
        "joined, no info.mp3": without_info(cbr) + without_info(cbr),
        "broken off.mp3": cbr[: len(cbr) // 2],
        "chained.ogg": ogg + sound_file(sweep(5), "OGG"),
        "one file twice.ogg": ogg + ogg,
        "last page missing.ogg": ogg[: ogg.rfind(b"OggS")],
        "length unknown.flac": without_length(flac),
        "broken off.flac": flac[: len(flac) // 2],
        "plain.flac": flac,
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return list(files)
