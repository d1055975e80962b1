"""A fast test, before the rules: does a text have a word that may negate?"""

import re

from negclap.text.negation.patterns import NT, REMOVES, any_of


def _by_initial(*forms: str) -> str:
    """Join alternatives, grouped by their first letter: they are found several times faster."""
    groups: dict[str, list[str]] = {}
    for form in forms:
        groups.setdefault(form[0], []).append(form[1:])
    return "|".join(initial + any_of(*rest) for initial, rest in groups.items())


_WORDS = (
    *("no", "not", "non", "none", "nothing", "nobody", "never", "nor", "neither", "nary", "zero"),
    *("nope", "nah", "nil", "0", "cannot", "without", "with out", "sans", "minus", "free", "lieu"),
    *("w/o", "w/out", "n/a", "off", "out", "away", "aside", "false", "negative", "unwanted"),
    *("forbidden", "ban(?:ned)?", "prohibited", "nowhere", "tacet", "silent", "gone", "vanished"),
    *("anything but", "anything except", "everything", "instead", "rather"),
    *("opposed to", "in place of", "few", "next to", "close to", "hold", "spare", "kill"),
    *(
        "lost",
        "lose",
        "loses",
        "cut",
        "cuts",
        "cutting",
        "forwent",
        "vain",
        "giv(?:e|es|ing|en) up",
        "gave up",
    ),
    *("backs? on", "little (?:to|or|if)", "very little", "little in"),
    *("wiped?", "wipes", "wiping", "mutes?", "muted", "muting", "robs?", "robbed", "stays home"),
    *("den(?:y|ies)", "trad(?:e|es|ed|ing)", "eras(?:e|es|ed|ing)", "need"),
    *("almost", "nearly", "virtually", "practically", "mostly", "largely", "hardly", "scarcely"),
    *("decid\\w+ against", "un(?:assisted|supported|aided|backed) by"),
    *("barely", "rarely", "seldom", "karaoke", "unaccompanied", "a cap+ella", "acap+ella"),
)
_STEMS = (
    *(
        "axe",
        "veto",
        "rid of",
        "near-",
        "non-?existent",
        "lack",
        "absen",
        "missing",
        "exclu",
        "omit",
        "eschew",
        "forgo",
        "forego",
        "delet",
    ),
    *("eliminat", "banish", "discard", "scrap", "scrub", "ditch", "jettison", "abandon", "shun"),
    *("renounc", "avoid", "subtract", "skip", "drop", "nix", "reject", "suppress", "filter"),
    *("remov", "strip", "clear of", "dispens", "swor", "abstain", "refrain", "refus", "declin"),
    *("forget", "forgot", "neglect", "purg", "bereft", "devoid", "void", "empt", "depriv", "shorn"),
    *("cleans", "drain", "reliev", "cleared", "swap", "exchang", "substitut", "replac"),
    *(
        "instrumental",
        "conspicuous",
        "notable",
        "unused",
        "ruled",
        "abolish",
        "fails? to",
        "failed",
    ),
)
ANY = re.compile(
    rf"\b(?:(?:{_by_initial(*_WORDS, *REMOVES.split('|'))})\b|{_by_initial(*_STEMS)})"
    r"|[\w-](?:less|-free)\b"
    rf"|n't\b|\b{NT}\b"
    r"|(?:^|[\s(,])[-!](?=[^\W\d_])|[#\u2717\u274c\U0001f6ab]"
)
"""Matches every text that may have a negation; most texts have none and are done with this."""
