"""Progress bars for long loops."""

from collections.abc import Callable, Iterable
from typing import Any

from rich import progress as bars

Progress = Callable[[str, int | None, Iterable[Any]], Iterable[Any]]
"""Takes a title, the number of items (or None) and the items; yields the items."""


def quiet(title: str, total: int | None, items: Iterable[Any]) -> Iterable[Any]:
    """Yield the items without a progress bar."""
    return items


def progress(title: str, total: int | None, items: Iterable[Any]) -> Iterable[Any]:
    """Yield the items with a progress bar."""
    return bars.track(items, description=title, total=total)
