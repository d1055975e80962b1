"""negclap: music audio-text models that understand negation.

>>> import negclap
>>> model = negclap.load("runs/mine")
>>> texts = model.encode_text(["calm piano, no drums"])
>>> clips = model.encode_audio(["song.wav", "other.wav"])
>>> (texts @ clips.T).shape  # cosine similarities, texts x clips
(1, 2)

Packages, from the command line down to the foundations:

- `commands`: the commands of ``negclap``, one module each; `cli` dispatches to them
- `app`: the search page in the browser
- `listening`: listening studies with human raters
- `training`: training under Lightning
- `evaluation`: metrics, benchmark, baselines
- `search`: search a music folder by text
- `data`: from data sets on disk to batches
- `losses`: the terms of the training loss
- `models`: encoders, and pretrained and trained models
- `text`: find, write and test negations in captions
- modules: `audio`, `distributed`, `errors`, `parallel`, `progress`, `rng`, `storage`
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from negclap.models.encoder import Encoder

__version__ = "0.1.0"


def load(source: Path | str = "built-in") -> "Encoder":
    """Load a model that encodes audio and texts.

    Args:
        source: "built-in", the model that comes with negclap; a run folder; a folder that `negclap
            export` wrote, or its name on the Hugging Face hub; a folder or hub name of a
            `transformers` ClapModel; a LAION-CLAP checkpoint (``.pt``, needs the package
            laion_clap); or ``FILE.py:CLASS``, a class with the interface of
            `negclap.models.encoder.Model`.

    Raises:
        InputError: If the source is none of these, or cannot be read.

    >>> model = negclap.load("runs/mine")
    >>> model.sample_rate, model.dim
    (16000, 16)
    """
    from negclap.models.pretrained import load as load_any  # torch takes seconds to import

    return load_any(source)
