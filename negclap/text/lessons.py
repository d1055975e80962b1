"""Draw texts to teach from, with what they affirm and deny, from a vocabulary or from captions.

A lesson needs no music: it is a text, another that makes only its affirmations, and the names that
it denies.
"""

import random
from dataclasses import dataclass
from typing import NamedTuple

from negclap.rng import stream
from negclap.text.compose import Claim, compose
from negclap.text.cues import LEXICALISED, Cue
from negclap.text.lesson_frames import (
    ALONE,
    BEFORE_NOUN,
    CLAUSE_FRAMES,
    CONTRASTS,
    FILLERS,
    PHRASE_FRAMES,
    PLAIN,
    PRESENT,
    REQUESTS,
)
from negclap.text.lesson_parts import AFFIRMING, USUAL_SHARE, LessonParts, slots
from negclap.text.negate import add_negated, insertion_places, negation_levels
from negclap.text.rewrite import NEUTRAL
from negclap.text.vocabulary import music_vocabulary
from negclap.text.wordings import (
    AFFIRMED_TWICE,
    DENIED_ADJECTIVES,
    LIMITED,
    NO_DENIALS,
    Denial,
    sentences,
)


class Lesson(NamedTuple):
    """A text, and what a text encoder should make of it.

    Attributes:
        text: The text to encode.
        affirmed: A text that only affirms: the text itself if it denies nothing.
        denied: The names of what the text denies, or limits.
        degree: 1 if it denies them; less, down to -1, if it limits them ("hardly any drums").
        kind: Kind of lesson; see `SHARES`.
        family: The family of the denial, if there is one (see `wordings`).
        tags: All tags of the text.
    """

    text: str
    affirmed: str
    denied: tuple[str, ...] = ()
    degree: float = 1.0
    kind: str = "affirmed"
    family: str = ""
    tags: tuple[str, ...] = ()


SHARES = {
    "affirmed": 0.2,
    "caption": 0.1,
    "words": 0.1,
    "composed": 0.14,
    "joined": 0.13,
    "contrast": 0.04,
    "negated caption": 0.03,
    "lexicalised": 0.03,
    "affirmed twice": 0.05,
    "no denial": 0.03,
    "limited": 0.03,
    "denying sentence": 0.06,
    "affirming sentence": 0.06,
}
"""Share of each kind of lesson. Captions and random words keep what the encoder knew."""
_LEVEL_FAMILIES = ("no", "not", "without", "lack")  # of the benchmark's seen cues
_USUAL = 3


@dataclass(frozen=True)
class LessonPlan(LessonParts):
    """Draws lessons: a pure function of (seed, number).

    The other arguments, and the errors, are those of `LessonParts`.

    Attributes:
        seed: The seed.
    """

    seed: int | str = 0

    def __call__(self, number: int) -> Lesson:
        """Return the lesson with this number."""
        rng = stream(self.seed, "lesson", number)
        kind = rng.choices([*SHARES], [*SHARES.values()])[0]
        draw = {
            "affirmed": self._affirmed,
            "composed": self._composed,
            "joined": self._joined,
            "contrast": self._contrast,
            "negated caption": self._negated_caption,
            "lexicalised": self._lexicalised,
            "affirmed twice": self._affirmed_twice,
            "no denial": self._no_denial,
            "limited": self._limited,
            "caption": self._caption,
            "words": self._words,
            "denying sentence": self._denying_sentence,
            "affirming sentence": self._affirming_sentence,
        }[kind]
        lesson = draw(rng)
        return (lesson or self._affirmed(rng))._replace(kind=kind if lesson else "affirmed")

    def _affirmed(self, rng: random.Random) -> Lesson:
        if rng.random() < 0.03:
            text = rng.choice(PLAIN)
            return Lesson(text, text)
        text, tags = self.affirmation(rng)
        if rng.random() < 0.15:
            text = rng.choice(REQUESTS).format(text)
        return Lesson(text, text, tags=tags)

    def _caption(self, rng: random.Random) -> Lesson:
        """Describe music with any words, so that the encoder keeps what it knew of them."""
        text = rng.choice(self.described)
        names = self.allowed(music_vocabulary().names)
        text = text.format(*rng.sample(names, slots(text)))
        return Lesson(text, text)

    def _words(self, rng: random.Random) -> Lesson:
        words = self.allowed(sentences().words)
        text = " ".join(rng.choices(words, k=rng.choice((1, 2, 4, 8, 16, 32))))
        return Lesson(text, text)

    def _composed(self, rng: random.Random) -> Lesson | None:
        names = [*self.vocabulary.names]
        present = self.some(names, rng.choices((0, 1, 2, 3), (8, 40, 34, 18))[0], rng)
        nouns = rng.random() < 0.85 or not self.adjectives or "not" in self.held_out
        pool = self.nouns if nouns else self.adjectives
        denied = self.some(pool, rng.choices((1, 2, 3), (66, 26, 8))[0], rng, present)
        if not denied:
            return None
        tags = rng.sample([*present, *denied], len(present) + len(denied))
        claims: list[Claim] = [(tag, tag in present) for tag in tags]
        denial, key = self.denial(rng), rng.getrandbits(32)
        text = compose(claims, self.vocabulary, key, denial.cue, AFFIRMING)
        only = [claim for claim in claims if claim[1]]
        affirmed = compose(only, self.vocabulary, key, lexicon=AFFIRMING) if only else NEUTRAL
        family = denial.family if nouns else "not"  # composed adjectives have no other denial
        return Lesson(text, affirmed, (*denied,), family=family, tags=(*tags,))

    def _joined(self, rng: random.Random) -> Lesson | None:
        """Join an affirmation and a denial, in a sentence or in several."""
        affirmed, tags = self.affirmation(rng) if rng.random() < 0.88 else (NEUTRAL, ())
        found = self.names_to_deny(rng, tags)
        if found is None:
            return None
        denied, written = found
        denial = self.denial(rng)
        phrase = denial.cue.phrase(written)
        adjectives = self.denying(DENIED_ADJECTIVES) if self.adjectives else ()
        if adjectives and rng.random() < 0.1:
            if not (denied := self.some(self.adjectives, 1, rng, tags)):
                return None
            phrase = rng.choice(adjectives).format(denied[0])
            denial = Denial("", Cue("", phrase))
        if affirmed == NEUTRAL:
            alone = BEFORE_NOUN if denial.cue.suffix else ALONE
            text = rng.choice(("{d}",) if denial.cue.clause else alone).format(d=phrase)
        elif rng.random() < 0.25 and not denial.cue.clause and len(denied) == 1:
            place = rng.choice(insertion_places(affirmed, self.vocabulary.find(affirmed)))
            text = add_negated(affirmed, Cue("", phrase.replace("{", "") + "{}"), "", place)
        else:
            if rng.random() < 0.2:
                affirmed = f"{affirmed.rstrip('.')}. {rng.choice(FILLERS)}"
            frames = CLAUSE_FRAMES if denial.cue.clause else PHRASE_FRAMES
            text = _sentences(rng.choice(frames).format(a=affirmed.rstrip("."), d=phrase))
            if rng.random() < 0.15:
                text = rng.choice(REQUESTS).format(text)
        return Lesson(text, affirmed, (*denied,), family=denial.family, tags=(*tags, *denied))

    def _contrast(self, rng: random.Random) -> Lesson | None:
        present = self.some(self.nouns, rng.choice((1, 1, 2)), rng)
        found = self.names_to_deny(rng, present)
        frames = self.denying(CONTRASTS)
        if found is None or not present or not frames:
            return None
        denied, written = found
        affirmed = " and ".join(present)
        if rng.random() < 0.5:
            affirmed = rng.choice(PRESENT).format(affirmed)
        text = rng.choice(frames).format(a=affirmed, n=written)
        return Lesson(text, affirmed, (*denied,), tags=(*present, *denied))

    def _negated_caption(self, rng: random.Random) -> Lesson | None:
        """Negate half or all of the tags of a text, as the benchmark's levels do."""
        text, tags = self.affirmation(rng)
        levels = negation_levels(text, self.vocabulary, rng.getrandbits(32))
        level = levels.half if levels.half and rng.random() < 0.5 else levels.fully
        used = {*_LEVEL_FAMILIES, *(level.tags if level else ())}
        if level is None or used & {*self.held_out, *self.held_out_tags}:
            return None
        left = [(tag, True) for tag in tags if tag not in level.tags]
        if {tag for tag, _ in left} & self.vocabulary.overlapping(level.tags):
            return None
        affirmed = compose(left, self.vocabulary, rng.getrandbits(32)) if left else NEUTRAL
        return Lesson(level.text, affirmed, level.tags, family="no", tags=tags)

    def _lexicalised(self, rng: random.Random) -> Lesson | None:
        words = [(word, tag) for word, tag in LEXICALISED.items() if tag in self.nouns]
        if not words:
            return None
        word, tag = rng.choice(words)
        affirmed, tags = self.affirmation(rng)
        if tag in self.vocabulary.overlapping(tags):
            affirmed, tags = NEUTRAL, ()
        plain = affirmed.rstrip(".")
        frames = ("{a}, {w}", "{w} {a}", "{w}, {a}", "{a}. {w}.", "{a} ({w})", "purely {w} {a}")
        text = _sentences(rng.choice(frames).format(a=plain, w=word))
        return Lesson(text, affirmed, (tag,), family=word, tags=(*tags, tag))

    def _affirmed_twice(self, rng: random.Random) -> Lesson | None:
        return self._present_after(AFFIRMED_TWICE, rng)

    def _no_denial(self, rng: random.Random) -> Lesson | None:
        return self._present_after(NO_DENIALS, rng)

    def _present_after(self, phrases: tuple[str, ...], rng: random.Random) -> Lesson | None:
        """Write a phrase that has a negation word and denies nothing, with other tags or alone."""
        if not (allowed := self.allowed(phrases)):
            return None
        template = rng.choice(allowed[:_USUAL] if rng.random() < USUAL_SHARE else allowed)
        tags = self.some(self.nouns, 2 if "{1}" in template else 1, rng)
        if len(tags) < (2 if "{1}" in template else 1):
            return None
        phrase, plain = template.format(*tags), " and ".join(tags)
        if rng.random() < 0.5:
            before, others = self.affirmation(rng)
            if set(tags) & self.vocabulary.overlapping(others):
                return None
            frame = rng.choice(("{a}, {d}", "{d}, {a}", "{a}. {d}.", "{a} {d}", "{a} and {d}"))
            before = before.rstrip(".")
            text = _sentences(frame.format(a=before, d=phrase))
            return Lesson(text, f"{before} with {plain}", tags=(*others, *tags))
        text = rng.choice(("{}", "{}", "music {}", "a track, {}", "a piece {}")).format(phrase)
        return Lesson(text, f"music with {plain}", tags=(*tags,))

    def _denying_sentence(self, rng: random.Random) -> Lesson | None:
        templates = self.denying(sentences().denies)
        affirmed = self.some(self.nouns, 1, rng)
        denied = self.some(self.nouns, 1, rng, affirmed)
        if not templates or not denied:
            return None
        template, (x,), (y,) = rng.choice(templates), denied, affirmed
        text = template.format(x=self.surface(x, rng), y=y)
        if "{y}" not in template:
            return Lesson(text, NEUTRAL, (x,), tags=(x,))
        return Lesson(text, rng.choice((y, f"music with {y}")), (x,), tags=(x, y))

    def _affirming_sentence(self, rng: random.Random) -> Lesson | None:
        templates = self.allowed(sentences().affirms)
        found = self.some(self.nouns, 2, rng)
        if not templates or len(found) < 2:
            return None
        template, (x, y) = rng.choice(templates), found
        tags = (x, y) if "{y}" in template else (x,)
        return Lesson(template.format(x=x, y=y), f"music with {' and '.join(tags)}", tags=tags)

    def _limited(self, rng: random.Random) -> Lesson | None:
        if not (allowed := self.denying(tuple(LIMITED))):
            return None
        template = rng.choice(allowed)
        tags = self.some(self.nouns, 1, rng)
        affirmed, others = self.affirmation(rng)
        if not tags or tags[0] in self.vocabulary.overlapping(others):
            return None
        plain, phrase = affirmed.rstrip("."), template.format(tags[0])
        text = _sentences(
            rng.choice(("{a}, {d}", "{a} with {d}", "{d}, {a}")).format(a=plain, d=phrase)
        )
        return Lesson(text, affirmed, (*tags,), LIMITED[template], tags=(*others, *tags))


def _sentences(text: str) -> str:
    """Begin each sentence with a capital, if there are several."""
    if ". " not in text:
        return text
    return ". ".join(part[:1].upper() + part[1:] for part in text.split(". "))
