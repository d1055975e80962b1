"""Rules for cues that stand after what they negate: "The drums are absent", "vocals: none"."""

import re

from negclap.text.negation import patterns
from negclap.text.negation import words as classes
from negclap.text.negation.cue import Cue, Found, Kind
from negclap.text.negation.grammar import NounPhrase, Passage
from negclap.text.negation.nouns import CONCEPT_OF
from negclap.text.negation.objects import is_keywords
from negclap.text.negation.words import word_set


def absent(cue: Cue) -> Found | None:
    """Absence of the subject: "The drums are absent", "Vocals never come in"."""
    p, phrases = cue.p, _musical_subjects(cue.p, cue.first)
    if not phrases or _is_excepted(p, phrases[0].start):
        return None
    bare = re.fullmatch(patterns.REMOVED, cue.match.group())
    if bare and not (_is_closed(cue) and _is_participle(cue)):
        return None  # "music lacking drums", "The band abandoned vocals", "a techno cut"
    if cue.match["word"] in _TRANSITIVE and p.word(cue.after) in ("any", "a", "an"):
        return None  # "The percussion does not play any cymbals"
    kind = _kind_of_cue(cue, phrases) or _kind_after(cue)
    return cue.found(kind or "absence", phrases, start=phrases[0].start, end=cue.after)


def _is_excepted(p: Passage, i: int) -> bool:
    """Whether it is "everything but the drums", or "the instrument" that was named before."""
    excepted = p.word(i - 1) in ("but", "except") and not {"everything", "all"}.isdisjoint(
        p.slice(i - 4, i)
    )
    return excepted or (p.word(i - 1) == "the" and p.word(i) == "instrument")


def _kind_of_cue(cue: Cue, phrases: list[NounPhrase]) -> Kind | None:
    """Return the kind that cue and subject make of it; None if they deny."""
    p, text = cue.p, cue.match.group()
    if re.search(r"\byet\b|^(?:has|have)\b.*(?:come|enter|join|appear|arrive)", text):
        return "partial"  # "has not entered" so far
    if cue.match["word"] in ("sing", "sings") and not any(_is_voice(p, x) for x in phrases):
        return "predicate"  # "the violins do not sing"
    if (cue.match.groupdict().get("adverb") or "").strip() in NEARLY:
        return "degree"
    subject = phrases[0].start
    while p.word(subject - 1) in classes.DETERMINERS:
        subject -= 1
    if cue.word(-1) in ("that", "which") and p.word(subject - 1) in _AFFIRMING:
        return "comparison"  # "includes the part that was cut from the single"
    return None


def _kind_after(cue: Cue) -> Kind | None:
    """Return the kind that the word after the cue makes of it; None if it denies."""
    p, word, end = cue.p, cue.match["word"], cue.after
    following = p.word(end)
    if following == "but":  # "nowhere but in the coda"
        return "relational"
    if following in ("without", "unless"):
        return "double"
    if following in classes.MANNERS or (following.endswith("ly") and following not in _FULLY):
        return "predicate"
    if word in _OTHER_USES and not _is_closed(cue):
        return "predicate"
    if word in ("heard", "played", "sung", "used", "featured") and following in _HOW:
        return None if _HERE.match(p.text_of(end, end + 4)) else "predicate"
    return None


def _is_closed(cue: Cue) -> bool:
    """Whether nothing follows that the cue could be about, other than a place or time."""
    following = cue.p.word(cue.after)
    return cue.p.ends(cue.after) or not following[0].isalnum() or following in _AFTER_ABSENT


def _is_participle(cue: Cue) -> bool:
    """Whether a cue without "is" is no noun: "with the drums cut", not "a techno cut"."""
    return cue.match.group() != "cut" or "with" in cue.p.slice(cue.first - 5, cue.first)


def _is_voice(p: Passage, phrase: NounPhrase) -> bool:
    return any(CONCEPT_OF.get(word) == "vocals" for word in p.slice(phrase.start, phrase.end))


_TRANSITIVE = word_set("play plays sing sings feature features")
_AFFIRMING = word_set("includes include has have features restores")
NEARLY = word_set("almost nearly mostly largely partly virtually practically")
_FULLY = word_set("entirely completely fully totally")
_HOW = word_set("in on by with as like to")
_HERE = re.compile(
    r"(?:in|on) (?:this|any|the (?:\w+ )?"
    r"(?:song|track|piece|recording|clip|music|mix|version|record|album|whole))\b"
)
_OTHER_USES = word_set(
    """gone missing cut dropped removed silent play plays sing sings sound sounds feature features
    stripped lost figure wiped"""
)
"""Predicates that say something else before other words: "sound dull", "missing some punch"."""
_AFTER_ABSENT = word_set(
    """now from in on here so and altogether completely entirely throughout as too this for during
    until at but after while anywhere of before"""
)


def _musical_subjects(p: Passage, i: int) -> list[NounPhrase]:
    """Return the subjects of a verb that are musical, or what its relative clause belongs to."""
    found = [phrase for phrase in _subjects(p, i) if phrase.term is not None]
    low = p.clause(i - 1)[0]
    if found or p.ends(i - 1):
        return found
    that = next((k for k in range(i - 1, low, -1) if p.word(k) in ("that", "which")), None)
    return [phrase for phrase in _subjects(p, that) if phrase.term is not None] if that else []


def _subjects(p: Passage, i: int) -> list[NounPhrase]:
    """Return the coordinated noun phrases that end before word ``i``, a verb."""
    low = p.clause(i - 1)[0]
    i, relative = _before_relative(p, i, low)
    i = _before_aside(p, i, low)
    while p.word(i - 1) in classes.ADVERBS or p.word(i - 1).endswith("ly"):
        i -= 1
    if p.word(i - 1) == "'s" and p.joined(i - 1):  # "the reverb's gone"
        i -= 1
    start = _subject_start(p, i, low)
    while start > low + 1 and p.word(start - 1) == "of":  # "the choir of the cast is absent"
        i = start - 1
        start = _subject_start(p, i, low)
    before = p.word(start - 1) if start > low else ""
    participle = before == "with" and re.match(patterns.REMOVED, p.text_of(i, i + 3))
    if before in ("with", "from", "by", "for", "to") and not (relative or participle):
        return []  # the object of a preposition: "a song with drums is absent"
    return _split(p, start, i)


def _split(p: Passage, start: int, i: int) -> list[NounPhrase]:
    """Return the noun phrases of a series from word ``start`` to ``i`` (exclusive)."""
    found = []
    while start < i:
        phrase = p.noun_phrase(start)
        if phrase is None or phrase.end > i:
            break
        found.append(phrase)
        start = phrase.end
        start += p.word(start) == ","
        joint = p.word(start) in ("and", "or", "nor", "&")
        if start < i and not joint and p.word(start - 1) != ",":
            return []
        start += joint
    return found


def _before_relative(p: Passage, i: int, low: int) -> tuple[int, bool]:
    """Skip back over "that one would expect": the subject of its verb is the noun before."""
    for k in range(i - 1, low, -1):
        if p.word(k) in ("that", "which", "who", "whom"):
            pronoun = p.word(k + 1) in classes.PRONOUNS | classes.BE
            if k == i - 1 or pronoun:
                return k - (p.word(k - 1) == ","), True
            break
    return i, False


def _before_aside(p: Passage, i: int, low: int) -> int:
    """Skip back over an aside between commas: "The fiddle, as is typical here, is absent"."""
    if p.word(i - 1) != ",":
        return i
    commas = [k for k in range(low, i - 1) if p.word(k) == ","]
    return commas[-1] if commas else i


def _subject_start(p: Passage, i: int, low: int) -> int:
    """Return the first word of the noun phrases that end before word ``i``."""
    start = i
    while start > low:
        noun = p.nominal_start(start, low)
        word = p.word(noun - 1) if noun > low else ""
        if word in classes.DETERMINERS:
            noun -= 1
            while p.word(noun - 1) in classes.DETERMINERS:
                noun -= 1
            if p.word(noun - 1) not in ("and", "or", "nor", "both"):
                start = noun
                break
            start = noun - 1
        elif word in ("and", "or", "nor", "&") or (
            word == "of" and p.word(noun - 2) in classes.PARTITIVES
        ):
            start = noun - 1
        else:
            start = noun
            break
    while p.word(start) in ("and", "or", "but", "&", "nor"):
        start += 1
    if {"and", "or"}.isdisjoint(p.slice(start, i)):
        return start
    while p.word(start - 1) == ",":  # "drums, bass and vocals are absent"
        term = next((s for s, end in p.terms() if end == start - 1), None)
        if term is None or (
            term > low and p.word(term - 1) not in (",", "the", "his", "her", "with")
        ):
            return start
        start = term
    return start


def label(cue: Cue) -> Found | None:
    """Absence of what a label names: "vocals: none", "drums no"."""
    p = cue.p
    i = p.at(cue.match.start())  # the word after the name
    start = p.nominal_start(i, p.clause(i - 1)[0])
    phrases = [phrase for phrase in _subjects(p, i) if phrase.term is not None]
    if not phrases or phrases[-1].end != i:
        return None
    unmarked = cue.match.group().lstrip()[0].isalpha()  # no colon: "strings yes, drums no"
    answers = re.search(r"\byes\b|[\u2713\u2705]", p.text)
    if unmarked and not answers and not is_keywords(p, start):
        return None
    clause_end = p.clause(cue.after)[1]
    partial = patterns.PARTIAL_VALUE.match(p.text_of(cue.after, clause_end))
    return Found(
        cue.match.span("value"), "partial" if partial else "absence", phrases, ignores_context=True
    )
