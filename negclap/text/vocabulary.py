"""Tags with their aliases and hierarchy, and a matcher that finds them in captions.

All offsets are character offsets into the caption as given.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple, get_args

from negclap.errors import InputError
from negclap.text.cues import PartOfSpeech

# A word is a run of letters, digits and combining marks; underscores separate.
_WORD = re.compile(r"[^\W_]+(?:[\u0300-\u036f]+[^\W_]*)*")
# Separators between the words of a tag: "hip-hop", "r&b", "rock 'n' roll", "hip_hop".
_JOINERS = r"[\s_/&'\u2010\u2011\u2013\u2019-]+"
_WORD_ENDS = r"(?![^\W_]|[\u0300-\u036f])"
_MOST_RECENT = 4096  # captions


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
    """A closed set of tags, and the categories of which a clip has at most one tag ("tempo").

    Raises:
        InputError: If a name or alias is a duplicate as a word sequence or has no words, or a
            broader tag is unknown.
    """

    tags: tuple[Tag, ...]
    exclusive: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Index the surface forms and the hierarchy, which checks both."""
        _ = self._by_first_word, self._related

    @cached_property
    def _by_name(self) -> dict[str, Tag]:
        return {tag.name: tag for tag in self.tags}

    @cached_property
    def _by_first_word(self) -> dict[str, list[tuple[str, str]]]:
        """The further words of each surface form, the longest first, and its tag."""
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
        index: dict[str, list[tuple[str, str]]] = {}
        for key in sorted(seen, key=len, reverse=True):
            rest = "".join(_JOINERS + re.escape(word) for word in key[1:])
            index.setdefault(key[0], []).append((rest + _WORD_ENDS, seen[key]))
        return index

    @cached_property
    def _patterns(self) -> dict[str, list[tuple[re.Pattern[str], str]]]:
        """`_by_first_word`, compiled when a word is first met: a thousand tags take .3 s."""
        return {}

    @cached_property
    def _recent(self) -> dict[str, tuple[Mention, ...]]:
        """What `find` found: a caption is searched once for all texts that are made of it."""
        return {}

    def _patterns_of(self, word: str) -> list[tuple[re.Pattern[str], str]]:
        forms = self._by_first_word[word]
        patterns = [(re.compile(rest, re.IGNORECASE), name) for rest, name in forms]
        self._patterns[word] = patterns
        return patterns

    @cached_property
    def _related(self) -> dict[str, frozenset[str]]:
        ancestors = {tag.name: self._ancestors(tag) for tag in self.tags}
        related = {name: {name} | up for name, up in ancestors.items()}
        for name, up in ancestors.items():
            for ancestor in up:
                related[ancestor].add(name)
        return {name: frozenset(names) for name, names in related.items()}

    @cached_property
    def _overlapping(self) -> dict[str, frozenset[str]]:
        """`overlapping` for each tag alone."""
        inside = {
            tag.name: {
                name
                for surface in (tag.name, *tag.aliases)
                for word in _WORD.finditer(surface)
                for name, _ in self._matches(surface, word)
            }
            for tag in self.tags
        }
        return {
            name: related.union(*(inside[other] for other in related))
            for name, related in self._related.items()
        }

    def _matches(self, text: str, word: re.Match[str]) -> Iterator[tuple[str, int]]:
        """Yield name and end of the tags that start with a word of ``text``, the longest first."""
        first = word.group().casefold()
        if first not in self._by_first_word:
            return
        for rest, name in self._patterns.get(first) or self._patterns_of(first):
            if match := rest.match(text, word.end()):
                yield name, match.end()

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
        mention, not also "guitar". The words of a tag may be joined by spaces, or any of ``-/&'_``.
        """
        found = self._recent.get(caption)
        if found is None:
            if len(self._recent) >= _MOST_RECENT:
                self._recent.clear()
            found = self._recent[caption] = tuple(self._search(caption))
        return list(found)

    def _search(self, caption: str) -> Iterator[Mention]:
        past = 0
        for word in _WORD.finditer(caption):
            longest = next(self._matches(caption, word), None) if word.start() >= past else None
            if longest:
                name, past = longest
                yield Mention(name, word.start(), past)

    def name_of(self, text: str) -> str | None:
        """Return the tag that ``text`` is a name of, in singular or plural; None for a part of it.

        "guitars" is a name of "guitar", "lead guitar" is not.
        """
        for name in (text, f"{text}s", text.removesuffix("s")):
            for mention in self.find(name):
                if (mention.start, mention.end) == (0, len(name)):
                    return mention.tag
        return None

    def related(self, name: str) -> frozenset[str]:
        """Return the tag itself and all its broader and narrower tags."""
        return self._related.get(name) or frozenset((name,))

    def ancestors(self, name: str) -> frozenset[str]:
        """Return all broader tags of a tag, without the tag itself."""
        return frozenset(self._ancestors(self._by_name[name]))

    def overlapping(self, names: Iterable[str]) -> set[str]:
        """Return all tags whose meaning or words overlap with one of ``names``.

        These are the tags, their broader and narrower tags, and the tags that those contain as
        words ("guitar" in "bass guitar").
        """
        return set().union(*(self._overlapping.get(name) or (name,) for name in names))

    def excludes(self, one: str, other: str) -> bool:
        """Whether two tags exclude each other, or one implies the other."""
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
        """Read a vocabulary written by `save`, or raise an `InputError`."""
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


@cache
def music_vocabulary() -> Vocabulary:
    """Return a general vocabulary of instruments, voices, genres, moods, tempi and production.

    Written for negclap; it has the licence of the code.
    """
    return Vocabulary.load(Path(__file__).with_name("music_vocabulary.json"))


def _parse_tag(entry: dict[str, Any]) -> Tag:
    name, kind, allowed = entry["name"], entry.get("part_of_speech", "noun"), get_args(PartOfSpeech)
    aliases, broader = _words(entry, "aliases"), _words(entry, "broader")
    if kind not in allowed:
        raise InputError(f"tag {name!r}: part_of_speech is {kind!r}, expected one of {allowed}")
    return Tag(name, entry.get("category", "other"), kind, aliases, broader)


def _words(entry: dict[str, Any], field: str) -> tuple[str, ...]:
    words = entry.get(field, [])
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise TypeError(f"{field} is {words!r:.60}, expected a list of strings")
    return tuple(words)
