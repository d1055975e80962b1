"""Hide messages of Lightning and torch that do not help the user of a training command."""

import logging
import warnings
from pathlib import Path

_PACKAGE = str(Path(__file__).parents[1])
_USEFUL = ("Restored all states from", "Loaded model weights from")
_USELESS_WARNINGS = (
    "LightningCLI's args parameter",  # a table of commands chooses the module first
    "Experiment logs directory",  # a run folder is made to be used again
    "Checkpoint directory",
    ".*does not have many workers",  # train/data_wait measures whether there are too few
    "Consider setting `persistent_workers",
    "It is recommended to use `self.log",  # metrics are equal on all ranks
    "Found .* in eval mode",  # the frozen audio encoder of model.audio_run
    ".*LeafSpec",
)


def silence_framework() -> None:
    """Hide useless messages and print negclap's own warnings on one line.

    Of Lightning's log, warnings and the checkpoint that was loaded remain; negclap's own messages,
    which use the same log, all remain.
    """
    for logger in _loggers():
        logger.addFilter(_is_useful)
    warnings.filterwarnings("ignore", category=FutureWarning)
    for message in _USELESS_WARNINGS:
        warnings.filterwarnings("ignore", message=message)
    warnings.formatwarning = _format


def _loggers() -> list[logging.Logger]:
    """Return Lightning's loggers; a filter of a logger does not apply to its children."""
    names = [name for name in logging.root.manager.loggerDict if name.startswith("lightning")]
    return [logging.getLogger(name) for name in names]


def _is_useful(record: logging.LogRecord) -> bool:
    return (
        record.levelno >= logging.WARNING
        or record.pathname.startswith(_PACKAGE)
        or record.getMessage().startswith(_USEFUL)
    )


def _format(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,
) -> str:
    if filename.startswith(_PACKAGE):
        return f"negclap: warning: {message}\n"
    return f"{filename}:{lineno}: {category.__name__}: {message}\n"
