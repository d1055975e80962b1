"""Negation in captions that people wrote: cue, negated phrase, and what kind of negation it is.

Rules over words, without a parser: captions of music are short and their negations few in form. The
rules were made on captions of MusicCaps; tests/text/natural_negation.jsonl holds the labels of the
development set (ids and labels alone), and `negclap mine --labels` measures on it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from negclap.text.vocabulary import Vocabulary

Kind = Literal["absence", "relational", "predicate", "degree", "contrast", "pseudo"]
Span = tuple[int, int]


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


CONCEPTS: dict[str, tuple[str, ...]] = {
    "vocals": (
        "vocal", "vocals", "voice", "voices", "singer", "singers", "singing", "vocalist",
        "vocalists", "vocalisation", "vocalization", "vocal melody", "choir",
    ),
    "lyrics": ("lyric", "lyrics", "word", "words"),
    "percussion": ("percussion", "percussions", "percussive", "percussionist"),
    "drums": ("drum", "drums", "drummer", "drum kit", "drumming"),
    "instruments": ("instrument", "instruments", "instrumentation", "instrumental"),
    "accompaniment": ("accompaniment", "accompaniments", "backing", "support"),
    "melody": ("melody", "melodies", "tune"),
    "harmony": ("harmony", "harmonies", "chord", "chords"),
    "rhythm": ("rhythm", "beat", "beats", "groove"),
    "bass": ("bass", "bassline", "basslines"),
    "guitar": ("guitar", "guitars"),
    "piano": ("piano", "pianos"),
    "strings": ("strings", "violin", "violins"),
    "synthesizer": ("synth", "synths", "synthesizer", "synthesizers", "synthesiser"),
    "trumpet": ("trumpet", "trumpets"),
    "saxophone": ("saxophone", "saxophones", "sax"),
    "flute": ("flute", "flutes"),
    "brass": ("brass", "horn", "horns"),
    "organ": ("organ", "organs"),
    "cymbals": ("cymbal", "cymbals", "hi-hat", "hi-hats"),
    "music": ("music", "sound", "sounds"),
}  # fmt: skip
"""Everyday words of music captions by concept, for phrases that no vocabulary is given for."""
_CONCEPT_OF = {word: name for name, words in CONCEPTS.items() for word in words}

_WORDS = r"[^\W_][\w'\u2019&/-]*"
_OTHER = r"(?:other|additional|further|more|else|extra)"
_BE = r"(?:is|are|was|were|'s|be|been|being|(?:is|are|was|were)n['\u2019]?t)"
_HAVE = (
    r"(?:have|has|had|having|feature|features|contain|contains|include|includes|use|uses|using"
    r"|got|involve|involves|possess|incorporate|employ|consist of|carry|come with|provide|offer"
    r"|want|need|with)"
)
# A noun phrase ends before these words, or at punctuation.
_STOPS = frozenset(
    re.findall(
        r"\w+",
        """in on at to of for from with within without during throughout through by as than that
        which who where when while whereas whose because due since until till so if unless is are
        was were be been being has have had can could will would may might should must do does did
        used
        played present heard audible except besides apart aside beyond behind beneath over under
        this these those there it its their he she they we you i just only but yet however then not
        no whatsoever though although also making makes make giving gives give playing plays play
        singing featuring features like about into onto around across between before after
        here anywhere involved included added needed required""",
    )
)
_STARTERS = frozenset(["a", "an", "the", "any"])
_EMPTY_WORDS = re.compile(
    r"\s+(?:the |any )?(?:presence|use|sound|sounds|involvement|help|addition) of\b", re.IGNORECASE
)
_AFTER_ADVERB = frozenset({"heard", "audible", "played", "used", "present", "included"})
_LIGHT = frozenset(
    [
        "is",
        "are",
        "was",
        "were",
        "be",
        "been",
        "being",
        "that",
        "so",
        "very",
        "really",
        "only",
        "even",
        "to",
    ]
)
_VERBS = frozenset(
    """is are was were be been being do does did can could will would should may might must has have
    had seem seems sound sounds though although""".split()  # noqa: SIM905  # a list of 40 quoted words is harder to read
)
_NOUN_STARTS = frozenset(["singing", "playing", "backing", "being", "accompanying"])
_SOUNDING = frozenset(
    ["whistling", "clapping", "humming", "rapping", "strumming", "screaming", "talking", "yodeling"]
)

_PSEUDO = re.compile(
    r"\b(?:no wave|no doubt|no matter|no wonder|no less than|no more than|no sooner|no stranger"
    r"|no lack of|no shortage of|not only|not just|not merely|not simply|not to mention"
    r"|(?:if it )?(?:were|was) not for|nothing but|nothing short of|can['\u2019]?(?:no)?t help but"
    r"|cannot help but|without a doubt|without doubt|without fail|without question|needless to say"
    r"|with (?:and|or) without|without and (?:then )?with|none other than|why not|whether or not"
    r"|or not)\b",
    re.IGNORECASE,
)
_DEGREE = re.compile(
    r"\b(?:barely|hardly|scarcely|rarely|seldom|little to no|little or no|almost no|nearly no"
    r"|close to no|next to no|virtually no|practically no|not (?:much|many)"
    r"|\w+n['\u2019]t (?:much|many)"
    r"|very little|very few|(?<=has )few|(?<=with )few)\b"
    r"(?:\s+any\b)?",
    re.IGNORECASE,
)
_CONTRAST = re.compile(r"\b(?:instead of|rather than|as opposed to|in place of)\b", re.IGNORECASE)
_NOTHING = re.compile(
    r"\b(?:no one|nobody|(?:nothing|none)\b(?P<other>(?=\s+(?:else|more|of the other)\b))?)\b",
    re.IGNORECASE,
)
_LACKING = re.compile(
    r"\b(?:lack(?:s|ed|ing)?(?:\s+of)?|(?:an?\s+|the\s+)?absence of|devoid of|void of"
    r"|(?<!break )(?<!set )free (?:of|from)|minus|sans|bereft of"
    r"|(?<=with )missing|(?<=is )missing(?! (?:each|you|her|him|his|their|home))"
    r"|omit(?:s|ted|ting)?|exclud(?:es|ed|ing)|leav(?:es|ing) out)\b",
    re.IGNORECASE,
)
_WITHOUT = re.compile(r"\bwithout\b|\bw/o\b", re.IGNORECASE)
_NO = re.compile(r"\b(?:no|zero)\b(?!\.?\s*\d)", re.IGNORECASE)
_NO_LONGER = re.compile(r"\bno (?:longer|more)\b", re.IGNORECASE)
_LESS = re.compile(
    r"\b(?P<noun>drum|beat|vocal|voice|lyric|word|percussion|bass|guitar|rhythm|melody|keyboard"
    r"|piano|synth|instrument)s?-?(?:less|(?<=-)free)\b",
    re.IGNORECASE,
)
_NOR = re.compile(r"\b(?:neither|nor)\b", re.IGNORECASE)
_DOES_NOT_HAVE = re.compile(
    rf"\b(?:(?:do|does|did|ca|could|has|have|had|is|are|was|were)(?:\s+not|n['\u2019]?t)"
    rf"|cannot|never|not)\s+(?:really\s+|even\s+|actually\s+)?"
    rf"(?:(?:have\s+)?{_HAVE}(?:\s+any)?|(?:{_WORDS}\s+){{0,2}}?any)\b"
    r"|(?<=there )(?:is|are|was|were)(?:\s+not|n['\u2019]?t)(?=\s+an?\b)|\bnot a single\b",
    re.IGNORECASE,
)
_SUBJECT_ABSENT = re.compile(
    rf"\b{_BE}\s+(?:completely |entirely |totally |largely )?absent\b"
    rf"|\b{_BE}(?:\s+not|n['\u2019]?t)?\s+not (?:present|included|there|used|featured|involved)\b"
    rf"|\b{_BE}\s+missing(?=(?:\s+\w+ly)?\s*[.,;]|$)",
    re.IGNORECASE,
)
_PREDICATE = re.compile(
    r"\b(?:cannot|can['\u2019]t|never|not)\b"
    r"|\b\w+n['\u2019]t\b|\b(?:is|are|was|were|do|does|did|ca)nt\b",
    re.IGNORECASE,
)


def find_negations(caption: str, vocabulary: Vocabulary | None = None) -> list[Negation]:
    """All negations of a caption, from left to right; one for each cue.

    Args:
        caption: Any text.
        vocabulary: Maps phrases to tags; without one, to everyday `CONCEPTS`.
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


def _negation(
    caption: str, span: Span, phrase_span: Span, kind: Kind, vocabulary: Vocabulary | None
) -> Negation:
    phrase = caption[slice(*phrase_span)]
    if kind == "absence" and (
        re.match(rf"(?:any )?{_OTHER}\b", phrase, re.IGNORECASE)
        or re.match(r"\s*(?:other than|besides)\b", caption[phrase_span[1] :])
    ):
        kind = "relational"
    tag = None if kind == "pseudo" else _tag(phrase, vocabulary)
    return Negation(caption[slice(*span)], span, phrase, kind, tag, phrase_span)


_Judged = tuple[Span, Kind] | None
"""The negated phrase and the kind; None where the words are no cue after all."""


def _pseudo(caption: str, match: re.Match[str]) -> _Judged:
    """What would be negated: "wave" of "no wave", "only piano" of "not only piano"."""
    cue_end = match.start() + _first_word_length(match.group())
    start = cue_end + len(caption[cue_end:]) - len(caption[cue_end:].lstrip())
    return (min(start, match.end()), max(match.end(), _phrase(caption, match.end())[1])), "pseudo"


def _first_word_length(text: str) -> int:
    word = re.match(_WORDS, text)
    return word.end() if word else 0


def _degree(caption: str, match: re.Match[str]) -> _Judged:
    return _phrase(caption, match.end(), verbs=True), "degree"


def _contrast(caption: str, match: re.Match[str]) -> _Judged:
    return _phrase(caption, match.end(), verbs=True), "contrast"


def _less(caption: str, match: re.Match[str]) -> _Judged:
    return match.span("noun"), "absence"


def _subject_absent(caption: str, match: re.Match[str]) -> _Judged:
    return _subject(caption, match.start()), "absence"


def _thing(caption: str, match: re.Match[str]) -> _Judged:
    phrase = _phrase(caption, match.end())
    return (phrase, "absence") if phrase[0] < phrase[1] else None


def _without(caption: str, match: re.Match[str]) -> _Judged:
    """Without drums: a thing; without pausing: a deed."""
    first = re.match(rf"\s*(?:any\s+)?({_WORDS})", caption[match.end() :])
    word = first[1].lower() if first else ""
    if word.endswith("ing") and word not in {*_CONCEPT_OF, *_NOUN_STARTS, *_SOUNDING}:
        return _phrase(caption, match.end(), verbs=True), "predicate"
    return _thing(caption, match)


def _nothing(caption: str, match: re.Match[str]) -> _Judged:
    """Nobody sings, nothing electronic, "vocals: none"; nothing else is relational."""
    phrase = _phrase(caption, match.end(), verbs=True)
    if match["other"] is not None:
        return phrase, "relational"
    label = re.search(rf"({_WORDS}):\s*$", caption[: match.start()])
    return (label.span(1) if label else phrase), "absence"


def _predicate(caption: str, match: re.Match[str]) -> _Judged:
    phrase = _phrase(caption, match.end(), verbs=True)
    return phrase, "contrast" if _contrasts(caption, match, phrase) else "predicate"


_RULES: tuple[tuple[re.Pattern[str], Callable[[str, re.Match[str]], _Judged]], ...] = (
    (_PSEUDO, _pseudo),
    (_DEGREE, _degree),
    (_CONTRAST, _contrast),
    (_LESS, _less),
    (_SUBJECT_ABSENT, _subject_absent),
    (_DOES_NOT_HAVE, _thing),
    (_WITHOUT, _without),
    (_NOTHING, _nothing),
    (_NO_LONGER, _predicate),
    (_NO, _thing),
    (_LACKING, _thing),
    (_NOR, _thing),
    (_PREDICATE, _predicate),
)


def _contrasts(caption: str, match: re.Match[str], phrase: Span) -> bool:
    """Whether one thing stands for another: "vocables and not words", "not a piano but a harp"."""
    if match.group().lower() != "not":
        return False
    named = _tag(caption[slice(*phrase)], None) is not None
    before = re.search(rf"({_WORDS})\s*$", caption[: match.start()])
    after_verb = before is not None and before[1].lower() in _VERBS
    after_thing = caption[: match.start()].strip() != "" and not after_verb
    article = re.match(r"\s*(?:an?|the)\s", caption[match.end() :]) is not None
    then_but = re.match(r",?\s+but\b", caption[phrase[1] :]) is not None
    after_comma = caption[: match.start()].rstrip().endswith(",")
    return (named and after_thing) or (then_but and (named or article)) or (article and after_comma)


def _phrase(caption: str, at: int, verbs: bool = False) -> Span:
    """The noun phrase from ``at`` on, articles left out; with ``verbs`` up to the clause's end.

    Nouns joined by "and" or "or" are one phrase; of "the presence of vocals" it is "vocals".
    """
    empty_words = _EMPTY_WORDS.match(caption, at)
    at = empty_words.end() if empty_words else at
    start = end = at
    begun, previous = False, ""
    for match in re.finditer(rf"(?P<gap>[\s\"(]*)(?P<word>{_WORDS})", caption[at:]):
        if match.start() + at != end:
            break  # punctuation
        word = match["word"].lower()
        if not begun and (word in _STARTERS or (verbs and word in _LIGHT)):
            start = end = at + match.end()
            continue
        adverb = previous.endswith("ly") and word in _AFTER_ADVERB
        if word in _STOPS and begun and not adverb:
            break
        if word == "other" and caption[at + match.end() :].startswith(" than"):
            break
        if word in _STOPS and not begun and not verbs and word not in _NOUN_STARTS:
            break
        if word in ("and", "or") and not _noun_follows(caption, at + match.end()):
            break
        previous = word
        if not begun:
            begun, start = True, at + match.start("word")
        end = at + match.end()
        comma = re.match(rf",\s+(?={_WORDS}(?:\s+{_WORDS})?,?\s+(?:and|or)\s)", caption[end:])
        if comma and not verbs:
            end += 1
    return (start, end) if begun else (at, at)


def _noun_follows(caption: str, at: int) -> bool:
    """Whether after "and" the list of nouns goes on instead of a new clause."""
    match = re.match(rf"\s+({_WORDS})(?:\s+({_WORDS}))?", caption[at:])
    if match is None:
        return False
    first, second = match[1].lower(), (match[2] or "").lower()
    clause = {"is", "are", "was", "has", "have", "plays", "sings", "can", "keeps", "starts"}
    return first not in _STOPS | {"a", "an", "the"} and second not in clause


def _subject(caption: str, at: int) -> Span:
    """The noun phrase that ends before ``at``."""
    start = end = len(caption[:at].rstrip())
    for match in reversed(list(re.finditer(_WORDS, caption[:at]))):
        apart = caption[match.end() : start].strip()
        if apart or match.group().lower() in _STOPS | _STARTERS:
            break
        start = match.start()
    return start, end


def _tag(phrase: str, vocabulary: Vocabulary | None) -> str | None:
    """The first tag or concept that the phrase names; its longest words first."""
    if vocabulary is not None:
        mentions = vocabulary.find(phrase)
        return mentions[0].tag if mentions else None
    words = re.findall(_WORDS, phrase.lower())
    for size in (2, 1):
        for i in range(len(words) - size + 1):
            concept = _CONCEPT_OF.get(" ".join(words[i : i + size]))
            if concept:
                return concept
    return None
