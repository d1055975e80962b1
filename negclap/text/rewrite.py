"""Rewrite texts: affirm or remove a negation, split the negations off."""

import re
from typing import NamedTuple

from negclap.text.detect import Negation, find_negations
from negclap.text.vocabulary import Vocabulary

_AFFIRMATIVE: tuple[tuple[str, str], ...] = (
    (r"no|zero", "some"),
    (r"(?:without|w/o|w/out)(?: any)?", "with"),
    (r"lacks|lacked|omits|excludes", "has"),
    (r"lack|omit", "have"),
    (r"lacking(?: of| in)?|devoid of|void of|free (?:of|from)|bereft of|minus|sans", "with"),
    (r"(an? |the )?(?:lack of|absence of)", r"\1presence of"),
    (r"(\w+) (?:\w+ )?(?:absent|missing)", r"\1 present"),
)
_AFFIRMATIVE_PARTS: tuple[tuple[str, str], ...] = (
    (r"\b(?:can['\u2019]?t|cannot)\b", "can indeed"),
    (r"\b(is|are|was|were|do|does|did|has|have|had|could)(?: not|n['\u2019]?t)\b", r"\1 indeed"),
    (r"\bany\b", "some"),
    (r"\b(?:really|even|actually) ", ""),
)


def affirm(caption: str, negation: Negation) -> str | None:
    """Return the caption with an absence affirmed: "There are some voices" for "... no voices".

    Each cue is replaced by a word, not dropped, so that the affirmed text has a similar length.
    None if the negation is not an absence or cannot be affirmed in a simple way.
    """
    if negation.kind != "absence":
        return None
    cue = negation.cue.lower()
    matches = ((re.fullmatch(pattern, cue), affirmed) for pattern, affirmed in _AFFIRMATIVE)
    affirmed_cue = next((match.expand(affirmed) for match, affirmed in matches if match), cue)
    for pattern, affirmed in _AFFIRMATIVE_PARTS if affirmed_cue == cue else ():
        affirmed_cue = re.sub(pattern, affirmed, affirmed_cue)
    start, end = negation.span
    text = re.sub(r"  +", " ", caption[:start] + affirmed_cue + caption[end:]).strip()
    if len(find_negations(text)) >= len(find_negations(caption)):
        return None
    return text[:1].upper() + text[1:] if caption[:1].isupper() else text


def remove(caption: str, negation: Negation) -> str:
    """Return the caption without the negated phrase.

    A clause or sentence that contains nothing else is removed completely.
    """
    start, end = negation.span[0], max(negation.span[1], negation.phrase_span[1])
    start = min(start, negation.phrase_span[0])
    before, after = caption[:start], caption[end:]
    opening = re.search(
        r"(?:(?:^|(?<=[.!?;,]))\s*(?:and |but )?(?:there (?:is|are|was|were)|(?:this|the) \w+"
        r" (?:has|is|features?)|it (?:has|is)|which (?:has|is)|with|and|but|,)|,|\band|\bwith"
        r"|\bbut)"
        r"\s*$",
        before,
        re.IGNORECASE,
    )
    if opening:
        before = before[: opening.start()]
    closing = re.match(
        r"\s*(?:(?:in|on|to) (?:this|the) \w+(?: \w+)?|used|played|(?:is |are )?present|at all)?"
        r"(?=\s*[.,;!?]|\s*$)",
        after,
        re.IGNORECASE,
    )
    after = after[closing.end() :] if closing else after
    text = f"{before.rstrip(' ,')} {after.lstrip(' ,')}" if before.strip() else after.lstrip(" ,.")
    return re.sub(r"\s+([.,;!?])", r"\1", re.sub(r"([.!?])\s*[.,]", r"\1", text)).strip(" ,")


NEUTRAL = "music"
"""The affirmed part of a text that affirms nothing."""


class Parts(NamedTuple):
    """The affirmed part of a text, and its negated parts."""

    affirmed: str
    negated: tuple[str, ...]


def split_negations(text: str, vocabulary: Vocabulary) -> Parts:
    """Split what a text surely denies off it: tags by name, other nouns of music as written."""
    affirmed = text
    negated: list[str] = []
    for negation in reversed([n for n in find_negations(text, vocabulary) if n.denies]):
        names = [vocabulary.name_of(name) or name for name in negation.names]
        negated = [*names, *negated]
        if negation.kind != "lexical":  # "instrumental" describes what is there, too
            affirmed = remove(affirmed, negation)
    return Parts(affirmed or NEUTRAL, tuple(dict.fromkeys(negated)))
