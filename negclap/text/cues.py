"""Negation cues: the words and phrases that negate a tag.

Training captions contain only ``seen`` cues; with the held-out cues the benchmark measures
generalisation to words that were never trained on.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

PartOfSpeech = Literal["noun", "adjective"]


@dataclass(frozen=True, slots=True)
class Cue:
    """One way to negate a tag.

    Attributes:
        name: The cue as it appears in reports.
        template: The negated phrase, with ``{}`` in place of the tag.
        nouns_only: Whether the cue is ungrammatical with adjectives ("without slow").
        clause: Whether the phrase is a clause, which cannot be inserted into a noun phrase.
        seen: Whether training captions may contain it.
    """

    name: str
    template: str
    nouns_only: bool = True
    clause: bool = False
    seen: bool = True

    @property
    def prefix(self) -> str:
        """The text before the tag, including the space ("without ")."""
        return self.template.partition("{}")[0]

    @property
    def suffix(self) -> bool:
        """Whether the cue follows the tag ("drums-less")."""
        return self.template.startswith("{}")

    def phrase(self, tag: str) -> str:
        """Return the negated phrase for ``tag`` ("without drums")."""
        return self.template.format(tag)


NOT = Cue("not", "not {}", nouns_only=False)
CUES: tuple[Cue, ...] = (
    Cue("no", "no {}"),
    NOT,
    Cue("without", "without {}"),
    Cue("lacking", "lacking {}"),
    Cue("there is no", "there is no {}", clause=True),
    Cue("free of", "free of {}", seen=False),
    Cue("minus", "minus {}", seen=False),
    Cue("devoid of", "devoid of {}", seen=False),
    Cue("-less", "{}-less", seen=False),
    Cue("sans", "sans {}", seen=False),
)


def _cues(template: str, names: str, clause: bool = False) -> Iterator[Cue]:
    return (Cue(name, template.format(name, "{}"), clause=clause) for name in names.split("; "))


MORE_CUES: tuple[Cue, ...] = (
    *_cues(
        "{} {}",
        "with no; with zero; without any; w/o; w/out; zero; not any; but no; not a trace of; "
        "never any; in the absence of; exclusive of; excluding; omitting; leaving out; missing; "
        "barring; avoiding; except; except for; save for; apart from; bereft of; empty of; "
        "stripped of; deprived of; senza; ohne",
    ),
    *_cues("{}{}", "non-; anti-; ex-"),
    *_cues(
        "{} {}",
        "it has no; it lacks; it does not have; there are no; skip the; drop the; cut the; "
        "ditch the; lose the; nix the",
        clause=True,
    ),
    *_cues(
        "{1} {0}",
        "absent; left out; removed; excluded; omitted; missing; silent; tacet; off",
        clause=True,
    ),
    Cue("-deprived", "{}-deprived"),
)
"""Further training cues, from thesaurus entries for "without" and common search queries.

None shares a word other than "of" with a held-out cue ("-free" would reveal "free of").
"""

LEXICALISED = {
    "instrumental": "vocals",
    "a cappella": "instruments",
    "acapella": "instruments",
    "unaccompanied": "accompaniment",
}
"""The negated tag of words that contain the negation."""

PSEUDO = (
    *("no wave", "not only", "not just", "no doubt", "nothing but", "free jazz"),
    "free improvisation",
)
"""Phrases that look like negations but are not."""


def _choices(part_of_speech: PartOfSpeech, clause: bool) -> tuple[Cue, ...]:
    cues = (cue for cue in CUES if cue.seen and (clause or not cue.clause))
    return tuple(cue for cue in cues if part_of_speech == "noun" or not cue.nouns_only)


TRAINING_CUES = {kind: _choices(kind, clause=True) for kind in get_args(PartOfSpeech)}
"""Seen cues by the part of speech of the tag, for inserted phrases."""

INLINE_CUES = {kind: _choices(kind, clause=False) for kind in get_args(PartOfSpeech)}
"""Seen cues that can be put directly before a tag inside a caption."""

_ALL = sorted((*CUES, *MORE_CUES), key=lambda cue: -len(cue.template))
_WORDS = "|".join(re.escape(c.prefix.strip()) for c in _ALL if c.prefix.endswith(" "))
_PREFIXES = "|".join(re.escape(c.prefix) for c in _ALL if c.prefix.endswith("-"))

BEFORE_NEGATED = re.compile(
    rf"(?<!\w)(?:(?:{_WORDS}|never|neither)\s+(?:an?\s+|the\s+|any\s+)?|{_PREFIXES})$",
    re.IGNORECASE,
)
"""Matches the end of the text before a mention that is already negated."""

AFTER_NEGATED = re.compile(
    "(?:" + "|".join(re.escape(cue.template[2:]) for cue in _ALL if cue.suffix) + r")(?![\w-])",
    re.IGNORECASE,
)
"""Matches the text after a mention that is negated by a suffix ("-less")."""
