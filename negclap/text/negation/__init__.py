"""The grammar of negation, for `detect`: words, cues, what they govern, and contexts.

- `words`: word classes of English (data)
- `nouns`: nouns of music (data)
- `grammar`: a text as words, clauses, musical terms and noun phrases
- `patterns`: regular expressions of the words that negate (data)
- `trigger`: a fast test whether a text may negate at all
- `cue`: cues, and what rules return
- `objects`, `subjects`, `clauses`, `markers`: rules by where the negated words stand
- `rules`: all rules by pattern
- `contexts`, `context_patterns`: what the rest of the sentence makes of a negation
"""
