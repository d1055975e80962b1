"""Tags: their names, aliases and relations, and where a caption mentions them.

Pure Python. Offsets are character offsets into the caption as it was given.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, get_args

from negclap.errors import InputError
from negclap.text.cues import PartOfSpeech

# A word is a run of letters, digits and combining marks; underscores separate.
_WORD = re.compile(r"[^\W_]+(?:[\u0300-\u036f]+[^\W_]*)*")
# What may stand between the words of one tag: "hip-hop", "r&b", "rock 'n' roll", "hip_hop".
_JOINERS = r"[\s_/&'\u2010\u2011\u2013\u2019-]+"
_WORD_ENDS = r"(?![^\W_]|[\u0300-\u036f])"


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag of a vocabulary.

    Attributes:
        name: The canonical name, lower case.
        category: A free label ("instrument", "tempo"); tags of an exclusive category cannot
            hold together.
        part_of_speech: Decides which cues read well before it.
        aliases: Other surface forms of the same tag.
        broader: Names of more general tags ("guitar" for "electric guitar").
    """

    name: str
    category: str = "other"
    part_of_speech: PartOfSpeech = "noun"
    aliases: tuple[str, ...] = ()
    broader: tuple[str, ...] = ()


class Mention(NamedTuple):
    """A place ``caption[start:end]`` that names ``tag`` (the canonical name)."""

    tag: str
    start: int
    end: int


def words(text: str) -> tuple[str, ...]:
    """The case-folded words of ``text``."""
    return tuple(match.group().casefold() for match in _WORD.finditer(text))


@dataclass(frozen=True)
class Vocabulary:
    """A closed set of tags.

    Args:
        tags: The tags. Names and aliases must be unique as word sequences.
        exclusive: Categories of which a clip holds at most one tag ("tempo").

    Raises:
        InputError: On a duplicate surface form, an empty name or an unknown broader tag.
    """

    tags: tuple[Tag, ...]
    exclusive: frozenset[str] = frozenset()
    _by_name: dict[str, Tag] = field(init=False, repr=False, compare=False)
    _by_first_word: dict[str, list[tuple[re.Pattern[str], str]]] = field(
        init=False, repr=False, compare=False
    )
    _related: dict[str, frozenset[str]] = field(init=False, repr=False, compare=False)
    _held: dict[str, frozenset[str]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the surface forms and close the relations."""
        object.__setattr__(self, "_by_name", {tag.name: tag for tag in self.tags})
        object.__setattr__(self, "_by_first_word", self._index_surfaces())
        object.__setattr__(self, "_related", self._close_relations())
        object.__setattr__(self, "_held", self._find_held())

    def _index_surfaces(self) -> dict[str, list[tuple[re.Pattern[str], str]]]:
        seen: dict[tuple[str, ...], str] = {}
        for tag in self.tags:
            for surface in (tag.name, *tag.aliases):
                key = words(surface)
                if not key:
                    raise InputError(f"tag {tag.name!r}: surface form {surface!r} holds no word")
                if key in seen:
                    raise InputError(
                        f"tag {tag.name!r}: surface form {surface!r} already names {seen[key]!r}"
                    )
                seen[key] = tag.name
        index: dict[str, list[tuple[re.Pattern[str], str]]] = {}
        for key in sorted(seen, key=len, reverse=True):
            rest = "".join(_JOINERS + re.escape(word) for word in key[1:])
            pattern = re.compile(rest + _WORD_ENDS, re.IGNORECASE)
            index.setdefault(key[0], []).append((pattern, seen[key]))
        return index

    def _close_relations(self) -> dict[str, frozenset[str]]:
        ancestors = {tag.name: self._ancestors(tag) for tag in self.tags}
        related: dict[str, set[str]] = {name: {name} | up for name, up in ancestors.items()}
        for name, up in ancestors.items():
            for ancestor in up:
                related[ancestor].add(name)
        return {name: frozenset(names) for name, names in related.items()}

    def _find_held(self) -> dict[str, frozenset[str]]:
        """By tag, what `held_by` says of it alone."""
        inside = {
            tag.name: {
                name
                for surface in (tag.name, *tag.aliases)
                for word in _WORD.finditer(surface)
                for name in self._starting_at(surface, word.start())
            }
            for tag in self.tags
        }
        return {
            name: related.union(*(inside[other] for other in related))
            for name, related in self._related.items()
        }

    def _starting_at(self, text: str, at: int) -> set[str]:
        word = _WORD.match(text, at)
        entries = self._by_first_word.get(word.group().casefold(), ()) if word else ()
        return {name for rest, name in entries if word and rest.match(text, word.end())}

    def _ancestors(self, tag: Tag) -> set[str]:
        found: set[str] = set()
        frontier = [tag]
        while frontier:
            for name in frontier.pop().broader:
                if name not in self._by_name:
                    raise InputError(
                        f"tag {tag.name!r}: broader tag {name!r} is not in the vocabulary"
                    )
                if name not in found:
                    found.add(name)
                    frontier.append(self._by_name[name])
        return found - {tag.name}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Canonical names, in the vocabulary's order."""
        return tuple(tag.name for tag in self.tags)

    def __len__(self) -> int:
        """Number of tags."""
        return len(self.tags)

    def __contains__(self, name: object) -> bool:
        """Whether ``name`` is the canonical name of a tag."""
        return name in self._by_name

    def __getitem__(self, name: str) -> Tag:
        """The tag with the canonical name ``name``."""
        return self._by_name[name]

    def find(self, caption: str) -> list[Mention]:
        """Whole-word mentions of tags in ``caption``, case-blind, from left to right.

        The longest tag wins where tags overlap: "electric guitar" is one mention, never also
        "guitar". Words of one tag may be joined by a space, hyphen, slash, ampersand or
        apostrophe, never by other punctuation.
        """
        found: list[Mention] = []
        past = 0
        for match in _WORD.finditer(caption):
            entries = self._by_first_word.get(match.group().casefold())
            if entries is None or match.start() < past:
                continue
            for rest, name in entries:
                end = rest.match(caption, match.end())
                if end is not None:
                    past = end.end()
                    found.append(Mention(name, match.start(), past))
                    break
        return found

    def related(self, name: str) -> frozenset[str]:
        """The tag itself with all its broader and narrower tags."""
        return self._related.get(name) or frozenset((name,))

    def ancestors(self, name: str) -> frozenset[str]:
        """The more general tags of a tag, without itself."""
        return frozenset(self._ancestors(self._by_name[name]))

    def held_by(self, names: Iterable[str]) -> set[str]:
        """Every tag that a text holds that mentions ``names``.

        These tags, their broader and narrower ones, and the tags whose words stand inside theirs
        ("guitar" in "bass guitar").
        """
        return set().union(*(self._held.get(name) or (name,) for name in names))

    def excludes(self, one: str, other: str) -> bool:
        """Whether the two tags cannot both hold, or one follows from the other."""
        if other in self.related(one):
            return True
        category = self._by_name[one].category
        return category in self.exclusive and category == self._by_name[other].category

    def save(self, path: Path) -> None:
        """Write the vocabulary as JSON."""
        data = {"exclusive": sorted(self.exclusive), "tags": [asdict(tag) for tag in self.tags]}
        path.write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """Read a vocabulary that `save` wrote.

        Raises:
            InputError: If the file is missing, no JSON, or holds a malformed tag.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(f"{path}: no vocabulary there") from None
        except json.JSONDecodeError as error:
            raise InputError(f"{path}:{error.lineno}: not JSON ({error.msg})") from None
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: not UTF-8 ({error.reason} at byte {error.start})") from None
        try:
            tags = tuple(_parse_tag(entry) for entry in data["tags"])
            return cls(tags, frozenset(_words(data, "exclusive")))
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: not a vocabulary ({error!r})") from None


def _parse_tag(entry: dict[str, Any]) -> Tag:
    tag = Tag(
        entry["name"],
        entry.get("category", "other"),
        entry.get("part_of_speech", "noun"),
        _words(entry, "aliases"),
        _words(entry, "broader"),
    )
    if tag.part_of_speech not in get_args(PartOfSpeech):
        raise InputError(
            f"tag {tag.name!r}: part_of_speech is {tag.part_of_speech!r}, "
            f"expected one of {get_args(PartOfSpeech)}"
        )
    return tag


def _words(entry: dict[str, Any], field: str) -> tuple[str, ...]:
    words = entry.get(field, [])
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise TypeError(f"{field} is {words!r:.60}, expected a list of strings")
    return tuple(words)
