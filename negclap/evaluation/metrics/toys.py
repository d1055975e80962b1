"""Six toy models that show how each metric can be gamed.

They read the tags of a clip and the claims of a text instead of audio and words. A vector has one
component per tag, and two more.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from negclap.text.probes import Statement, Subject

Columns = Mapping[str, int]
"""The component of each tag."""


class Toy(NamedTuple):
    """A toy model: functions from a clip and from a text to unit vectors ``(tags + 2,)``."""

    clip: Callable[[Subject, Columns], Tensor]
    text: Callable[[Statement, Columns], Tensor]


def _blank(columns: Columns) -> Tensor:
    return torch.zeros(len(columns) + 2)


def _unit(vector: Tensor) -> Tensor:
    """Normalise a vector; a zero vector becomes the direction of the last but one component."""
    if not vector.any():
        vector[-2] = 1.0
    return F.normalize(vector, dim=0)


def _tags(track: Subject, columns: Columns) -> Tensor:
    vector = _blank(columns)
    for tag in track.tags:
        if tag in columns:
            vector[columns[tag]] = 1.0
    return _unit(vector)


def _truth(track: Subject, columns: Columns) -> Tensor:
    vector = _blank(columns)
    for names, sign in ((track.tags, 1.0), (track.absent_tags or (), -1.0)):
        for tag in names:
            if tag in columns:
                vector[columns[tag]] = sign
    return _unit(vector)


def _signed_claims(statement: Statement, columns: Columns) -> Tensor:
    """Score clips by the fraction of the text's claims that are true of them.

    Of several texts that are true of a clip, the one with most claims is closest to it.
    """
    vector = _blank(columns)
    for tag, present in statement.claims:
        vector[columns[tag]] = 1.0 if present else -1.0
    return _unit(vector)


def _mentions(statement: Statement, columns: Columns) -> Tensor:
    return _unit(_signed_claims(statement, columns).abs())


def _negates(statement: Statement) -> bool:
    return not all(present for _, present in statement.claims)


def _one_direction(columns: Columns) -> Tensor:
    vector = _blank(columns)
    vector[-2] = 1.0
    return vector


def _repelled(statement: Statement, columns: Columns) -> Tensor:
    if _negates(statement):
        return _unit(_blank(columns))  # a direction that no clip has
    return _mentions(statement, columns)


def _counted(statement: Statement, columns: Columns) -> Tensor:
    """Lower the similarity to every clip with the number of cues, whatever they negate."""
    vector = _blank(columns)
    cosine = 1.0 / (1 + sum(not present for _, present in statement.claims))
    vector[-2], vector[-1] = cosine, (1 - cosine**2) ** 0.5
    return vector


def _flipped(statement: Statement, columns: Columns) -> Tensor:
    return _mentions(statement, columns) * (-1.0 if _negates(statement) else 1.0)


CONSTANT = Toy(lambda _, c: _one_direction(c), lambda _, c: _one_direction(c))
"""Embeds everything as the same vector: chance."""
ORACLE = Toy(_truth, _signed_claims)
"""Scores clips by the fraction of the text's claims that are true: the upper bound."""
TOYS: dict[str, Toy] = {
    "constant": CONSTANT,
    "bag of words": Toy(_tags, _mentions),
    "repeller": Toy(_tags, _repelled),
    "cue counter": Toy(lambda _, c: _one_direction(c), _counted),
    "flipper": Toy(_tags, _flipped),
    "oracle": ORACLE,
}
"""Toy models by name.

- constant: embeds everything as the same vector
- bag of words: recognises tags and ignores cues
- repeller: moves every text with a cue away from all clips
- cue counter: only counts cues
- flipper: inverts the whole text if it has a cue
- oracle: knows the truth
"""
