"""negclap: music audio-text models that understand negation.

>>> import negclap
>>> model = negclap.load("runs/mine")
>>> texts = model.encode_text(["calm piano, no drums"])
>>> clips = model.encode_audio(["song.wav", "other.wav"])
>>> (texts @ clips.T).shape  # cosines: texts x clips
(1, 2)
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from negclap.models.encoder import Encoder

__version__ = "0.1.0"


def load(source: Path | str) -> "Encoder":
    """A model to use: ``encode_audio`` and ``encode_text``.

    Args:
        source: A run folder; a folder that `negclap export` wrote, or the name of one on the
            hub; a folder or hub name of a `transformers` ClapModel; a LAION-CLAP checkpoint
            (``.pt``); or ``FILE.py:CLASS`` (`negclap.models.pretrained.load` has the details).

    Raises:
        InputError: If it is none of these, or broken.

    >>> model = negclap.load("runs/mine")
    >>> model.sample_rate, model.dim
    (16000, 16)
    """
    from negclap.models.pretrained import load as load_any  # torch takes seconds to import

    return load_any(source)
