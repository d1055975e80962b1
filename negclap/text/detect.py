"""Find negations in human-written captions: the cue, the negated phrase and the kind.

The detector is a list of regular-expression rules: music captions are short and negate in few
forms. `negclap mine --labels tests/text/natural_negation.jsonl` scores it on the labels of its
development set (MusicCaps).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from negclap.text import negation_patterns as patterns
from negclap.text.vocabulary import Vocabulary

Kind = Literal["absence", "relational", "predicate", "degree", "contrast", "pseudo"]
Span = tuple[int, int]
DENYING: frozenset[Kind] = frozenset({"absence", "predicate", "contrast"})
"""Kinds of negation that make the tags in the negated phrase absent."""


@dataclass(frozen=True, slots=True)
class Negation:
    """One negation in a caption.

    Attributes:
        cue: The negating words, as written ("no", "does not have any").
        span: Character offsets of the cue, ``caption[span[0]:span[1]]``.
        phrase: The negated phrase ("voices", "flourishes and embellishments"); may be empty.
        kind: "absence" ("no drums"), "relational" ("no other instruments"), "predicate" ("is not
            distinct"), "degree" ("barely audible bass"), "contrast" ("instead of a piano"), or
            "pseudo", which is no negation at all ("no wave", "not only ... but").
        tag: The tag or everyday concept in the phrase, if any.
        phrase_span: Character offsets of the phrase.
    """

    cue: str
    span: Span
    phrase: str
    kind: Kind
    tag: str | None
    phrase_span: Span


def find_negations(caption: str, vocabulary: Vocabulary | None = None) -> list[Negation]:
    """Return all negations in a caption from left to right, one per cue.

    Args:
        caption: Any text.
        vocabulary: Maps phrases to its tags; None maps them to everyday concepts.
    """
    found: list[Negation] = []
    for pattern, judge in _RULES:
        for match in pattern.finditer(caption):
            span = match.span()
            if any(span[0] < other.span[1] and other.span[0] < span[1] for other in found):
                continue  # earlier rules win where cues overlap
            judged = judge(caption, match)
            if judged is not None:
                found.append(_negation(caption, span, *judged, vocabulary))
    return sorted(found, key=lambda negation: negation.span)


def denied_spans(caption: str) -> list[Span]:
    """Return the spans of the phrases that a caption says are absent."""
    return [n.phrase_span for n in find_negations(caption) if n.kind in DENYING]


def _negation(
    caption: str, span: Span, phrase_span: Span, kind: Kind, vocabulary: Vocabulary | None
) -> Negation:
    phrase = caption[slice(*phrase_span)]
    if patterns.SPEECH.search(caption[: span[0]]) or _in_title(caption, span):
        kind = "pseudo"  # quoted speech and titles say nothing about the music
    elif kind == "absence" and patterns.NEARLY.search(caption[: span[1]]):
        kind = "degree"
    elif kind == "absence" and _is_relational(caption, span, phrase_span):
        kind = "relational"
    tag = None if kind == "pseudo" else _tag(phrase, vocabulary)
    return Negation(caption[slice(*span)], span, phrase, kind, tag, phrase_span)


def _is_relational(caption: str, cue: Span, phrase_span: Span) -> bool:
    """Whether only additions to something are negated: "no other instruments"."""
    phrase = caption[slice(*phrase_span)]
    if patterns.OTHERS.match(phrase) or patterns.BESIDES.match(caption, phrase_span[1]):
        return True
    beyond = patterns.BEYOND.search(caption[: cue[0]])
    excepted = beyond or patterns.EXCEPT.match(caption, phrase_span[1])
    return excepted is not None and patterns.GENERIC.match(phrase) is not None


def _in_title(caption: str, cue: Span) -> bool:
    """Whether the cue is part of a capitalised title: "songs like No Woman No Cry"."""
    before = caption[: cue[0]].rstrip(' "\u201c')
    if not caption[cue[0]].isupper() or not before or before[-1] in ".!?:;(-\u2013\u2014*":
        return False
    found = re.findall(patterns.WORD, caption)
    capitals = sum(word[0].isupper() for word in found)
    return capitals < len(found) / 2 and caption[cue[1] :].lstrip()[:1].isupper()


_Judged = tuple[Span, Kind] | None
"""Span of the negated phrase and kind of negation; None if the match is not a cue."""
_Judge = Callable[[str, re.Match[str]], _Judged]


def _pseudo(caption: str, match: re.Match[str]) -> _Judged:
    """The phrase is "wave" for "no wave", and "only piano" for "not only piano"."""
    first = re.match(rf"(?:no\b|{patterns.WORD})\s*", match.group(), re.IGNORECASE)
    start = match.start() + (first.end() if first else 0)
    return (start, max(match.end(), _phrase(caption, match.end())[1])), "pseudo"


def _clause(kind: Kind) -> _Judge:
    """Negate the rest of the clause."""
    return lambda caption, match: (_phrase(caption, match.end(), verbs=True), kind)


def _less(caption: str, match: re.Match[str]) -> _Judged:
    return match.span("noun" if match["noun"] else "kept_out"), "absence"


def _subject_absent(caption: str, match: re.Match[str]) -> _Judged:
    subject = _subject(caption, match.start())
    return (subject, "absence") if subject[0] < subject[1] else _absence(caption, match)


def _absence(caption: str, match: re.Match[str]) -> _Judged:
    phrase = _phrase(caption, match.end())
    return (phrase, "absence") if phrase[0] < phrase[1] else None


def _does_not_have(caption: str, match: re.Match[str]) -> _Judged:
    """Absence for "does not have drums", degree for "does not have many"."""
    quantity = patterns.QUANTITY.match(caption, match.end())
    return (_phrase(caption, quantity.end()), "degree") if quantity else _absence(caption, match)


def _no(caption: str, match: re.Match[str]) -> _Judged:
    """Absence for "no drums" and "drums: no", predicate for "no instrument can be made out"."""
    judged = _absence(caption, match)
    if judged is None:
        label = patterns.LABEL.search(caption[: match.start()])
        return (label.span(1), "absence") if label else None
    perceived = patterns.PERCEIVED.match(caption, judged[0][1])
    return ((judged[0][0], perceived.end()), "predicate") if perceived else judged


def _omitting(caption: str, match: re.Match[str]) -> _Judged:
    """Absence for "skips the drums", predicate for "is anything but calm"."""
    judged = _absence(caption, match)
    if judged and _tag(caption[slice(*judged[0])], None):
        return judged
    is_but = match.group() == "but" and patterns.IS_ANYTHING.search(caption[: match.start()])
    return (_phrase(caption, match.end(), verbs=True), "predicate") if is_but else None


def _without(caption: str, match: re.Match[str]) -> _Judged:
    """Absence for "without drums", predicate for "without pausing"."""
    word = re.match(rf"\s*(?:any\s+|ever\s+|\w+ly\s+)?({patterns.WORD})", caption[match.end() :])
    if word and word[1].lower().endswith("ing") and word[1].lower() not in patterns.NOUNS_IN_ING:
        return _phrase(caption, match.end(), verbs=True), "predicate"
    return _absence(caption, match)


def _nothing(caption: str, match: re.Match[str]) -> _Judged:
    """Absence for "nobody sings" and "vocals: none", relational for "nothing else"."""
    start, end = _phrase(caption, match.end(), verbs=True)
    if match["other"] is not None:
        return (start, _phrase(caption, end, verbs=True)[1]), "relational"
    if patterns.BEYOND.search(caption[: match.start()]):
        return (start, end), "relational"
    before = caption[: match.start()]
    if label := patterns.LABEL.search(before):
        return label.span(1), "absence"
    if caption[start:end].lower().startswith("like "):  # "sounds nothing like a flute"
        return (start, end), "predicate"
    verb = re.search(rf"({patterns.WORD})\s*$", before)
    if start == end and verb:  # "they mean nothing"
        return verb.span(1), "predicate"
    return (start, end), "absence"


def _predicate(caption: str, match: re.Match[str]) -> _Judged:
    phrase = _phrase(caption, match.end(), verbs=True)
    if _contrasts(caption, match, phrase):
        only_denied = re.search(r"\bbut\s*$", caption[: match.start()])  # "bass but not a snare"
        return phrase, "absence" if only_denied else "contrast"
    return phrase, "predicate"


def _nor(caption: str, match: re.Match[str]) -> _Judged:
    """Absence for "neither drums nor bass", predicate for "neither of whom sings"."""
    judged = _absence(caption, match)
    aside = match.group() == "neither" and caption[: match.start()].rstrip().endswith(",")
    if judged is None or (aside and not _tag(caption[slice(*judged[0])], None)):
        return _phrase(caption, match.end(), verbs=True), "predicate"
    return judged


_RULES: tuple[tuple[re.Pattern[str], _Judge], ...] = (
    (patterns.PSEUDO, _pseudo),
    (patterns.CONTRAST, _clause("contrast")),
    (patterns.DEGREE, _clause("degree")),
    (patterns.LESS, _less),
    (patterns.SUBJECT_ABSENT, _subject_absent),
    (patterns.DOES_NOT_HAVE, _does_not_have),
    (patterns.WITHOUT, _without),
    (patterns.NOTHING, _nothing),
    (patterns.NO_LONGER, _predicate),
    (patterns.NO, _no),
    (patterns.LACKING, _absence),
    (patterns.OMITTING, _omitting),
    (patterns.NOR, _nor),
    (patterns.PREDICATE, _predicate),
)


def _contrasts(caption: str, match: re.Match[str], phrase: Span) -> bool:
    """Whether one thing replaces another: "vocables and not words", "not a piano but a harp"."""
    if match.group().lower() != "not":
        return False
    if re.search(r"^(?:\w+ly|too|so|very|that|as)\b|est$", caption[slice(*phrase)]):
        return False  # "not exactly on the beat", "not too tight", "not the clearest"
    named = _tag(caption[slice(*phrase)], None) is not None
    before = re.search(rf"({patterns.WORD})\s*$", caption[: match.start()])
    after_verb = before is not None and before[1].lower() in patterns.VERBS
    after_noun = caption[: match.start()].strip() != "" and not after_verb
    article = re.match(r"\s*(?:an?|the)\s", caption[match.end() :]) is not None
    then_but = re.match(r",?\s+but\b", caption[phrase[1] :]) is not None
    after_comma = caption[: match.start()].rstrip().endswith(",")
    answered = then_but and (named or article or after_comma)
    return (named and after_noun) or answered or (article and after_comma)


def _phrase(caption: str, at: int, verbs: bool = False) -> Span:
    """Return the noun phrase from ``at``, without articles; with ``verbs`` the rest of the clause.

    Nouns joined by "and" or "or" are one phrase. For "the presence of vocals" it is "vocals".
    """
    empty_words = patterns.EMPTY_WORDS.match(caption, at)
    at = empty_words.end() if empty_words else at + (caption[at : at + 1] == "-")  # "no-vocals"
    start = end = at
    begun, previous = False, ""
    for match in re.finditer(rf"(?P<gap>[\s\"(]*)(?P<word>{patterns.WORD})", caption[at:]):
        if match.start() + at != end:
            break  # punctuation
        word = match["word"].lower()
        if not begun and (word in patterns.DETERMINERS or (verbs and word in patterns.LIGHT)):
            start = end = at + match.end()
            continue
        adverb = previous.endswith("ly") and word in patterns.AFTER_ADVERB
        named = previous not in patterns.BEFORE_GERUNDS and _tag(caption[start:end], None)
        gerund = begun and word in patterns.GERUNDS and not named  # "no male singing"
        manner = verbs and caption[start:end].lower() == previous and previous.endswith("ly")
        continues = adverb or manner or gerund  # "not perfectly in tune"
        allowed = continues if begun else verbs or word in patterns.NOUN_STARTS
        if word in patterns.STOPS and not allowed:
            break
        if word == "other" and caption[at + match.end() :].startswith(" than"):
            break
        if word in ("and", "or") and not _noun_follows(caption, at + match.end()):
            break
        previous = word
        if not begun:
            begun, start = True, at + match.start("word")
        end = at + match.end()
        comma = re.match(
            rf",\s+(?={patterns.WORD}(?:\s+{patterns.WORD})?,?\s+(?:and|or)\s)", caption[end:]
        )
        if comma and not verbs:
            end += 1
    return (start, end) if begun else (at, at)


def _noun_follows(caption: str, at: int) -> bool:
    """Whether "and" is followed by another noun, not by a new clause."""
    match = re.match(rf"\s+({patterns.WORD})(?:\s+({patterns.WORD}))?", caption[at:])
    if match is None:
        return False
    first, second = match[1].lower(), (match[2] or "").lower()
    clause = {"is", "are", "was", "has", "have", "plays", "sings", "can", "keeps", "starts"}
    return first not in patterns.STOPS | {"a", "an", "the"} and second not in clause


def _subject(caption: str, at: int) -> Span:
    """Return the noun phrase before ``at``: "fiddle" for "The fiddle, as is typical, is absent"."""
    before = caption[:at].rstrip()
    sentence = max(before.rfind(mark) for mark in ".!?;") + 1
    if before.endswith(","):
        before = before[: before.index(",", sentence)]
    elif aside := patterns.ASIDE.search(before, sentence):
        before = before[: aside.start()].rstrip()
    before = re.sub(r"\s(?:that|which|who)$", "", before)
    start = end = len(before)
    for match in reversed(list(re.finditer(patterns.WORD, before))):
        apart = caption[match.end() : start].strip()
        if apart or match.group().lower() in patterns.STOPS | patterns.DETERMINERS:
            break
        start = match.start()
    return start, end


def _tag(phrase: str, vocabulary: Vocabulary | None) -> str | None:
    """Return the first tag or concept in a phrase; two-word concepts take precedence."""
    if vocabulary is not None:
        mentions = vocabulary.find(phrase)
        return mentions[0].tag if mentions else None
    words = re.findall(patterns.WORD, phrase.lower())
    candidates = [*map(" ".join, pairwise(words)), *words]
    return next((patterns.CONCEPT_OF[c] for c in candidates if c in patterns.CONCEPT_OF), None)
