"""`negclap mine`: the negations in captions that people wrote, and what can be asked about them."""

import csv
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from negclap.data.tracks import read_manifest
from negclap.errors import InputError
from negclap.text.detect import Kind, Negation, find_negations
from negclap.text.rewrite import affirm
from negclap.text.vocabulary import Vocabulary, words

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Mined:
    """A negation with the caption that it stands in."""

    caption_id: str
    negation: Negation

    def as_dict(self) -> dict[str, Any]:
        """For JSON; the caption itself is left out."""
        n = self.negation
        return {
            "id": self.caption_id,
            "cue": n.cue,
            "span": list(n.span),
            "phrase": n.phrase,
            "kind": n.kind,
            "tag": n.tag,
        }


def read_captions(path: Path, column: str, id_column: str) -> dict[str, str]:
    """Captions by id, from a CSV with a header or a manifest (``track_id`` and a number).

    Raises:
        InputError: If the file is missing, lacks a column, or names an id twice.
    """
    if path.suffix == ".jsonl":
        return {
            f"{track.track_id}/{index}": caption.text
            for track in read_manifest(path)
            for index, caption in enumerate(track.captions)
        }
    captions: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # Excel begins with a mark
            reader = csv.DictReader(file)
            for name in (column, id_column):
                if name not in (reader.fieldnames or ()):
                    raise InputError(f"{path}: no column {name!r}, there are {reader.fieldnames}")
            for row in reader:
                if row[id_column] in captions:
                    raise InputError(f"{path}:{reader.line_num}: {row[id_column]!r} comes twice")
                if row[column] is None:
                    raise InputError(f"{path}:{reader.line_num}: the row ends before {column!r}")
                captions[row[id_column]] = row[column]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 ({error.reason} at byte {error.start})") from None
    return captions


def mine(captions: Mapping[str, str], vocabulary: Vocabulary | None = None) -> list[Mined]:
    """Every negation of every caption; phrases are mapped to the vocabulary's tags, if given."""
    return [
        Mined(key, found)
        for key, text in captions.items()
        for found in find_negations(text, vocabulary)
    ]


class Label(NamedTuple):
    """A negation as a person labelled it: where its cue stands, its head noun, its kind."""

    cue: str
    start: int
    head: str
    kind: Kind


def read_labels(path: Path) -> dict[str, list[Label]]:
    """Labels by caption id: JSONL of ``{"ytid": ..., "negations": [{cue, start, head, kind}]}``."""
    labels: dict[str, list[Label]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            entry = json.loads(line)
            labels[entry["ytid"]] = [Label(**label) for label in entry["negations"]]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}:{number}: not a label ({error!r})") from None
    return labels


class Counts(NamedTuple):
    """Of one kind: found and labelled; found alone; labelled alone."""

    right: int
    extra: int
    missed: int

    @property
    def precision(self) -> float:
        """Share of what was found that is labelled."""
        return self.right / max(1, self.right + self.extra)

    @property
    def recall(self) -> float:
        """Share of what is labelled that was found."""
        return self.right / max(1, self.right + self.missed)


def score_labels(
    mined: Sequence[Mined], labels: Mapping[str, Sequence[Label]], captions: Mapping[str, str]
) -> dict[str, Counts]:
    """By kind, how the found negations of the labelled captions meet the labels.

    A found negation is right if its cue overlaps the labelled one, its phrase holds the head noun
    and the kind is the same.

    Raises:
        InputError: If a labelled caption is not among ``captions``.
    """
    absent = [key for key in labels if key not in captions]
    if absent:
        raise InputError(f"{len(absent)} labelled captions are not there, the first: {absent[0]!r}")
    found: dict[str, list[Negation]] = {key: [] for key in labels}
    for one in mined:
        if one.caption_id in found:
            found[one.caption_id].append(one.negation)
    right: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    extra: Counter[str] = Counter()
    for key, wanted in labels.items():
        left = list(found[key])
        for label in wanted:
            match = next((negation for negation in left if _meets(negation, label)), None)
            if match is None:
                missed[label.kind] += 1
            else:
                right[label.kind] += 1
                left.remove(match)
        extra.update(negation.kind for negation in left)
    kinds = sorted({*right, *missed, *extra})
    return {kind: Counts(right[kind], extra[kind], missed[kind]) for kind in kinds}


def _meets(negation: Negation, label: Label) -> bool:
    start, end = negation.span
    overlaps = start < label.start + len(label.cue) and label.start < end
    return (
        overlaps
        and negation.kind == label.kind
        and set(words(label.head)) <= set(words(negation.phrase))
    )


class TextOnly(NamedTuple):
    """How often the text embedding moves the right way when a negation is turned around.

    Attributes:
        accuracy: Of the model's text encoder; chance 1/2.
        bag_of_words: Of counted words, which know no negation: what wording alone gives away.
        n: Captions asked about.
    """

    accuracy: float
    bag_of_words: float
    n: int


def text_only_accuracy(
    mined: Sequence[Mined],
    captions: Mapping[str, str],
    encode_text: Callable[[Sequence[str]], npt.NDArray[np.float32]],
) -> TextOnly:
    """Ask the text encoder alone: is a caption with "no voices" further from "voices"?

    For each absence that can be said affirmatively: right if the affirmative caption is closer to
    the negated phrase than the human caption is. No audio is needed.
    """
    asked = []
    for one in mined:
        human = captions[one.caption_id]
        affirmed = affirm(human, one.negation)
        if affirmed is not None:
            asked.append((human, affirmed, one.negation.phrase))
    if not asked:
        return TextOnly(float("nan"), float("nan"), 0)
    columns = [list(column) for column in zip(*asked, strict=True)]
    return TextOnly(
        _moves_closer(*(encode_text(texts) for texts in columns)),
        _moves_closer(*_count_words(columns)),
        len(asked),
    )


def _moves_closer(human: Array, affirmed: Array, phrase: Array) -> float:
    gain = ((affirmed - human) * phrase).sum(axis=1)
    return float(np.mean((gain > 1e-6) + 0.5 * (np.abs(gain) <= 1e-6)))


def _count_words(columns: Sequence[Sequence[str]]) -> list[Array]:
    """Unit vectors of word counts."""
    counted = [[Counter(words(text)) for text in texts] for texts in columns]
    place = {word: i for i, word in enumerate({w for texts in counted for c in texts for w in c})}
    vectors = []
    for texts in counted:
        matrix = np.zeros((len(texts), len(place)), dtype=np.float32)
        for row, counts in enumerate(texts):
            for word, count in counts.items():
                matrix[row, place[word]] = count
        vectors.append(matrix / np.linalg.norm(matrix, axis=1, keepdims=True).clip(min=1))
    return vectors
