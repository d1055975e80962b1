"""The rules of the detector, by the pattern of their cue."""

import re

from negclap.text.negation import clauses, markers, objects, patterns, subjects
from negclap.text.negation.cue import Rule

RULES: tuple[tuple[re.Pattern[str], Rule], ...] = (
    (patterns.LABEL, subjects.label),
    (patterns.MARK, subjects.label),
    (patterns.PSEUDO, objects.fixed("pseudo")),
    (patterns.DROP, objects.fixed("partial")),
    (patterns.DOUBLE, objects.fixed("double")),
    (patterns.DEGREE, objects.fixed("degree")),
    (patterns.PROMPT, markers.prompt),
    (patterns.ANAPHOR, clauses.anaphor),
    (patterns.HASHTAG, markers.hashtag),
    (patterns.SIGN, markers.sign),
    (patterns.LEXICAL, markers.lexical),
    (patterns.SUFFIX, markers.affix),
    (patterns.PREFIX, markers.affix),
    (patterns.CONTRAST, objects.musical_object("contrast")),
    (patterns.REPLACED, clauses.replaced),
    (patterns.INVERTED, clauses.inverted),
    (patterns.ABSENT_FIRST, objects.musical_object("absence")),
    (patterns.SO_TOO, clauses.so_too),
    (patterns.NO_WORK_HAS, objects.governed),
    (patterns.NOT_A, clauses.not_a),
    (patterns.NOT_THERE, subjects.absent),
    (patterns.NEVER_COMES, subjects.absent),
    (patterns.LEAVES, subjects.absent),
    (patterns.ABSENT, subjects.absent),
    (patterns.VERB_NOT, objects.verb_not),
    (patterns.THERE_NOT, objects.there_not),
    (patterns.NO_LONGER_HAS, objects.governed),
    (patterns.NO_LONGER, objects.fixed("partial")),
    (patterns.WITHOUT, objects.without),
    (patterns.SPLIT_VERB, objects.split_verb),
    (patterns.IMPERATIVE, objects.musical_object("absence")),
    (patterns.LACKING, objects.lacking),
    (patterns.NOTHING_WITH, clauses.nothing_with),
    (patterns.NEITHER, objects.governed),
    (patterns.NOBODY, clauses.nobody),
    (patterns.NO, objects.no),
    (patterns.NOT, clauses.not_),
    (patterns.NOT_VERB, clauses.predicate),
    (patterns.NOTHING, clauses.nothing),
)
"""Patterns and their rules; where cues overlap, the first wins."""
