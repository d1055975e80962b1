"""Decode with FFmpeg's libraries, through the package PyAV.

Damaged parts are left out, as players do. Lengths are measured, headers are not believed.
"""

import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, groupby, takewhile
from pathlib import Path
from typing import Any

import numpy as np

from negclap.audio.files import AudioError, openable, unreadable
from negclap.audio.waveforms import Waveform, cut_blocks, downmix, resample_blocks

# No playlists and no other forms that make FFmpeg open further files or URLs.
_DEMUXERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,dts,eac3,flac,iff,matroska,webm,mov,mp4,mp3,mpc,mpc8,"
    "ogg,rm,tak,tta,w64,wav,wv,dv,mpegts,mpeg"
)
_WITHOUT_TIMES = ("mp3", "aac", "ac3", "eac3", "dts", "amr", "mpegts")
"""Forms without times and length, which FFmpeg guesses from the bit rate."""
_LEAD_S = 2.0  # decoded before an excerpt and dropped: lossy frames depend on earlier ones


class Decoder:
    """An open file, decoded from its start.

    Attributes:
        rate: Sample rate in Hz.
        channels: Number of channels.
        header_s: Length in seconds that the header gives; None if it gives none.
        damaged: Number of damaged parts so far that have sound before and behind them; what cannot
            be decoded at either end may be a tag.
    """

    def __init__(self, container: Any, stream: Any) -> None:
        self._container, self._stream = container, stream
        self._form = container.format.name
        self.rate, self.channels = int(stream.rate), int(stream.channels)
        self.header_s = _header_s(container, stream)
        self.damaged = 0

    def blocks(self, length_s: float = 8.0) -> Iterator[tuple[Waveform, int]]:
        """Yield ``(samples,)``, the mean of the channels, and its rate in Hz.

        Each block has about ``length_s`` seconds, or fewer where the rate changes.
        """
        yield from self._join(self._frames(), length_s)

    def excerpt(self, start_s: float, end_s: float) -> Iterator[tuple[Waveform, int]]:
        """Like `blocks`, from ``start_s`` to about ``end_s``; `damaged` counts within them.

        Yields nothing if the file has no times to seek by.
        """
        first = None if self._form in _WITHOUT_TIMES else next(self._frames(), None)
        if first is None:
            return
        origin_s = first.time or 0.0  # the first sample's time is not 0 in all kinds of files
        if not self._seek(origin_s + start_s - _LEAD_S):
            return
        frames = self._frames()
        for frame in frames:
            self.damaged = 0
            if _end_s(frame) - origin_s > start_s:
                skip = round((start_s + origin_s - (frame.time or 0.0)) * frame.sample_rate)
                inside = takewhile(lambda each: (each.time or 0.0) - origin_s < end_s, frames)
                for mono, rate in self._join(chain([frame], inside), end_s - start_s):
                    yield mono[max(0, skip) :], rate
                    skip = 0
                return

    def length_s(self) -> float | None:
        """Return the length in seconds without decoding all; None if that is not possible."""
        packets = [*self._packets()]
        if self._form == "mp3":  # tags may be among the packets, but they do not begin as frames do
            frames = (packet for packet in packets if bytes(packet)[:1] == b"\xff")
            return float(sum((each.duration or 0) * each.time_base for each in frames))
        times = [packet.pts for packet in packets]
        if self._form in _WITHOUT_TIMES or not times or None in times or times != sorted(times):
            return None
        begin_s = next((frame.time or 0.0 for frame in self._frames()), 0.0) if self._seek(0) else 0
        if not self._seek(float(times[-1] * self._stream.time_base) - _LEAD_S):
            return None
        end_s = max(map(_end_s, self._frames()), default=None)
        return None if end_s is None else end_s - begin_s

    def _seek(self, time_s: float) -> bool:
        """Go to a frame at or before a time; False if the kind of file does not allow it."""
        import av  # only where a file is decoded: it loads FFmpeg

        try:
            self._container.seek(round(1e6 * max(0.0, time_s)))
        except av.FFmpegError:
            return False
        return True

    def _packets(self) -> Iterator[Any]:
        """Yield the packets, until nothing more can be read."""
        import av  # as above

        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.FFmpegError, OSError):
                return
            if packet is None or not packet.size:  # an empty one is the last
                return
            yield packet

    def _frames(self) -> Iterator[Any]:
        """Decode what can be decoded."""
        import av  # as above

        failed = 0  # since the last frame
        is_first = True
        for packet in chain(self._packets(), [None]):  # None flushes
            try:
                frames = self._stream.decode(packet)
            except av.FFmpegError:
                failed += 1
                continue
            if frames:
                self.damaged += 0 if is_first else failed
                is_first, failed = False, 0
            yield from frames

    def _join(self, frames: Iterator[Any], length_s: float) -> Iterator[tuple[Waveform, int]]:
        """Join frames to blocks; the form and the rate may change, in files that were joined."""
        import av  # as above

        for (_, _, rate), alike in groupby(frames, _form):
            convert = av.AudioResampler(format="flt")  # PyAV fails on planes of many channels
            parts: list[Waveform] = []
            samples = 0
            for frame in alike:
                for part in convert.resample(frame):
                    interleaved = part.to_ndarray().reshape(-1, part.layout.nb_channels)
                    parts.append(interleaved.copy())
                    samples += part.samples
                if samples >= length_s * rate:
                    yield downmix(np.concatenate(parts)), rate
                    parts, samples = [], 0
            if parts:
                yield downmix(np.concatenate(parts)), rate


@contextmanager
def opened(location: str | Path, source: bytes | io.BytesIO, stream: int = 0) -> Iterator[Decoder]:
    """Open an audio stream of what `files.openable` gives; errors become an `AudioError`."""
    import av  # as above

    if isinstance(source, bytes):
        file: str | io.BytesIO = "file:" + os.fsdecode(source)
    else:
        file = io.BytesIO(source.getvalue())  # from its start
    try:
        options = {"format_whitelist": _DEMUXERS}
        with av.open(file, options=options, metadata_errors="replace") as container:
            streams = container.streams.audio
            if stream >= len(streams):
                raise AudioError(f"{location}: {len(streams)} audio streams, expected {stream + 1}")
            yield Decoder(container, streams[stream])
    except AudioError:
        raise
    except (av.FFmpegError, OSError, ValueError) as error:
        raise unreadable(location, error) from None


def measure(location: str | Path, source: bytes | io.BytesIO) -> float:
    """Return the length of a file in seconds; usually only its packets are read, not decoded."""
    with opened(location, source) as file:
        length_s = file.length_s()
    if length_s is None:  # opened again, because a seek leads back into the first of chained files
        with opened(location, source) as file:
            length_s = sum(len(mono) / rate for mono, rate in file.blocks())
    return length_s


def read(
    location: str | Path, source: bytes | io.BytesIO, start_s: float, duration_s: float, rate: int
) -> Waveform:
    """Return up to ``duration_s`` seconds from ``start_s``, as mono at ``rate`` Hz.

    Raises:
        AudioError: If the file cannot be opened, or the excerpt is damaged.
    """
    wanted = round(duration_s * rate)
    with opened(location, source) as file:
        mono = _joined(resample_blocks(file.excerpt(start_s, start_s + duration_s), rate))
        damaged = file.damaged
    if len(mono) < wanted and not damaged:  # no times, or times that begin anew in chained files
        first = round(start_s * rate)
        with opened(location, source) as file:
            mono = _joined(cut_blocks(resample_blocks(file.blocks(), rate), first, first + wanted))
            damaged = file.damaged
    if damaged:
        raise AudioError(f"{location}: damaged within {duration_s:.3f} s from {start_s:.3f} s")
    return mono[:wanted]


def decode(path: Path, stream: int = 0) -> tuple[Waveform, int]:
    """Return ``(samples,)``, the mean of the channels, of an audio stream, and its rate in Hz.

    Raises:
        AudioError: If the file cannot be decoded, is damaged, or has no such stream.
    """
    with opened(path, openable(path), stream) as file:
        mono = _joined(resample_blocks(file.blocks(), file.rate))
    if file.damaged or not len(mono):
        raise AudioError(f"{path}: {'damaged' if file.damaged else 'has no audio'}")
    return mono, file.rate


def _joined(blocks: Iterable[Waveform]) -> Waveform:
    return np.concatenate([np.empty(0, np.float32), *blocks])


def _header_s(container: Any, stream: Any) -> float | None:
    """Return the length that the header gives, where FFmpeg does not guess it from the bit rate."""
    compressed_wav = container.format.name in ("wav", "w64") and "pcm" not in stream.codec.name
    if container.format.name in _WITHOUT_TIMES or compressed_wav or stream.duration is None:
        return None
    return float(stream.duration * stream.time_base)


def _form(frame: Any) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def _end_s(frame: Any) -> float:
    begin_s: float = frame.time or 0.0
    return begin_s + float(frame.samples / frame.sample_rate)
