"""Patterns of the words around a negation, for `contexts`."""

import re

from negclap.text.negation.patterns import NT
from negclap.text.negation.words import SECTIONS, word_set


def _any(*forms: str) -> re.Pattern[str]:
    """Compile alternatives, which are separated by semicolons, as whole words."""
    alternatives = [form.strip() for line in forms for form in line.split(";")]
    return re.compile(rf"\b(?:{'|'.join(alternatives)})\b")


_SECTION = "|".join(
    rf"(?<!string )(?<!horn )(?<!brass )(?<!rhythm )(?<!wind ){word}" if "section" in word else word
    for word in sorted(SECTIONS, key=len, reverse=True)
)
_NUMBER = (
    r"(?:one|two|three|four|five|six|seven|eight|nine|ten|twelve|sixteen|first|second|third|fourth"
    r"|fifth|last|final|next|opening|closing|middle|several|some|half|few|\d+)"
)
_TIMES = r"(?:minutes?|bars?|measures?|seconds?|moments?)"
_PART_START = r"(?:intro|breakdown|bridge|verse|chorus|outro|opening|section|passage)"

WHOLE = re.compile(
    r"\b(?:in any of|from (?:the )?(?:very )?(?:first|start|beginning|opening)\b[^.!?;]*\b"
    r"(?:to|until|till)\b|not even|at no (?:point|time)|at any point|start to finish|throughout"
    r"|\w+ (?:and|or) \w+s alike|at the end of the day)"
)
"""The whole recording, although parts of it are named."""
EXCEPT = _any(
    "except(?:ing)?; apart from; aside from; save for; besides; other than; outside of; beyond",
    "save (?:one|two|three|a|an|the|for|his|her); bar (?:one|two|a|the); but for",
)
EXCEPT_FIRST = re.compile(
    r"\s*(?:aside|apart|bar|excluding|except|other than|besides|save for)\b(?! from the absence)"
)

PART_OF_WHOLE = _any(
    rf"(?:in|during|at|for|on|over|through|into|from|of|until|throughout)\s+(?:(?:the|its|each"
    rf"|every|most|some|both|a|an|long|{_NUMBER}|\w+th)\s+)*"
    rf"(?:(?!song|track|piece|recording|whole|entire|this|no\b|podcast|video|show"
    rf"|film)[\w'-]+\s+){{0,2}}?(?:{_SECTION})",
    rf"(?:track|verse|side|disc|part|movement|chapter) (?:{_NUMBER}|[a-d])",
    rf"(?:for|during|in|over|by|within) (?:the |a |like |about )?{_NUMBER}(?: \w+)? {_TIMES}",
    rf"in bars {_NUMBER}",
    rf"(?<!these )(?<!this )(?<!its ){_NUMBER} {_TIMES} (?:(?:of|with)\s*$|later)",
    rf"(?:on|in|only) (?:the |its )?{_NUMBER} (?:song|track|piece|record|number)s?",
    rf"(?:one|two|three|some|half|most|{_NUMBER}) of (?:them|the two|its|his|her|these|the \w+s)",
    "(?:during|in|until|before|at) the (?:\\w+ )?solos?; out of (?:ten|twelve|eight)"
    "; halfway; by the (?:last|end|final); bonus (?:disc|track)",
)
"""A part of the recording, or one of several recordings."""
PART_BEFORE = re.compile(
    rf"\b(?:intro|outro|bridge|breakdown)\s*$|\ban? (?:[\w-]+ )?{_PART_START}\s*$"
    rf"|\b(?:the|its|whose)\s+(?:[\w-]+\s+)?(?:{_SECTION})\s*(?:[\w']+\s*){{0,2}}$"
)
"""A part as what the negation is about: "the verses are [drumless]"."""
PART_FIRST = re.compile(
    rf"\W*(?:in |on |by )?(?:the )?{_NUMBER} (?:disc|side|track|song|half)\b"
    rf"|\W*(?:(?:in|on|at|for) )?(?:the|its)\s+(?:[\w-]+\s+)?(?:{_SECTION})\b(?! of)"
)
PART_AFTER = re.compile(
    rf"\s*(?:(?:out )?(?:from|for|in|during|of) (?:the |its |most |every |each |that |a )*"
    rf"(?:(?!this\b)[\w-]+ )?|(?:the|its) )(?:{_SECTION})\b"
)
PARTLY_FIRST = re.compile(r"\s*(?:after|in|during|at|for|until|by|on)\b")
UNTIL_FIRST = re.compile(r"\s*(?:after|until|before|once(?! again)|when)\b")
ONLY_ONE = _any(rf"(?:just|only) (?:the )?{_NUMBER} \w+", rf"the {_NUMBER} of which")
LATER = _any(
    "until; till; 'til; til; before; unless; at first; initially; early on; to begin with",
    r"at the start; only in; yet(?=\W*$); ahead of; so far; later; at (?:this|that) point",
    r"for (?:a while|now|the first|most); after (?:the|that|a|its); as the \w+ opens",
    "(?:on|for) (?:side|disc) (?:one|two|three|four|[abcd12])",
)
"""Times after a negation: "no drums until the chorus"."""
PHASE = _any(
    "start(?:s|ed|ing)?; begin(?:s|ning)?; began; kicks? off; ends?; ending; initially; at first",
    "open(?:s|ed|ing)?(?! track| song| piece| number); early on; sometimes; at times; often",
    "clos(?:es|ing)(?! track| song| piece| number); occasionally; briefly; momentarily",
    "(?:stretch|moment|passage|section|part|bar|measure|spell|patch)(?:e?s)? "
    "(?:of|with|where|when)",
    "temporarily; partly; once (?:the|a|it); after (?:the|a|an|its|that|which); until; till",
    "(?:for |during )most of; by the time; when; whenever; as soon as",
    "half (?:of )?(?:the|a) (?:song|track|time|piece|record)s?",
    "only the (?:first|second|third|last|next); (?:side|disc) (?:one|two|three|four|[abcd12])",
)
"""Times before a negation: "starts without drums"."""
RETURNS = _any(
    r"(?:they|it|he|she|which|that|the \w+) (?:returns?|comes? back|picks? it up|joins?|enters?"
    r"|kicks? in|arrives?)",
    "heard again; (?:minute|moment|bar)s? later; just then; make up for it; lands? like",
    "joins? after; enters? at; with (?:it|them)",
    "then (?:it|they|the|everybody|everything|everyone|all)",
)
"""What was absent comes, later in the text."""

WISH = _any(
    "if; wish(?:es|ed|ing)?; hop(?:e|es|ed|ing); could(?: have|'ve)?; might; may; imagine; ought",
    r"would(?!\s+(?:like|love|prefer|want|expect)); should(?:n't| not)?(?= (?:have|be)\b)",
    r"(?<=[a-z])'d(?!\s+(?:like|love|prefer|want|rather|never|expect)); shouldve; should've",
    "long(?:s|ed|ing)? for; pray(?:s|ed|ing)?; prefer(?:red|ence|s)?; better; dream; curious",
    "someday; ideal(?:ly)?; whether; maybe; perhaps; supposed; afraid; fear; will there; were it"
    "; hopefully; rather(?: not|(?=\\s*$)); refuse to believe",
    "had (?:they|he|she|it|the); need(?:s|ed)? to; deserve[sd]?; tried to; what if; how would",
    "who needs; who wants; who asked; next time; let there be",
    "(?:had asked|asked) for(?=\\s*$); wanted; requested",
)
REQUEST = _any(
    r"(?:i|we|you|i'd|we'd|please|pls|should|must|can|could)\s+(?:would\s+)?(?:like|love|prefer"
    r"|want|rather|need|you|someone|somebody|anyone|anybody)",
)
"""Wishes that are requests: "I would like a song without drums"."""
PREFERS_IT = _any("prefer(?:red|s)? (?:it|this|that|him|her|them)")
WISH_AFTER = _any(
    "(?:would(?:n't)?|could have been|might|should(?:n't)?) (?:be|have|make|sound|work|improve|help"
    "|sit|suit|do|feel|lose|miss|lack); (?:i|you|we)'d be; if only",
)
SIGH = re.compile(r"\s*oh,? to\b")
ASKED = re.compile(r"\s*(?:who|why|what if)\b")

_STORY = (
    r"(?:lyrics?|songs?|ballads?|poems?|story|stories|albums?|waltz|tales?|raps?|rapping|sings?"
    r"|singing|sung|sang|talks?|talking|speaks?|writes?|grumbles?|complains?|jokes?|verses?|words?"
    r"|musical|film|documentary|book|anthem|hymn|track)"
)
TOPIC = _any(
    rf"{_STORY}\s+(?:(?:is|are|tells?|all|that is|it)\s+)?(?:about|of (?:a|an|his|her|the|one|how)"
    r"|that (?:his|her|the|there|she|he)|how|on how|imagin\w+|describ\w+)",
    "about (?:a|an|his|her|how|someone|somebody|people|life|having|being|living|losing|wanting)",
    "(?:she|he|narrator|singer|rapper) (?:says|complains|claims|insists|remembers|imagines)",
    r"(?<!\bi )(?:claims?|claimed|insists?|insisted|argues|alleges|pretends|boasts|moans|sighs|says"
    "|saying|complain(?:s|ing)?|jokes?|remarks|mutters|swears) (?:that|there)",
    r"(?:ask|explain|discuss|wonder)(?:s|e?d|es)? (?:\w+ ){0,2}why; tell(?:s|ing)? (?:of|how)",
    "(?:people|someone|anyone) (?:that|there|who|with); called; titled; named; rumou?rs that",
    r"lyrics?\b.*\b(?:in which|where); laments; lamented; mourns; recounts?; describ\w+; born",
    "number on; imagines?; who (?:has|had|have|lost|lives?|can)",
    r"a (?:world|town|house|city|land|country|planet|village)(?=\s*$| where| with| that)",
    "narrator; concerns; in the (?:film|movie|story|book)",
    "(?:musical|film|novel|opera|story|song) (?:follows|tells|imagines|pictures)",
)

ELSEWHERE = _any(
    "in (?:our|my|his|her|the|this) (?:village|town|house|street|school|church|family|city)"
)
"""A place of the singer's story."""
COMPARED = _any(
    "in contrast to; unlike; than; whereas; as if; as though; compared (?:to|with); sequel to"
)
OTHERS_DO = re.compile(
    r"\bwhile (?:most|other|many|some)\b|^\W*(?:other|most|many|some|lesser)\s+(?:\w+\s+){1,4}"
    r"|\bwhere (?:other|most)\b"
)
OTHER_WORK = _any(
    r"other (?:\w+ )?(?:songs?|records?|tracks?|albums?|versions?|bands?|groups?|ensembles?"
    r"|performances?|takes?|mix(?:es)?|remix(?:es)?|singles|pieces|singers|acts|artists)",
    "earlier(?! than); previous; older; predecessors?; sequel; those; rival",
    r"(?:demo|original|single|version) (?:that|which) (?:had|lacked); originally",
    "original (?:single|recording|album|song|track|take)",
    r"(?:first|second|original|other) version; "
    r"(?<!\w )where the (?:\w+ )?(?:demo|original|recording|version|single|album)",
)
"""Another recording than the one that the text is about."""
A_WORK = _any(
    r"(?:the|its|their|his|her|early)\s+(?:[\w'-]+\s+){0,3}?(?:original|recordings?|versions?|demo"
    r"|records?|albums?|singles?|lp|cut|take|mix|debut|tapes?|performance|edition|disc|first|last)"
)
THIS_ONE = _any(
    r"(?:this|the present|the new) (?:\w+ ){0,2}(?:one|version|take|remix|mix|cover)",
    "here (?:it|they|he|she|a|the); here is; here's; restores?; finished; this follow-up"
    "; the later",
)
"""The recording that the text is about, in contrast to `A_WORK`."""
UNMATCHED = _any(
    r"since\b.*\b(?:has|have); (?:\w+er|more \w+) than; (?:quite|nearly|half) (?:like|as|so)",
    r"(?:sounds?|plays?|sings?|sounded) (?:(?!over|under|after)\w+er|better|so|as); deserves?",
    r"(?:as|so) \w+ as; too many; match(?:es)?; rivals?; compares?; equals?; comes? close",
    "like (?:him|her|them|this|that); better than; the way (?:he|she|they|it)",
)
"""Praise: "no other voice sounds so warm"."""
LESS_THAN_NONE = re.compile(r"\s*than\b")

LACKS = _any(
    "lacks?; lacking; lacked; without; omits?; doesn't; don't; free of; devoid of"
    "; that (?:is|was|are|were)n't"
)
GOES_WITHOUT = _any("(?:goes|comes|is|are|passes|lives|gets) (?:by )?without")
WORK = _any("instrument; song; track; piece; tune; record; bar; album; number; set; version")
GENERIC = word_set(
    "instrument instruments voice voices sound sounds accompaniment music backing musicians"
)
CLAUSE_WORDS = re.compile(
    r"\s*(?:(?:in|from|on|of|to) )?(?:which|that|who|where|whose|because|since|and|when)\b"
)
"""Words that tie a clause to the part of the sentence before the comma."""
NEGATORS = word_set(
    """not never no nothing nobody none neither nor hardly scarcely barely without cannot lacks lack
    rarely avoid avoids exclude excludes excluding skip"""
)
SERIES_BEFORE = re.compile(r"\b(?:no|without)\b[^,]*,\s*$")
"""A negation before a comma that goes on: "with no music, no drums"."""
SERIES = word_set("no nor zero neither nobody without none")
NEGATED_VERB = re.compile(rf"\w+n't|{NT}")
NOT_GUESSED = re.compile(r"never (?:guess|know|think)|(?:can't|cannot|couldn't|cant) believe")
"""Negators that do not negate what follows: "you'd never guess there is no drummer"."""
NOT_NESTED = word_set(', " and or but nor because cause so since although though while when')
"""Words between two negators that keep the first from governing the second."""
