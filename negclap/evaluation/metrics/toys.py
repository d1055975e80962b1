"""Six toy models that show how each metric can be gamed.

They read the tags of a clip and the claims of a text instead of audio and words. A vector has one
component per tag, and two more.
"""

from collections.abc import Callable, Iterable, Mapping
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


def _vector(claims: Iterable[tuple[str, bool]], columns: Columns) -> Tensor:
    """Return a unit vector with 1 for each present tag, and -1 for each absent one.

    Without any tag, it has the direction of the last but one component.
    """
    vector = torch.zeros(len(columns) + 2)
    for tag, present in claims:
        if tag in columns:
            vector[columns[tag]] = 1.0 if present else -1.0
    if not vector.any():
        vector[-2] = 1.0
    return F.normalize(vector, dim=0)


def _one_direction(_: object, columns: Columns) -> Tensor:
    return _vector((), columns)


def _tags(track: Subject, columns: Columns) -> Tensor:
    return _vector(((tag, True) for tag in track.tags), columns)


def _truth(track: Subject, columns: Columns) -> Tensor:
    absent = [(tag, False) for tag in track.absent_tags or ()]
    return _vector([*((tag, True) for tag in track.tags), *absent], columns)


def _claims(statement: Statement, columns: Columns) -> Tensor:
    """Score clips by the fraction of the text's claims that are true of them.

    Of several texts that are true of a clip, the one with most claims is closest to it.
    """
    return _vector(statement.claims, columns)


def _mentions(statement: Statement, columns: Columns) -> Tensor:
    return _claims(statement, columns).abs()


def _cues(statement: Statement) -> int:
    return sum(not present for _, present in statement.claims)


def _repelled(statement: Statement, columns: Columns) -> Tensor:
    # texts with a cue have a direction that no clip has
    return (_one_direction if _cues(statement) else _mentions)(statement, columns)


def _counted(statement: Statement, columns: Columns) -> Tensor:
    """Lower the similarity to every clip with the number of cues, whatever they negate."""
    cosine = 1.0 / (1 + _cues(statement))
    vector = torch.zeros(len(columns) + 2)
    vector[-2], vector[-1] = cosine, (1 - cosine**2) ** 0.5
    return vector


def _flipped(statement: Statement, columns: Columns) -> Tensor:
    return _mentions(statement, columns) * (-1.0 if _cues(statement) else 1.0)


CONSTANT = Toy(_one_direction, _one_direction)
"""Embeds everything as the same vector: chance."""
ORACLE = Toy(_truth, _claims)
"""Scores clips by the fraction of the text's claims that are true: the upper bound."""
TOYS: dict[str, Toy] = {
    "constant": CONSTANT,
    "bag of words": Toy(_tags, _mentions),  # recognises tags and ignores cues
    "repeller": Toy(_tags, _repelled),  # moves every text with a cue away from all clips
    "cue counter": Toy(_one_direction, _counted),  # only counts cues
    "flipper": Toy(_tags, _flipped),  # inverts the whole text if it has a cue
    "oracle": ORACLE,
}
"""Toy models by name."""
