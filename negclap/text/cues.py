"""Negation cues as data.

A cue is the word or phrase that negates a tag. ``seen`` cues may appear in training captions;
held-out cues are never trained on, so that a benchmark can tell a learnt word from an understood
one. Lexicalised negations carry the negation inside one word; pseudo cues look like negations and
are none.
"""

import re
from dataclasses import dataclass
from typing import Literal

PartOfSpeech = Literal["noun", "adjective"]


@dataclass(frozen=True, slots=True)
class Cue:
    """One way to negate a tag.

    Attributes:
        name: The cue as reports print it.
        template: The negated phrase, with ``{}`` where the tag stands.
        nouns_only: Whether the cue reads wrongly before an adjective ("without slow").
        clause: Whether the phrase is a clause of its own, which cannot stand before a tag in
            the middle of a noun phrase.
        seen: Whether training captions may use it.
    """

    name: str
    template: str
    nouns_only: bool = True
    clause: bool = False
    seen: bool = True

    @property
    def prefix(self) -> str:
        """What stands before the tag, the space included ("without ")."""
        return self.template.partition("{}")[0]

    @property
    def suffix(self) -> bool:
        """Whether the cue stands behind the tag ("drums-less")."""
        return self.template.startswith("{}")

    def phrase(self, tag: str) -> str:
        """The negated phrase for ``tag`` ("without drums")."""
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

MORE_CUES: tuple[Cue, ...] = (
    *(
        Cue(name, f"{name} {{}}")
        for name in (
            *("with no", "with zero", "without any", "w/o", "w/out", "zero", "not any", "but no"),
            *("not a trace of", "never any", "in the absence of", "exclusive of", "excluding"),
            *("omitting", "leaving out", "missing", "barring", "avoiding", "except", "except for"),
            *("save for", "apart from", "bereft of", "empty of", "stripped of", "deprived of"),
            *("senza", "ohne"),
        )
    ),
    *(Cue(name, f"{name}{{}}") for name in ("non-", "anti-", "ex-")),
    *(
        Cue(name, f"{name} {{}}", clause=True)
        for name in (
            *("it has no", "it lacks", "it does not have", "there are no"),
            *("skip the", "drop the", "cut the", "ditch the", "lose the", "nix the"),
        )
    ),
    *(
        Cue(name, f"{{}} {name}", clause=True)
        for name in (
            *("absent", "left out", "removed", "excluded", "omitted", "missing", "silent"),
            *("tacet", "off"),
        )
    ),
    Cue("-deprived", "{}-deprived"),
)
"""Further cues that training captions may use; the benchmark does not ask about them one by one.

They are what a thesaurus and search habits have for "without", short of the held-out cues: none
shares a word with one of these but "of" ("-free" would give "free of" away).
"""

LEXICALISED: dict[str, str] = {
    "instrumental": "vocals",
    "a cappella": "instruments",
    "acapella": "instruments",
    "unaccompanied": "accompaniment",
}

PSEUDO: tuple[str, ...] = (
    "no wave",
    "not only",
    "not just",
    "no doubt",
    "nothing but",
    "free jazz",
    "free improvisation",
)


def _choices(part_of_speech: PartOfSpeech, clause: bool) -> tuple[Cue, ...]:
    return tuple(
        cue
        for cue in CUES
        if cue.seen
        and (clause or not cue.clause)
        and (part_of_speech == "noun" or not cue.nouns_only)
    )


TRAINING_CUES: dict[PartOfSpeech, tuple[Cue, ...]] = {
    "noun": _choices("noun", clause=True),
    "adjective": _choices("adjective", clause=True),
}
"""Seen cues by the part of speech of the tag, for a phrase that is inserted."""

INLINE_CUES: dict[PartOfSpeech, tuple[Cue, ...]] = {
    "noun": _choices("noun", clause=False),
    "adjective": _choices("adjective", clause=False),
}
"""Seen cues that may stand right before a tag inside a caption."""

_ALL = sorted((*CUES, *MORE_CUES), key=lambda cue: -len(cue.template))
_WORDS = "|".join(re.escape(c.prefix.strip()) for c in _ALL if c.prefix.endswith(" "))
_PREFIXES = "|".join(re.escape(c.prefix) for c in _ALL if c.prefix.endswith("-"))

BEFORE_NEGATED = re.compile(
    rf"(?<!\w)(?:(?:{_WORDS}|never|neither)\s+(?:an?\s+|the\s+|any\s+)?|{_PREFIXES})$",
    re.IGNORECASE,
)
"""Matches the text before a mention that is negated already."""

AFTER_NEGATED = re.compile(
    "(?:" + "|".join(re.escape(cue.template[2:]) for cue in _ALL if cue.suffix) + r")(?![\w-])",
    re.IGNORECASE,
)
"""Matches what a text goes on with after a mention that is negated from behind ("-less")."""
