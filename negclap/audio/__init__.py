"""Read audio: its length, an excerpt of it, or the whole as a stream.

Audio is given by a location: a path, a URL (see `storage`), or a `Window` of a larger file. A
`Path` is always a local file, even if its name looks like one of these. A ``.npy`` file contains
mono samples at 16,000 Hz, as in LP-MusicCaps.

Two libraries decode. libsndfile is the faster one, and its seeks are exact. FFmpeg reads more kinds
of files (m4a, wma, ape, wv), passes over damage and needs no header with the right length: it reads
what libsndfile cannot, and the rest of a file from where libsndfile fails.
"""

from negclap.audio.excerpts import AudioInfo, probe, read_excerpt, read_samples
from negclap.audio.files import TOLERANCE_S, AudioError, SilenceError, Window
from negclap.audio.streams import AudioStream
from negclap.audio.waveforms import Allocate, Samples, Waveform, as_waveform, resample

__all__ = [
    "TOLERANCE_S",
    "Allocate",
    "AudioError",
    "AudioInfo",
    "AudioStream",
    "Samples",
    "SilenceError",
    "Waveform",
    "Window",
    "as_waveform",
    "probe",
    "read_excerpt",
    "read_samples",
    "resample",
]
