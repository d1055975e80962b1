"""Tags with their aliases and hierarchy, and a matcher that finds them in captions.

All offsets are character offsets into the caption as given.
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
# Separators between the words of a tag: "hip-hop", "r&b", "rock 'n' roll", "hip_hop".
_JOINERS = r"[\s_/&'\u2010\u2011\u2013\u2019-]+"
_WORD_ENDS = r"(?![^\W_]|[\u0300-\u036f])"


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag of a vocabulary.

    Attributes:
        name: The canonical name, lower case.
        category: Any label; tags of an exclusive category ("tempo") exclude each other.
        part_of_speech: Decides which cues can negate the tag.
        aliases: Other surface forms.
        broader: Names of broader tags ("guitar" for "electric guitar").
    """

    name: str
    category: str = "other"
    part_of_speech: PartOfSpeech = "noun"
    aliases: tuple[str, ...] = ()
    broader: tuple[str, ...] = ()


class Mention(NamedTuple):
    """A mention of the tag with canonical name ``tag`` at ``caption[start:end]``."""

    tag: str
    start: int
    end: int


def words(text: str) -> tuple[str, ...]:
    """Return the case-folded words of ``text``."""
    return tuple(match.group().casefold() for match in _WORD.finditer(text))


@dataclass(frozen=True)
class Vocabulary:
    """A closed set of tags.

    Args:
        tags: The tags. Names and aliases must be unique as word sequences.
        exclusive: Categories of which a clip has at most one tag ("tempo").

    Raises:
        InputError: If a surface form is a duplicate or has no words, or a broader tag is unknown.
    """

    tags: tuple[Tag, ...]
    exclusive: frozenset[str] = frozenset()
    _by_name: dict[str, Tag] = field(init=False, repr=False, compare=False)
    _by_first_word: dict[str, list[tuple[re.Pattern[str], str]]] = field(
        init=False, repr=False, compare=False
    )
    _related: dict[str, frozenset[str]] = field(init=False, repr=False, compare=False)
    _overlapping: dict[str, frozenset[str]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the surface forms and compute the transitive closure of the hierarchy."""
        object.__setattr__(self, "_by_name", {tag.name: tag for tag in self.tags})
        object.__setattr__(self, "_by_first_word", self._index_surfaces())
        object.__setattr__(self, "_related", self._close_relations())
        object.__setattr__(self, "_overlapping", self._find_overlapping())

    def _index_surfaces(self) -> dict[str, list[tuple[re.Pattern[str], str]]]:
        seen: dict[tuple[str, ...], str] = {}
        for tag in self.tags:
            for surface in (tag.name, *tag.aliases):
                key = words(surface)
                if not key:
                    raise InputError(f"tag {tag.name!r}: surface form {surface!r} has no words")
                if key in seen:
                    raise InputError(
                        f"tag {tag.name!r}: surface form {surface!r} is also one of {seen[key]!r}"
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
        return {
            name: frozenset({name, *up, *(low for low in ancestors if name in ancestors[low])})
            for name, up in ancestors.items()
        }

    def _find_overlapping(self) -> dict[str, frozenset[str]]:
        """Return `overlapping` for each tag alone."""
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
        """The canonical names, in the vocabulary's order."""
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
        """Return the mentions of tags in ``caption`` from left to right.

        Matching is by whole words and ignores case. The longest tag wins: "electric guitar" is one
        mention, not also "guitar". The words of a tag may be joined by spaces, hyphens, slashes,
        ampersands or apostrophes, but not by other punctuation.
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
        """Return the tag itself and all its broader and narrower tags."""
        return self._related.get(name) or frozenset((name,))

    def ancestors(self, name: str) -> frozenset[str]:
        """Return all broader tags of a tag, without the tag itself."""
        return frozenset(self._ancestors(self._by_name[name]))

    def overlapping(self, names: Iterable[str]) -> set[str]:
        """Return the tags themselves, their broader and narrower tags, and those in their words.

        "guitar" is in the words of "bass guitar".
        """
        return set().union(*(self._overlapping.get(name) or (name,) for name in names))

    def excludes(self, one: str, other: str) -> bool:
        """Whether two tags exclude each other, or one implies the other."""
        mine, theirs = self._by_name[one].category, self._by_name[other].category
        return other in self.related(one) or mine == theirs in self.exclusive

    def save(self, path: Path) -> None:
        """Write the vocabulary as JSON."""
        data = {"exclusive": sorted(self.exclusive), "tags": [asdict(tag) for tag in self.tags]}
        path.write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """Read a vocabulary written by `save`.

        Raises:
            InputError: If the file is missing, not JSON, or contains a malformed tag.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(f"{path}: vocabulary file not found") from None
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
