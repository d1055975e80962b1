"""Words and patterns of negation in music captions, for `detect`."""

import re
from functools import partial

_CONCEPTS = {
    "vocals": "vocal; vocals; voice; voices; singer; singers; singing; vocalist; vocalists; "
    "vocalisation; vocalization; vocal melody; choir; rapper; rappers; rapping",
    "lyrics": "lyric; lyrics; word; words",
    "percussion": "percussion; percussions; percussive; percussionist",
    "drums": "drum; drums; drummer; drum kit; drumming; kick; snare; snares",
    "instruments": "instrument; instruments; instrumentation; instrumental",
    "accompaniment": "accompaniment; accompaniments; backing; support",
    "melody": "melody; melodies; tune",
    "harmony": "harmony; harmonies; chord; chords",
    "rhythm": "rhythm; beat; beats; groove",
    "bass": "bass; bassline; basslines",
    "guitar": "guitar; guitars",
    "piano": "piano; pianos",
    "strings": "strings; violin; violins",
    "synthesizer": "synth; synths; synthesizer; synthesizers; synthesiser",
    "trumpet": "trumpet; trumpets",
    "saxophone": "saxophone; saxophones; sax",
    "flute": "flute; flutes",
    "brass": "brass; horn; horns",
    "organ": "organ; organs",
    "cymbals": "cymbal; cymbals; hi-hat; hi-hats",
    "music": "music; sound; sounds",
}
CONCEPT_OF = {word: name for name, words in _CONCEPTS.items() for word in words.split("; ")}
"""Concepts of common words in music captions; used when no vocabulary is given."""

_compile = partial(re.compile, flags=re.IGNORECASE)

WORD = r"[^\W_][\w'\u2019&/-]*"
_APOSTROPHE = r"['\u2019]?"
_BE = rf"(?:(?:is|are|was|were)n{_APOSTROPHE}t|is|are|was|were|'s|be|been|being)"
_DO = (
    rf"(?:(?:do|does|did|has|have|had|is|are|was|were)(?:\s+not|n{_APOSTROPHE}t)|ain{_APOSTROPHE}t)"
)
_CAN = rf"(?:(?:ca|could|would|wo|should)(?:\s+not|n{_APOSTROPHE}t)|can\s+not|cannot)"
_ADVERB = r"(?:(?:really|even|actually|seem to|appear to|ever|yet)\s+)"
_HAVE = (
    r"(?:have|has|had|having|got|feature|features|contain|contains|include|includes|use|uses|using"
    r"|involve|involves|possess|incorporate|employ|consist of|carry|come with|provide|offer"
    r"|want|need|with)"
)
_QUANTITY = (
    r"(?:(?:too |so |very |that |as )?(?:much|many)\b(?:\s+of\b)?|a (?:whole )?lot of|lots of"
    r"|plenty of|enough)"
)
_NOUNS = (
    r"drum|beat|vocal|voice|lyric|word|percussion|bass|guitar|rhythm|melody|keyboard|piano|synth"
    r"|instrument|kick|snare|hat|cymbal|string|horn|singer|rapper|chord|harmony|hook|chorus|pulse"
)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


STOPS = _words(
    """in on at to of for from with within without during throughout through by as than that which
    who where when while whereas whose because due since until till so if unless is are was were be
    been being has have had can could will would may might should must do does did used played
    present heard audible except besides apart aside beyond behind beneath over under this these
    those there it its their he she they we you i just only but yet however then not no whatsoever
    though although also making makes make giving gives give playing plays play singing featuring
    features like about into onto around across between before after here anywhere involved included
    added needed required"""
)
"""Words that end a noun phrase, besides punctuation."""
DETERMINERS = _words("a an the any its their his her your my our")
"""Skipped at the start of a noun phrase."""
LIGHT = _words("is are was were be been being that so very really only even to")
"""Skipped at the start of a clause."""
VERBS = _words(
    """is are was were be been being do does did can could will would should may might must has have
    had seem seems sound sounds though although"""
)
AFTER_ADVERB = _words("heard audible played used present included")
NOUN_STARTS = _words(
    """singing playing backing being accompanying audible added included played present used needed
    required heard involved"""
)
"""Words of `STOPS` that may start a noun phrase: "no added drums"."""
GERUNDS = _words("singing playing")
BEFORE_GERUNDS = _words("vocal backing")
"""Concepts that may modify a gerund: "no vocal singing"."""
NOUNS_IN_ING = _words(
    """whistling clapping humming rapping strumming screaming talking yodeling string supporting
    underlying overlaying driving pounding booming leading ringing sustaining"""
).union(CONCEPT_OF, NOUN_STARTS)
"""Words in -ing that are nouns or modify one: "without humming", "without underlying drums"."""
EMPTY_WORDS = _compile(
    r"\s+in the way of\b|\s+(?:the |any |an? )?"
    r"(?:presence|use|sounds?|involvement|help|addition|(?:real )?signs?|traces?"
    r"|hints?|evidence|kinds?|types?|sorts?|forms?|shred|semblance) of\b"
)
OTHERS = _compile(r"(?:any )?(?:other|additional|further|more|else|extra)\b")
BESIDES = _compile(r"\s*(?:other than|besides)\b")
EXCEPT = _compile(r"\s*(?:apart from|aside from|except(?: for)?)\b")
BEYOND = _compile(r"\b(?:apart from|aside from|besides|except for|other than)\b[^.!?;]*$")
GENERIC = _compile(r"(?:musical )?(?:instruments?|instrumentation|sounds?|music|things?)$")
QUANTITY = _compile(rf"\s+{_QUANTITY}")
PERCEIVED = _compile(
    r"\s+(?:can|could) be (?:\w+ly )?(?:told|distinguished|identified|recogni[sz]ed|understood"
    r"|separated|made out|picked out)\b"
)
ASIDE = _compile(r"\s(?:that|which|who) (?:is|was|are|were|has|had|plays?|played)\b")
NEARLY = _compile(r"\b(?:almost|nearly|virtually|practically|all but)\s+(?:[\w-]+)?$")
IS_ANYTHING = _compile(rf"\b{_BE} anything $")
LABEL = re.compile(rf"({WORD})[:?]\s*$")
SPEECH = _compile(
    r"\b(?:says?|saying|said|shouts?|shouting|yells?|yelling|sings?|singing|chants?|chanting"
    r"|repeats?|repeating|screams?|screaming|words?|lyrics?|phrase|line|titled|called|named)"
    r"\W{1,3}[\"\u201c][^\"\u201c\u201d]*$"
)


def _phrases(*forms: str) -> re.Pattern[str]:
    return _compile(rf"\b(?:{'|'.join(forms)})\b")


PSEUDO = _phrases(
    *("no[- ]wave", "no[- ]nonsense", "no[- ]frills", "no[- ]brainer", "no[- ]input", "no doubt"),
    *("no matter", "no wonder", "no (?:less|more) than", "no sooner", "no stranger", "no lack of"),
    *("no shortage of", "no way", "no idea", "no problem", "no surprise", "no coincidence"),
    *("no mistaking", "no denying", "no exception", "in no time", "last but not least"),
    *("not least", "not only", "not just", "not merely", "not simply", "not to mention"),
    *("more often than not", "believe it or not", "(?:if it )?(?:were|was) not for"),
    *("nothing but", "nothing short of", rf"can{_APOSTROPHE}(?:no)?t help but", "cannot help but"),
    *("without (?:a )?doubt", "without fail", "without question", "without further ado"),
    *("needless to say", "with (?:and|or) without", "without and (?:then )?with"),
    *("none other than", "second[- ]to[- ]none", "nothing like (?:it|this|that)", "why not"),
    *("whether or not", "or not", "not unlike", "no fewer than", "not without", "never without"),
)
DEGREE = _compile(
    r"\b(?:barely|hardly|scarcely|rarely|seldom|(?:little (?:to|or)|few or|almost|nearly|close to"
    rf"|next to|virtually|practically) no|not {_QUANTITY}|\w+n{_APOSTROPHE}t {_QUANTITY}"
    r"|very little|very few|(?<=has )few|(?<=with )few)\b(?:\s+any\b)?"
)
CONTRAST = _compile(
    r"\b(?:instead of|rather than|as opposed to|in place of|not so much(?=[^.!?]* as\b))\b"
)
NOTHING = _compile(
    r"\b(?:no[- ]one|nobody|(?:nothing|none))\b(?P<other>(?=\s+(?:else|more|of the other)\b))?"
)
LACKING = _compile(
    r"\b(?:lack(?:s|ed|ing)?(?:\s+(?:of|in))?|(?:an?\s+|the\s+)?absence of|(?:de)?void of"
    r"|(?:stripped|deprived|empty|bereft|absent) of|absent any"
    r"|(?<!break )(?<!set )free (?:of|from)|minus|sans"
    r"|(?<=with )missing"
    r"|(?:(?<=is )|(?<=are )|(?<='s ))missing(?! (?:each|you|her|him|his|their|home))"
    r"|omit(?:s|ted|ting)?|exclud(?:e|es|ed|ing)|leav(?:es|ing) out)\b"
)
OMITTING = _compile(
    r"\b(?:skip(?:s|ped|ping)?|forgo(?:es|ing)?|eschew(?:s|ing)?|ditch(?:es|ing)?|avoid(?:s|ing)?"
    r"|dispens(?:es?|ing) with|do(?:es|ing)? (?:away with|without)|leave out)\b"
    r"|(?:(?<=\banything )|(?<=\beverything ))(?:except(?: for)?|but)\b|(?<!\S)-(?=[^\W\d_])"
)
"""Cues only before a musical concept: "avoids drums" and "rock -drums", not "avoids the police"."""
WITHOUT = _compile(r"\b(?:without|w/o|w/out|with out(?! of\b))(?!\w)")
NO = _compile(r"\b(?:no|zero)\b(?!\.?\s*\d)")
NO_LONGER = _compile(r"\bno (?:longer|more)\b")
LESS = _compile(
    rf"\b(?P<noun>{_NOUNS})s?-?(?:less|(?<=-)free)\b|\bnon[- ]?(?P<kept_out>vocals?|percussive)\b"
)
NOR = _compile(r"\b(?:neither|nor)\b(?:\s+(?:is|are|was|were) there\b(?:\s+any\b)?)?")
DOES_NOT_HAVE = _compile(
    rf"\b(?:{_DO}|never|not)\s+{_ADVERB}?(?:have\s+)?{_HAVE}(?:\s+any)?\b"
    rf"|\b{_CAN}\s+(?:\w+ly\s+)?hear(?=\s+(?:the|an?)\b)"
    rf"|\b(?:{_DO}|{_CAN}|never|not)\s+(?:{WORD}\s+){{0,3}}?(?<!not (?:in|to|on|at) )any\b"
    r"(?!\s+(?:way|sense|manner|case|more|time|better|longer|further|particular)\b)"
    rf"|\bain{_APOSTROPHE}t (?:got )?no\b|\b(?:is|are|was|were)n{_APOSTROPHE}t no\b"
    rf"|(?<=there )(?:is|are|was|were)(?:\s+not|n{_APOSTROPHE}t)\b"
    rf"(?!\s+(?:{_QUANTITY}|only|just|really|even|always|too|one)\b)"
    r"|\bnot (?:even )?(?:a single|one single|one(?=\s+[a-z]+(?:[\s,.]|$)))\b"
)
_ENDS = r"(?=(?:\s+(?:\w+ly|now))?\s*(?:[.,;!?)]|$)|\s+(?:from|in|on|for|so|and|here)\b)"
_THERE = r"(?:present|included|there|used|featured|involved|part of)"
SUBJECT_ABSENT = _compile(
    rf"\b(?:{_BE}\s+)?(?:\w+ly )?absent\b(?!\s+(?:of|any)\b)"
    rf"|\b(?:{_BE}\s+not|(?:is|are|was|were)n{_APOSTROPHE}t)\s+{_THERE}\b"
    rf"|\b{_BE}\s+(?:\w+ly |almost )?non-?existent\b"
    rf"|\b(?:{_BE}\s+)?(?<!of )nowhere\b(?: to be \w+| in \w+)?"
    rf"|\b{_BE}\s+(?:left out|omitted|excluded|taken out|removed|missing|gone){_ENDS}"
    rf"|\b{_DO}\s+(?:yet\s+)?(?:enter(?:ed)?|come in|kick(?:ed)? in|appear(?:ed)?)\b"
    r"|\b(?:has|have) yet to (?:enter|come in|kick in|appear)\b"
)
PREDICATE = _compile(
    rf"\b(?:cannot|can{_APOSTROPHE}t|never|not)\b"
    r"|\b\w+n['\u2019]t\b|\b(?:is|are|was|were|do|does|did|ca)nt\b"
)
