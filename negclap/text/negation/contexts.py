"""What the words around a negation make of it: partial, a wish, a comparison, and so on.

A text denies an attribute if the negation speaks of the whole recording, and of this recording. The
words around it tell when it speaks of something else.
"""

import re
from typing import Literal, NamedTuple

from negclap.text.negation import context_patterns as patterns
from negclap.text.negation import words as classes
from negclap.text.negation.grammar import Passage

_FAR = 60  # words; what is farther away does not matter
Context = Literal["relational", "partial", "wish", "topic", "comparison", "double"]


class _Around(NamedTuple):
    """The text around a negation.

    Attributes:
        before: From the start of its clause.
        near: The part of ``before`` after the last comma or "but", or all of it if a word like
            "which" ties it.
        after: To the end of its clause.
        tail: The part of ``after`` before a comma or conjunction.
        rest: The words after it, also of later sentences.
    """

    before: str
    near: str
    after: str
    tail: str
    rest: str

    @classmethod
    def of(cls, p: Passage, start: int, end: int) -> "_Around":
        before = p.text_of(max(p.clause(start)[0], start - _FAR), start) + " "
        near = re.split(r",|\bbut\b", before)[-1]
        in_series = not near.strip() and patterns.SERIES_BEFORE.search(before)
        after = p.text_of(end, min(p.clause(end)[1], end + _FAR))
        return cls(
            before,
            before if in_series or patterns.CLAUSE_WORDS.match(near) else near,
            after,
            re.split(r",|(?:^|\s)(?:and|but|so|which|while|as)\s", after)[0],
            p.text_of(end, end + _FAR),
        )


def context(p: Passage, start: int, end: int, kind: str) -> Context | None:
    """Return what the context makes of a negation; None if it denies.

    Args:
        p: The text.
        start: First word of the negation: its cue, or the subject before it.
        end: Word after the negation.
        kind: The kind of the denial.
    """
    around = _Around.of(p, start, end)
    if _is_exception(p, end, around, kind):
        return "relational"
    if kind == "lexical":  # "instrumental" is one word and no clause of its own
        around = around._replace(after="", tail="")
    elif _is_nested(p, start) or _negates_all(p, start, end, around):
        return "double"
    if patterns.TOPIC.search(around.near) or patterns.ELSEWHERE.search(around.tail):
        return "topic"
    asked = patterns.ASKED.match(around.before) and p.word(p.clause(end)[1]) == "?"
    if asked or _is_wish(around):
        return "wish"
    if _compares(around):
        return "comparison"
    return "partial" if _is_partial(around) else None


def _is_exception(p: Passage, end: int, around: _Around, kind: str) -> bool:
    """Whether something is excepted: "no instruments but a cello"."""
    if patterns.EXCEPT_FIRST.match(around.before) or patterns.EXCEPT.search(around.after):
        return True
    if patterns.EXCEPT.search(around.near):
        return True
    if p.word(end) != "but" or kind == "contrast":
        return False
    phrase = p.noun_phrase(end + 1)
    alone = (
        phrase is not None
        and p.word(end + 1) in classes.DETERMINERS | {"one", "those"}
        and (p.ends(phrase.end) or p.word(phrase.end) in classes.PREPOSITIONS)
    )
    return alone or p.word(end - 1) in patterns.GENERIC


def _is_nested(p: Passage, start: int) -> bool:
    """Whether another negator governs the cue, with no comma or conjunction between them."""
    first = p.clause(start)[0]
    for i in range(start - 1, first - 1, -1):
        word = p.word(i)
        if i in p.idioms:
            continue
        if word in patterns.NOT_NESTED:
            return False
        if word in patterns.NEGATORS or patterns.NEGATED_VERB.fullmatch(word):
            guess = patterns.NOT_GUESSED.match(f"{word} {p.word(i + 1)}")
            series = p.word(start) in ("no", "nor", "zero") and word in patterns.SERIES
            return not guess and not series  # "no drums no bass" is a series
    return False


def _negates_all(p: Passage, start: int, end: int, around: _Around) -> bool:
    """Whether it is "no song lacks drums", where all have them."""
    near = around.after.split(",")[0]
    lacks = patterns.LACKS.search(near) and patterns.WORK.search(p.text_of(start, end))
    return bool(patterns.GOES_WITHOUT.search(near) or lacks)


def _is_wish(around: _Around) -> bool:
    if patterns.PREFERS_IT.search(around.near) or patterns.SIGH.match(around.before):
        return True
    if patterns.WISH.search(around.near) and not patterns.REQUEST.search(around.near):
        return True
    return bool(patterns.WISH_AFTER.search(around.after))


def _compares(around: _Around) -> bool:
    """Whether the absence is that of another recording, or praise: "no better drummer"."""
    near = (patterns.OTHER_WORK, patterns.OTHERS_DO, patterns.COMPARED)
    if any(pattern.search(around.near) for pattern in near):
        return True
    if patterns.LESS_THAN_NONE.match(around.after):
        return True
    if patterns.UNMATCHED.search(around.after.split(",")[0]):
        return True
    return bool(patterns.A_WORK.search(around.near) and patterns.THIS_ONE.search(around.rest))


def _is_partial(around: _Around) -> bool:
    """Whether only a part of the recording, or a time, is spoken of."""
    at_once, _, later = around.after.partition(",")
    if patterns.WHOLE.search(at_once):
        return False
    if patterns.PART_FIRST.match(around.near) or patterns.PART_BEFORE.search(around.near):
        return True
    if patterns.PART_AFTER.match(around.after) or patterns.ONLY_ONE.search(around.before):
        return True
    if patterns.LATER.search(around.tail) or patterns.LATER.search(later[:20]):
        return True
    if patterns.RETURNS.search(around.rest) or patterns.UNTIL_FIRST.match(around.before):
        return True
    part = patterns.PART_OF_WHOLE
    opens = patterns.PARTLY_FIRST.match(around.before) and part.search(around.before)
    if opens and not patterns.WHOLE.search(around.before):
        return True
    if patterns.WHOLE.search(around.near):
        return False
    phase = patterns.PHASE.search(around.near)
    return bool(phase or part.search(around.near) or part.search(around.tail))
