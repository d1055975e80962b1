"""Tones to search, and a fast model that recognises their pitch."""

import numpy as np

RATE = 8_000
WINDOW_S = 2.0
ADAPTER = '''
import numpy as np

class Pitch:
    """Energies of eight frequency bands; texts name bands by number."""

    sample_rate = 8_000
    excerpt_s = 2.0
    dim = 8

    def encode_audio(self, waveforms):
        power = np.abs(np.fft.rfft(waveforms, axis=1))[:, : 8_000] ** 2
        return np.stack([band.sum(1) for band in np.array_split(power, 8, axis=1)], 1) + 1e-9

    def encode_text(self, texts):
        return np.array([[float(str(band) in text) for band in range(8)] for text in texts]) + 1e-3

class Other(Pitch):
    def encode_text(self, texts):
        return super().encode_text(texts) + np.arange(8)
'''


def tone(band: int, seconds: float) -> np.ndarray:
    """Return a tone in the middle of one of eight bands up to 4 kHz."""
    time = np.arange(round(seconds * RATE)) / RATE
    return 0.3 * np.sin(2 * np.pi * (250 + 500 * band) * time)
