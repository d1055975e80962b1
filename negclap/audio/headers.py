"""What files say about their own length: the first frame of an mp3, the pages of an Ogg file."""

import io
import os
import re
from typing import IO, NamedTuple

_RATES = (44_100, 48_000, 32_000)  # Hz, of MPEG 1; half and a quarter of them in MPEG 2 and 2.5
_LONGEST_FRAME = 1441  # bytes
_OTHER_FORMS = (b"RIFF", b"RF64", b"riff", b"fLaC", b"OggS", b"FORM", b"caff", b".snd")


class InfoFrame(NamedTuple):
    """What the Xing or Info frame of an mp3 says.

    Attributes:
        duration_s: Length in seconds, with what the encoder has padded.
        agrees: Whether the file has as many bytes as the frame says, up to a frame.
    """

    duration_s: float
    agrees: bool


def read_info_frame(source: bytes | io.BytesIO) -> InfoFrame | None:
    """Read the frame of an mp3, given by its path or its data; None if it has none.

    Behind its header, the frame has "Xing" or "Info", flags of what is given, the number of frames
    (flag 1) and of bytes (flag 2), http://gabriel.mp3-tech.org/mp3infotag.html.
    """
    with _open(source) as file:
        begin, end = _skip_id3(file), _before_tags(file)
        file.seek(begin)
        frame = file.read(64)
    if len(frame) < 64 or frame[0] != 0xFF or frame[1] & 0xE0 != 0xE0 or frame[2] & 0x0C == 0x0C:
        return None
    at = max(frame.find(b"Xing"), frame.find(b"Info"))
    if not 0 <= at <= 48 or frame[at + 7] & 3 != 3:
        return None
    frames, size = (int.from_bytes(frame[at + i : at + i + 4], "big") for i in (8, 12))
    version = frame[1] >> 3 & 3  # 3 is MPEG 1, 2 is MPEG 2, 0 is MPEG 2.5
    rate = _RATES[frame[2] >> 2 & 3] // {3: 1, 2: 2}.get(version, 4)
    samples = 1152 if version == 3 else 576
    return InfoFrame(frames * samples / rate, abs(end - begin - size) <= _LONGEST_FRAME)


def may_be_mp3(source: bytes | io.BytesIO) -> bool:
    """Whether a file begins like none of the usual forms without frames of an mp3.

    A WAV file may contain an mp3, whose code is 0x55.
    """
    try:
        with _open(source) as file:
            head = file.read(24)
    except OSError:  # whoever decodes the file reports it
        return False
    has_mp3_inside = head[:4] == b"RIFF" and head[20:22] == b"\x55\0"
    return head[:4] not in _OTHER_FORMS or has_mp3_inside


def is_chained(source: bytes | io.BytesIO) -> bool:
    """Whether an Ogg file has a stream that begins behind another one, as when files are joined.

    A page has "OggS", a version of 0, and flags, of which 2 marks the first page of a stream.
    """
    with _open(source) as file:
        data = file.read()
    flags = [page[1][0] for page in re.finditer(rb"OggS\0([\0-\7])", data)]
    firsts = [place for place, flag in enumerate(flags) if flag & 2]
    return firsts != list(range(len(firsts)))


def _open(source: bytes | io.BytesIO) -> IO[bytes]:
    if isinstance(source, bytes):
        return io.BufferedReader(io.FileIO(source))  # faster than Path.open
    return io.BytesIO(source.getvalue())


def _skip_id3(mp3: IO[bytes]) -> int:
    """Return the position behind all ID3v2 tags at the start of a file."""
    position = 0
    while True:
        mp3.seek(position)
        head = mp3.read(10)
        if len(head) < 10 or head[:3] != b"ID3":
            return position
        a, b, c, d = head[6:]
        footer = 10 if head[5] & 0x10 else 0
        position += 10 + (a << 21 | b << 14 | c << 7 | d) + footer


def _before_tags(mp3: IO[bytes]) -> int:
    """Return the position before ID3v1 and APEv2 tags at the end of a file."""
    end = mp3.seek(0, os.SEEK_END)
    for mark, length in ((b"TAG", 128), (b"APETAGEX", 32)):
        mp3.seek(max(0, end - length))
        tag = mp3.read(length)
        if len(tag) == length and tag.startswith(mark):
            end -= length if mark == b"TAG" else _ape_length(tag)
    return end


def _ape_length(footer: bytes) -> int:
    """Return the bytes of an APEv2 tag from its footer, with its header if it has one."""
    has_header = footer[23] & 0x80
    return int.from_bytes(footer[12:16], "little") + (32 if has_header else 0)
