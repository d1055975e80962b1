"""Patterns of the words that negate, for `rules`.

They match normalised text: lower case, plain quotes and hyphens.
"""

import re

from negclap.text.negation.words import word_set


def any_of(*forms: str) -> str:
    """Return the alternatives as one group."""
    return "(?:" + "|".join(forms) + ")"


def _phrases(*forms: str) -> re.Pattern[str]:
    return re.compile(rf"\b{any_of(*forms)}\b")


def _forms(verb: str) -> tuple[str, str, str, str]:
    """Return base, -s, -ed and -ing form of a regular verb; a capital last letter is doubled."""
    base = verb.lower()
    stem = base.removesuffix("e") + (base[-1] if verb[-1].isupper() else "")
    if base.endswith("y"):
        return base, f"{base[:-1]}ies", f"{base[:-1]}ied", f"{base}ing"
    plural = f"{base}es" if base.endswith(("sh", "ch", "s", "x", "o")) else f"{base}s"
    return base, plural, f"{stem}ed", f"{stem}ing"


_BE = r"(?:is|are|was|were|be|been|being|got|gets|get|'s|'re)"
NT = "(?:do|does|did|is|are|was|were|ca|wo|has|have|had|would|could|should|must|ai)nt"
"""Contractions without apostrophe."""
_BE_NOT = (
    r"(?:(?:is|are|was|were|'s|'re)(?:\s+\w+ly|\s+just|\s+simply|\s+also)?\s+not"
    r"|(?:is|are|was|were)n'?t|ain'?t)"
)
_AUX_NOT = (
    r"(?:(?:do|does|did|has|have|had|can|could|will|would|should|must|shall|may|might)\s+"
    r"(?:\w+ly\s+)?not|(?:do|does|did|has|have|had|ca|could|wo|would|should|must)n'?t|cannot"
    r"|ain'?t|never|not)"
)
HAVING = (
    r"have|has|had|having|got|feature|features|featuring|contain|contains|containing|include"
    r"|includes|including|use|uses|using|involve|involves|possess|possesses|incorporate"
    r"|incorporates|employ|employs|carry|carries|provide|provides|offer|offers|consist of"
    r"|consists of|come with|comes with|call for|calls for|make use of|makes use of|bring in"
    r"|brings in"
)
_SENSING = "hear|hears|find|detect|notice|spot|get"
_ADVERBS = (
    r"(?:(?:really|even|actually|ever|yet|seem to|appear to|once|quite|just|simply|currently|also)"
    r"\s+)*"
)
QUANTITY = (
    r"(?:(?:too |so |very |that |as |all that )?(?:much|many)\b(?:\s+of\b)?|(?:an? (?:whole )?)?"
    r"lots? of|plenty of|enough|overly|all|every|always|exactly|particularly|especially|very|too"
    r"|quite|so)"
)
_LABEL_END = (
    r"(?=\s*(?:[.,;!?|/)\]\u2022]|$|\n|(?:\s\w+){1,3}\s*[:=?]|\s-|\s\w+\s[\u2713\u2717\u2705]))"
)
_WORK = r"(?:songs?|tracks?|tunes?|pieces?|numbers?|cuts?|arrangements?)"

PSEUDO = _phrases(
    *(
        "no[- ]wave",
        "no[- ]nonsense",
        "no bullshit",
        "no diggity",
        "no[- ]frills",
        "no[- ]brainer",
        "no[- ]input",
        "no doubt",
    ),
    *("no matter", "no wonder", "no (?:less|more|fewer) than", "no sooner", "no stranger"),
    *("no way", "no idea", "no problem", "no surprise", "no coincidence", "no slouch", "no fan"),
    *(
        "no[- ]strings[- ]attached",
        "no[- ]holds[- ]barred",
        r"dr\.? no",
        "zero gravity",
        r"(?P<named>\w+s?) or no (?P=named)",
    ),
    *("no end of", "no small", "no big deal", "no mistaking", "no denying", "no exception"),
    *("in no time", "last but not least", "not least", "not only", "not just", "not merely"),
    *(
        "not simply",
        "not to mention",
        "not because",
        "not for nothing",
        r"not so much(?! as an?\b)",
    ),
    *("not about", "more often than not", "believe it or not", "(?:if it )?(?:were|was) not for"),
    *("nothing but", "nothing short of", "can(?:no|')?t help but", "nothing if not", "why not"),
    *("without (?:a )?doubt", "without fail", "without question", "without further ado"),
    *("without missing", "without skipping", "needless to say", "with (?:and|or) without"),
    *("without and (?:then )?with", "none other than", "second[- ]to[- ]none", "whether or not"),
    *("nothing like (?:it|this|that|a good)", "or not", "not unlike", "songs? without words?"),
    *(
        "men without hats",
        "minus the bear",
        "no woman,? no cry",
        "sans[- ]serif",
        "royalty[- ]free",
        "copyright[- ]free",
        "no copyright",
    ),
    *("(?<!-)free (?:jazz|improvisation|verse|reed)", "carry a tune", "feel free", "no need"),
    "free of charge",
    *("no business", "no patience", "no preference", "no sense", "no use", "no rest", "no limits?"),
    *("no regrets", "no trouble", "no bounds", "no offen[cs]e", "no fault", "no less", "no stone"),
    *(
        "break(?:s|ing)? free",
        "set(?:s|ting)? free(?! from)",
        "skip(?:s|ped|ping)? a beat",
        "no kidding",
    ),
    *("miss(?:es|ed|ing)? a (?:beat|note|trick|step)", "not a (?:note|beat|bar) (?:is |out |too )"),
    *("nothing wrong", "no thanks", "no thank you"),
)
"""Idioms and names that look like negations but are not."""
DROP = re.compile(
    r"\bdrop(?:s|ped|ping)?(?= (?:the|that|a|some) (?:bass|beat|needle)(?: already| and\b|[.!,]|$))"
)
"""Said of a bass that is gone, and of one that comes in; so it denies nothing."""
DOUBLE = _phrases(
    "no (?:lack|shortage|dearth|want|absence|scarcity) of",
    r"(?:not|never|hardly|isn'?t|aren'?t|wasn'?t|weren'?t|far from(?: being)?|anything but"
    r"|scarcely)"
    r"\s+(?:\w+ly\s+|exactly\s+)?(?:(?:an?|the)\s+)?(?:lacking|missing|without|devoid|free|short"
    r"|bereft|absent|excluding|exclude|lack|\w+less|\w+-free)\b(?:\s+(?:of|from|in))?",
    r"(?:doesn'?t|don'?t|didn'?t|does not|do not|did not|never)\s+(?:\w+ly\s+)?(?:lacks?|omits?"
    r"|skips?|drops?|excludes?|leaves? out|cuts?|removes?|loses?|eschews?|mutes?|forgo|avoids?)",
    r"no \w+\s+(?:\w+ly\s+|here\s+)?(?:lacks|omits|excludes|leaves out|goes without|is without"
    r"|is missing)",
)
"""Negations of a word that negates: what follows is present."""
DEGREE = _phrases(
    r"(?:barely|hardly|scarcely|rarely|seldom)(?:\s+(?:any|an?|ever))?",
    r"(?:little (?:to|or|if any)|few (?:or|to)|almost|nearly|close to|next to|virtually"
    r"|practically)\s+(?:no|zero|without|none|devoid of|free of|bereft of)",
    rf"not\s+(?!so much as){QUANTITY}(?=\s)",
    r"\w+n'?t\s+(?:\w+ly\s+)?(?:have\s+|has\s+|use\s+|using\s+|contain\s+)?" + QUANTITY + r"(?=\s)",
    *("very little", "very few", "(?<=has )few", "(?<=with )few", "little in the way of"),
    r"(?:almost|nearly|all but|virtually|practically|mostly|largely|near-)\s*(?:\w+less|\w+-free"
    r"|absent|gone|instrumental|non-existent|silent|inaudible|a cappella)",
)
"""Cues of a small amount."""
CONTRAST = _phrases("instead of", "rather than", "as opposed to", "in place of", "in lieu of")
REPLACED = re.compile(
    r"\b(?:swap(?:s|ped|ping)?|trad(?:e|es|ed|ing)|exchang(?:e|es|ed|ing)"
    r"|substitut(?:e|es|ed|ing)|ditch(?:es|ed|ing)?)\b(?=[^.!?;,]* for\b)|\breplac(?:e|es|ing)\b"
)
"""Verbs whose object is replaced by something else."""

WITHOUT = re.compile(
    r"\b(?:w/o|w/out|(?:never|not) with(?!out| (?:me|you|him|her|us|them|that))|without|with out"
    r"|un(?:assisted|supported|accompanied|aided|backed) by|sans|minus|devoid of|void of"
    r"|bereft of|empty of|deprived of|robbed of"
    r"|(?:stripped|purged|scrubbed|shorn|cleansed|emptied|drained|relieved|cleared) of"
    r"|(?:an?\s+|the\s+|total\s+|complete\s+|in the )*(?:absence|lack|removal) of"
    r"|(?<!break )(?<!set )(?<!breaks )free (?:of|from)|lacking(?: in| of)?|absent (?:of|any)"
    r"|excluding)(?!\w)"
)
"""Prepositions of absence, and nouns that take "of"."""
_REMOVING = (
    *("remove", "delete", "eliminate", "erase", "exclude", "banish", "discard", "scraP", "omiT"),
    *("eschew", "ditch", "jettison", "abandon", "shuN", "renounce", "avoid", "wipe", "subtract"),
    *("skiP", "droP", "mute", "nix", "reject", "suppress", "axe", "veto"),
)
REMOVES = "|".join(form for verb in _REMOVING for form in _forms(verb)) + (
    "|lose|loses|losing|lost|forgo|forgoes|forgoing|forwent|forgone|forego|foregoes|foregoing|cuts"
)
"""Forms of verbs of removing."""
_PARTICLE_VERBS = (
    r"(?:leav(?:e|es|ing)|left|tak(?:e|es|ing)|took|taken|cut|cuts|cutting|strip(?:s|ped)?"
    r"|edit(?:s|ed)?|throw(?:s|n)?|threw|filter(?:s|ed)?|clear(?:s|ed)?) (?:out|away|off)"
    r"|(?:do|does|did|doing|done|make|makes|made|go|goes|went|get by|gets by) (?:entirely )?without"
    r"|(?:do|does|did|doing|done) away with|dispens(?:e|es|ed|ing) with"
    r"|(?:steer(?:s|ing)? clear|keep(?:s)? clear) of|stay(?:s|ing)? away from"
    r"|(?:swear(?:s|ing)?|swore) off|giv(?:e|es|ing|en) up|gave up"
    r"|(?:abstain|refrain)(?:s|ed|ing)? from(?: using| adding)?|turn(?:s|ed) (?:its|his|her|their) "
    r"backs? on|den(?:y|ies) (?:itself|himself|herself|themselves)"
    r"|(?:refus(?:e|es|ed)|declin(?:e|es|ed)|cho(?:se|oses?) not|forgets?|forgot|neglect(?:s|ed)?)"
    r" to (?:use|include|add|have|play|employ)"
    r"|decid(?:e|es|ed) against|(?:look|listen|search)(?:s|ed|ing)? in vain for"
    r"|cut(?= the\b| all\b)"
    r"|lack|lacks|lacked"
    r"|(?:get|gets|getting|got) rid of"
    r"|(?:strip|purge|scrub|rob|clear)(?:s|p?ed)? (?:it|them|the \w+) of"
)
LACKING = re.compile(
    rf"\b(?:{_PARTICLE_VERBS}|{REMOVES}"
    r"|missing (?=its)|(?:(?<=\bis )|(?<=\bare )|(?<='s )|(?<=\bwith )|(?<=track )|(?<=song ))"
    r"missing)\b"
)
"""Verbs of absence; their object is absent."""
AMBIGUOUS = word_set(
    """cut cuts drop drops dropped skip skips lose lost loses mute mutes muted wipe wipes wiped
    scrap reject rejects rejected avoid avoids avoided filter omitted excluded removed discarded
    deleted erased banished skipping dropping losing muting wiping rejecting scrapping forego
    abandon scrapped"""
)
"""Verbs with other uses ("muted trumpet"): their object must have a determiner."""
IMPERATIVE = re.compile(
    r"(?:^|(?<=[.!?;:,(])|(?<=\bplease)|(?<=\bpls)|(?<=\band)|(?<=\bthen)|(?<=\bjust)|(?<=\bbut))"
    r"\s*\b(?:drop|lose|cut|kill|nix|ditch|skip|scrap|omit|exclude|mute|hold|remove|delete|take out"
    r"|leave out|leave off|turn off|avoid|spare me)\b"
    r"(?=\s+(?:the|all|any|out|every|those|these|that|your)\b|\s+\w+\s*(?:[.,;!?]|$))"
)
"""Requests to leave something out."""
SPLIT_VERB = re.compile(
    r"\b(?P<verb>keep|keeps|kept|leave|leaves|left|put|puts|strip|strips|stripped|cut|cuts|edit"
    r"|edits|edited|mute|filter|filters|filtered|leaving|keeping)\b"
    r"(?P<object>[^.!?;,:]{3,40}?)\s(?P<particle>out(?: of)?|away|off(?: altogether)?|aside)\b"
)
"""Verbs around their object: "keep the vocals out", "put the drums away"."""
NOTHING_WITH = re.compile(
    r"\b(?:(?:nothing|none) (?:with|containing|featuring|including|using)"
    r"|nothing (?:that|which) (?:has|contains|includes|uses|features)"
    r"|(?:anything|everything(?: \w+){0,3}?) (?:but|except))\b"
)
VERB_NOT = re.compile(
    rf"\b{_AUX_NOT}\s+{_ADVERBS}(?:be\s+)?(?P<verb>{HAVING}|{_SENSING}|want|need|play|plays|sing"
    r"|sings|add|adds|bring|brings)\b"
    r"(?:\s+(?:to hear|there to be|to have|to use|(?:here |there "
    r"|(?:in|from|on) (?:this|these)(?: \w+){1,2} )?(?:is|are))|\s+any\b)?"
    rf"|\b(?:{_AUX_NOT}|{_BE_NOT})\s+(?:\w+\s+){{0,2}}?(?P<any>\w+)\s+any\b"
    r"(?!\s+(?:way|more|time|better|longer|further|other|of)\b)"
    rf"|\b{_BE_NOT} accompanied by"
)
"""A negated verb of having, and any negated verb before "any"."""
THERE_NOT = re.compile(
    rf"\b(?:there\s*{_BE_NOT}|there (?:should|must)(?:n't| not) be"
    r"|there (?:is|are|was|were) never|there'?s not"
    r"|(?:do|does)n'?t (?:think|believe) there(?:'s| is| are| was| were))\b"
    r"(?:\s+(?:really|actually|even|ever))?"
)
NO = re.compile(
    r"\b(?:no|zero|nothing in the way of|never any|nary an?"
    r"|not (?:even )?(?:a single|one single|a trace of|a hint of|any)"
    r"|not a (?:note|trace|hint|peep|shred) of|not even an?|not one(?! of)|not so much as an?"
    r"|ain'?t (?:got )?no)\b"
    r"(?!\.?\s*\d+\b)(?!')"
)
NO_WORK_HAS = re.compile(
    rf"\b(?:no|not one|not a single|none of (?:the|these|their)|not a)\s+(?:of the\s+)?(?:\w+\s+)?"
    rf"{_WORK}\s+(?:{HAVING})\b"
)
NO_LONGER_HAS = re.compile(rf"\bno longer (?:{HAVING}|plays?)\b")
NO_LONGER = re.compile(r"\b(?:no longer|no more|not any ?more)\b")
NOT_A = re.compile(r"(?:^|(?<=[.!?;:,(]\s)|(?<=[.!?;:,(])|(?<=and )|(?<=but )|(?<=with ))not an?\b")
NOT = re.compile(r"\bnot\b")
NOT_VERB = re.compile(rf"\b(?:never|cannot|\w+n't|{NT})\b")
NEITHER = re.compile(
    r"\b(?:neither|nor)\b(?: (?:is|are|was|were|do|does) (?:there|i|we|it|they)\b"
    r"(?:\s+(?:hear|want|have|any)\b)*|\s+(?:is|are|was|were|do|does)(?= (?:\w+ ){0,2}\w+\W*$))?"
)
NOTHING = re.compile(r"\b(?:nothing|no[- ]one|nobody|none)\b")
NOBODY = re.compile(
    r"\b(?:no[- ]one|nobody|none(?: of (?:the|these) \w+)?)\b"
    r"(?:\s+(?:so much as|ever|actually|even|really|is|are|was|at all))*"
)
SO_TOO = re.compile(r"\band so (?:is|are|was|were|has|have)\b")
"""Goes on from another absence: "and so are the trombones"."""
INVERTED = re.compile(
    r"\b(?:(?:at no (?:point|time|stage|moment)|never once|nowhere)(?:\s+(?!do|is|are)[\w-]+){0,6}?"
    r"|never|not once)\s+(?:do|does|did|is|are|was|were|will|can)\s+"
    r"(?:(?:we|i|you|one) hear |there )?"
)
"""Inverted clauses: "at no point does a bass come in"."""
ABSENT_FIRST = re.compile(
    r"\b(?:absent|missing|gone|banished|removed|dropped|left out|cut)(?:,? (?:too|here|entirely"
    r"|also),?)?(?: (?:from|in) (?:this|the|\w+)(?: (?!as|it)\w+){0,3}?)?\s+(?:is|are|was|were)\b"
)

SUFFIX = re.compile(r"\b(?P<noun>[^\W\d_]{3,}?)-?(?:less|(?<=-)free)\b")
PREFIX = re.compile(r"\b(?:non(?=vocals?\b)|non[- ])(?P<noun>[^\W\d_]+)\b")
SIGN = re.compile(
    r"(?:(?<=\s)|^|(?<=[(,]))(?:[-!]\"?(?=[^\W\d_])|(?:not|exclude|without):"
    r"|(?:\u274c|\u2717|\U0001f6ab)\s*(?=[^\W\d_]))"
)
HASHTAG = re.compile(r"#(?:no|without|zero)(?P<noun>[^\W\d_]+)")
LABEL = re.compile(
    r"(?<=\S)(?:(?: used| included| content)?\"?\s*(?:[:=?\[]|\s[-;])\s*|\s+count:?\s*)(?:also )?"
    r"(?P<value>none(?: please)?|no|n/a|nil|nope|nah|zero|0%?|off|absent|never|false|not present"
    rf"|forbidden|banned|prohibited|no thanks?(?: you)?|\u2717|\u274c|x){_LABEL_END}"
)
"""The value of a label that says no: "vocals: none"."""
MARK = re.compile(
    r"(?<=\w)\s+(?P<value>\u2717|\u274c|off|none|no|forbidden|banned|prohibited|unwanted"
    r"|not allowed)(?!\.?\s*\d)(?=\s*[.,;!?|/)\]\u2022]|$|\s+\w+\s+[\u2713\u2705])"
)
"""A value without a colon: "drums no, strings yes"."""
PARTIAL_VALUE = re.compile(r"\s*(?:in|until|before|at|for)\b")
PROMPT = re.compile(
    r"\b(?:negative prompt|ban(?:ned)? list[^:\n]*|exclude these[^:\n]*"
    r"|excluded?(?: tags)?|exclusions|(?:do|does) not want|don't want"
    r"|without"
    r"|avoid|not wanted|unwanted|omit|leave out|not present|missing|absent|no)\s*(?::|=>)\s*"
)
"""Labels of a list of what is not wanted."""

REMOVED = (
    r"(?:absent|missing(?: in action)?|non-?existent|nowhere(?: to be \w+| in \w+)?"
    r"|left (?:out|off)"
    r"|(?:taken|stripped|edited|thrown|filtered|cleared|put|wiped) "
    r"(?:out|away)|(?:switched|turned|wiped|taken) off|cut out|cut|tacet|silent|gone|dispensed with"
    r"|done away with|abolished|stripped"
    r"|scrubbed|purged|ruled out|completely lacking|lacking|forgone|unused|"
    + "|".join(_forms(verb)[2] for verb in _REMOVING if verb not in ("mute", "reject"))
    + r")"
)
ABSENT = re.compile(
    rf"\b(?:(?:(?:is|are) to be|{_BE}|remains?|stays?|goes?(?= unused| missing)"
    r"|having been)\s+|(?:has|have|had)\s+(?:now\s+|all\s+)?"
    r"(?:been\s+)?)*(?P<adverb>\w+ly\s+|all\s+|both\s+|almost\s+"
    r"|quite\s+|altogether\s+|also\s+|just\s+)?"
    rf"(?P<word>{REMOVED}|(?:has|have) no (?:place|part|role)"
    r"|conspicuous by (?:its|his|her|their) absence|notable by their absence"
    r"|vanished|kept out)\b"
    r"(?!(?<!out)(?<!off)\s+of\b|\s+(?:any|the|an?|some|his|her|their|my|your|you|all|on the|out"
    r"|link|piece)\b)"
)
"""Predicates of absence; their subject is absent."""
_WHOLE_WORK = (
    r"(?:song|track|mix|piece|recording|clip|version|arrangement|record|tape|album|lp|disc)"
)
NOT_THERE = re.compile(
    rf"\b(?:{_BE_NOT}|{_BE}\s+never|(?:has|have)\s+not\s+been|(?:has|have)n't\s+been|{_AUX_NOT}\s+be"
    r"|(?<=\w )not)\s+(?:(?:actually|really|even|currently)\s+)?"
    r"(?P<word>present|included|there|used|featured|involved|part of|heard|played|applied|invited"
    rf"|(?:in|on) (?:it|here|(?:the|this) {_WHOLE_WORK})|to be (?:heard|found)|sung|allowed|welcome"
    r"|added|employed|anywhere|called for|established)\b"
)
NEVER_COMES = re.compile(
    rf"\b(?:{_AUX_NOT}|fails? to|failed to)\s+{_ADVERBS}"
    r"(?P<word>enter|enters|entered|comes? in|kicks? in|appears?|appeared|exists?|features?"
    r"|shows? up|showed up|turns? up|turned up|joins?(?: in)?|joined|materiali[sz]es?|arrives?"
    r"|figure|figures|play|plays|sing|sings|sound|accompan(?:y|ies|ied)|occurs?)\b"
)
LEAVES = re.compile(
    r"\b(?P<word>sits? (?:this one |it )?out|sat (?:this one |it )?out|stays? out of|stays? home"
    r"|lays? out|drops? out (?:entirely|completely|altogether)|stays? silent|takes? no part"
    r"|need not apply|(?:is|are|was|were) replaced)\b"
)
ANAPHOR = re.compile(
    r"\b(?:there (?:simply |just |really )?(?:is|are|was|were)n'?t (?:one|any)"
    r"|there (?:simply )?(?:is|are|was|were) none"
    r"|there'?s none|(?:it|this(?: \w+)?|they|one|track|song|album|record) (?:has|have|had|uses?"
    r"|features?) none|(?:it|this(?: \w+)?|they) (?:does|do|did)n'?t (?:have|use) (?:one|any)"
    r"|(?:it|they)(?:'s| is|'re| are)(?:n't| not) (?:there|on \w+ \w+)|leaves? (?:it|them) out"
    r"|keep (?:it|them) out)\b(?=\s*(?:[.,;!?]|$|\s(?:here|on|in|and|so|of it|at all|to)\b))"
)
"""Denials of what was named before: "You would expect a sitar, but there isn't one"."""
LEXICAL = re.compile(
    r"\b(?P<vocals>(?:all-)?instrumentals?|no-?vox)\b"
    r"|\b(?P<instruments>a cappella|acapp?ella|a capella)\b"
    r"|\b(?P<lead_vocals>karaoke)\b|\b(?P<accompaniment>unaccompanied)\b"
    r"|\b(?:music[- ])?minus[- ]one(?:\s+\w+)? for (?:the |an? )?(?P<player>[^.,;:!?]+)"
)
"""Words that contain the denial; the group names what they deny."""
