"""Captions of the built-in set: natural templates that mention two to four of a clip's tags."""

import random
from collections.abc import Sequence

from negclap.text.compose import enumerate_words
from negclap.text.vocabulary import Vocabulary

_NOUNS = ("piece", "chorale", "track", "song", "recording", "tune")
# {adjectives} ends with a space where it is not empty; {noun} is one of the words above.
_BOTH = (
    "a {adjectives}{noun} with {nouns}",
    "a {adjectives}{noun} for {nouns}",
    "this {adjectives}{noun} features {nouns}",
    "{adjectives}music played by {nouns}",
    "{nouns} in a {adjectives}{noun}",
    "an arrangement for {nouns}, {trailing}",
    "{nouns}: a {adjectives}{noun}",
    "the {noun} is {trailing}. It has {nouns}.",
)
_ADJECTIVES_ONLY = ("a {adjectives}{noun}", "the {noun} sounds {trailing}", "{adjectives}music")
_NOUNS_ONLY = (
    "a {noun} with {nouns}",
    "a {noun} for {nouns}",
    "music with {nouns}",
    "we hear {nouns}",
)


def write_captions(
    tags: Sequence[str], vocabulary: Vocabulary, rng: random.Random, n: int
) -> list[str]:
    """``n`` captions, each with its own draw of two to four unrelated tags of the clip.

    Tags are mentioned by their name or one of their aliases, adjectives before nouns.
    """
    return [_write(_choose(tags, vocabulary, rng), vocabulary, rng) for _ in range(n)]


def _choose(tags: Sequence[str], vocabulary: Vocabulary, rng: random.Random) -> list[str]:
    wanted = rng.randint(2, 4)
    chosen: list[str] = []
    for tag in rng.sample(tags, len(tags)):
        if len(chosen) < wanted and not any(vocabulary.excludes(tag, other) for other in chosen):
            chosen.append(tag)
    return chosen


def _write(chosen: Sequence[str], vocabulary: Vocabulary, rng: random.Random) -> str:
    def surface(name: str) -> str:
        aliases = vocabulary[name].aliases
        readable = [a for a in aliases if vocabulary[name].part_of_speech == "noun"]
        return rng.choice(readable) if readable and rng.random() < 0.2 else name

    in_order = [tag.name for tag in vocabulary.tags if tag.name in chosen]
    adjectives = [t for t in in_order if vocabulary[t].part_of_speech == "adjective"]
    nouns = [surface(t) for t in chosen if vocabulary[t].part_of_speech == "noun"]
    templates = _BOTH if adjectives and nouns else _ADJECTIVES_ONLY if adjectives else _NOUNS_ONLY
    text = rng.choice(templates).format(
        adjectives="".join(f"{adjective} " for adjective in adjectives),
        trailing=enumerate_words(adjectives),
        nouns=enumerate_words(nouns),
        noun=rng.choice(_NOUNS),
    )
    return text[0].upper() + text[1:] if text.endswith(".") else text
