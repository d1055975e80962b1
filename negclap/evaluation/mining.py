"""Find negations in human-written captions, and test the detector and text encoders on them."""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from negclap.data.tables import Rejection, read_csv
from negclap.data.tracks import read_manifest
from negclap.errors import InputError
from negclap.text.detect import Kind, Negation, find_negations
from negclap.text.negation.words import LIGHT_HEADS, OPEN_MODIFIERS
from negclap.text.rewrite import affirm
from negclap.text.vocabulary import Vocabulary, words

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class MinedNegation:
    """A negation and the id of its caption."""

    caption_id: str
    negation: Negation

    def as_dict(self) -> dict[str, Any]:
        """Return the negation for JSON, without the text of the caption."""
        names = ("cue", "span", "phrase", "kind", "tag", "names", "confidence")
        return {"id": self.caption_id, **{name: getattr(self.negation, name) for name in names}}


def read_captions(path: Path, column: str, id_column: str) -> dict[str, str]:
    """Read captions by id from the columns of a CSV, or a manifest (ids ``track_id/number``).

    Raises:
        InputError: If the file or a column is missing, a row is malformed, or an id is not unique.
    """
    if path.suffix == ".jsonl":
        return {
            f"{track.track_id}/{index}": caption.text
            for track in read_manifest(path)
            for index, caption in enumerate(track.captions)
        }
    captions: dict[str, str] = {}
    for row in read_csv(path, (column, id_column)):
        if isinstance(row, Rejection):
            raise InputError(f"{row.place}: {row.reason} ({row.detail})")
        key = row.values[id_column]
        if key in captions:
            raise InputError(f"{row.place}: id {key!r} is not unique")
        captions[key] = row.values[column]
    return captions


def mine(captions: Mapping[str, str], vocabulary: Vocabulary | None = None) -> list[MinedNegation]:
    """Find the negations of captions; a vocabulary maps negated phrases to its tags."""
    return [
        MinedNegation(key, found)
        for key, text in captions.items()
        for found in find_negations(text, vocabulary)
    ]


class Label(NamedTuple):
    """A hand-labelled negation: the cue, where it starts, and the head noun of its phrase."""

    cue: str
    start: int
    head: str
    kind: Kind


def read_labels(path: Path) -> dict[str, list[Label]]:
    """Read labels by caption id from lines ``{"ytid": id, "negations": [{cue, ...}, ...]}``.

    Raises:
        InputError: If a line is not valid.
    """
    labels: dict[str, list[Label]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            entry = json.loads(line)
            labels[entry["ytid"]] = [Label(**label) for label in entry["negations"]]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}:{number}: not a label ({error!r})") from None
    return labels


class Counts(NamedTuple):
    """Numbers of found and labelled, only found, and only labelled negations of one kind."""

    right: int
    extra: int
    missed: int

    @property
    def precision(self) -> float:
        """Fraction of the found negations that are labelled."""
        return self.right / max(1, self.right + self.extra)

    @property
    def recall(self) -> float:
        """Fraction of the labelled negations that were found."""
        return self.right / max(1, self.right + self.missed)


def score_labels(
    mined: Sequence[MinedNegation],
    labels: Mapping[str, Sequence[Label]],
    captions: Mapping[str, str],
) -> dict[str, Counts]:
    """Compare found negations with the labels of the labelled captions, by kind.

    A found negation is right if its cue overlaps the labelled one, its phrase contains the head
    noun, and the kind is the same.

    Raises:
        InputError: If a labelled caption is not among ``captions``.
    """
    if absent := [key for key in labels if key not in captions]:
        raise InputError(
            f"{len(absent)} labels have no caption with their id, the first is {absent[0]!r}"
        )
    right, extra, missed = Counter[str](), Counter[str](), Counter[str]()
    for key, wanted in labels.items():
        left = [one.negation for one in mined if one.caption_id == key]
        for label in wanted:
            match = next((negation for negation in left if _matches(negation, label)), None)
            if match is None:
                missed[label.kind] += 1
            else:
                right[label.kind] += 1
                left.remove(match)
        extra.update(negation.kind for negation in left)
    kinds = sorted({*right, *missed, *extra})
    return {kind: Counts(right[kind], extra[kind], missed[kind]) for kind in kinds}


def _matches(negation: Negation, label: Label) -> bool:
    start, end = negation.span
    overlaps = start < label.start + len(label.cue) and label.start < end
    has_head = set(words(label.head)) <= {*words(negation.phrase), *words(" ".join(negation.names))}
    return overlaps and has_head and negation.kind == label.kind


def score_denied(
    denied: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
) -> tuple[Counts, int]:
    """Compare the names that each text was found to deny with those that it denies.

    A name is right if it has the head of a label and all of its words ("lead guitar" is right for
    "guitar", and not the reverse), whatever their endings ("sings" for "singing").

    Returns:
        The counts, and the number of texts that deny nothing in which nothing was found.
    """
    right = extra = missed = clean = 0
    for names, wanted in zip(denied, labels, strict=True):
        found, labelled = [list(map(_stems, one)) for one in (names, wanted)]
        matched = [[name for name in found if _names(name, label)] for label in labelled]
        right += sum(map(bool, matched))
        missed += sum(not names for names in matched)
        wrong = sum(not any(_names(name, label) for label in labelled) for name in found)
        extra += wrong
        clean += not wanted and not wrong
    return Counts(right, extra, missed), clean


def _names(name: list[str], label: list[str]) -> bool:
    return name[-1:] == label[-1:] and set(label) <= set(name)


def _stems(name: str) -> list[str]:
    """Return the words without endings, and without words at the ends that do not narrow them."""
    found = list(words(name))
    while len(found) > 1 and found[0] in OPEN_MODIFIERS:
        found = found[1:]
    while len(found) > 1 and found[-1] in LIGHT_HEADS:
        found = found[:-1]
    bare = [re.sub(r"(?<=\w{3})(?:e?s|ing|ers?|e)$", "", word) for word in found]
    return [re.sub(r"(?<=\w\w)(\w)\1$", r"\1", word) for word in bare]  # "drumm(ing)"


class TextOnly(NamedTuple):
    """Accuracy of the text encoder (chance is 1/2) and of word counts, on n captions.

    That of word counts shows what the wording alone gives away.
    """

    accuracy: float
    bag_of_words: float
    n: int


def text_only_accuracy(
    mined: Sequence[MinedNegation],
    captions: Mapping[str, str],
    encode_text: Callable[[Sequence[str]], Array],
) -> TextOnly:
    """Test whether text embeddings move towards a phrase when its negation is removed.

    For each negation of kind "absence" that has an affirmative form: the affirmative caption should
    be closer to the negated phrase ("voices") than the original caption ("no voices"). No audio is
    needed.
    """
    cases = []
    for one in mined:
        human = captions[one.caption_id]
        if (affirmed := affirm(human, one.negation)) is not None:
            cases.append((human, affirmed, one.negation.phrase))
    if not cases:
        return TextOnly(float("nan"), float("nan"), 0)
    columns = [list(column) for column in zip(*cases, strict=True)]
    return TextOnly(
        _moves_closer(*(encode_text(texts) for texts in columns)),
        _moves_closer(*_count_words(columns)),
        len(cases),
    )


def _moves_closer(human: Array, affirmed: Array, phrase: Array) -> float:
    gain = ((affirmed - human) * phrase).sum(axis=1)
    return float(np.mean((gain > 1e-6) + 0.5 * (np.abs(gain) <= 1e-6)))


def _count_words(columns: Sequence[Sequence[str]]) -> list[Array]:
    """Return unit vectors of word counts."""
    counted = [[Counter(words(text)) for text in texts] for texts in columns]
    column = {word: i for i, word in enumerate({w for texts in counted for c in texts for w in c})}
    vectors = []
    for texts in counted:
        matrix = np.zeros((len(texts), len(column)), dtype=np.float32)
        for row, counts in enumerate(texts):
            for word, count in counts.items():
                matrix[row, column[word]] = count
        vectors.append(matrix / np.linalg.norm(matrix, axis=1, keepdims=True).clip(min=1))
    return vectors
