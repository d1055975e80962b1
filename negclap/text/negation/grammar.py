"""A shallow analysis of English text: words, clauses, musical terms and noun phrases.

Positions are indices of words; punctuation marks are words too. The words are in lower case, with
plain quotes and hyphens.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

from negclap.text.negation import words as classes
from negclap.text.negation.nouns import music_nouns
from negclap.text.vocabulary import Vocabulary

Span = tuple[int, int]
"""Character offsets of a part of a text."""

_PLAIN = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u02bc`\u00b4", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2212", "-"),
        **dict.fromkeys("\u2014\u2015", ";"),
        **dict.fromkeys(map(chr, range(0x300, 0x370)), "\u02d0"),  # marks are parts of a word
        "_": " ",
    }
)
_WORD = re.compile(
    r"w/o(?!\w)|w/out\b|n/a\b|'s\b(?<=\w's)"
    r"|[^\W_]+(?:'(?!s\b)[^\W_]+)*|\n|[^\s\w]|_"
)
_BREAKS = frozenset(".!?;:\n()[]|\u2022\u2026")
_QUOTED = re.compile(r"(?:^|[\s(])[\"'](?=[^\W\d_])([^\"]{2,60}?)[\"'](?!\w)")
_SUNG = re.compile(
    r"\b(?:singers?|rapper|he|she) (?:sings|raps|croons|narrates)"
    r"|\b(?:male|female) (?:vocal|singer|voice)"
)
_CONTRACTION = re.compile(r"\w+n't|\w+'(?:re|ve|ll|d|m)")
_LONGEST_TERM = 3  # words


class Word(NamedTuple):
    """A word or punctuation mark, at ``text[start:end]``."""

    text: str
    start: int
    end: int


class NounPhrase(NamedTuple):
    """Words ``start`` to ``end`` (exclusive); ``term`` is the first word of its musical term."""

    start: int
    end: int
    term: int | None


def normalise(text: str) -> str:
    """Return the text in lower case with plain quotes and hyphens, of the same length."""
    lower = text.lower()
    if len(lower) != len(text):  # a few capitals have two letters in lower case
        lower = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    return lower.translate(_PLAIN)


class Passage:
    """A text as words, with its musical terms.

    Attributes:
        original: The text as given.
        text: The normalised text; offsets are the same.
        words: The words of ``text``.
        idioms: Words that are part of idioms; they negate nothing.
    """

    def __init__(self, original: str, vocabulary: Vocabulary | None = None) -> None:
        """Split a text into words; the tags of a vocabulary are musical terms too."""
        self.original = original
        self.text = normalise(original)
        self.words = [Word(m.group(), *m.span()) for m in _WORD.finditer(self.text)]
        self._starts = [word.start for word in self.words]
        self.idioms: set[int] = set()
        self._vocabulary = vocabulary

    def at(self, offset: int) -> int:
        """Return the index of the first word that starts at or after a character offset."""
        return bisect_left(self._starts, offset)

    def word(self, i: int) -> str:
        """Return word ``i``; "" outside of the text."""
        return self.words[i].text if 0 <= i < len(self.words) else ""

    def slice(self, start: int, end: int) -> list[str]:
        """Return the words from ``start`` to ``end`` (exclusive)."""
        return [word.text for word in self.words[max(0, start) : max(0, end)]]

    def span(self, start: int, end: int) -> Span:
        """Return the character offsets of words ``start`` to ``end`` (exclusive, not empty)."""
        return self.words[start].start, self.words[end - 1].end

    def text_of(self, start: int, end: int) -> str:
        """Return the text of words ``start`` to ``end`` (exclusive), "" if there are none."""
        end = min(end, len(self.words))
        return self.text[slice(*self.span(start, end))] if start < end else ""

    def joined(self, i: int) -> bool:
        """Whether word ``i`` directly follows the word before it, without a space."""
        return 0 < i < len(self.words) and self.words[i].start == self.words[i - 1].end

    def ends(self, i: int) -> bool:
        """Whether word ``i`` is past the end, or ends a clause ("no. 2" and "lo-fi" do not)."""
        word = self.word(i)
        if word in ("-", "/"):
            return not (self.joined(i) or self.joined(i + 1))
        return not word or (word in _BREAKS and not (word == "." and self._before_digit(i)))

    def _before_digit(self, i: int) -> bool:
        return self.joined(i) and self.joined(i + 1) and self.word(i + 1).isdigit()

    def clause(self, i: int) -> tuple[int, int]:
        """Return the words ``start`` to ``end`` (exclusive) of the clause around word ``i``."""
        return self._clauses[min(max(i, 0), len(self.words))]

    @cached_property
    def _clauses(self) -> list[tuple[int, int]]:
        """The clause of each word, and of the end of the text."""
        n, start, starts = len(self.words), 0, []
        for i in range(n + 1):
            starts.append(start)
            start = i + 1 if self.ends(i) else start
        end, ends = n, [n] * (n + 1)
        for i in range(n - 1, -1, -1):
            end = i if self.ends(i) else end
            ends[i] = end
        return list(zip(starts, ends, strict=True))

    @cached_property
    def _quoted(self) -> list[Span]:
        """Character offsets of what stands in quotes."""
        return [match.span(1) for match in _QUOTED.finditer(self.text)]

    def is_quoted(self, i: int) -> bool:
        """Whether word ``i`` stands in quotes."""
        offset = self.words[i].start
        at = bisect_right(self._quoted, (offset, len(self.text)))
        return at > 0 and offset < self._quoted[at - 1][1]

    def is_capital(self, i: int) -> bool:
        """Whether word ``i`` is written with a capital letter."""
        return 0 <= i < len(self.words) and self.original[self.words[i].start].isupper()

    @cached_property
    def is_title_case(self) -> bool:
        """Whether all words are capitalised, except function words."""
        content = [i for i, word in enumerate(self.words) if word.text[0].isalpha()]
        capital = (self.is_capital(i) or self.word(i) in classes.STOPS for i in content)
        return len(content) > 2 and all(capital)

    @cached_property
    def is_sung(self) -> bool:
        """Whether the text says that somebody sings."""
        return _SUNG.search(self.text) is not None

    def is_noun(self, noun: str) -> bool:
        """Whether a noun is musical, in singular or plural."""
        known = self._vocabulary is not None and self._vocabulary.name_of(noun) is not None
        return known or not music_nouns().isdisjoint((noun, f"{noun}s"))

    @cached_property
    def _terms(self) -> dict[int, int]:
        """Ends of the musical terms by their first word; the longest win, and none overlap."""
        nouns, found = music_nouns(), dict[int, int]()
        text = self.text.replace("-", " ")
        for i, word in enumerate(self.words):
            for last in self.words[i : i + _LONGEST_TERM][::-1]:
                if text[word.start : last.end] in nouns:
                    found[i] = self.at(last.start) + 1
                    break
        for mention in self._vocabulary.find(self.original) if self._vocabulary else ():
            start = self.at(mention.start)
            found[start] = max(found.get(start, 0), self.at(mention.end))
        terms, past = dict[int, int](), 0
        for start in sorted(found):
            if start >= past:
                past = terms[start] = found[start]
        return terms

    def terms(self) -> Iterator[tuple[int, int]]:
        """Yield first word and end of each musical term."""
        return iter(self._terms.items())

    def starts_term(self, i: int) -> bool:
        """Whether a musical term starts at word ``i``."""
        return i in self._terms

    def in_term(self, i: int) -> bool:
        """Whether word ``i`` is part of a musical term."""
        return i in self._in_terms

    @cached_property
    def _in_terms(self) -> set[int]:
        return {i for start, end in self._terms.items() for i in range(start, end)}

    def is_musical(self, phrases: Sequence[NounPhrase]) -> bool:
        """Whether one of the phrases has a musical term."""
        return any(phrase.term is not None for phrase in phrases)

    def noun_phrase(self, i: int) -> NounPhrase | None:
        """Return the noun phrase at word ``i``, without determiners; None if there is none.

        It ends after its first musical term, unless the next word makes a compound of it: in
        "no vocals piano chill" the phrase is "vocals", in "no guitar solo" it is "guitar solo".
        """
        start = i = self.skip_determiners(i)
        term: int | None = None
        while i < len(self.words):
            if i in self._terms:
                leads = term is not None and self.word(i - 1) in classes.LEADING
                if term is not None and not leads and not self._continues(i):
                    break
                term = i if term is None else term
                i = self._terms[i]
            elif self._is_nominal(i, i > start) and (term is None or self._continues(i)):
                i += 1
                if term is None and self._is_plural(i - 1) and self.word(i) != "-":
                    break  # "no scrubs acoustic guitar"
            else:
                break
        return NounPhrase(start, i, term) if i > start else None

    def skip_determiners(self, i: int) -> int:
        """Return the index after "any", "a single", "a trace of" and the like."""
        while True:
            word, following = self.word(i), self.word(i + 1)
            hyphenated = following == "-" and self.joined(i + 1)
            if word in classes.DETERMINERS and not hyphenated and i not in self._terms:
                i += 1
            elif (word in classes.PARTITIVES and following in ("of", "from")) or (
                word in classes.UNITS
                and following == "of"
                and self.word(i + 2)
                not in (
                    "the",
                    "his",
                    "her",
                    "its",
                )
            ):
                i += 2
            elif self.slice(i, i + 3) == ["so", "much", "as"]:
                i += 3
            elif self.slice(i, i + 4) == ["in", "the", "way", "of"]:
                i += 4
            else:
                return i

    def _continues(self, i: int) -> bool:
        """Whether word ``i`` makes a compound of the musical term before it."""
        word = self.word(i)
        if word == "-":
            return self.joined(i) and self.joined(i + 1)
        if self.word(i - 1) == "-" and self.joined(i):
            return True
        if self._is_plural(i - 1):
            return False
        return word in classes.PARTS or self._is_unknown_head(i)

    def _is_unknown_head(self, i: int) -> bool:
        """Whether a plural ends the phrase: "drum calls", not "instrument overpowers the voice"."""
        word, following = self.word(i), self.word(i + 1)
        noun = (
            word.isalpha()
            and self._is_plural(i)
            and word not in classes.STOPS | classes.PRESENCE_VERBS
        )
        closes = following in (classes.PREPOSITIONS - {"to"}) | classes.BE | {"and", "or", "here"}
        return noun and i not in self._terms and (closes or not following[:1].isalnum())

    def _is_plural(self, i: int) -> bool:
        word = self.word(i)
        plural = word[:1].isalnum() and word.endswith("s") and not word.endswith(("ss", "us"))
        return plural and word not in classes.SINGULAR_IN_S

    def _is_nominal(self, i: int, begun: bool) -> bool:
        """Whether word ``i`` may be part of a noun phrase that has begun, or start one."""
        word = self.word(i)
        if word in ("-", "&"):
            return begun and self.joined(i) and self.joined(i + 1)
        if word == "'s":  # "children's choirs", not "it's"
            following = self.word(i + 1)
            noun = self.word(i - 1) not in classes.STOPS
            return begun and noun and following[:1].isalpha() and following not in classes.STOPS
        if not word[:1].isalnum() or _CONTRACTION.fullmatch(word):
            return False
        if begun and self.word(i - 1) == "-" and self.joined(i):
            return True
        return word not in classes.STOPS or (not begun and word in classes.STARTERS)

    def nominal_start(self, i: int, low: int) -> int:
        """Return the first word of the run of nouns and adjectives that ends before word ``i``."""
        while i > low and (self.in_term(i - 1) or self._is_nominal(i - 1, begun=True)):
            i -= 1
        return i

    def coordinated(self, i: int) -> list[NounPhrase]:
        """Return the noun phrases at word ``i`` that share what governs them.

        "or" extends through a list ("A, B or C"). "and" joins bare terms only, and not after a
        comma: "no A, B and C" goes on with what is there, and so does "no A and a soft B".
        """
        first = self.noun_phrase(i)
        if first is None:
            return []
        both = self.word(i) in ("both", "either")
        found, pending, at = [first], list[NounPhrase](), first.end
        while True:
            comma = self.word(at) == ","
            joint = at + comma if self.word(at + comma) in ("or", "nor", "and") else at
            word = self.word(joint)
            if word in ("or", "nor"):
                phrase = self.noun_phrase(
                    joint + 1 + (self.word(joint + 1) in ("of", "from", "in"))
                )
                if phrase is None or self.word(phrase.start) in classes.OTHERS:
                    return found
            elif word in ("and", "&", "/", "+") and not self.ends(joint):
                phrase = self.noun_phrase(joint + 1 + (self.word(joint + 1) == "of"))
                if phrase is None or pending or comma:
                    return found
                bare = phrase.start == joint + 1 == phrase.term
                the = self.word(i) == self.word(joint + 1) == "the"
                of = self.word(joint + 1) == "of"
                if not (bare or both or of or the) or not self._closes(phrase.end):
                    return found
            elif word == ",":
                phrase = self.noun_phrase(joint + 1)
                if phrase is None:
                    return found
                pending.append(phrase)
                at = phrase.end
                continue
            else:
                return found
            found += [*pending, phrase]
            pending, at = [], phrase.end

    def _closes(self, i: int) -> bool:
        """Whether no verb of a new clause follows: "no drums and strings carry the tune"."""
        word = self.word(i)
        verb = word in classes.VERBS | classes.BE | classes.HAVE | classes.MODALS
        known = word in classes.STOPS - classes.DETERMINERS or i in self._terms
        return self.ends(i) or not word[0].isalnum() or (known and not verb) or word.endswith("ly")
