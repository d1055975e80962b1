"""Draw texts to teach from, with what they affirm and deny, from a vocabulary or from captions.

A lesson needs no music: it is a text, another that makes only its affirmations, and the names that
it denies.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from negclap.errors import InputError
from negclap.rng import stream
from negclap.text.compose import SEEN, Claim, Lexicon, compose, draw_surface, draw_unrelated
from negclap.text.cues import LEXICALISED, MORE_CUES, Cue
from negclap.text.detect import find_negations
from negclap.text.lesson_frames import (
    ALONE,
    ALSO,
    BEFORE_NOUN,
    CLAUSE_FRAMES,
    CONTRASTS,
    FILLERS,
    JOINERS,
    PHRASE_FRAMES,
    PLAIN,
    PRESENT,
    REQUESTS,
)
from negclap.text.negate import add_negated, insertion_places, negation_levels
from negclap.text.rewrite import NEUTRAL
from negclap.text.templates import write_captions
from negclap.text.vocabulary import Vocabulary, music_vocabulary
from negclap.text.wordings import (
    AFFIRMED_TWICE,
    DENIED_ADJECTIVES,
    LIMITED,
    NO_DENIALS,
    Denial,
    families,
    family_weights,
    sentences,
    without_words_of,
)

Words = Literal["seen", "many", "all"]


class Lesson(NamedTuple):
    """A text, and what a text encoder should make of it.

    Attributes:
        text: The text to encode.
        affirmed: A text that only affirms: the text itself if it denies nothing.
        denied: The names of what the text denies, or limits.
        degree: 1 if it denies them; less, down to -1, if it limits them ("hardly any drums").
        kind: Kind of lesson; see `LessonPlan.shares`.
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
_USUAL_SHARE = 0.4  # of the most usual wordings
_USUAL = 3
_SUFFIX_SHARE = 0.12  # "drums-lacking"; as often as the affirmative "drums-driven"
_TRIED = 24  # of a thousand tags, only this many are tried


@dataclass(frozen=True)
class LessonPlan:
    """Draws lessons: a pure function of (seed, number).

    Attributes:
        vocabulary: The tags.
        captions: Captions whose affirmations are used; those that deny something are left out.
        words: The cues: the benchmark's "seen" ones, "many" of `cues`, or "all" of `wordings`.
        held_out: Families of denials that are not used.
        held_out_tags: Tags that are never denied.
        seed: The seed.

    Raises:
        InputError: If the vocabulary has no two unrelated nouns, a family or tag to hold out is
            unknown, or no tag is found in any caption.
    """

    vocabulary: Vocabulary
    captions: tuple[str, ...] = ()
    words: Words = "all"
    held_out: tuple[str, ...] = ()
    held_out_tags: tuple[str, ...] = ()
    seed: int | str = 0

    def __post_init__(self) -> None:
        """Check that lessons can be drawn."""
        if len(self._nouns) < 2:
            found = f"{len(self._nouns)} nouns that can be denied"
            raise InputError(f"the vocabulary has {found}, expected at least 2")
        for name in self.held_out_tags:
            if name not in self.vocabulary.names:
                raise InputError(f"held_out_tags: {name!r} is no tag of the vocabulary")
        for name in self.held_out:
            if name not in families():
                raise InputError(f"held_out: {name!r} is no family of {', '.join(families())}")
        if self.captions and not self._captions:
            raise InputError(
                f"none of the {len(self.captions)} captions affirms a tag of the vocabulary and "
                "denies nothing; give the vocabulary of these captions"
            )

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

    @cached_property
    def _nouns(self) -> list[str]:
        tags = (tag for tag in self.vocabulary.tags if tag.part_of_speech == "noun")
        return [tag.name for tag in tags if tag.name not in self.held_out_tags]

    @cached_property
    def _adjectives(self) -> list[str]:
        tags = (tag for tag in self.vocabulary.tags if tag.part_of_speech == "adjective")
        return [tag.name for tag in tags if tag.name not in self.held_out_tags]

    @cached_property
    def _captions(self) -> list[tuple[str, tuple[str, ...]]]:
        """The captions that deny nothing, with their tags."""
        found = ((text, self._tags_of(text)) for text in self.captions)
        return [(text, tags) for text, tags in found if tags and not find_negations(text)]

    def _tags_of(self, text: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(mention.tag for mention in self.vocabulary.find(text)))

    @cached_property
    def _denials(self) -> list[Denial]:
        if self.words == "all":
            return []
        cues = (*SEEN.cues, *(MORE_CUES if self.words == "many" else ()))
        return [Denial(cue.name, cue) for cue in cues]

    @cached_property
    def _families(self) -> dict[str, int]:
        return family_weights(self.held_out)

    @cached_property
    def _suffixes(self) -> list[Denial]:
        every = (denial for name in self._families for denial in families()[name].all)
        return [one for one in every if one.cue.suffix and not one.cue.clause]

    def _denial(self, rng: random.Random) -> Denial:
        if self.words != "all":
            return rng.choice(self._denials)
        if rng.random() < _SUFFIX_SHARE and self._suffixes:
            return rng.choice(self._suffixes)
        name = rng.choices([*self._families], [*self._families.values()])[0]
        usual, others = families()[name]
        return rng.choice(usual if rng.random() < _USUAL_SHARE else others)

    def _allowed(self, phrases: tuple[str, ...]) -> tuple[str, ...]:
        return without_words_of(self.held_out, phrases)

    def _denying(self, phrases: tuple[str, ...]) -> tuple[str, ...]:
        """Return the allowed ones of phrases that deny, which no cue has."""
        return self._allowed(phrases) if self.words == "all" else ()

    @property
    def _described(self) -> tuple[str, ...]:
        return self._allowed(sentences().captions)

    def _some(
        self, names: list[str], most: int, rng: random.Random, besides: Iterable[str] = ()
    ) -> list[str]:
        """Draw up to ``most`` names that overlap neither with each other nor with others."""
        taken = self.vocabulary.overlapping(besides)
        tried = rng.sample(names, min(len(names), _TRIED))
        free = [name for name in tried if name not in taken]
        return draw_unrelated(free, most, self.vocabulary, rng, tuple(besides))

    def _surface(self, name: str, rng: random.Random) -> str:
        return draw_surface(self.vocabulary[name], rng)

    def _affirmation(self, rng: random.Random) -> tuple[str, tuple[str, ...]]:
        """Return a text that affirms some tags, and these tags."""
        if self._captions and rng.random() < 0.5:
            return rng.choice(self._captions)
        names = [*self.vocabulary.names]
        kinds = ("composed", "template", "names", "phrase", "caption")
        match rng.choices(kinds, (35, 25, 20, 8, 12))[0]:
            case "composed":
                tags = self._some(names, rng.randint(1, 3), rng)
                claims = [(tag, True) for tag in tags]
                return compose(claims, self.vocabulary, rng.getrandbits(32), lexicon=_AFFIRMING), (
                    *tags,
                )
            case "template":
                text = write_captions(
                    rng.sample(names, min(len(names), _TRIED)), self.vocabulary, rng, 1
                )[0]
                return text, self._tags_of(text)
            case "names":
                tags = self._some(names, rng.choice((1, 1, 1, 2, 3)), rng)
                return rng.choice((", ", " ", " and ")).join(tags), (*tags,)
            case "phrase":
                tags = self._some(self._nouns, 1, rng)
                return rng.choice(ALSO).format(tags[0]), (*tags,)
            case _:
                tags = self._some(self._nouns, 3, rng)
                text = rng.choice([c for c in self._described if _slots(c) <= len(tags)])
                text = text.format(*tags)
                return text, self._tags_of(text)

    def _affirmed(self, rng: random.Random) -> Lesson:
        if rng.random() < 0.03:
            text = rng.choice(PLAIN)
            return Lesson(text, text)
        text, tags = self._affirmation(rng)
        if rng.random() < 0.15:
            text = rng.choice(REQUESTS).format(text)
        return Lesson(text, text, tags=tags)

    def _caption(self, rng: random.Random) -> Lesson:
        """Describe music with any words, so that the encoder keeps what it knew of them."""
        text = rng.choice(self._described)
        names = self._allowed(music_vocabulary().names)
        text = text.format(*rng.sample(names, _slots(text)))
        return Lesson(text, text)

    def _words(self, rng: random.Random) -> Lesson:
        words = self._allowed(sentences().words)
        text = " ".join(rng.choices(words, k=rng.choice((1, 2, 4, 8, 16, 32))))
        return Lesson(text, text)

    def _names_to_deny(
        self, rng: random.Random, besides: Iterable[str]
    ) -> tuple[list[str], str] | None:
        """Draw the tags of a denial, of the same part of speech, and write them as one phrase."""
        most = rng.choices((1, 2, 3), (70, 22, 8))[0]
        tags = self._some(self._nouns, most, rng, besides)
        if not tags:
            return None
        written = [self._surface(tag, rng) for tag in tags]
        *rest, last = written
        joiner = rng.choice((" or ", " or ", " and ", ", ", " nor "))
        return tags, joiner.join((", ".join(rest), last)) if rest else last

    def _composed(self, rng: random.Random) -> Lesson | None:
        names = [*self.vocabulary.names]
        present = self._some(names, rng.choices((0, 1, 2, 3), (8, 40, 34, 18))[0], rng)
        nouns = rng.random() < 0.85 or not self._adjectives or "not" in self.held_out
        pool = self._nouns if nouns else self._adjectives
        denied = self._some(pool, rng.choices((1, 2, 3), (66, 26, 8))[0], rng, present)
        if not denied:
            return None
        tags = rng.sample([*present, *denied], len(present) + len(denied))
        claims: list[Claim] = [(tag, tag in present) for tag in tags]
        denial, key = self._denial(rng), rng.getrandbits(32)
        text = compose(claims, self.vocabulary, key, denial.cue, _AFFIRMING)
        only = [claim for claim in claims if claim[1]]
        affirmed = compose(only, self.vocabulary, key, lexicon=_AFFIRMING) if only else NEUTRAL
        family = denial.family if nouns else "not"  # composed adjectives have no other denial
        return Lesson(text, affirmed, (*denied,), family=family, tags=(*tags,))

    def _joined(self, rng: random.Random) -> Lesson | None:
        """Join an affirmation and a denial, in a sentence or in several."""
        affirmed, tags = self._affirmation(rng) if rng.random() < 0.88 else (NEUTRAL, ())
        found = self._names_to_deny(rng, tags)
        if found is None:
            return None
        denied, written = found
        denial = self._denial(rng)
        phrase = denial.cue.phrase(written)
        adjectives = self._denying(DENIED_ADJECTIVES) if self._adjectives else ()
        if adjectives and rng.random() < 0.1:
            if not (denied := self._some(self._adjectives, 1, rng, tags)):
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
        present = self._some(self._nouns, rng.choice((1, 1, 2)), rng)
        found = self._names_to_deny(rng, present)
        frames = self._denying(CONTRASTS)
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
        text, tags = self._affirmation(rng)
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
        words = [(word, tag) for word, tag in LEXICALISED.items() if tag in self._nouns]
        if not words:
            return None
        word, tag = rng.choice(words)
        affirmed, tags = self._affirmation(rng)
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
        if not (allowed := self._allowed(phrases)):
            return None
        template = rng.choice(allowed[:_USUAL] if rng.random() < _USUAL_SHARE else allowed)
        tags = self._some(self._nouns, 2 if "{1}" in template else 1, rng)
        if len(tags) < (2 if "{1}" in template else 1):
            return None
        phrase, plain = template.format(*tags), " and ".join(tags)
        if rng.random() < 0.5:
            before, others = self._affirmation(rng)
            if set(tags) & self.vocabulary.overlapping(others):
                return None
            frame = rng.choice(("{a}, {d}", "{d}, {a}", "{a}. {d}.", "{a} {d}", "{a} and {d}"))
            before = before.rstrip(".")
            text = _sentences(frame.format(a=before, d=phrase))
            return Lesson(text, f"{before} with {plain}", tags=(*others, *tags))
        text = rng.choice(("{}", "{}", "music {}", "a track, {}", "a piece {}")).format(phrase)
        return Lesson(text, f"music with {plain}", tags=(*tags,))

    def _denying_sentence(self, rng: random.Random) -> Lesson | None:
        templates = self._denying(sentences().denies)
        affirmed = self._some(self._nouns, 1, rng)
        denied = self._some(self._nouns, 1, rng, affirmed)
        if not templates or not denied:
            return None
        template, (x,), (y,) = rng.choice(templates), denied, affirmed
        text = template.format(x=self._surface(x, rng), y=y)
        if "{y}" not in template:
            return Lesson(text, NEUTRAL, (x,), tags=(x,))
        return Lesson(text, rng.choice((y, f"music with {y}")), (x,), tags=(x, y))

    def _affirming_sentence(self, rng: random.Random) -> Lesson | None:
        templates = self._allowed(sentences().affirms)
        found = self._some(self._nouns, 2, rng)
        if not templates or len(found) < 2:
            return None
        template, (x, y) = rng.choice(templates), found
        tags = (x, y) if "{y}" in template else (x,)
        return Lesson(template.format(x=x, y=y), f"music with {' and '.join(tags)}", tags=tags)

    def _limited(self, rng: random.Random) -> Lesson | None:
        if not (allowed := self._denying(tuple(LIMITED))):
            return None
        template = rng.choice(allowed)
        tags = self._some(self._nouns, 1, rng)
        affirmed, others = self._affirmation(rng)
        if not tags or tags[0] in self.vocabulary.overlapping(others):
            return None
        plain, phrase = affirmed.rstrip("."), template.format(tags[0])
        text = _sentences(
            rng.choice(("{a}, {d}", "{a} with {d}", "{d}, {a}")).format(a=plain, d=phrase)
        )
        return Lesson(text, affirmed, (*tags,), LIMITED[template], tags=(*others, *tags))


_AFFIRMING = Lexicon(SEEN.cues, JOINERS, ("-led", "-driven", "-based", "-centred"))


def _slots(template: str) -> int:
    return sum(f"{{{number}}}" in template for number in range(3))


def _sentences(text: str) -> str:
    """Begin each sentence with a capital, if there are several."""
    if ". " not in text:
        return text
    return ". ".join(part[:1].upper() + part[1:] for part in text.split(". "))
