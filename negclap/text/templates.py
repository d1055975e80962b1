"""Template captions for music without captions, with two to four of its tags."""

import random
from collections.abc import Sequence

from negclap.text.compose import enumerate_words
from negclap.text.vocabulary import Vocabulary

NOUNS = ("piece", "track", "song", "recording", "tune")
# {adjectives} is empty or ends with a space; {noun} is one of NOUNS.
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
    tags: Sequence[str],
    vocabulary: Vocabulary,
    rng: random.Random,
    n: int,
    nouns: Sequence[str] = NOUNS,
) -> list[str]:
    """Return ``n`` captions, each with its own draw of two to four unrelated tags.

    Args:
        tags: The track's tags.
        vocabulary: The vocabulary. Nouns are sometimes mentioned by an alias.
        rng: Source of all draws.
        n: Number of captions.
        nouns: Words for a track ("piece", "song").
    """
    return [_write(_choose(tags, vocabulary, rng), vocabulary, rng, nouns) for _ in range(n)]


def _choose(tags: Sequence[str], vocabulary: Vocabulary, rng: random.Random) -> list[str]:
    wanted = rng.randint(2, 4)
    chosen: list[str] = []
    for tag in rng.sample(tags, len(tags)):
        if len(chosen) < wanted and not any(vocabulary.excludes(tag, other) for other in chosen):
            chosen.append(tag)
    return chosen


def _write(
    chosen: Sequence[str], vocabulary: Vocabulary, rng: random.Random, called: Sequence[str]
) -> str:
    def surface(name: str) -> str:
        aliases = vocabulary[name].aliases
        readable = [a for a in aliases if vocabulary[name].part_of_speech == "noun"]
        return rng.choice(readable) if readable and rng.random() < 0.2 else name

    in_order = [tag for tag in vocabulary.tags if tag.name in chosen]
    adjectives = [tag.name for tag in in_order if tag.part_of_speech == "adjective"]
    genres = [
        tag.name for tag in in_order if tag.category == "genre" and tag.name not in adjectives
    ]
    attributes = [*adjectives, *genres]  # "a calm jazz track"
    nouns = [surface(t) for t in chosen if t not in attributes]
    templates: tuple[str, ...] = (
        _BOTH if attributes and nouns else _ADJECTIVES_ONLY if attributes else _NOUNS_ONLY
    )
    if genres:  # no "the track is jazz"
        templates = tuple(template for template in templates if "trailing" not in template)
    text = rng.choice(templates).format(
        adjectives="".join(f"{attribute} " for attribute in attributes),
        trailing=enumerate_words(adjectives),
        nouns=enumerate_words(nouns),
        noun=rng.choice(called),
    )
    return text[0].upper() + text[1:] if text.endswith(".") else text
