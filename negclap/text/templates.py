"""Template captions for music without captions, with two to four of its tags."""

import random
from collections.abc import Sequence

from negclap.text.compose import draw_unrelated, enumerate_words
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

    Nouns are sometimes mentioned by an alias; ``nouns`` are the words for a track ("song").
    """
    return [_write(tags, vocabulary, rng, nouns) for _ in range(n)]


def _write(
    tags: Sequence[str], vocabulary: Vocabulary, rng: random.Random, called: Sequence[str]
) -> str:
    chosen = draw_unrelated(tags, rng.randint(2, 4), vocabulary, rng)

    def surface(name: str) -> str:
        tag = vocabulary[name]
        use_alias = tag.aliases and tag.part_of_speech == "noun" and rng.random() < 0.2
        return rng.choice(tag.aliases) if use_alias else name

    in_order = [tag for tag in vocabulary.tags if tag.name in chosen]
    adjectives = [tag.name for tag in in_order if tag.part_of_speech == "adjective"]
    genres = [t.name for t in in_order if t.category == "genre" and t.name not in adjectives]
    attributes = [*adjectives, *genres]  # "a calm jazz track"
    nouns = [surface(tag) for tag in chosen if tag not in attributes]
    templates = [*(_BOTH if nouns else _ADJECTIVES_ONLY)] if attributes else [*_NOUNS_ONLY]
    if genres:  # no "the track is jazz"
        templates = [template for template in templates if "trailing" not in template]
    text = rng.choice(templates).format(
        adjectives="".join(f"{attribute} " for attribute in attributes),
        trailing=enumerate_words(adjectives),
        nouns=enumerate_words(nouns),
        noun=rng.choice(called),
    )
    return text[0].upper() + text[1:] if text.endswith(".") else text
