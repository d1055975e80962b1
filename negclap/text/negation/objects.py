"""Rules for cues that stand before what they negate: "no drums", "lacks a choir".

What the rest of the sentence makes of it is up to `contexts`.
"""

import re

from negclap.text.negation import patterns
from negclap.text.negation import words as classes
from negclap.text.negation.cue import Cue, Found, Kind, Rule
from negclap.text.negation.grammar import NounPhrase, Passage
from negclap.text.negation.words import word_set

_UNKNOWN = "not a musical term"


def fixed(kind: Kind) -> Rule:
    """Return a rule that gives each match one kind."""

    def rule(cue: Cue) -> Found:
        phrase = cue.p.noun_phrase(cue.after)
        return cue.found(kind, [phrase] if phrase else [])

    return rule


def musical_object(kind: Kind) -> Rule:
    """Return a rule for cues that count only before a musical term."""

    def rule(cue: Cue) -> Found | None:
        phrases = cue.objects()
        return cue.found(kind, phrases) if cue.p.is_musical(phrases) else None

    return rule


def governed(cue: Cue, kind: Kind = "absence", whole_clause: bool = True) -> Found | None:
    """Negate the noun phrases after a cue, if what follows them allows it.

    Args:
        cue: The cue.
        kind: The kind of negation if nothing speaks against it.
        whole_clause: Whether the words after the phrases matter; not after "the absence of drums".
    """
    p, phrases = cue.p, cue.objects()
    if not phrases:
        return None
    first = phrases[0]
    determiner = p.word(cue.first) in ("no", "not", "zero", "there", "never")
    modifier = p.word(first.start)
    compares = (determiner and modifier in classes.COMPARING) or _is_comparative(p, first)
    if compares and first.term != first.start:
        return cue.found("comparison", phrases[:1])
    if determiner and _is_gerund_with_object(p, first):  # "no stopping the conga"
        return cue.found("pseudo", phrases)
    if whole_clause:
        other = _after(cue, phrases[-1].end) or (_after(cue, first.end) if phrases[1:] else None)
        if other:
            return cue.found(other, phrases)
    if not p.is_musical(phrases):
        return cue.found(kind, phrases, doubt=_UNKNOWN)
    if kind == "absence" and _describes_a_thing(cue):
        return cue.found("topic", phrases)
    return cue.found(kind, phrases, doubt=_unknown_modifiers(cue, first))


def _is_comparative(p: Passage, phrase: NounPhrase) -> bool:
    """Whether a phrase begins with "better" or "nastier"."""
    word = p.word(phrase.start)
    if p.in_term(phrase.start) or word in classes.OPEN_MODIFIERS | classes.OTHERS:
        return False
    return word in classes.COMPARATIVES or (word.endswith("er") and len(word) > 5)


def _is_gerund_with_object(p: Passage, phrase: NounPhrase) -> bool:
    word = p.word(phrase.start)
    gerund = word.endswith("ing") and word not in classes.STARTERS and phrase.term != phrase.start
    return gerund and p.word(phrase.start + 1) in classes.DETERMINERS


def _describes_a_thing(cue: Cue) -> bool:
    """Whether the cue describes something that is no music: "about a house without a piano"."""
    p, i = cue.p, cue.first
    if p.word(i) not in ("without", "sans", "minus") and p.word(i - 1) not in (
        "with", "that", "who", "which", "had", "has",
    ):  # fmt: skip
        return False
    head = i - 1
    head -= p.word(head) in ("with", "has", "had", "have")
    head -= p.word(head) in ("that", "which", "who")
    word = p.word(head)
    if not word.isalpha() or word in classes.STOPS | classes.WORKS or p.in_term(head):
        return False
    start = head
    while (
        p.word(start - 1).isalpha() and p.word(start - 1) not in classes.STOPS | classes.DETERMINERS
    ):
        start -= 1
    if not _TAPED.isdisjoint(p.slice(p.clause(i)[0], i)):  # "recorded in a barn without drums"
        return False
    article = p.word(start - 1) in ("a", "an", "the", "his", "her", "their", "my")
    return article and p.word(start - 2) in (
        "about", "of", "in", "recalls", "imagines", "imagine", "from", "and",
    )  # fmt: skip


_TAPED = word_set("recorded taped played captured performed filmed sung made cut")


def _unknown_modifiers(cue: Cue, phrase: NounPhrase) -> str:
    """Doubt "hotaru no hikari flute": unknown words between cue and musical term."""
    p = cue.p
    if phrase.term is None or p.word(cue.first) not in ("no", "zero", "ain't"):
        return ""
    unknown = [
        word
        for word in p.slice(phrase.start, phrase.term)
        if word.isalnum()
        and word not in classes.OPEN_MODIFIERS
        and not word.endswith(("ly", "ed", "ing", "ic", "y", "al"))
    ]
    before = cue.word(-1)
    odd = before.isalnum() and before not in classes.STOPS and not p.in_term(cue.first - 1)
    return "unknown words" if len(unknown) > 1 or (unknown and odd) else ""


def _after(cue: Cue, i: int) -> Kind | None:
    """Return the kind of negation that the words after a negated noun phrase make of it.

    None if they leave it a denial: "no drums", "no drums here", "no drums are heard".
    """
    p = cue.p
    while p.word(i) in ("ever", "quite"):
        i += 1
    word = p.word(i)
    host = cue.word(-1) == "with" or patterns.WITHOUT.match(cue.match.group()) is not None
    if p.ends(i) or (not word[0].isalnum() and word != "'s") or p.starts_term(i):
        return None
    if word in _DECIDING:
        return _DECIDING[word]
    if word in classes.BE | {"has", "have", "had"}:
        return None if host else _after_be(p, i + 1)  # "Music without drones is rare"
    if word in classes.MODALS:
        sensed = p.word(i + 1) == "be" and p.word(i + 2) in classes.PRESENT
        return None if sensed else "predicate"
    if word in ("that", "which", "who", "whose"):
        restricts = p.word(cue.first) in ("no", "not", "there", "zero")
        spoken_of = p.word(i + 1) in ("i", "we", "you", "one")  # "no drums that I can hear"
        return "predicate" if restricts and not spoken_of else None
    if word in _LEAVING or word.endswith("ly"):
        return None
    return None if _is_new_clause(cue, i, host) else "predicate"


def _is_new_clause(cue: Cue, i: int, host: bool) -> bool:
    """Whether word ``i`` has nothing to do with the noun phrase before it.

    Args:
        cue: The cue.
        i: A verb, participle, article or unknown word.
        host: Whether the cue belongs to something that has verbs of its own: "without".
    """
    p, word = cue.p, cue.p.word(i)
    if word in classes.DETERMINERS:  # "Without drums the tempo wobbles"
        if p.word(i + 1) in ("whole", "entire"):  # "... the whole track"
            return True
        return p.clause(cue.first)[0] == cue.first and cue.match.group() not in ("no", "not")
    if word in classes.PRESENT:  # "no accordion playing over it"
        return True
    if word in classes.VERBS:
        return host
    if word.endswith(("ing", "ed")):  # "there are no drums driving it"
        return "there" in p.slice(cue.first - 3, cue.first + 1)
    return is_keywords(p, i)


_DECIDING: dict[str, Kind] = {
    **dict.fromkeys(("than", "too"), "comparison"),
    **dict.fromkeys(("required", "needed", "necessary", "preferred", "would", "should"), "wish"),
    **dict.fromkeys(("without", "lacks", "lacking", "sans"), "double"),
    **dict.fromkeys(("out", "off"), "predicate"),
}
"""Words after a negated noun phrase that decide what the negation is."""
_LEAVING = (
    classes.PREPOSITIONS
    | classes.CONJUNCTIONS
    | classes.ADVERBS
    | classes.PRONOUNS
    | classes.PRESENCE_VERBS
    | classes.word_set("no not zero nor this")
)
"""Words after a negated noun phrase that leave it denied."""


def _after_be(p: Passage, i: int) -> Kind | None:
    while p.word(i) in ("been", "be", "being", "ever", "even", "also", "actually", "really", "at"):
        i += 1
    if p.word(i) in ("there", "in", "on", "behind", "part"):
        return None
    present = p.word(i) in classes.PRESENT and p.word(i + 1) not in classes.MANNERS
    return None if present else "predicate"


def is_keywords(p: Passage, i: int) -> bool:
    """Whether a clause is a list of search words, without any verb or article."""
    sentence_words = (
        classes.BE | classes.HAVE | classes.DETERMINERS | classes.VERBS | classes.MODALS
    )
    return sentence_words.isdisjoint(p.slice(*p.clause(i)))


def no(cue: Cue) -> Found | None:
    """Absence for "no drums", a property for "he is no drummer", a judgement for "needs no"."""
    found = governed(cue)
    if found is None or found.kind != "absence":
        return found
    p, before = cue.p, cue.word(-1)
    hyphen = p.word(cue.first + 1) == "-" and p.joined(cue.first + 1)
    if hyphen and found.phrases[0].term != found.phrases[0].start:  # "a no-hands solo"
        return found._replace(kind="pseudo")
    there = "there" in p.slice(cue.first - 3, cue.first) or before == "theres"
    if (before in classes.BE or before == "not") and not there:
        return found._replace(kind="predicate")
    if before in ("have", "got") and cue.word(-2) in ("i", "we", "you", "ive", "i've"):
        return found._replace(doubt="who has it?")
    if before in classes.NOT_OF_PRESENCE:
        return found._replace(kind="wish")
    return found


def without(cue: Cue) -> Found | None:
    """Absence for "without drums", a negated deed for "without losing the groove"."""
    p, i = cue.p, cue.after
    while p.word(i) in ("any", "ever", "even") or p.word(i).endswith("ly"):
        i += 1
    word = p.word(i)
    if word in ("using", "having", "adding", "including", "featuring", "bringing"):
        phrases = p.coordinated(i + 1 + (p.word(i + 1) == "in"))
        return cue.found("absence", phrases) if p.is_musical(phrases) else None
    if word.endswith("ing") and not p.in_term(i) and word not in classes.STARTERS:
        return cue.found("predicate", [phrase] if (phrase := p.noun_phrase(i)) else [])
    noun = re.search(r"(?:absence|lack|removal) of$", cue.match.group())
    found = governed(cue, whole_clause=not noun)
    if found and cue.match.group() == "excluding" and p.clause(cue.first)[0] == cue.first:
        return found._replace(kind="relational")  # "Excluding the cajon, there are no ..."
    if found is None or found.kind != "absence":
        return found
    before = " ".join(p.slice(p.clause(cue.first)[0], cue.first))
    if cue.match.group().startswith(("without", "w/o")) and _JUDGED.search(before):
        return found._replace(kind="wish")
    return found


_JUDGED = re.compile(
    r"\b(?:best|incomplete|complete|nothing|not the same|lost|better|same|(?<!make )(?<!makes )"
    r"(?<!made )(?<!to )do|live|imagine|dull|empty|boring|(?<!to )be|done)$"
)


def lacking(cue: Cue) -> Found | None:
    """Absence of the object of a verb: "omits the choir", not "muted trumpet"."""
    p, verb, following = cue.p, cue.match.group(), cue.p.word(cue.after)
    avoids = verb.startswith("avoid") and p.in_term(cue.after)
    determined = following in classes.DETERMINERS or following == "anything"
    if verb in patterns.AMBIGUOUS and not (avoids or determined):
        return None
    before = re.sub(r"^\w+'(?=ve$)", "ha", cue.word(-1))  # "they've"
    if verb in _BASE_FORMS and before not in _BEFORE_BASE_FORM:
        return None
    found = governed(cue)
    if found and found.kind in ("absence", "predicate") and p.is_musical(found.phrases):
        if found.kind == "predicate" and p.word(found.phrases[-1].end) in ("that", "which", "who"):
            return found._replace(kind="absence")
        return found
    return found and found._replace(doubt=found.doubt or _UNKNOWN)


_BASE_FORMS = word_set("drop cut skip lose mute wipe abandon")
_BEFORE_BASE_FORM = word_set("to who they we i you has have had do please")


def split_verb(cue: Cue) -> Found | None:
    """Absence of the object inside of a verb: "keep the vocals out"."""
    p, match = cue.p, cue.match
    particle = p.at(match.start("particle"))
    phrases = p.coordinated(p.at(match.start("object")))
    if not phrases or phrases[-1].end != particle or not p.is_musical(phrases):
        return None
    return Found(match.span("verb"), "absence", phrases, end=cue.after)


def verb_not(cue: Cue) -> Found | None:
    """Absence for "does not have drums" and "can't hear any", a judgement for "don't need"."""
    p, match = cue.p, cue.match
    verb = match["verb"] or match["any"] or ""
    if match["any"] in classes.PREPOSITIONS:
        return None
    bare = p.noun_phrase(cue.after)
    one = [bare] if bare else []
    got = verb == "got" and re.match(r"(?:has|have)n'?t|ain't", match.group())
    optional = cue.word(-1) == "need" or "have to" in match.group()
    if (verb in _JUDGING and not got) or optional:
        return cue.found("wish", one)
    following = p.word(cue.after)
    any_object = match.group().endswith("any") or following in ("a", "an")
    if match["verb"] in _DEEDS and not any_object:
        return None
    if re.match(patterns.QUANTITY + r"\b", p.text[match.end() :].lstrip()):
        return cue.found("degree", one)
    if following == "no":  # "don't want no drums"
        phrases = p.coordinated(cue.after + 1)
        return cue.found("absence", phrases) if p.is_musical(phrases) else None
    return governed(cue)


_JUDGING = word_set(
    """need like mind see expect recommend remember know care got deserve believe"""
)
_DEEDS = word_set("play plays sing sings bring brings get")


def there_not(cue: Cue) -> Found | None:
    """Absence for "there aren't any drums", degree for "there isn't much bass"."""
    rest = cue.p.text[cue.match.end() :].lstrip()
    if re.match(rf"(?:{patterns.QUANTITY}|only|just|one)\b", rest):
        phrase = cue.p.noun_phrase(cue.after + 1)
        return cue.found("degree", [phrase] if phrase else [])
    return governed(cue)
