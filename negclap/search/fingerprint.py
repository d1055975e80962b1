"""Recognise an encoder by its embeddings of fixed inputs."""

import numpy as np
from numpy.typing import NDArray

from negclap.errors import InputError
from negclap.models.encoder import Encoder

_SAME = 0.999  # cosine; other machines and batch sizes change the last digits


def embed_sounds(model: Encoder, length_s: float, n: int = 3) -> NDArray[np.float32]:
    """Embed up to three fixed sounds, by which a model's audio encoder is recognised.

    Args:
        model: The model. Its text encoder is not used.
        length_s: Length of each sound in seconds.
        n: Number of sounds.

    Returns:
        ``(n, dim)``.

    Raises:
        InputError: If an embedding is not finite.
    """
    embeddings = model.encode_audio(_sounds(model.sample_rate, length_s)[:n])
    if not np.isfinite(embeddings).all():
        raise InputError("the model returns NaN or infinite embeddings of audio")
    return embeddings


def are_equal(stored: NDArray[np.float32], given: NDArray[np.float32]) -> bool:
    """Whether two encoders gave the same embeddings, ``(n, dim)`` of unit length each."""
    if stored.shape != given.shape:
        return False
    return bool(((stored * given).sum(axis=1) >= _SAME).all())


def _sounds(rate: int, length_s: float) -> NDArray[np.float32]:
    """Return a sweep in noise, struck chords, and a beat of noise: ``(3, samples)``."""
    time_s = np.arange(round(length_s * rate)) / rate
    noise = 0.05 * np.random.default_rng(0).standard_normal(len(time_s))
    sweep = 0.3 * np.sin(2 * np.pi * (110.0 + 40.0 * time_s) * time_s)
    chord = sum(np.sin(2 * np.pi * hertz * time_s) for hertz in (220.0, 277.2, 329.6, 880.0))
    struck = 0.15 * chord * np.exp(-4.0 * (time_s % 0.5))
    beat = 3.0 * noise * (time_s % 0.25 < 0.03)
    return np.stack([sweep + noise, struck, beat]).astype(np.float32)
