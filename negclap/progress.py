"""How long work shows its progress."""

from collections.abc import Callable, Iterable
from typing import Any

from rich import progress as bars

Progress = Callable[[str, int | None, Iterable[Any]], Iterable[Any]]
"""Title, how many there will be, the items; gives the items."""


def quiet(title: str, total: int | None, items: Iterable[Any]) -> Iterable[Any]:
    """The items, without a bar."""
    return items


def progress(title: str, total: int | None, items: Iterable[Any]) -> Iterable[Any]:
    """The items, with a bar."""
    return bars.track(items, description=title, total=total)
