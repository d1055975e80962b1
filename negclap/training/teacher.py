"""The targets of teaching: where the texts of lessons should be in a model's joint space.

The teacher is the untaught text half. A text that affirms keeps the teacher's embedding. A text
that denies gets the teacher's embedding of what it affirms, moved away from what it denies.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from negclap.errors import InputError
from negclap.evaluation.baselines import spherical
from negclap.text.cues import PartOfSpeech
from negclap.text.lessons import Lesson
from negclap.text.vocabulary import Vocabulary

Form = Literal["subtract", "spherical", "removal"]
Embed = Callable[[Sequence[str]], Tensor]

_MENTIONS: dict[PartOfSpeech, tuple[str, ...]] = {
    "noun": ("{}", "a piece with {}", "music with {}", "a track featuring {}"),
    "adjective": ("{}", "a {} piece", "{} music", "a {} track"),
}


@dataclass(frozen=True)
class Target:
    """How the embedding a of what a text affirms is moved away from that of what it denies, b.

    b is the mean of the teacher's embeddings of all names, each in a few short texts.

    Attributes:
        form: "subtract" is a - weight b; "removal" removes the component of a along b; "spherical"
            moves a out of the cap of cosine ``weight`` around b, as in SpaceVLM.
        weight: Weight of the form.
    """

    form: Form = "subtract"
    weight: float = 0.75

    def __call__(self, affirmed: Tensor, denied: Tensor, degree: Tensor) -> Tensor:
        """Return ``(n, d)`` unit targets.

        Args:
            affirmed: ``(n, d)`` unit embeddings a.
            denied: ``(n, d)`` unit embeddings b.
            degree: ``(n,)``: 1 where b is denied, less where it is limited, -1 where affirmed.
        """
        match self.form:
            case "subtract":
                moved = affirmed - self.weight * degree.unsqueeze(1) * denied
            case "removal":
                along = (affirmed * denied).sum(dim=1, keepdim=True) * denied
                moved = affirmed - degree.unsqueeze(1) * along
            case "spherical":
                away = spherical(affirmed, denied, self.weight)
                moved = torch.lerp(affirmed, away, degree.unsqueeze(1))
        return F.normalize(moved, dim=1)


class Teacher:
    """Computes targets; each text is embedded once.

    Args:
        embed: Maps texts to ``(n, d)`` unit embeddings: the untaught text encoder.
        vocabulary: Has the names that lessons deny.
        target: How denials move an embedding.
    """

    def __init__(self, embed: Embed, vocabulary: Vocabulary, target: Target) -> None:
        self._embed = embed
        self.vocabulary = vocabulary
        self.target = target
        self._known: dict[str, Tensor] = {}

    def targets(self, lessons: Sequence[Lesson]) -> Tensor:
        """Return the ``(n, d)`` unit targets of lessons.

        Raises:
            InputError: If an embedding is not finite.
        """
        names = dict.fromkeys(name for lesson in lessons for name in lesson.denied)
        mentions = {name: self._mentions(name) for name in names}
        self._learn([lesson.affirmed for lesson in lessons])
        self._learn([text for texts in mentions.values() for text in texts])
        affirmed = torch.stack([self._known[lesson.affirmed] for lesson in lessons])
        means = {name: self._mean(texts) for name, texts in mentions.items()}
        result = affirmed.clone()
        rows = [row for row, lesson in enumerate(lessons) if lesson.denied]
        if rows:
            denied = [torch.stack([means[n] for n in lessons[row].denied]) for row in rows]
            centres = F.normalize(torch.stack([each.sum(dim=0) for each in denied]), dim=1)
            degree = torch.tensor([lessons[row].degree for row in rows])
            result[rows] = self.target(affirmed[rows], centres, degree)
        return result

    def _mentions(self, name: str) -> list[str]:
        return [form.format(name) for form in _MENTIONS[self.vocabulary[name].part_of_speech]]

    def _learn(self, texts: Sequence[str]) -> None:
        missing = [text for text in dict.fromkeys(texts) if text not in self._known]
        if not missing:
            return
        embedded = self._embed(missing).float().cpu()
        bad = ~embedded.isfinite().all(dim=1)
        if bad.any():
            text = missing[int(bad.nonzero()[0])]
            raise InputError(f"the teacher's embedding of {text!r} has NaN or infinite values")
        self._known |= dict(zip(missing, embedded, strict=True))

    def _mean(self, texts: Sequence[str]) -> Tensor:
        return F.normalize(torch.stack([self._known[text] for text in texts]).mean(dim=0), dim=0)
