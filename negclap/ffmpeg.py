"""Decode what libsndfile cannot (m4a, mp4) with FFmpeg's libraries, through the package PyAV."""

from pathlib import Path

import numpy as np

from negclap.audio import AudioError, Waveform
from negclap.errors import InputError


def decode(path: Path, stream: int = 0) -> tuple[Waveform, int]:
    """Return ``(samples,)``, the mean of the channels, of an audio stream, and its rate in Hz.

    Raises:
        AudioError: If the file cannot be decoded, or has no such stream.
        InputError: If PyAV is not installed.
    """
    try:
        import av  # an extra
    except ImportError:
        raise InputError(f"{path}: needs the package PyAV; pip install 'negclap[av]'") from None
    try:
        with av.open(str(path)) as container:
            streams = container.streams.audio
            if stream >= len(streams):
                raise AudioError(f"{path}: {len(streams)} audio streams, expected {stream + 1}")
            rate = streams[stream].rate
            resampler = av.AudioResampler(format="fltp", rate=rate)
            frames = [
                made.to_ndarray().mean(axis=0, dtype=np.float32)
                for frame in (*container.decode(streams[stream]), None)  # None flushes
                for made in resampler.resample(frame)
            ]
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise AudioError(f"{path}: cannot be decoded ({reason})") from None
    if not frames:
        raise AudioError(f"{path}: has no audio")
    return np.concatenate(frames), rate
