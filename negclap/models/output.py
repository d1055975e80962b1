"""Output folders of models: complete or absent, and nothing of others is overwritten."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from negclap.errors import InputError

_FILE_LIST = ".negclap-export"  # names the files that may be replaced


def check_replaceable(out: Path) -> None:
    """Check that a folder does not exist, or has only files that `replacing_folder` wrote.

    Raises:
        InputError: If it has others.
    """
    if out.exists() and not (out.is_dir() and _files(out) <= _listed_files(out)):
        raise InputError(f"{out}: contains more than an earlier export; choose another folder")


@contextmanager
def replacing_folder(out: Path) -> Iterator[Path]:
    """Yield a temporary folder, which replaces ``out`` at the end; see `check_replaceable`."""
    out = out.resolve()
    check_replaceable(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as temporary:
        folder = Path(temporary) / "new"
        folder.mkdir()
        yield folder
        _make_readable(folder)
        files = sorted(_files(folder) | {_FILE_LIST})
        (folder / _FILE_LIST).write_text("\n".join(files), encoding="utf-8")
        old = Path(temporary) / "old"
        if out.exists():
            out.rename(old)
        try:
            folder.rename(out)
        except OSError:
            if old.exists():
                old.rename(out)
            raise


def _make_readable(folder: Path) -> None:
    """Give all files the mode of a new file: safetensors writes some that only the owner reads."""
    probe = folder / f".{uuid4().hex}"
    probe.touch()
    mode = probe.stat().st_mode
    probe.unlink()
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(mode)


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def _listed_files(folder: Path) -> set[str]:
    path = folder / _FILE_LIST
    return set(path.read_text(encoding="utf-8").splitlines()) if path.is_file() else set()
