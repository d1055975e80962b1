"""Compose captions from claims: "a slow piece with piano, no drums or vocals".

The wording (sentence pattern, cue, aliases) is drawn from the seed and the tags, not from the
polarity of the claims. Two sets of claims about the same tags, composed with the same seed,
therefore form a minimal pair: they differ only in what they claim.
"""

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from negclap.rng import stream
from negclap.text.cues import LEXICALISED, MORE_CUES, NOT, TRAINING_CUES, Cue
from negclap.text.vocabulary import Tag, Vocabulary

Claim = tuple[str, bool]
"""A tag and its polarity: True if the text says that the clip has it."""
FALSEHOODS = ("denied", "affirmed", "swapped")
"""Kinds of false texts; see `Exclusion`."""

_SUBJECTS = ("a {}piece", "a {}track", "a {}song", "a {}tune", "a {}recording", "{}music")
_ALIAS_SHARE = 0.2
_LEXICALISED_SHARE = 0.25
_SUFFIX_SHARE = 0.2


@dataclass(frozen=True)
class Lexicon:
    """The words that negate nouns, and affirm them: joiners (" with "), suffixes ("piano-led")."""

    cues: tuple[Cue, ...]
    joiners: tuple[str, ...]
    suffixes: tuple[str, ...] = ()


SEEN = Lexicon(TRAINING_CUES["noun"], (" with ", " featuring ", " for "))
"""Only the seen cues of the benchmark."""
MANY = Lexicon(
    (*SEEN.cues, *MORE_CUES),
    (*SEEN.joiners, " including ", " using ", " plus ", " full of ", " built on ", " rich in "),
    ("-led", "-heavy", "-driven", "-based"),
)
"""Many more cues and affirming words, to help a text encoder generalise; none is held out."""


class Exclusion(NamedTuple):
    """A true exclusion caption of a clip, with false variants in the same words.

    Attributes:
        text: Mentions one to three present tags and negates one or two absent ones.
        claims: The claims of ``text``.
        false: False texts by kind: "denied" negates a present tag, "affirmed" affirms an absent
            one, and "swapped" does both: it moves the cue from an absent tag to a present one.
    """

    text: str
    claims: tuple[Claim, ...]
    false: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Wording:
    """Everything drawn about how a text is written, independent of the polarity of its claims."""

    surfaces: dict[str, str]
    listed: bool
    negated_first: bool
    subject: str
    joiner: str
    cue: Cue
    together: bool
    comma: bool
    marked: bool
    lexicalised: bool
    suffix: str
    led: float


def compose(
    claims: Sequence[Claim],
    vocabulary: Vocabulary,
    seed: int | str,
    cue: Cue | None = None,
    lexicon: Lexicon = SEEN,
) -> str:
    """Return a caption that makes ``claims``, at least one.

    ``seed`` and the tags determine the wording. ``cue`` is the cue for nouns; None draws one from
    the lexicon. Adjectives always take "not".
    """
    wording = _draw_wording([tag for tag, _ in claims], vocabulary, seed, lexicon)
    if cue is not None:
        wording = replace(wording, cue=cue, lexicalised=False)
    return _write(claims, vocabulary, wording)


def _write(claims: Sequence[Claim], vocabulary: Vocabulary, wording: _Wording) -> str:
    return (_list if wording.listed else _sentence)(claims, vocabulary, wording)


def _draw_wording(
    tags: Sequence[str], vocabulary: Vocabulary, seed: int | str, lexicon: Lexicon
) -> _Wording:
    rng = stream(seed)
    return _Wording(
        surfaces={tag: draw_surface(vocabulary[tag], stream(seed, tag)) for tag in tags},
        listed=rng.random() < 0.4,
        negated_first=rng.random() < 0.3,
        subject=rng.choice(_SUBJECTS),
        joiner=rng.choice(lexicon.joiners),
        cue=rng.choice(lexicon.cues),
        together=rng.random() < 0.6,
        comma=rng.random() < 0.5,
        marked=rng.random() < 0.3,
        lexicalised=rng.random() < _LEXICALISED_SHARE,
        suffix=rng.choice(lexicon.suffixes or ("",)) if rng.random() < _SUFFIX_SHARE else "",
        led=rng.random(),
    )


def draw_surface(tag: Tag, rng: random.Random) -> str:
    """Return the name of a tag, or for a noun sometimes an alias."""
    use_alias, which = rng.random() < _ALIAS_SHARE, rng.random()
    if use_alias and tag.aliases and tag.part_of_speech == "noun":
        return tag.aliases[int(which * len(tag.aliases))]
    return tag.name


def _lexicalised(tag: str, vocabulary: Vocabulary, wording: _Wording) -> str | None:
    """Return the word that means "no ``tag``" ("instrumental"), if the wording uses one."""
    words = (word for word, absent in LEXICALISED.items() if absent == tag)
    return next((word for word in words if wording.lexicalised and word not in vocabulary), None)


def _list(claims: Sequence[Claim], vocabulary: Vocabulary, wording: _Wording) -> str:
    """Write keywords: "slow, with piano, no drums, not loud"."""
    surfaces = wording.surfaces

    def phrase(tag: str, present: bool) -> str:
        noun = vocabulary[tag].part_of_speech == "noun"
        if present:
            return f"with {surfaces[tag]}" if noun and wording.marked else surfaces[tag]
        word = _lexicalised(tag, vocabulary, wording)
        return word or (wording.cue if noun else NOT).phrase(surfaces[tag])

    return ", ".join(phrase(tag, present) for tag, present in claims)


def _sentence(claims: Sequence[Claim], vocabulary: Vocabulary, wording: _Wording) -> str:
    """Write a phrase: "a slow piece with piano, no drums or vocals, not loud"."""
    surfaces = wording.surfaces

    def chosen(kind: str, polarity: bool) -> list[str]:
        tags = (tag for tag, present in claims if present is polarity)
        return [tag for tag in tags if vocabulary[tag].part_of_speech == kind]

    words = {tag: _lexicalised(tag, vocabulary, wording) for tag in chosen("noun", False)}
    absent = [surfaces[tag] for tag, word in words.items() if word is None]
    before = [surfaces[tag] for tag in chosen("adjective", True)]
    before += [word for word in words.values() if word is not None]
    if wording.cue.suffix and not wording.cue.clause:  # "a drums-less piece"
        before += [wording.cue.phrase(name) for name in absent]
        absent = []
    present = chosen("noun", True)
    led = _led(claims, vocabulary, wording)
    if led in present:  # "a piano-led piece"
        present.remove(led)
        before.append(surfaces[led] + wording.suffix)
    nouns = [surfaces[tag] for tag in present]
    text = wording.subject.format("".join(f"{word} " for word in before))
    if text.startswith("a ") and text[2] in "aeio":
        text = f"an {text[2:]}"
    if nouns:
        text += wording.joiner + enumerate_words(nouns)
    for negated in (
        _negated(absent, wording.cue, wording.together),
        _negated([surfaces[tag] for tag in chosen("adjective", False)], NOT, wording.together),
    ):
        if negated and wording.negated_first:
            text = f"{negated}, {text}"
        elif negated:
            needs_comma = wording.comma or wording.cue.clause or wording.cue.name in ("no", "not")
            text += f", {negated}" if needs_comma or negated.startswith("not ") else f" {negated}"
    return text


def _led(claims: Sequence[Claim], vocabulary: Vocabulary, wording: _Wording) -> str | None:
    """Return the noun that takes the affirming suffix if it is claimed to be present."""
    nouns = [tag for tag, _ in claims if vocabulary[tag].part_of_speech == "noun"]
    return nouns[int(wording.led * len(nouns))] if nouns and wording.suffix else None


def _negated(names: list[str], cue: Cue, together: bool) -> str:
    if not names:
        return ""
    if together and not cue.suffix:  # "no A or B or C"; in "no A, B or C", B could be affirmed
        return cue.phrase(" or ".join(names))
    return " and ".join(cue.phrase(name) for name in names)


def enumerate_words(items: Sequence[str]) -> str:
    """Join items as in prose: "flute, drums and harp"."""
    return " and ".join(filter(None, (", ".join(items[:-1]), *items[-1:])))


def draw_exclusion(
    tags: Collection[str],
    absent: Collection[str],
    vocabulary: Vocabulary,
    seed: int | str,
    lexicon: Lexicon = SEEN,
) -> Exclusion | None:
    """Draw an exclusion caption of a clip with these tags and absent tags, and its false variants.

    No tag in it implies or excludes another, so that no negation is redundant ("slow, not fast").
    None if there is no present tag, or no absent tag unrelated to the chosen present ones.
    """
    rng = stream(seed, "claims")
    present = draw_unrelated(tags, rng.randint(1, 3), vocabulary, rng)
    negated = draw_unrelated(absent, rng.randint(1, 2), vocabulary, rng, present)
    if not present or not negated:
        return None
    chosen = [*present, *negated]
    claims = tuple((tag, tag in present) for tag in rng.sample(chosen, len(chosen)))
    one, other = rng.choice(present), rng.choice(negated)
    flipped = {"denied": {one}, "affirmed": {other}, "swapped": {one, other}}
    wording = _draw_wording([tag for tag, _ in claims], vocabulary, seed, lexicon)

    def text(flip: Collection[str]) -> str:
        flipped_claims = [(tag, present != (tag in flip)) for tag, present in claims]
        return _write(flipped_claims, vocabulary, wording)

    return Exclusion(text(()), claims, {kind: text(flip) for kind, flip in flipped.items()})


def draw_unrelated(
    names: Collection[str],
    most: int,
    vocabulary: Vocabulary,
    rng: random.Random,
    besides: Collection[str] = (),
) -> list[str]:
    """Draw up to ``most`` tags that neither imply nor exclude each other or those ``besides``."""
    known = [name for name in names if name in vocabulary]
    drawn: list[str] = []
    for name in rng.sample(known, len(known)):
        if len(drawn) == most:
            break
        if not any(vocabulary.excludes(name, other) for other in (*besides, *drawn)):
            drawn.append(name)
    return drawn
