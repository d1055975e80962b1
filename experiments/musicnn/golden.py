"""Record what musicnn's own code computes, as the reference of tests/models/test_musicnn.py.

Run in an environment of its own, with Python 3.11, on an unpacked wheel of musicnn 0.1.0:

    pip install 'tensorflow-cpu==2.15.*' 'librosa==0.10.*' 'numpy<2'
    python experiments/musicnn/golden.py UNPACKED_WHEEL tests/models/musicnn.npz
"""

import sys
from pathlib import Path

import numpy as np

RATE = 16_000
FRAMES = 187
STARTS = (0, 60)
"""First frames of the two patches."""


def clip() -> np.ndarray:
    """Return 4 s of gliding tones and bursts of noise, the same on every machine."""
    at_s = np.arange(4 * RATE) / RATE
    tones = sum(np.sin(2 * np.pi * f * at_s * (1 + 0.02 * at_s)) for f in (110, 277.2, 440, 1318.5))
    noise = (np.arange(at_s.size) * 48_271 % 65_521) / 65_521 - 0.5
    return (0.05 * tones + 0.2 * noise * np.exp(-8 * (2 * at_s % 1))).astype(np.float32)


def main() -> None:
    """Write the levels of the clip, and what both taggers make of its patches."""
    import librosa
    import tensorflow as tf

    folder, out = map(Path, sys.argv[1:])
    sys.path.insert(0, str(folder))
    from musicnn import models

    tf.compat.v1.disable_eager_execution()
    sizes = {"hop_length": 256, "n_fft": 512, "n_mels": 96}
    power = librosa.feature.melspectrogram(  # librosa of musicnn's time padded by reflection
        y=clip(), sr=RATE, pad_mode="reflect", **sizes
    )
    levels = np.log10(10_000 * power.T + 1).astype(np.float32)
    patches = np.stack([levels[start : start + FRAMES] for start in STARTS])
    found = {"levels": levels[STARTS[1] : STARTS[1] + 4]}
    for net in ("MTT_musicnn", "MSD_musicnn"):
        tf.compat.v1.reset_default_graph()
        with tf.name_scope("model"):
            x = tf.compat.v1.placeholder(tf.float32, [None, FRAMES, 96])
            training = tf.compat.v1.placeholder(tf.bool)
            logits, *_, penultimate = models.define_model(x, training, net, 50)
        session = tf.compat.v1.Session()
        tf.compat.v1.train.Saver().restore(session, f"{folder}/musicnn/{net}/")
        outputs = session.run([logits, penultimate], {x: patches, training: False})
        found |= dict(zip((f"{net}/logits", f"{net}/penultimate"), outputs, strict=True))
    np.savez_compressed(out, **found)


if __name__ == "__main__":
    main()
