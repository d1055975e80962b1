"""Ways in which people deny, affirm by a double negation, and limit: data for `lessons`.

Denials are grouped in families: no family shares a content word with another one, so that a family
held out of teaching tests generalisation to words that were never taught.
"""

import json
import re
from collections.abc import Collection, Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from negclap.text.cues import Cue

# family: phrases | clauses; "{}" is one or more names. A phrase follows or precedes a description
# ("piano without drums"), or its noun if it begins with the name ("a drums-free piece"). A clause
# can be a sentence of its own.
_DENIALS = """
no: no {}; with no {}; no-{}; has no {}; that has no {} in it; but no {}; no {} at all; no \
{} whatsoever; no trace of {}; absolutely no {} | there is no {}; there are no {}; there's no {}; \
it has no {}; it contains no {}; no {} please; no {} here; {}: no; {}? no; no {} can be found; no \
{} is used; you will hear no {}; #no{}; no{}
not: not {}; but not {}; not with {}; not any {}; not a single {}; not the slightest {} | it does \
not have {}; it doesn't have any {}; it does not feature {}; I do not want {}; I don't want {}; I \
don't want any {}; please don't play {}; there isn't any {}; there aren't any {}; {} not wanted; \
you won't hear any {}; it is not a piece with {}; I don't need {}; don't include {}; the {} does \
not play; it hasn't got {}; {} is not part of it; it doesn't use {}; {} not included; NOT {}
without: without {}; without any {}; without the {}; w/o {}; w/out {}; completely \
without {} | it goes without {}; it gets by without {}; it is played without {}; it works without \
{}; without {} please
lack: lacking {}; lacking any {}; lacking in {}; {}-lacking | it lacks {}; the piece lacks {}; {} \
lacking; there is a lack of {}
absent: in the absence of {}; with {} absent; {}-absent | {} absent; {} absent from it; the {} is \
absent
exclude: excluding {}; excluding any {}; exclusive of {}; {}-excluding | exclude {}; it excludes \
{}; {} excluded; please exclude the {}
omit: omitting {}; omitting the {}; {}-omitting | omit {}; it omits {}; {} omitted
leave: leaving out {}; leaving the {} out | leave out {}; leave the {} out; {} left out; it \
leaves out the {}
remove: with {} removed; with the {} removed | remove {}; remove the {}; {} removed; the {} has \
been removed
skip: skipping {} | skip {}; skip the {}; it skips the {}
drop: dropping {} | drop the {}; drop {}; {} dropped
ditch: ditching {} | ditch the {}; ditch {}
lose: losing the {} | lose the {}
cut: cutting {} | cut the {}; cut out the {}; {} cut
mute: with {} muted; with muted {} | mute the {}; mute {}; {} muted
avoid: avoiding {}; avoiding any {}; {}-avoiding | avoid {}; it avoids {}; please avoid the {}
miss: missing {}; missing any {}; {}-missing | {} missing; it misses {}; the {} is missing
strip: stripped of {} | strip out the {}; {} stripped
bereft: bereft of {} | it is bereft of {}
deprive: deprived of {}; {}-deprived | it is deprived of {}
empty: empty of {} | it is empty of {}
never: never any {}; never with {} | it never uses {}; the {} never plays; {} never appears; \
never play me {}
nothing: nothing with {}; nothing featuring {}; nothing containing {} | I want nothing with {}; \
nothing in it is {}
none: none of the {}; none of that {} | {}: none; {} = none; none of it is {}; I want none of the \
{}
nobody: with nobody on {} | nobody plays {}; nobody is on {}; nobody touches the {}
except: except {}; except for {}; everything except {} | anything except {}; all instruments \
except {}
other: other than {}; anything other than {} | everything other than {}
apart: apart from {}; quite apart from {} | everything apart from {}
save: save for {} | all save the {}
bar: barring {} | {} barred; bar the {}
zero: zero {}; with zero {}; 0 {} | it has zero {}; zero {} please; {}: zero; there is zero {}
hate: hating {}; {}-hating | I hate {}; because I hate {}; I really hate {}
dislike: disliking {} | I dislike {}; I strongly dislike {}
stand: for people who can't stand {} | I can't stand {}; we cannot stand the {}
tired: tired of {}; being tired of {} | I am tired of {}; I'm so tired of {}
sick: sick of {} | I am sick of {}
allergic: allergic to {} | I am allergic to {}
spare: sparing me the {} | spare me the {}; please spare us the {}
keep: keeping {} away | keep out {}; keep the {} out; keep {} away; keep {} out of it
hold: holding the {} | hold the {}
forget: forgetting {} | forget the {}; forget about {}
refuse: refusing {} | I refuse {}; it refuses {}
reject: rejecting {} | reject {}; {} rejected
ban: banning {}; with a ban on {}; {}-banning | ban {}; {} banned; {} are banned
forbid: forbidding {} | {} forbidden; {} is forbidden
switch: with {} switched off; with the {} off | switch off the {}; {} off; turn off the {}
silence: with silent {} | {} silent; silence the {}; the {} is silent
rid: rid of {} | get rid of {}; get rid of the {}
eliminate: eliminating {}; {}-eliminating | eliminate {}; {} eliminated
nix: nixing {} | nix the {}; nix {}
scrap: scrapping {} | scrap the {}; {} scrapped
stop: stopping the {} | stop the {}; stop playing {}
stay: staying away from {} | stay away from {}; please stay away from the {}
anti: anti-{} | I am anti {}
non: non-{} | it is non-{}
sign: -{}; !{} | -{}; !{}; -"{}"
italian: senza {} | senza {}
german: ohne {}; kein {} | ohne {}
spanish: sin {} | sin {}
free: free of {}; free from {}; {}-free | it is free of {}; it is {}-free
minus: minus {}; minus the {} | everything minus the {}
devoid: devoid of {}; void of {}; devoid of any {} | it is devoid of {}
less: {}-less; {}less | it is {}-less
sans: sans {}; sans any {} | sans {}
"""
HELD_OUT = ("free", "minus", "devoid", "less", "sans")
"""Families of the benchmark's held-out cues."""
_COMMON_WORDS = """
a all am and any anything are at away be because but by can containing contains do does everything
feature featuring for from get has have here hear i in include included instruments is it me need
of on one out part piece play playing plays please so that the there there's us use used want
wanted we will with you
"""  # belong to no family
_COMMON = ("no", "not", "without")  # drawn more often, as people use them more often
_COMMON_WEIGHT = 6

# Phrases after which the names are present. "{0} ... {1}" take two names.
AFFIRMED_TWICE = (
    *("not without {}", "never without {}", "not lacking {}", "no lack of {}", "not missing {}"),
    *("no shortage of {}", "don't skip the {}", "don't leave out the {}", "never lacking in {}"),
    *("can't do without {}", "it isn't without {}", "it would be nothing without {}"),
    *("do not remove the {}", "don't mute the {}", "never omit the {}", "not excluding {}"),
    *("it doesn't lack {}", "nothing works without {}", "no absence of {}", "not avoiding {}"),
    *("I can't live without {}", "it would not be complete without {}", "no piece without {}"),
)
"""Double negations: the music has the names."""
NO_DENIALS = (
    *("not only {0} but also {1}", "not just {0} but {1}", "not only {0}, {1} too"),
    *("not merely {0} but {1}", "not only {}", "not just {}", "nothing but {}"),
    *("no ordinary {}", "{} like no other", "no doubt {}", "{}, why not", "never-ending {}"),
    *("endless {}", "timeless {}", "nothing beats {}", "I can't get enough of the {}"),
    *("the {} never stops", "the {} does not get in the way", "no matter what, {}"),
    *("no wonder the {} stands out", "don't miss the {}", "{} that never gets old", "not bad {}"),
    *("no one can resist the {}", "{} without end", "restless {}", "flawless {}", "free {}"),
    *("no two {} parts are alike", "never a dull moment with {}", "no-nonsense {}", "if not {}"),
    *("{} without limits", "carefree {}", "{} that doesn't drown out anything", "not a bad {}"),
)
"""Phrases that look like denials; the music has the names."""
LIMITED = {
    "almost no {}": 0.8, "hardly any {}": 0.7, "barely any {}": 0.7, "scarcely any {}": 0.7,
    "very little {}": 0.6, "little {}": 0.5, "not much {}": 0.5, "minimal {}": 0.5,
    "few {}": 0.5, "less {}": 0.3, "not too much {}": 0.3, "not so much {}": 0.3,
    "a hint of {}": -0.4, "a touch of {}": -0.4, "subtle {}": -0.5, "a bit of {}": -0.5,
    "{} in the background": -0.6, "a little {}": -0.5, "some {}": -0.7, "mostly {}": -0.8,
}  # fmt: skip
"""Degrees from 1 (absent) to -1 (present); those in between are between the two."""

DENIED_ADJECTIVES = (
    *("not {}", "not {}", "not {}", "never {}", "not at all {}", "it is not {}", "it isn't {}"),
    *("nothing {}", "anything but {}", "by no means {}", "in no way {}", "I don't want it {}"),
)
"""Denials of adjectives."""


class Denial(NamedTuple):
    """One way to deny, and the family of its content word."""

    family: str
    cue: Cue


class Family(NamedTuple):
    """Denials with one content word: the usual ones, and all."""

    usual: tuple[Denial, ...]
    all: tuple[Denial, ...]


class Sentences(NamedTuple):
    """Sentences of people about music, written for negclap.

    Attributes:
        denies: They deny the slot {x}, and affirm {y} if they have it.
        affirms: They have a negation word, and affirm {x} and {y}.
        captions: They have none; up to three attributes {0}, {1}, {2} fit.
        words: All words of the captions.
    """

    denies: tuple[str, ...]
    affirms: tuple[str, ...]
    captions: tuple[str, ...]
    words: tuple[str, ...]


@cache
def sentences() -> Sentences:
    """Return the sentences that ship."""
    path = Path(__file__).with_name("sentences.json")
    lists = json.loads(path.read_text(encoding="utf-8"))
    denies, affirms, captions = (tuple(lists[name]) for name in ("denies", "affirms", "captions"))
    return Sentences(denies, affirms, captions, tuple(sorted(_words(captions))))


@cache
def families() -> dict[str, Family]:
    """Return all denials by family."""
    found: dict[str, Family] = {}
    for line in _DENIALS.strip().replace("\\\n", "").splitlines():
        name, _, rest = line.partition(": ")
        phrases, clauses = (
            [Denial(name, Cue(one, one, clause=bool(clause))) for one in part.split("; ")]
            for clause, part in enumerate(map(str.strip, rest.split("|")))
        )
        found[name] = Family((phrases[0], clauses[0]), (*phrases, *clauses))
    return found


@cache
def content_words(family: str) -> frozenset[str]:
    """Return the content words of a family's denials."""
    return _words(denial.cue.template for denial in families()[family].all).difference(
        _COMMON_WORDS.split()
    )


@cache
def without_words_of(held_out: tuple[str, ...], phrases: tuple[str, ...]) -> tuple[str, ...]:
    """Return the phrases that share no content word with families that are held out."""
    held = frozenset[str]().union(*map(content_words, held_out))
    return tuple(phrase for phrase in phrases if not _words([phrase]) & held)


def _words(templates: Iterable[str]) -> frozenset[str]:
    texts = (re.sub(r"\{\w*\}", " ", template).lower() for template in templates)
    return frozenset(word for text in texts for word in re.findall(r"[\w'/]+", text))


def family_weights(held_out: Collection[str]) -> dict[str, int]:
    """Return how often each family is drawn in relation to the others, without those held out."""
    return {
        name: _COMMON_WEIGHT if name in _COMMON else 1
        for name in families()
        if name not in held_out
    }
