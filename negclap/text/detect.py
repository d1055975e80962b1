"""Negation in captions that people wrote: cue, negated phrase, and what kind of negation it is.

Rules over words, without a parser: captions of music are short and their negations few in form. The
rules were made on captions of MusicCaps; tests/text/natural_negation.jsonl holds the labels of the
development set (ids and labels alone), and `negclap mine --labels` measures on it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from negclap.text import negation_patterns as patterns
from negclap.text.vocabulary import Vocabulary

Kind = Literal["absence", "relational", "predicate", "degree", "contrast", "pseudo"]
Span = tuple[int, int]
DENYING: frozenset[Kind] = frozenset({"absence", "predicate", "contrast"})
"""Kinds after which a tag that the phrase names is not there."""


@dataclass(frozen=True, slots=True)
class Negation:
    """One negation of a caption.

    Attributes:
        cue: The words that negate, as they stand ("no", "does not have any").
        span: Where they stand, ``caption[span[0]:span[1]]``.
        phrase: What is negated ("voices", "flourishes and embellishments"); "" where nothing is.
        kind: "absence" of something ("no drums"), "relational" ("no other instruments"),
            "predicate" ("is not distinct"), "degree" ("barely audible bass"), "contrast" ("instead
            of a piano"), or "pseudo", no negation at all ("no wave", "not only ... but").
        tag: The tag or everyday concept that the phrase names; None where it names none.
        phrase_span: Where the phrase stands.
    """

    cue: str
    span: Span
    phrase: str
    kind: Kind
    tag: str | None
    phrase_span: Span


def find_negations(caption: str, vocabulary: Vocabulary | None = None) -> list[Negation]:
    """All negations of a caption, from left to right; one for each cue.

    Args:
        caption: Any text.
        vocabulary: Maps phrases to tags; without one, to everyday concepts.
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
    """Where a caption names what it says is not there."""
    return [n.phrase_span for n in find_negations(caption) if n.kind in DENYING]


def _negation(
    caption: str, span: Span, phrase_span: Span, kind: Kind, vocabulary: Vocabulary | None
) -> Negation:
    phrase = caption[slice(*phrase_span)]
    if patterns.SPEECH.search(caption[: span[0]]) or _in_title(caption, span):
        kind = "pseudo"  # what somebody says, or a piece is called, denies nothing of the music
    elif kind == "absence" and patterns.NEARLY.search(caption[: span[1]]):
        kind = "degree"
    elif kind == "absence" and _is_relational(caption, span, phrase_span):
        kind = "relational"
    tag = None if kind == "pseudo" else _tag(phrase, vocabulary)
    return Negation(caption[slice(*span)], span, phrase, kind, tag, phrase_span)


def _is_relational(caption: str, cue: Span, phrase_span: Span) -> bool:
    """Whether only what comes on top of something is denied: "no other instruments"."""
    phrase = caption[slice(*phrase_span)]
    if patterns.OTHERS.match(phrase) or patterns.BESIDES.match(caption, phrase_span[1]):
        return True
    beyond = patterns.BEYOND.search(caption[: cue[0]])
    excepted = beyond or patterns.EXCEPT.match(caption, phrase_span[1])
    return excepted is not None and patterns.GENERIC.match(phrase) is not None


def _in_title(caption: str, cue: Span) -> bool:
    """Whether the cue is a word of a name amid other words: "songs like No Woman No Cry"."""
    before = caption[: cue[0]].rstrip(' "\u201c')
    if not caption[cue[0]].isupper() or not before or before[-1] in ".!?:;(-\u2013\u2014*":
        return False
    found = re.findall(patterns.WORD, caption)
    capitals = sum(word[0].isupper() for word in found)
    return capitals < len(found) / 2 and caption[cue[1] :].lstrip()[:1].isupper()


_Judged = tuple[Span, Kind] | None
"""The negated phrase and the kind; None where the words are no cue after all."""


def _pseudo(caption: str, match: re.Match[str]) -> _Judged:
    """What would be negated: "wave" of "no wave", "only piano" of "not only piano"."""
    cue_end = match.start() + _first_word_length(match.group())
    start = cue_end + len(caption[cue_end:]) - len(caption[cue_end:].lstrip())
    return (min(start, match.end()), max(match.end(), _phrase(caption, match.end())[1])), "pseudo"


def _first_word_length(text: str) -> int:
    word = re.match(rf"no\b|{patterns.WORD}", text, re.IGNORECASE)
    return word.end() if word else 0


def _degree(caption: str, match: re.Match[str]) -> _Judged:
    return _phrase(caption, match.end(), verbs=True), "degree"


def _contrast(caption: str, match: re.Match[str]) -> _Judged:
    return _phrase(caption, match.end(), verbs=True), "contrast"


def _less(caption: str, match: re.Match[str]) -> _Judged:
    return match.span("noun" if match["noun"] else "kept_out"), "absence"


def _subject_absent(caption: str, match: re.Match[str]) -> _Judged:
    subject = _subject(caption, match.start())
    return (subject, "absence") if subject[0] < subject[1] else _thing(caption, match)


def _thing(caption: str, match: re.Match[str]) -> _Judged:
    phrase = _phrase(caption, match.end())
    return (phrase, "absence") if phrase[0] < phrase[1] else None


def _does_not_have(caption: str, match: re.Match[str]) -> _Judged:
    """Does not have drums; of "does not have many" there are a few."""
    little = patterns.LITTLE.match(caption, match.end())
    return (_phrase(caption, little.end()), "degree") if little else _thing(caption, match)


def _no(caption: str, match: re.Match[str]) -> _Judged:
    """No drums, "drums: no"; of no instrument that can be told apart, telling is denied."""
    judged = _thing(caption, match)
    if judged is None:
        label = patterns.LABEL.search(caption[: match.start()])
        return (label.span(1), "absence") if label else None
    told = patterns.TOLD.match(caption, judged[0][1])
    return ((judged[0][0], told.end()), "predicate") if told else judged


def _leaving(caption: str, match: re.Match[str]) -> _Judged:
    """Skips the drums, everything but drums; anything but calm."""
    judged = _thing(caption, match)
    if judged and _tag(caption[slice(*judged[0])], None):
        return judged
    is_but = match.group() == "but" and patterns.IS_ANYTHING.search(caption[: match.start()])
    return (_phrase(caption, match.end(), verbs=True), "predicate") if is_but else None


def _without(caption: str, match: re.Match[str]) -> _Judged:
    """Without drums: a thing; without pausing: a deed."""
    first = re.match(rf"\s*(?:any\s+|ever\s+|\w+ly\s+)?({patterns.WORD})", caption[match.end() :])
    word = first[1].lower() if first else ""
    if word.endswith("ing") and word not in {
        *patterns.CONCEPT_OF,
        *patterns.NOUN_STARTS,
        *patterns.SOUNDING,
        *patterns.ATTRIBUTIVE,
    }:
        return _phrase(caption, match.end(), verbs=True), "predicate"
    return _thing(caption, match)


def _nothing(caption: str, match: re.Match[str]) -> _Judged:
    """Nobody sings, nothing electronic, "vocals: none"; nothing else is relational."""
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
    """Neither drums nor bass: things; neither happy nor sad, neither of whom sings: no things."""
    judged = _thing(caption, match)
    aside = match.group() == "neither" and caption[: match.start()].rstrip().endswith(",")
    if judged is None or (aside and not _tag(caption[slice(*judged[0])], None)):
        return _phrase(caption, match.end(), verbs=True), "predicate"
    return judged


_RULES: tuple[tuple[re.Pattern[str], Callable[[str, re.Match[str]], _Judged]], ...] = (
    (patterns.PSEUDO, _pseudo),
    (patterns.CONTRAST, _contrast),
    (patterns.DEGREE, _degree),
    (patterns.LESS, _less),
    (patterns.SUBJECT_ABSENT, _subject_absent),
    (patterns.DOES_NOT_HAVE, _does_not_have),
    (patterns.WITHOUT, _without),
    (patterns.NOTHING, _nothing),
    (patterns.NO_LONGER, _predicate),
    (patterns.NO, _no),
    (patterns.LACKING, _thing),
    (patterns.LEAVING, _leaving),
    (patterns.NOR, _nor),
    (patterns.PREDICATE, _predicate),
)


def _contrasts(caption: str, match: re.Match[str], phrase: Span) -> bool:
    """Whether one thing stands for another: "vocables and not words", "not a piano but a harp"."""
    if match.group().lower() != "not":
        return False
    if re.search(r"^(?:\w+ly|too|so|very|that|as)\b|est$", caption[slice(*phrase)]):
        return False  # "not exactly on the beat", "not too tight", "not the clearest"
    named = _tag(caption[slice(*phrase)], None) is not None
    before = re.search(rf"({patterns.WORD})\s*$", caption[: match.start()])
    after_verb = before is not None and before[1].lower() in patterns.VERBS
    after_thing = caption[: match.start()].strip() != "" and not after_verb
    article = re.match(r"\s*(?:an?|the)\s", caption[match.end() :]) is not None
    then_but = re.match(r",?\s+but\b", caption[phrase[1] :]) is not None
    after_comma = caption[: match.start()].rstrip().endswith(",")
    return (
        (named and after_thing)
        or (then_but and (named or article or after_comma))
        or (article and after_comma)
    )


def _phrase(caption: str, at: int, verbs: bool = False) -> Span:
    """The noun phrase from ``at`` on, articles left out; with ``verbs`` up to the clause's end.

    Nouns joined by "and" or "or" are one phrase; of "the presence of vocals" it is "vocals".
    """
    empty_words = patterns.EMPTY_WORDS.match(caption, at)
    at = empty_words.end() if empty_words else at + (caption[at : at + 1] == "-")  # "no-vocals"
    start = end = at
    begun, previous = False, ""
    for match in re.finditer(rf"(?P<gap>[\s\"(]*)(?P<word>{patterns.WORD})", caption[at:]):
        if match.start() + at != end:
            break  # punctuation
        word = match["word"].lower()
        if not begun and (word in patterns.STARTERS or (verbs and word in patterns.LIGHT)):
            start = end = at + match.end()
            continue
        adverb = previous.endswith("ly") and word in patterns.AFTER_ADVERB
        named = previous not in patterns.BEFORE_DEEDS and _tag(caption[start:end], None)
        to_come = begun and word in patterns.DEEDS and not named  # "no male singing"
        how = verbs and caption[start:end].lower() == previous and previous.endswith("ly")
        if (
            word in patterns.STOPS and begun and not (adverb or how or to_come)
        ):  # "not perfectly in tune"
            break
        if word == "other" and caption[at + match.end() :].startswith(" than"):
            break
        if word in patterns.STOPS and not begun and not verbs and word not in patterns.NOUN_STARTS:
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
    """Whether after "and" the list of nouns goes on instead of a new clause."""
    match = re.match(rf"\s+({patterns.WORD})(?:\s+({patterns.WORD}))?", caption[at:])
    if match is None:
        return False
    first, second = match[1].lower(), (match[2] or "").lower()
    clause = {"is", "are", "was", "has", "have", "plays", "sings", "can", "keeps", "starts"}
    return first not in patterns.STOPS | {"a", "an", "the"} and second not in clause


def _subject(caption: str, at: int) -> Span:
    """The noun phrase that ends before ``at``, without what is said of it in between.

    Of "The fiddle, typical for the style, is absent" and "the fiddle that was in the intro is
    absent" it is "fiddle".
    """
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
        if apart or match.group().lower() in patterns.STOPS | patterns.STARTERS:
            break
        start = match.start()
    return start, end


def _tag(phrase: str, vocabulary: Vocabulary | None) -> str | None:
    """The first tag or concept that the phrase names; its longest words first."""
    if vocabulary is not None:
        mentions = vocabulary.find(phrase)
        return mentions[0].tag if mentions else None
    words = re.findall(patterns.WORD, phrase.lower())
    for size in (2, 1):
        for i in range(len(words) - size + 1):
            concept = patterns.CONCEPT_OF.get(" ".join(words[i : i + size]))
            if concept:
                return concept
    return None
