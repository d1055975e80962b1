"""Parse the claims of texts that negclap writes, where every cue negates only what follows it."""

from negclap.text.negate import is_negated
from negclap.text.vocabulary import Vocabulary


def claims_by_cue(text: str, vocabulary: Vocabulary) -> dict[str, bool]:
    """Return for each tag whether the text affirms it."""
    mentions = vocabulary.find(text)
    return {m.tag: not is_negated(text, mentions, i) for i, m in enumerate(mentions)}
