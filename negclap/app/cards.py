"""Search results as HTML; all text from files and users is escaped."""

import os
from collections.abc import Sequence
from html import escape
from pathlib import PurePath

from negclap.search import Hit
from negclap.search.explain import in_words
from negclap.search.query import clock

MEDIA_TYPES = {
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".oga": "audio/ogg",
    ".opus": "audio/ogg",
    ".m4a": "audio/mp4",
    ".m4b": "audio/mp4",
    ".mp4": "audio/mp4",
    ".aac": "audio/aac",
    ".webm": "audio/webm",
    ".aif": "audio/aiff",
    ".aiff": "audio/aiff",
    ".aifc": "audio/aiff",
    ".wma": "audio/x-ms-wma",
    ".ape": "audio/x-ape",
    ".wv": "audio/x-wavpack",
}
"""Types of usual files; machines without a MIME table do not know all of them."""
_NOT_PLAYED = {".aif", ".aiff", ".aifc", ".wma", ".ape", ".wv"}  # by most browsers
HINT = "Describe the music you want to hear, for example “calm piano without drums”."
EMPTY = (
    "This index has no tracks. Add music to its folder, then run negclap index FOLDER --out INDEX "
    "--model MODEL."
)


def note(text: str) -> str:
    """Return a message to show in place of results."""
    return f'<p class="negclap-note">{escape(text)}</p>'


def problem(text: str) -> str:
    """Return an error message, which screen readers announce at once."""
    return f'<p class="negclap-problem" role="alert">{escape(text)}</p>'


def cards(
    name: str, hits: Sequence[Hit], movements: Sequence[str], place: int, reading: str = ""
) -> str:
    """Return tracks as a list.

    Args:
        name: Name of the model.
        hits: The results, best first.
        movements: Per result, how an exclusion moves it; empty strings without an exclusion.
        place: Position of the index among the server's indices.
        reading: How the query was read, if there is something to say.
    """
    if not hits:
        return note(EMPTY)
    items = "".join(
        _card(rank, hit, movement, place)
        for rank, (hit, movement) in enumerate(zip(hits, movements, strict=True), start=1)
    )
    read = note(reading) if reading else ""
    return f'<p class="negclap-model">{escape(name)}</p>{read}<ol class="negclap-hits">{items}</ol>'


def _shown(path: str) -> str:
    """Return a path as text, even if it is not valid UTF-8."""
    return os.fsencode(path).decode("utf-8", "replace")


def _card(rank: int, hit: Hit, movement: str, place: int) -> str:
    path = PurePath(_shown(hit.path))
    name, folder = escape(path.stem), escape(str(path.parent) if path.parent.name else "")
    also = "".join(f"<br>= {escape(_shown(copy))}" for copy in hit.copies)
    width = 100 * min(max(hit.score, 0.0), 1.0)
    source = f"audio/{place}/{hit.track}#t={hit.start_s:g},{hit.end_s:g}"
    plays = path.suffix.lower() in MEDIA_TYPES.keys() - _NOT_PLAYED
    player = f'<audio controls preload="none" src="{source}" aria-label="play {name}"></audio>'
    player = player if plays else '<span class="negclap-where">Browsers cannot play it.</span>'
    direction = {"▲": " negclap-up", "▼": " negclap-down"}.get(movement[:1], "")
    return (
        f'<li><span class="negclap-rank">{rank}</span>'
        f'<span><span class="negclap-name">{name}</span> <span class="negclap-where">{folder} '
        f"{clock(hit.start_s)} to {clock(hit.end_s)}{also}</span></span>"
        f'<span class="negclap-moved{direction}">{escape(movement)}</span>'
        f'<div class="negclap-bar" role="meter" aria-label="similarity" aria-valuemin="0" '
        f'aria-valuemax="1" aria-valuenow="{hit.score:.3f}" title="{hit.score:.3f}">'
        f'<div style="width:{width:.0f}%"></div></div>'
        f'<span class="negclap-tags">{escape(in_words(hit.tags))}</span>'
        f"{player}</li>"
    )


def find_movements(hits: Sequence[Hit], other: Sequence[Hit]) -> list[str]:
    """Return the rank of each track in another ranking: "▲ from 3", "▼ from 1", or "=".

    Tracks that are not in ``other`` rank below all of it.
    """
    ranks = {hit.track: rank for rank, hit in enumerate(other, start=1)}
    return [
        _movement(rank, ranks.get(hit.track), len(other)) for rank, hit in enumerate(hits, start=1)
    ]


def _movement(rank: int, other: int | None, last: int) -> str:
    if other is None:
        return f"▲ from below {last}"
    if other == rank:
        return "="
    return f"▲ from {other}" if other > rank else f"▼ from {other}"
