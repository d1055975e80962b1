"""Cues, and what rules find at them."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

from negclap.text.negation.grammar import NounPhrase, Passage, Span
from negclap.text.negation.words import word_set

Kind = Literal[
    "absence",
    "contrast",
    "lexical",
    "relational",
    "partial",
    "degree",
    "wish",
    "topic",
    "comparison",
    "predicate",
    "double",
    "pseudo",
]


class Found(NamedTuple):
    """A negation before its context is judged.

    Attributes:
        cue: Character offsets of the cue.
        kind: The kind that the negation has if its context does not change it.
        phrases: The noun phrases that are negated.
        implied: What a word such as "instrumental" or "drumless" denies.
        start: First word of the negation, if that is not the cue.
        end: Word after the negation, if that does not follow from cue and phrases.
        doubt: Why the negation may be misread; "" if it is sure.
        ignores_context: Whether the rest of the sentence does not matter: labels, lists and signs.
    """

    cue: Span
    kind: Kind
    phrases: Sequence[NounPhrase] = ()
    implied: str | None = None
    start: int | None = None
    end: int | None = None
    doubt: str = ""
    ignores_context: bool = False


class Cue(NamedTuple):
    """A match of a pattern, with the first word of the cue and the word after it."""

    p: Passage
    match: re.Match[str]
    span: Span
    first: int
    after: int

    @classmethod
    def of(cls, p: Passage, match: re.Match[str]) -> "Cue":
        """Locate a match in the words of a passage."""
        text = match.group()
        span = match.end() - len(text.lstrip()), match.start() + len(text.rstrip())
        return cls(p, match, span, p.at(span[0]), p.at(span[1]))

    def word(self, offset: int) -> str:
        """Return a word by its distance to the first word of the cue (-1: the word before)."""
        return self.p.word(self.first + offset)

    def found(self, kind: Kind, phrases: Sequence[NounPhrase] = (), **more: Any) -> Found:
        """Return what the cue negates."""
        return Found(self.span, kind, phrases, **more)

    def objects(self) -> list[NounPhrase]:
        """Return the noun phrases after the cue."""
        i = self.after
        i += self.p.word(i) == "-" and self.p.joined(i)  # "no-vocals mix"
        if self.p.word(i) == "anything" and self.p.word(i + 1) in HAVING_IT:
            i += 2
        return self.p.coordinated(i)


Rule = Callable[[Cue], Found | None]
"""Judges a match of a pattern; None if it is no cue."""
HAVING_IT = word_set("with containing featuring using including")
