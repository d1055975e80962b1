"""Build a vocabulary from the raw tags of a data set.

Spelling variants are merged ("female vocalist", "femaleVocals"), and tags get aliases, broader
tags, a category and a part of speech. A tag that negates another one ("noVocals", "no voice")
becomes the absence of that tag; "no wave" remains a genre.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from negclap.text.cues import PartOfSpeech
from negclap.text.detect import find_negations
from negclap.text.music_terms import (
    BROADER,
    GENRES,
    INSTRUMENTS,
    KEEPS_S,
    SHORTENED,
    SYNONYMS,
    TERMS,
    VOICES,
    is_adjective,
)
from negclap.text.vocabulary import Tag, Vocabulary, words

_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_NO_TAG_NEGATED = "negation, but not of a tag"
_DECADE = re.compile(r"(?:19|20)?\d0s")
_JOINS = frozenset(["and", "n", "of", "in", "the"])  # the tag's head does not follow these
_TEMPI = frozenset(["slow", "fast", "uptempo", "downtempo", "upbeat", "downbeat"])


class CanonicalTags(NamedTuple):
    """The canonical tags of a track: present, and denied by a raw tag; without duplicates.

    Tags that are denied although they or narrower tags are present are only in ``contradicted``.
    """

    present: tuple[str, ...]
    denied: tuple[str, ...]
    contradicted: tuple[str, ...]


@dataclass(frozen=True)
class TagList:
    """A vocabulary with mappings from raw tags.

    A raw tag is mapped to the canonical tag that it affirms (``present``) or negates (``denied``),
    or to the reason why it is left out.
    """

    vocabulary: Vocabulary
    present: dict[str, str]
    denied: dict[str, str]
    left_out: dict[str, str]

    @classmethod
    def of(cls, vocabulary: Vocabulary, raw: Iterable[str]) -> "TagList":
        """Map raw tags to an existing vocabulary."""
        mapped = cls(vocabulary, {}, {}, {})
        for tag in raw:
            spelled = surface(tag)
            phrase = _negated(spelled)
            name = vocabulary.name_of(spelled if phrase is None else phrase)
            if name:
                (mapped.present if phrase is None else mapped.denied)[tag] = name
            else:
                mapped.left_out[tag] = "not in the vocabulary"
            if implied := vocabulary.name_of(_implied_absence(spelled)):
                mapped.denied[tag] = implied
        return mapped

    def read(self, raw: Iterable[str]) -> CanonicalTags:
        """Return the canonical tags of a track."""
        raw = tuple(raw)
        present = dict.fromkeys(self.present[tag] for tag in raw if tag in self.present)
        denied = dict.fromkeys(self.denied[tag] for tag in raw if tag in self.denied)
        implied = set(present).union(*map(self.vocabulary.ancestors, present))
        return CanonicalTags(
            tuple(present),
            tuple(tag for tag in denied if tag not in implied),
            tuple(tag for tag in denied if tag in implied),
        )


def read_tag_list(
    counts: Mapping[str, int], categories: Mapping[str, str] | None = None, min_count: int = 1
) -> TagList:
    """Build a vocabulary from raw tags.

    Args:
        counts: Number of tracks by raw tag.
        categories: Category by raw tag, if the source has them.
        min_count: Tags with fewer tracks, counting all variants, are left out.
    """
    present, denied, left_out = _sort(counts)
    groups: dict[str, list[str]] = {}
    for raw, key in present.items():
        groups.setdefault(key, []).append(raw)
    for key, raws in list(groups.items()):
        if sum(counts[raw] for raw in raws) < min_count:
            left_out |= dict.fromkeys(groups.pop(key), f"on fewer than {min_count} tracks")
    for phrase in denied.values():
        if _key(phrase) not in groups and _key(phrase) in _KNOWN:
            groups[_key(phrase)] = []  # occurs only as an absent tag
    names = {
        key: _NAMES.get(key) or surface(max(raws, key=lambda raw: counts[raw]))
        for key, raws in groups.items()
    }
    denied_names = {raw: names.get(_key(phrase)) for raw, phrase in denied.items()}
    left_out |= {
        raw: _NO_TAG_NEGATED
        for raw, name in denied_names.items()
        if not name and raw not in present
    }
    return TagList(
        _vocabulary(names, groups, categories or {}),
        {raw: names[key] for raw, key in present.items() if key in names},
        {raw: name for raw, name in denied_names.items() if name},
        left_out,
    )


def _sort(tags: Iterable[str]) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Return keys by raw tag, negated phrases by raw tag, and reasons to leave a raw tag out.

    A tag such as "instrumental" is present, and negates vocals.
    """
    present: dict[str, str] = {}
    denied: dict[str, str] = {}
    left_out: dict[str, str] = {}
    for raw in tags:
        spelled = surface(raw)
        phrase = _negated(spelled)
        if not words(spelled):
            left_out[raw] = "no word"
        elif phrase is None:
            present[raw] = _key(spelled)
            if implied := _implied_absence(spelled):
                denied[raw] = implied
        elif phrase:
            denied[raw] = phrase
        else:
            left_out[raw] = _NO_TAG_NEGATED
    return present, denied, left_out


def everyday_terms() -> Vocabulary:
    """Return a vocabulary of common instruments, voices and genres, for sources without tags."""
    return read_tag_list(dict.fromkeys((*INSTRUMENTS, *VOICES, *GENRES, *TERMS), 1)).vocabulary


def surface(raw: str) -> str:
    """Return a raw tag as it would be written in a caption: "no vocals" for "noVocals"."""
    spelled = raw if " " in raw.strip() else _CAMEL.sub(" ", raw)
    return " ".join(spelled.replace("_", " ").casefold().split())


def _singular(word: str) -> str:
    if len(word) <= 3 or word in KEEPS_S or not word.endswith("s") or word[-2] in "su0123456789":
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-2] if re.search(r"(?:ch|sh|x)es$", word) else word[:-1]


def _spelling(text: str) -> str:
    """Return a key that is equal for variants in number, spaces and hyphens."""
    return "".join(map(_singular, words(text)))


_MEANING = {_spelling(name): group[0] for group in SYNONYMS for name in reversed(group)} | SHORTENED


def _key(text: str) -> str:
    """Return a key that is equal for all names of a tag, including synonyms."""
    return _spelling(_MEANING.get(_spelling(text), text))


_NAMES = {_key(name): name for name in (*INSTRUMENTS, *VOICES, *TERMS)} | {
    _key(group[0]): group[0] for group in SYNONYMS
}
_KNOWN = _NAMES.keys() | {_key(name) for name in GENRES}


def _negated(spelled: str) -> str | None:
    """Return the phrase that a tag negates as a whole; None if it is not a negation.

    "" means that the tag negates, but not simply a phrase ("no other instruments").
    """
    negations = [n for n in find_negations(spelled) if n.kind not in ("pseudo", "lexical")]
    if not negations or min(negations[0].span[0], negations[0].phrase_span[0]) > 0:
        return None
    (first, *more) = negations
    whole = max(first.span[1], first.phrase_span[1]) == len(spelled)
    return first.phrase if first.kind == "absence" and whole and not more else ""


def _implied_absence(spelled: str) -> str:
    """Return what a tag says is absent besides itself: "vocals" for "instrumental"; "" for none."""
    names = (name for n in find_negations(spelled) if n.kind == "lexical" for name in n.names)
    return next(names, "")


def _vocabulary(
    names: Mapping[str, str], groups: Mapping[str, list[str]], categories: Mapping[str, str]
) -> Vocabulary:
    taken = {words(name) for name in names.values()}
    aliases: dict[str, list[str]] = {key: [] for key in names}

    def add(key: str, alias: str) -> None:
        if words(alias) not in taken:
            taken.add(words(alias))
            aliases[key].append(alias)

    synonyms = {_key(group[0]): group for group in SYNONYMS}
    for key, raws in groups.items():
        for spelled in map(surface, raws):
            if spelled not in SHORTENED:
                add(key, spelled)
    for key in names:
        for alias in synonyms.get(key, ()):
            add(key, alias)
    kinds = {key: _category(name, groups[key], categories) for key, name in names.items()}
    for key, name in names.items():
        if kinds[key] in ("instrument", "vocals"):
            singular = _singular(name)
            add(key, singular if singular != name else f"{name}s")
    tags = (
        Tag(
            name,
            kinds[key],
            _part_of_speech(name, kinds[key]),
            tuple(aliases[key]),
            tuple(dict.fromkeys(names[broad] for broad in _broader(name) if broad in names)),
        )
        for key, name in names.items()
    )
    return Vocabulary(tuple(sorted(tags, key=lambda tag: tag.name)))


def _broader(name: str) -> Iterable[str]:
    """Yield keys of possible broader tags, from the table and from the tag's last words."""
    yield from map(_key, BROADER.get(name, ()))
    parts = words(name)
    for start in range(1, len(parts)):
        head = _key(" ".join(parts[start:]))
        if head != _key(name) and _JOINS.isdisjoint(parts[start - 1 : start + 1]):
            yield head


def _category(name: str, raws: list[str], categories: Mapping[str, str]) -> str:
    given = [categories[raw] for raw in raws if raw in categories]
    if given:
        return given[0]
    parts = words(name)
    last = {parts[-1], _singular(parts[-1])}
    if name in VOICES:
        return "vocals"
    if last & INSTRUMENTS:
        return "instrument"
    if _DECADE.fullmatch(name):
        return "era"
    if parts[0] in _TEMPI or parts[-1] == "tempo":
        return "tempo"
    if last & GENRES or _spelling(name) in GENRES or GENRES & set(BROADER.get(name, ())):
        return "genre"
    return "mood" if is_adjective(parts) else "other"


def _part_of_speech(name: str, category: str) -> PartOfSpeech:
    if category in ("instrument", "vocals") or not is_adjective(words(name)):
        return "noun"
    return "adjective"
