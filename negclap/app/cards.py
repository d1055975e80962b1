"""What the page shows of a search, as HTML; everything that comes from outside is escaped."""

import os
from collections.abc import Sequence
from html import escape
from pathlib import PurePath

from negclap.search import Hit

START = "Say what you would like to hear, and what not: “calm piano without drums”."
EMPTY = (
    "This index has no tracks. Bring it up to date: negclap index FOLDER --out INDEX --model MODEL"
)


def note(text: str) -> str:
    """Something to read where there are no results."""
    return f'<p class="negclap-note">{escape(text)}</p>'


def problem(text: str) -> str:
    """What went wrong; screen readers say it at once."""
    return f'<p class="negclap-problem" role="alert">{escape(text)}</p>'


def cards(name: str, hits: Sequence[Hit], moved: Sequence[str], place: int) -> str:
    """Tracks as a list.

    Args:
        name: Of the model.
        hits: The best first.
        moved: What an exclusion did to each; empty strings for nothing.
        place: Of the index among those that the server has.
    """
    if not hits:
        return note(EMPTY)
    items = "".join(
        _card(rank, hit, change, place)
        for rank, (hit, change) in enumerate(zip(hits, moved, strict=True), start=1)
    )
    return f'<p class="negclap-model">{escape(name)}</p><ol class="negclap-hits">{items}</ol>'


def _card(rank: int, hit: Hit, moved: str, place: int) -> str:
    path = PurePath(os.fsencode(hit.path).decode("utf-8", "replace"))
    name, folder = escape(path.stem), escape(str(path.parent) if path.parent.name else "")
    share = 100 * min(max(hit.score, 0.0), 1.0)
    source = f"audio/{place}/{hit.track}#t={hit.start_s:g},{hit.end_s:g}"
    kind = {"▲": " negclap-up", "▼": " negclap-down"}.get(moved[:1], "")
    return (
        f'<li><span class="negclap-rank">{rank}</span>'
        f'<span><span class="negclap-name">{name}</span> <span class="negclap-where">{folder} '
        f"{clock(hit.start_s)} to {clock(hit.end_s)}</span></span>"
        f'<span class="negclap-moved{kind}">{escape(moved)}</span>'
        f'<div class="negclap-bar" role="meter" aria-label="similarity" aria-valuemin="0" '
        f'aria-valuemax="1" aria-valuenow="{hit.score:.3f}" title="{hit.score:.3f}">'
        f'<div style="width:{share:.0f}%"></div></div>'
        f'<audio controls preload="none" src="{source}" aria-label="play {name}"></audio></li>'
    )


def clock(seconds: float) -> str:
    """Seconds as minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def movements(hits: Sequence[Hit], other: Sequence[Hit]) -> list[str]:
    """Where each track stands in the other ranking: risen, fallen, or beyond what it shows."""
    places = {hit.track: rank for rank, hit in enumerate(other, start=1)}
    return [_movement(rank, places.get(hit.track)) for rank, hit in enumerate(hits, start=1)]


def _movement(here: int, there: int | None) -> str:
    if there is None:
        return "▲ from far below"
    if there == here:
        return "="
    return f"▲ from {there}" if there > here else f"▼ from {there}"
