"""negclap: music audio-text models that understand negation."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from negclap.models.checkpoint import Encoder

__version__ = "0.1.0"


def load(run: Path | str) -> "Encoder":
    """The best model of a run folder: ``encode_audio`` and ``encode_text``."""
    from negclap.models.checkpoint import load as load_run  # torch takes seconds to import

    return load_run(run)
