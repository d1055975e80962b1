"""Queries as vectors, and search results."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from negclap.errors import InputError
from negclap.models.encoder import Encoder
from negclap.search.embed import Windowing, embed_files

_SAME_COSINE, _SAME_S = 0.999, 0.1
NOT_WEIGHT = 0.25
"""Weight of an excluded name (chosen in experiments/search): s(A) - NOT_WEIGHT * s(B)."""


class Query(NamedTuple):
    """A query: a text, example files, or both, and names to exclude.

    Attributes:
        text: A description, which may itself contain a negation; None if there is no text.
        without: Names to exclude. Works with any model, also one that does not understand
            negation: the name's similarity, times `NOT_WEIGHT`, is subtracted.
        like: Audio files that the tracks should resemble.
    """

    text: str | None = None
    without: Sequence[str] = ()
    like: Sequence[Path] = ()

    def vector(self, model: Encoder, windowing: Windowing) -> NDArray[np.float32]:
        """Return the ``(dim,)`` vector whose dot product with a window is the window's score.

        Args:
            model: Encoder of the texts and files.
            windowing: How files are divided; the same as for the tracks of the index.

        Raises:
            InputError: If there is neither a text nor a file, a text is empty, a file cannot be
                embedded, or the model returns embeddings that are not finite.
        """
        if self.text is None and not self.like:
            raise InputError("nothing to search for; give a text or an audio file")
        for text in (*self.without, *([] if self.text is None else [self.text])):
            _check_text(text)
        wanted = [] if self.text is None else [model.encode_text([self.text])[0]]
        wanted += [_mean(_embed_file(path, model, windowing)) for path in self.like]
        vector = _mean(np.stack(wanted))
        if self.without:
            vector = vector - NOT_WEIGHT * _mean(model.encode_text(list(self.without)))
        if not np.isfinite(vector).all():
            raise InputError("the model returns NaN or infinite embeddings of the query")
        return vector


class Hit(NamedTuple):
    """A search result.

    Attributes:
        track: Number of the track in the index.
        path: Path of the file, relative to the indexed folder.
        score: Score of the track's best window: a cosine, less what exclusions subtract.
        start_s: Start of that window in seconds.
        end_s: End of that window in seconds.
        duration_s: Duration of the track in seconds.
        tags: How likely the window has the tags of the query, and up to four in all; empty if the
            model has no calibrated tags.
        copies: Paths of further files with the same recording.
    """

    track: int
    path: str
    score: float
    start_s: float
    end_s: float
    duration_s: float
    tags: Mapping[str, float] = {}
    copies: tuple[str, ...] = ()


def join_copies(
    rows: Iterable[tuple[Hit, NDArray[np.float32]]],
) -> list[tuple[Hit, NDArray[np.float32]]]:
    """Join hits of one recording, given with their windows' embeddings, to the best of them.

    Files of equal length whose windows are nearly the same, at the same place, are one recording:
    an album and a single, or a flac and an mp3.
    """
    joined: list[tuple[Hit, NDArray[np.float32]]] = []
    for hit, window in rows:
        same = (
            place for place, (other, its) in enumerate(joined) if _is_copy(hit, window, other, its)
        )
        if (place := next(same, None)) is None:
            joined.append((hit, window))
        else:
            best, its = joined[place]
            joined[place] = best._replace(copies=(*best.copies, hit.path)), its
    return joined


def _is_copy(hit: Hit, window: NDArray[np.float32], other: Hit, its: NDArray[np.float32]) -> bool:
    if abs(hit.duration_s - other.duration_s) > _SAME_S or hit.start_s != other.start_s:
        return False
    return float(window @ its) > _SAME_COSINE


def clock(seconds: float) -> str:
    """Format a time as minutes and seconds, "m:ss"."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def _check_text(text: str) -> None:
    if not text.strip():
        raise InputError(f"the text {text!r} is empty")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"the text {text!r} is not valid UTF-8") from None


def _embed_file(path: Path, model: Encoder, windowing: Windowing) -> NDArray[np.float32]:
    ((track,),) = embed_files(path.parent, [path.name], model, windowing, 1)
    if not len(track.starts):
        raise InputError(track.problem or f"{path}: has no windows")
    return track.embeddings


def _mean(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of unit vectors, scaled to unit length."""
    mean = vectors.mean(axis=0)
    unit: NDArray[np.float32] = mean / max(float(np.linalg.norm(mean)), 1e-12)
    return unit
