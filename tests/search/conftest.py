"""A folder of music of every kind, and a model that is quick and knows what it hears."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

RATE = 8_000
WINDOW_S = 2.0
ADAPTER = '''
import os, time
import numpy as np

class Pitch:
    """Eight bands of the spectrum; texts are "high", "low" and numbers of bands."""

    sample_rate = 8_000
    excerpt_s = 2.0
    dim = 8

    def encode_audio(self, waveforms):
        time.sleep(float(os.environ.get("NEGCLAP_TEST_DELAY", 0)))
        power = np.abs(np.fft.rfft(waveforms, axis=1))[:, : 8_000] ** 2
        return np.stack([band.sum(1) for band in np.array_split(power, 8, axis=1)], 1) + 1e-9

    def encode_text(self, texts):
        return np.array([[float(str(band) in text) for band in range(8)] for text in texts]) + 1e-3

class Other(Pitch):
    def encode_text(self, texts):
        return super().encode_text(texts) + np.arange(8)
'''


def tone(band: int, seconds: float) -> np.ndarray:
    """A tone in the middle of one of eight bands up to 4 kHz."""
    time = np.arange(round(seconds * RATE)) / RATE
    return 0.3 * np.sin(2 * np.pi * (250 + 500 * band) * time)


@pytest.fixture
def model(tmp_path) -> str:
    (tmp_path / "adapter.py").write_text(ADAPTER)
    return f"{tmp_path / 'adapter.py'}:Pitch"


@pytest.fixture
def music(tmp_path) -> Path:
    """Tones by band, a track of three parts, and files that make trouble."""
    folder = tmp_path / "music"
    (folder / "album").mkdir(parents=True)
    for band in range(8):
        sf.write(folder / "album" / f"band{band}.wav", tone(band, 3.0), RATE)
    parts = [tone(1, 4.0), np.zeros(4 * RATE), tone(6, 3.0)]
    sf.write(folder / "three parts.flac", np.concatenate(parts), RATE)
    sf.write(folder / "short.ogg", tone(4, 0.7), RATE)
    sf.write(folder / "silent.wav", np.zeros(5 * RATE), RATE)
    (folder / "broken.mp3").write_bytes(b"no music")
    (folder / "notes.txt").write_text("not audio, not looked at")
    (folder / os.fsdecode(b"caf\xe9.wav")).write_bytes((folder / "album/band2.wav").read_bytes())
    return folder
