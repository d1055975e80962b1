"""Rules for lists, signs, and words that contain a denial: "-drums", "drumless", "karaoke"."""

import re

from negclap.text.negation import words as classes
from negclap.text.negation.cue import Cue, Found
from negclap.text.negation.subjects import NEARLY


def prompt(cue: Cue) -> Found | None:
    """Absence of a whole list: "negative prompt: drums, choir"."""
    p, i = cue.p, cue.after
    phrases = []
    while (phrase := p.noun_phrase(i)) is not None:
        phrases.append(phrase)
        i = phrase.end
        if p.word(i) not in (",", "and", "or", "/"):
            break
        i += 1
    musical = [phrase for phrase in phrases if phrase.term is not None]
    return cue.found("absence", musical, ignores_context=True) if musical else None


def sign(cue: Cue) -> Found | None:
    """Absence for "-drums", "!drums" and "not:drums"."""
    phrase = cue.p.noun_phrase(cue.after)
    if phrase is None or phrase.term != phrase.start:
        return None
    return cue.found("absence", [phrase], ignores_context=True)


def hashtag(cue: Cue) -> Found | None:
    """Absence for "#novocals"."""
    noun = cue.match["noun"]
    return cue.found("absence", implied=noun, ignores_context=True) if cue.p.is_noun(noun) else None


def affix(cue: Cue) -> Found | None:
    """Absence for "drumless", "vocal-free" and "non-vocal"; not for "tuneless"."""
    stem = re.sub(r"^non[- ]?|-?(?:less|free)$", "", cue.match.group())
    nouns = (noun for noun in (stem, stem.removesuffix("s")) if cue.p.is_noun(noun))
    noun = next(nouns, None)
    if noun is None or noun in classes.NOT_BEFORE_LESS:
        return None
    if cue.p.word(cue.after) in classes.SECTIONS | _TIMES:  # "a drumless bridge"
        return cue.found("partial")
    return cue.found("absence", implied=noun)


_TIMES = classes.word_set("minutes bars seconds measures minute bar")


def lexical(cue: Cue) -> Found | None:
    """Denial inside of a word: "instrumental" has no vocals; an "instrumental break" says less."""
    p, match = cue.p, cue.match
    if match["player"] is not None:
        phrase = p.noun_phrase(p.at(match.start("player")))
        musical = phrase is not None and phrase.term is not None
        return cue.found("lexical", [phrase], ignores_context=True) if phrase and musical else None
    group = next(name for name, value in match.groupdict().items() if value)
    before, after = cue.word(-1), p.word(cue.after)
    if after in classes.SECTIONS:
        return cue.found("partial")
    if group == "vocals" and _is_backing(cue):
        return cue.found("pseudo")
    if group == "lead_vocals" and after in ("bar", "night", "machine", "singer", "party", "music"):
        return cue.found("pseudo")
    articled = before in ("a", "an", "the")
    negator = cue.word(-2) if articled or before.endswith("ly") else before
    if negator in ("not", "never", "isn't", "hardly"):
        return cue.found("double")
    if negator in NEARLY:
        return cue.found("degree")
    return cue.found("lexical", implied=group.replace("_", " "))


def _is_backing(cue: Cue) -> bool:
    """Whether "instrumental" is the music behind a voice, or no description of a recording."""
    p, after = cue.p, cue.p.word(cue.after)
    if after in ("in", "to", "accompaniment", "backing", "behind", "tutorial", "component"):
        return True
    if after in (":", "=") and p.word(cue.after + 1) in ("yes", "no", "true", "false"):
        return True
    if cue.word(-1) == "the" and after in classes.VERBS | classes.BE | classes.HAVE | {"consists"}:
        return True
    if cue.word(-2) == "of" and cue.word(-1) == "the":
        return True
    return p.is_sung
