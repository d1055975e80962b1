"""Rules for negative subjects, contrasts, and negations that deny nothing by themselves."""

import re

from negclap.text.negation import patterns
from negclap.text.negation import words as classes
from negclap.text.negation.cue import Cue, Found
from negclap.text.negation.grammar import NounPhrase
from negclap.text.negation.words import word_set


def nobody(cue: Cue) -> Found | None:
    """Absence for "nobody sings" and "no one plays the drums", comparison for "... like him"."""
    p, i = cue.p, cue.after
    rest = " ".join(p.slice(i, p.clause(i)[1]))
    if p.word(i) in ("else", "more", "other"):
        return nothing(cue)
    if _PRAISED.search(rest):
        return cue.found("comparison")
    word = p.word(i)
    if word in _PLAYED:
        phrases = p.coordinated(i + 1 + (p.word(i + 1) == "up"))
        if p.is_musical(phrases):
            return cue.found("absence", phrases)
    if word in _VOICED:
        ends = [NounPhrase(i, i + 1, i)]
        if p.word(i + 1) in ("or", "nor") and p.word(i + 2) in _VOICED:
            ends.append(NounPhrase(i + 2, i + 3, i + 2))
        return cue.found("absence", ends)
    return cue.found("predicate")


_PRAISED = re.compile(
    r"\b(?:like|better|than|quite|as \w+ as|so \w+ly|so well|more|else|again|the way)\b"
)
_PLAYED = word_set("sings singing plays playing play uses use touches on picks")
_VOICED = word_set(
    """sings singing sing raps rapping drumming drums hums humming whistles whistling speaks
    speaking talks talking"""
)


def nothing_with(cue: Cue) -> Found | None:
    """Absence for "nothing with vocals" and "anything but country"."""
    p, phrases = cue.p, cue.objects()
    if not p.is_musical(phrases):
        return None
    everything = cue.match.group().startswith("every")
    return None if everything and not p.ends(phrases[-1].end) else cue.found("absence", phrases)


def replaced(cue: Cue) -> Found | None:
    """Contrast for "swaps guitars for synths", not for "swaps the drums for bigger ones"."""
    p, phrases = cue.p, cue.objects()
    clause = p.text_of(cue.after, p.clause(cue.after)[1])
    if not p.is_musical(phrases) or re.search(r"\bfor\b.*\bones?\b", clause):
        return None
    return cue.found("contrast", phrases)


def inverted(cue: Cue) -> Found | None:
    """Absence for "at no point does a bass come in"."""
    p, phrases = cue.p, cue.objects()
    if not phrases:
        return None
    i = phrases[-1].end
    having = re.match(rf"(?:{patterns.HAVING})\b", p.text_of(i, len(p.words)))
    if having:  # "Nowhere does the tune make use of a piano"
        owned = p.coordinated(p.at(p.words[i].start + having.end()))
        return cue.found("absence", owned) if p.is_musical(owned) else None
    if not p.is_musical(phrases):
        return None
    if cue.match.group().rstrip().endswith("hear"):
        return cue.found("absence", phrases)
    if p.slice(i, i + 2) == ["to", "be"] and p.word(i + 2) in classes.PRESENT:
        return cue.found("absence", phrases, end=i + 3)
    alone = p.ends(i + 1) or p.word(i) not in ("sound", "sounds", "play")
    present = alone and p.word(i) in classes.PRESENT | classes.PRESENCE_VERBS
    return cue.found("absence" if present else "predicate", phrases, end=i + 1)


def so_too(cue: Cue) -> Found | None:
    """Absence for "The fiddle is gone, and so is the harp"."""
    p, phrases = cue.p, cue.objects()
    before = p.text_of(p.clause(cue.first)[0], cue.first)
    absent = re.search(rf"\b{patterns.REMOVED}\b", before)
    return cue.found("absence", phrases) if absent and p.is_musical(phrases) else None


def not_a(cue: Cue) -> Found | None:
    """Absence for "Not a drum is heard" and "not a drum in sight"."""
    p, phrases = cue.p, cue.objects()
    if not p.is_musical(phrases):
        return None
    heard = re.match(
        r"(?:is|was|are|can be|gets) (?:heard|played|present|used|struck|to be)|anywhere"
        r"|in (?:sight|earshot|evidence)"
        r"|(?:on|in) (?:the|this)|to be (?:heard|found)|,\s*not an?\b",
        p.text_of(phrases[-1].end, len(p.words)),
    )
    return cue.found("absence", phrases) if heard else None


def not_(cue: Cue) -> Found | None:
    """Contrast for "a harp, not a piano" and "not a piano but a harp", else a property."""
    p = cue.p
    if cue.word(1) in ("just", "only"):
        return None
    i = cue.after + (p.word(cue.after) == "(")
    phrases = p.coordinated(i)
    if p.is_musical(phrases):
        if p.original[slice(*cue.span)] == "NOT":
            return cue.found("absence", phrases, ignores_context=True)
        last, first = phrases[-1].end, phrases[0]
        but = p.word(last + (p.word(last) == ",")) == "but"
        named = first.term == first.start or p.word(i) in ("a", "an")
        apart = cue.word(-1) in (",", "but", "and", "&", "(") and (
            p.ends(last) or p.word(last) in (",", "but", "and")
        )
        if named and (apart or but):
            return cue.found("contrast", phrases)
    return predicate(cue)


def predicate(cue: Cue) -> Found:
    """Negate the rest of the clause, up to a comma or conjunction."""
    p, end = cue.p, cue.after
    while not p.ends(end) and p.word(end) not in (",", "and", "or", "but", "so", "because"):
        end += 1
    rest = [NounPhrase(cue.after, end, None)] if end > cue.after else []
    return cue.found("predicate", rest)


def nothing(cue: Cue) -> Found:
    """Relational for "nothing else", a property for "sounds like nothing on earth"."""
    found = predicate(cue)
    other = cue.p.word(cue.after) in ("else", "more", "other")
    return found._replace(kind="relational") if other else found


def anaphor(cue: Cue) -> Found | None:
    """Absence of what was named before: "You would expect a sitar here, but there isn't one"."""
    p = cue.p
    heads = [(start, end) for start, end in p.terms() if end <= cue.first]
    named = [
        (start, end)
        for start, end in heads
        if (
            p.word(start - 1) in ("a", "an", "any", "some", "for", "the")
            and p.word(start) not in classes.WORKS
            and (p.ends(end) or p.word(end) in classes.STOPS or not p.word(end)[0].isalnum())
        )
        or (p.word(end) == "?" and p.clause(start)[0] == start)  # "Singing? There is none"
    ]
    if not named or p.word(named[-1][0] - 1) in ("no", "without"):
        return None
    start, end = named[-1]
    return cue.found("absence", [NounPhrase(start, end, start)], end=cue.after)
