"""Find negations in human-written captions and queries, and what they say is absent.

The rules of `negation.rules` find a cue ("no", "lacks", "is absent") and the noun phrases that it
governs; `negation.contexts` decides from the rest of the sentence whether the text denies them, or
says something else: that they come after the chorus, that another record has none, that the singer
wishes for some.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from negclap.text.negation import words as classes
from negclap.text.negation.contexts import context
from negclap.text.negation.cue import Cue, Found, Kind
from negclap.text.negation.grammar import NounPhrase, Passage, Span, normalise
from negclap.text.negation.nouns import CONCEPT_OF
from negclap.text.negation.patterns import PSEUDO
from negclap.text.negation.rules import RULES
from negclap.text.negation.trigger import ANY
from negclap.text.vocabulary import Vocabulary

__all__ = ["DENYING", "SURE", "Kind", "Negation", "Span", "denied_spans", "find_negations"]

DENYING: frozenset[Kind] = frozenset({"absence", "contrast", "lexical"})
"""Kinds of negation that make what they name absent."""
SURE = 0.9
"""Confidence of a denial from which on `prepare` believes it; so far it is 0.5 or 1."""


@dataclass(frozen=True, slots=True)
class Negation:
    """One negation in a text.

    Attributes:
        cue: The negating words, as written ("no", "does not have any").
        span: Character offsets of the cue, ``text[span[0]:span[1]]``.
        phrase: The negated phrase, as written ("drums, bass or vocals"); may be empty.
        kind: What the negation says; see the table in docs/data.md.
        tag: The first of ``names`` that is a tag or an everyday concept, if any.
        phrase_span: Character offsets of the phrase.
        names: What is negated, one by one and in lower case, without words that do not narrow it:
            ("drums", "bass") for "no audible drums or bass", ("lead guitar",) for "no lead guitar",
            ("vocals",) for "instrumental".
        confidence: How sure the kind is, between 0 and 1.
        doubt: Why it is not sure; "" if it is.
    """

    cue: str
    span: Span
    phrase: str
    kind: Kind
    tag: str | None
    phrase_span: Span
    names: tuple[str, ...]
    confidence: float
    doubt: str

    @property
    def denies(self) -> bool:
        """Whether the text surely says that ``names`` are absent."""
        return self.kind in DENYING and self.confidence >= SURE

    @property
    def leaves_present(self) -> bool:
        """Whether what the phrase names is there all the same: "doesn't bury the vocals"."""
        little = self.kind == "degree" and not _CLOSE_TO_NONE.search(self.cue.lower())
        word_only = self.kind == "lexical" and not self.phrase  # "instrumental"
        return little or word_only or self.kind in ("predicate", "double", "pseudo")


_CLOSE_TO_NONE = re.compile(r"\b(?:no|zero|none|without|devoid|bereft|absent|gone)\b|less|free")


def find_negations(caption: str, vocabulary: Vocabulary | None = None) -> list[Negation]:
    """Return all negations in a text from left to right, one per cue.

    Args:
        caption: Any text.
        vocabulary: Its tags are recognised besides common nouns of music, and ``tag`` is one of
            them; with None, ``tag`` is an everyday concept ("vocals" for "voices").
    """
    if not ANY.search(normalise(caption)):
        return []
    p = Passage(caption, vocabulary)
    found = [_judged(p, one) for one in _apply_rules(p, _windows(p.text))]
    negations = sorted((_negation(p, one, vocabulary) for one in found), key=lambda n: n.span)
    return _doubt_contradictions(p, negations)


def denied_spans(caption: str) -> list[Span]:
    """Return the spans of the phrases that a text denies, whether surely or not."""
    return [n.phrase_span for n in find_negations(caption) if n.kind in DENYING]


_SENTENCE_ENDS = re.compile(r"(?<=[.!])(?<!\bdr\.)\s+(?=[^\s\d])|(?<=\S)\s*\n\s*(?=\S)")
"""Not in "no. 2" and "drums? none"."""


def _windows(text: str) -> list[Span]:
    """Return the sentences that may have a negation; those that adjoin are one."""
    found: list[Span] = []
    start = 0
    for end in [*(match.start() for match in _SENTENCE_ENDS.finditer(text)), len(text)]:
        if ANY.search(text, start, end):
            first = found.pop()[0] if found and found[-1][1] == start else start
            found.append((first, end))
        start = end
    return found


def _apply_rules(p: Passage, windows: Sequence[Span]) -> Iterator[Found]:
    claimed = bytearray(len(p.text))  # 1 for each character of a cue or phrase
    for pattern, rule in RULES:
        for match in (m for window in windows for m in pattern.finditer(p.text, *window)):
            found = rule(Cue.of(p, match))
            if found is None or any(claimed[slice(*found.cue)]):
                continue
            _claim(claimed, found.cue)
            if found.phrases and found.kind in DENYING:
                _claim(claimed, p.span(found.phrases[0].start, found.phrases[-1].end))
            if pattern is PSEUDO:
                p.idioms.update(range(p.at(found.cue[0]), p.at(found.cue[1])))
            yield found


def _claim(claimed: bytearray, span: Span) -> None:
    claimed[slice(*span)] = b"\1" * (span[1] - span[0])


def _judged(p: Passage, found: Found) -> Found:
    """Return a denial as its context makes it; other kinds stay as they are."""
    if found.ignores_context or found.kind in ("pseudo", "degree", "double"):
        return found
    if _in_name(p, found.cue) or _is_foreign(p, found.cue):
        return found._replace(kind="pseudo")
    if found.kind not in DENYING:
        return found
    start = p.at(found.cue[0]) if found.start is None else found.start
    end = found.end
    if end is None:
        end = max([p.at(found.cue[1]), *(phrase.end for phrase in found.phrases)])
    if found.phrases and all(p.word(phrase.start) in classes.OTHERS for phrase in found.phrases):
        return found._replace(kind="relational")
    return found._replace(kind=context(p, start, end, found.kind) or found.kind)


def _in_name(p: Passage, cue: Span) -> bool:
    """Whether the cue is quoted, or part of a capitalised name: "songs like No Woman No Cry"."""
    first, after = p.at(cue[0]), p.at(cue[1])
    if p.is_quoted(first):
        return True
    if p.is_title_case:
        return False
    while p.word(after) in ("the", "a", "an"):
        after += 1
    opens = first == 0 or p.ends(first - 1) or p.word(first - 1) in ("-", '"')
    musical = p.in_term(after)
    if p.is_capital(first) and p.is_capital(after) and not p.original[slice(*cue)].isupper():
        return not (opens and musical)
    inside = p.is_capital(first - 1) and p.is_capital(after) and not p.ends(first - 1)
    return inside and (first > 1 or not musical)


def _is_foreign(p: Passage, cue: Span) -> bool:
    """Whether "no" stands among words of another language: "choro tocado no piano"."""
    first, after = p.at(cue[0]), p.at(cue[1])
    if p.word(first) not in ("no", "non", "sans", "nor"):
        return False
    english_plural = p.in_term(after) and p.word(after).endswith("s")
    if first == 0 or english_plural or p.word(first - 1) in _BEFORE_ENGLISH_NO:
        return False
    around = [*p.slice(first - 3, first), *p.slice(after, after + 4)]
    return any(w in classes.FOREIGN or not w.isascii() for w in around if w.isalpha())


_BEFORE_ENGLISH_NO = classes.word_set(
    "with has have uses use is are 's and or but , features contains"
)


def _negation(p: Passage, found: Found, vocabulary: Vocabulary | None) -> Negation:
    names = tuple(filter(None, (_name(p, phrase) for phrase in found.phrases)))
    if found.implied:
        names = (found.implied,)
        at = p.text.find(found.implied, *found.cue)
        span = (at, at + len(found.implied)) if at >= 0 else (found.cue[0], found.cue[0])
    elif found.phrases:
        span = p.span(found.phrases[0].start, found.phrases[-1].end)
    else:
        span = (found.cue[1], found.cue[1])
    return Negation(
        p.original[slice(*found.cue)],
        found.cue,
        p.original[slice(*span)],
        found.kind,
        _tag(names, vocabulary) if found.kind != "pseudo" else None,
        span,
        names,
        0.5 if found.doubt else 1.0,
        found.doubt,
    )


_ACTS = {
    "sing": "singing",
    "sings": "singing",
    "raps": "rapping",
    "hums": "humming",
    "whistles": "whistling",
}
"""Nouns of the verbs in "nobody sings"."""


def _name(p: Passage, phrase: NounPhrase) -> str:
    """Return a phrase without modifiers and heads that do not narrow it; a verb as its noun."""
    start, end = phrase.start, phrase.end
    while start < end - 1 and not p.starts_term(start):
        word = p.word(start)
        if word not in classes.OPEN_MODIFIERS and not word.endswith("ly"):
            break
        start += 1
    ends = [last for first, last in p.terms() if first >= start]
    while p.word(end - 1) in classes.LIGHT_HEADS and any(last < end for last in ends):
        end -= 1
        end -= p.word(end - 1) == "-"
    name = p.text_of(start, end)
    return _ACTS.get(name, name)


def _tag(names: Sequence[str], vocabulary: Vocabulary | None) -> str | None:
    """Return the tag or everyday concept of the first name that is one."""
    of = CONCEPT_OF.get if vocabulary is None else vocabulary.name_of
    bare = (" ".join(w for w in name.split() if w not in classes.OTHERS) for name in names)
    return next(filter(None, map(of, bare)), None)


def _doubt_contradictions(p: Passage, negations: list[Negation]) -> list[Negation]:
    """Doubt denials of what the text mentions again: "no bass, bass enters later"."""
    if not any(negation.kind in DENYING for negation in negations):
        return negations
    claimed = bytearray(len(p.text))
    for negation in negations:
        _claim(claimed, negation.span)
        _claim(claimed, negation.phrase_span)
    mentions: dict[str, list[int]] = {}
    for start, end in p.terms():
        if not any(claimed[slice(*p.span(start, end))]) and not p.is_quoted(start):
            name = p.text_of(start, end).removesuffix("s")
            mentions.setdefault(name, []).append(p.words[start].start)

    def is_contradicted(negation: Negation) -> bool:
        if negation.kind not in ("absence", "contrast"):
            return False
        before = p.text[max(0, negation.span[0] - _NEAR) : negation.span[1]]
        # "The blurb promises a choir, but there is no choir" is no contradiction
        since = negation.span[0] if _CORRECTED.search(before) else -1
        found = (at for name in negation.names for at in mentions.get(name.removesuffix("s"), ()))
        return any(at > since for at in found)

    return [
        replace(negation, confidence=0.5, doubt="mentioned again in the text")
        if is_contradicted(negation)
        else negation
        for negation in negations
    ]


_NEAR = 30  # characters
_CORRECTED = re.compile(r"\b(?:there|but|doesn't|does not)\b")
