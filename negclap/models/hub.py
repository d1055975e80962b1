"""Load models of `transformers`."""

from pathlib import Path
from typing import Any


def from_pretrained(kind: Any, source: Path | str, **options: Any) -> Any:
    """Return ``kind.from_pretrained(source)``; only a download from a hub has a progress bar."""
    from transformers.utils import logging  # takes seconds to import

    hidden = Path(source).is_dir() and logging.is_progress_bar_enabled()
    if hidden:
        logging.disable_progress_bar()
    try:
        return kind.from_pretrained(str(source), **options)
    finally:
        if hidden:
            logging.enable_progress_bar()
