"""Six toy models that show what each figure can and cannot be gamed by.

They look at the truth about a clip and at the claims of a text instead of sound and words. A vector
has one place per tag and two more.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from negclap.text.probes import Statement, Subject

Columns = Mapping[str, int]
"""The place of each tag."""


class Toy(NamedTuple):
    """A model of a clip and of a text: unit vectors of ``len(columns) + 2``."""

    clip: Callable[[Subject, Columns], Tensor]
    text: Callable[[Statement, Columns], Tensor]


def _blank(columns: Columns) -> Tensor:
    return torch.zeros(len(columns) + 2)


def _unit(vector: Tensor) -> Tensor:
    """The vector at unit length; where it says nothing, a direction of its own."""
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
    """For one text, its product with clips orders them by the share of its claims that are true.

    Among texts that are all true of a clip, it prefers the one that says most.
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
    """Less and less like any clip, the more cues there are, whatever they negate."""
    vector = _blank(columns)
    cosine = 1.0 / (1 + sum(not present for _, present in statement.claims))
    vector[-2], vector[-1] = cosine, (1 - cosine**2) ** 0.5
    return vector


def _flipped(statement: Statement, columns: Columns) -> Tensor:
    return _mentions(statement, columns) * (-1.0 if _negates(statement) else 1.0)


CONSTANT = Toy(lambda _, c: _one_direction(c), lambda _, c: _one_direction(c))
"""Takes everything for the same: chance."""
ORACLE = Toy(_truth, _signed_claims)
"""Orders clips by the share of the text's claims that are true of them: the texts' ceiling."""
TOYS: dict[str, Toy] = {
    "constant": CONSTANT,
    "bag of words": Toy(_tags, _mentions),
    "repeller": Toy(_tags, _repelled),
    "cue counter": Toy(lambda _, c: _one_direction(c), _counted),
    "flipper": Toy(_tags, _flipped),
    "oracle": ORACLE,
}
"""By name: what takes every text for the same; what hears tags and ignores cues; what puts every
text with a cue far from every clip; what counts cues; what turns a text with a cue around; and what
knows the truth."""
