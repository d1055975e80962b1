"""What lessons are made of: affirmations, ways to deny, and names that may be denied."""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from negclap.errors import InputError
from negclap.text.compose import SEEN, Lexicon, compose, draw_surface, draw_unrelated
from negclap.text.cues import MORE_CUES
from negclap.text.detect import find_negations
from negclap.text.lesson_frames import ALSO, JOINERS
from negclap.text.templates import write_captions
from negclap.text.vocabulary import Vocabulary
from negclap.text.wordings import (
    Denial,
    families,
    family_weights,
    sentences,
    without_words_of,
)

Words = Literal["seen", "many", "all"]

AFFIRMING = Lexicon(SEEN.cues, JOINERS, ("-led", "-driven", "-based", "-centred"))
"""The wording of composed captions."""
USUAL_SHARE = 0.4
"""Share of the most usual wordings."""
TRIED = 24
"""Of a thousand tags, only this many are tried."""
_SUFFIX_SHARE = 0.12  # "drums-lacking"; as often as the affirmative "drums-driven"


def slots(template: str) -> int:
    """Return the number of slots {0}, {1}, {2} of a caption."""
    return sum(f"{{{number}}}" in template for number in range(3))


@dataclass(frozen=True)
class LessonParts:
    """Draws the parts of lessons.

    Attributes:
        vocabulary: The tags.
        captions: Captions whose affirmations are used; those that deny something are left out.
        words: The cues: the benchmark's "seen" ones, "many" of `cues`, or "all" of `wordings`.
        held_out: Families of denials that are not used.
        held_out_tags: Tags that are never denied.

    Raises:
        InputError: If the vocabulary has no two nouns, a family or tag to hold out is unknown, or
            no tag is found in any caption.
    """

    vocabulary: Vocabulary
    captions: tuple[str, ...] = ()
    words: Words = "all"
    held_out: tuple[str, ...] = ()
    held_out_tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that parts can be drawn."""
        if len(self.nouns) < 2:
            found = f"{len(self.nouns)} nouns that can be denied"
            raise InputError(f"the vocabulary has {found}, expected at least 2")
        for name in self.held_out_tags:
            if name not in self.vocabulary.names:
                raise InputError(f"held_out_tags: {name!r} is no tag of the vocabulary")
        for name in self.held_out:
            if name not in families():
                raise InputError(f"held_out: {name!r} is no family of {', '.join(families())}")
        if self.captions and not self.affirming:
            raise InputError(
                f"none of the {len(self.captions)} captions affirms a tag of the vocabulary and "
                "denies nothing; give the vocabulary of these captions"
            )

    @cached_property
    def nouns(self) -> list[str]:
        """The nouns that may be denied."""
        tags = (tag for tag in self.vocabulary.tags if tag.part_of_speech == "noun")
        return [tag.name for tag in tags if tag.name not in self.held_out_tags]

    @cached_property
    def adjectives(self) -> list[str]:
        """The adjectives that may be denied."""
        tags = (tag for tag in self.vocabulary.tags if tag.part_of_speech == "adjective")
        return [tag.name for tag in tags if tag.name not in self.held_out_tags]

    @cached_property
    def affirming(self) -> list[tuple[str, tuple[str, ...]]]:
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

    def denial(self, rng: random.Random) -> Denial:
        """Draw a way to deny."""
        if self.words != "all":
            return rng.choice(self._denials)
        if rng.random() < _SUFFIX_SHARE and self._suffixes:
            return rng.choice(self._suffixes)
        name = rng.choices([*self._families], [*self._families.values()])[0]
        usual, others = families()[name]
        return rng.choice(usual if rng.random() < USUAL_SHARE else others)

    def allowed(self, phrases: tuple[str, ...]) -> tuple[str, ...]:
        """Return the phrases that have no word of a family that is held out."""
        return without_words_of(self.held_out, phrases)

    def denying(self, phrases: tuple[str, ...]) -> tuple[str, ...]:
        """Return the allowed ones of phrases that deny, which no cue has."""
        return self.allowed(phrases) if self.words == "all" else ()

    @property
    def described(self) -> tuple[str, ...]:
        """The captions with slots that ship, as far as they are allowed."""
        return self.allowed(sentences().captions)

    def some(
        self, names: list[str], most: int, rng: random.Random, besides: Iterable[str] = ()
    ) -> list[str]:
        """Draw up to ``most`` names that overlap neither with each other nor with others."""
        taken = self.vocabulary.overlapping(besides)
        tried = rng.sample(names, min(len(names), TRIED))
        free = [name for name in tried if name not in taken]
        return draw_unrelated(free, most, self.vocabulary, rng, tuple(besides))

    def surface(self, name: str, rng: random.Random) -> str:
        """Draw the name or an alias of a tag."""
        return draw_surface(self.vocabulary[name], rng)

    def affirmation(self, rng: random.Random) -> tuple[str, tuple[str, ...]]:
        """Return a text that affirms some tags, and these tags."""
        if self.affirming and rng.random() < 0.5:
            return rng.choice(self.affirming)
        names = [*self.vocabulary.names]
        kinds = ("composed", "template", "names", "phrase", "caption")
        match rng.choices(kinds, (35, 25, 20, 8, 12))[0]:
            case "composed":
                tags = self.some(names, rng.randint(1, 3), rng)
                claims = [(tag, True) for tag in tags]
                return compose(claims, self.vocabulary, rng.getrandbits(32), lexicon=AFFIRMING), (
                    *tags,
                )
            case "template":
                text = write_captions(
                    rng.sample(names, min(len(names), TRIED)), self.vocabulary, rng, 1
                )[0]
                return text, self._tags_of(text)
            case "names":
                tags = self.some(names, rng.choice((1, 1, 1, 2, 3)), rng)
                return rng.choice((", ", " ", " and ")).join(tags), (*tags,)
            case "phrase":
                tags = self.some(self.nouns, 1, rng)
                return rng.choice(ALSO).format(tags[0]), (*tags,)
            case _:
                tags = self.some(self.nouns, 3, rng)
                text = rng.choice([c for c in self.described if slots(c) <= len(tags)])
                text = text.format(*tags)
                return text, self._tags_of(text)

    def names_to_deny(
        self, rng: random.Random, besides: Iterable[str]
    ) -> tuple[list[str], str] | None:
        """Draw the tags of a denial, of the same part of speech, and write them as one phrase."""
        most = rng.choices((1, 2, 3), (70, 22, 8))[0]
        tags = self.some(self.nouns, most, rng, besides)
        if not tags:
            return None
        written = [self.surface(tag, rng) for tag in tags]
        *rest, last = written
        joiner = rng.choice((" or ", " or ", " and ", ", ", " nor "))
        return tags, joiner.join((", ".join(rest), last)) if rest else last
