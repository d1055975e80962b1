"""What is asked of an index, as a vector; and what is found."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from negclap.errors import InputError
from negclap.models.encoder import Encoder
from negclap.search.listen import Cut, listen

NOT_WEIGHT = 0.25
"""lambda of s(A) - lambda s(B), for what is excluded by name (chosen in experiments/search)."""


class Query(NamedTuple):
    """What is asked for.

    Attributes:
        text: A description, which may say what there should not be; None for none.
        without: What there should not be, each by name, whether or not the model understands
            negation: its similarity, times `NOT_WEIGHT`, is taken off.
        like: Audio files that the tracks should sound like.
    """

    text: str | None = None
    without: Sequence[str] = ()
    like: Sequence[Path] = ()

    def vector(self, model: Encoder, cut: Cut) -> NDArray[np.float32]:
        """``(dim,)``: a track's score is its product with this.

        Args:
            model: Embeds texts and sounds.
            cut: How files are heard, as the index's tracks.

        Raises:
            InputError: If nothing is asked for, or a file cannot be heard.
        """
        if self.text is None and not self.like:
            raise InputError("nothing to search for: say a text, or a file to be like")
        for text in (*self.without, *([] if self.text is None else [self.text])):
            _check_text(text)
        wanted = [] if self.text is None else [model.encode_text([self.text])[0]]
        wanted += [_mean(_heard(path, model, cut)) for path in self.like]
        vector = _mean(np.stack(wanted))
        if self.without:
            vector = vector - NOT_WEIGHT * _mean(model.encode_text(list(self.without)))
        return vector


class Hit(NamedTuple):
    """A track that was found.

    Attributes:
        track: Its number in the index.
        path: Relative to the indexed folder.
        score: Of its best window; a cosine, but where something is excluded by name.
        start_s: Where that window begins.
        end_s: Where it ends.
        duration_s: Of the track.
    """

    track: int
    path: str
    score: float
    start_s: float
    end_s: float
    duration_s: float


def _check_text(text: str) -> None:
    if not text.strip():
        raise InputError("a text without words says nothing")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"{text!r} is no UTF-8 text") from None


def _heard(path: Path, model: Encoder, cut: Cut) -> NDArray[np.float32]:
    """All windows of a file."""
    ((track,),) = listen(path.parent, [path.name], model, cut, 1)
    if track.problem:
        raise InputError(track.problem)
    return track.embeddings


def _mean(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unit vectors as one."""
    mean = vectors.mean(axis=0)
    unit: NDArray[np.float32] = mean / max(float(np.linalg.norm(mean)), 1e-12)
    return unit
