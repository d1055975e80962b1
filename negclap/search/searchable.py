"""What an index of a folder and a catalogue share: the search over windows."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from negclap import load
from negclap.errors import InputError
from negclap.models.encoder import Encoder
from negclap.search.embed import Windowing
from negclap.search.explain import explain
from negclap.search.fingerprint import are_equal, embed_sounds
from negclap.search.query import Hit, Query, join_copies
from negclap.search.typical import typical_texts

Rows = list[tuple[Hit, NDArray[np.float32]]]
"""Hits with the embeddings of their best windows."""


class Searchable(ABC):
    """Windows of tracks that can be searched.

    They belong to one audio encoder, because embeddings of different ones are not comparable. Text
    encoders may differ: any model with the same audio encoder can search them, and add tracks.

    Args:
        place: Where the windows are.
        windowing: How tracks are divided.
        sounds: ``(n, dim)`` embeddings of fixed sounds by the windows' audio encoder.
        model: The model to search with; None loads the own one.

    Raises:
        InputError: If the model has another audio encoder, or cannot be loaded.
    """

    root: Any  # folder of the music as a path, or its URL

    def __init__(
        self,
        place: str,
        windowing: Windowing,
        sounds: NDArray[np.float32],
        model: Encoder | None,
    ) -> None:
        self.place = place
        self.windowing = windowing
        self.model = self._load() if model is None else model
        # one of the three sounds, for which a search has to wait; `check_sounds` compares all
        self.check_sounds(sounds, embed_sounds(self.model, windowing.window_s, 1))

    def _load(self) -> Encoder:
        try:
            return load(self.source)
        except InputError as error:
            raise InputError(
                f"{error}; it is the model of {self.place}: if it was moved, give its new "
                "location (--model)"
            ) from None

    def check_sounds(self, stored: NDArray[np.float32], given: NDArray[np.float32]) -> None:
        """Reject a model with other embeddings of the first sounds than the stored ones."""
        if not are_equal(stored[: len(given)], given[: len(stored)]):
            raise InputError(
                f"{self.place}: built with the model {self.source}, and the audio encoder of this "
                "one differs (another model, or retrained since). Use a model with the same audio "
                f"encoder, or build a new index: {self.anew} --out NEW --model MODEL"
            )

    @property
    @abstractmethod
    def source(self) -> str:
        """The windows' own model, as for `negclap.load`: the one that was last given for them."""

    @property
    @abstractmethod
    def anew(self) -> str:
        """The command that embeds the same tracks."""

    @abstractmethod
    def best(self, vector: NDArray[np.float32], top: int, exact: bool) -> tuple[Rows, bool]:
        """Return the best tracks by their best window, and whether there are more tracks.

        Args:
            vector: ``(dim,)``; the scores are dot products with it.
            top: Number of tracks; fewer are returned if some of them cannot be hits.
            exact: Whether to score every window.
        """

    @abstractmethod
    def audio(self, track: int) -> Path | None:
        """Return the local file of a track by number; None if there is no such track.

        Raises:
            FileNotFoundError: If the file is gone, or has changed since it was embedded.
        """

    def search(
        self,
        text: str | None = None,
        top: int = 10,
        without: Sequence[str] = (),
        like: Sequence[Path] = (),
        exact: bool = False,
        every_file: bool = False,
    ) -> list[Hit]:
        """Return the best tracks, ranked by their best window.

        Files with the same recording, an album's and a single's, are one hit with several paths.

        Args:
            text: A description, which may itself contain a negation.
            top: Number of tracks.
            without: Names to exclude.
            like: Audio files that the tracks should resemble.
            exact: Whether to score every window even if there is an approximate search.
            every_file: Whether each file is a hit of its own.

        Raises:
            InputError: If there is neither a text nor a file, or one of them is not usable.
        """
        if top < 1:
            raise InputError(f"top is {top}, expected at least 1")
        query = Query(text, without, [Path(path) for path in like])
        vector = query.vector(self.model, self.windowing)
        wanted = top
        while True:  # until there are enough hits of different recordings
            hits, has_more = self.best(vector, wanted, exact)
            found = (hits if every_file else join_copies(hits))[:top]
            if len(found) == top or not has_more:
                break
            wanted *= 2
        if not found:
            return []
        texts = [*([text] if text else []), *without]
        tags = explain(texts, np.array([window for _, window in found]), self.model)
        return [hit._replace(tags=its) for (hit, _), its in zip(found, tags, strict=True)]

    def typical_queries(self) -> NDArray[np.float32]:
        """Return ``(q, dim)`` embeddings of typical query texts; the second half negates."""
        affirming, negating = typical_texts()
        return self.model.encode_text([*affirming, *negating])
