"""How the texts that negclap itself writes are read: every cue denies what follows it, no more."""

from negclap.text.negate import is_negated
from negclap.text.vocabulary import Vocabulary


def claims_by_cue(text: str, vocabulary: Vocabulary) -> dict[str, bool]:
    """By tag, whether the text says that it is there."""
    mentions = vocabulary.find(text)
    return {m.tag: not is_negated(text, mentions, i) for i, m in enumerate(mentions)}
