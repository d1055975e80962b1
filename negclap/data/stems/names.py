"""Which tags the name of a stem stands for: "BGVOX 2" is backing vocals, "GTR-L" is guitar."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from negclap.data.stems.songs import Contents
from negclap.errors import InputError
from negclap.text.vocabulary import Vocabulary, music_vocabulary, words

ABBREVIATIONS = {
    "vox": "vocals", "voc": "vocals", "vocal": "vocals", "leadvox": "lead vocals",
    "bgvox": "backing vocals", "bvox": "backing vocals", "bgv": "backing vocals",
    "bv": "backing vocals", "bvs": "backing vocals", "bgvs": "backing vocals",
    "backvox": "backing vocals", "fem vox": "female vocals", "male vox": "male vocals",
    "kick": "drums", "kik": "drums", "kck": "drums", "bd": "drums", "snare": "drums",
    "snr": "drums", "sn": "drums", "hh": "drums", "hat": "drums", "hats": "drums", "oh": "drums",
    "ohs": "drums", "overheads": "drums", "overhead": "drums", "tom": "drums", "toms": "drums",
    "crash": "drums", "ride": "drums", "cymbals": "drums", "beat": "drums", "tops": "drums",
    "drm": "drums", "drms": "drums", "drumset": "drums", "drum set": "drums", "kit": "drums",
    "perc": "percussion", "shaker": "percussion", "clap": "handclaps",
    "bs": "bass", "bss": "bass", "bsgtr": "bass guitar", "electric bass": "bass guitar",
    "sub": "synth bass", "sy bass": "synth bass", "syn bass": "synth bass",
    "bass synth": "synth bass", "808": "synth bass",
    "gtr": "guitar", "gtrs": "guitar", "gt": "guitar", "guit": "guitar", "guitars": "guitar",
    "egtr": "electric guitar", "elecgtr": "electric guitar", "elec gtr": "electric guitar",
    "electric gtr": "electric guitar", "lead gtr": "electric guitar",
    "clean electric guitar": "electric guitar", "distorted electric guitar": "distorted guitar",
    "acgtr": "acoustic guitar", "agtr": "acoustic guitar", "ac gtr": "acoustic guitar",
    "acoustic gtr": "acoustic guitar",
    "keys": "keyboard", "kbd": "keyboard", "pno": "piano", "epno": "electric piano",
    "rhodes": "electric piano", "org": "organ", "hammond": "organ",
    "syn": "synthesizer", "sy": "synthesizer", "synth": "synthesizer", "arp": "synthesizer",
    "pluck": "synthesizer", "stab": "synthesizer", "stabs": "synthesizer",
    "minilogue": "synthesizer", "pad": "synth pad", "str": "strings", "strs": "strings",
    "vln": "violin", "vla": "viola", "vc": "cello", "brs": "brass", "tpt": "trumpet",
    "tbn": "trombone", "female singer": "female vocals", "male singer": "male vocals",
    "rapper": "rapping", "vocalists": "vocals", "fx": "sound effects", "sfx": "sound effects",
    "sweep": "sound effects", "sweeps": "sound effects", "riser": "sound effects",
    "glitch": "sound effects", "efx": "sound effects", "effect": "sound effects",
}  # fmt: skip
"""Usual names of tracks in a session, and of instruments in multitrack sets."""
_SEPARATORS = re.compile(r"(?<=[A-Za-z])(?=\d)|[^A-Za-z0-9&]+|(?<=\d)(?=[A-Za-z])")
_DRUMS = frozenset({"kick drum", "snare drum", "hi-hat", "cymbals", "drum machine"})


@dataclass(frozen=True)
class StemNames:
    """Maps names of stems to tags.

    Attributes:
        stems: Tags by name or glob; they take precedence over the usual names.
        hides: What else a stem may contain, by name or glob; ["*"] stands for anything.
        groups: Group by name or glob of a song.

    Raises:
        InputError: If a tag is not in the general vocabulary.
    """

    stems: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    hides: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the tags."""
        for pattern, tags in (*self.stems.items(), *self.hides.items()):
            for tag in tags:
                if tag not in self.vocabulary and tag != "*":
                    raise InputError(f"{pattern!r}: {tag!r} is no tag of the music vocabulary")

    @property
    def vocabulary(self) -> Vocabulary:
        """The tags."""
        return music_vocabulary()

    @classmethod
    def read(cls, path: Path) -> "StemNames":
        """Read a YAML file with the fields.

        Raises:
            InputError: If the file is missing, has other fields, or names a tag that is unknown.
        """
        try:
            values: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
            found = {name: _lists(value) for name, value in (values or {}).items()}
            return cls(**found)
        except (OSError, yaml.YAMLError, AttributeError, TypeError) as error:
            raise InputError(f"{path}: not a mapping of stems ({error})") from None
        except InputError as error:
            raise InputError(f"{path}: {error}") from None

    def contents(self, name: str) -> Contents | None:
        """Return what the mapping says of a stem; None if it says nothing.

        Raises:
            InputError: If two of its rules fit the name.
        """
        tags, hides = _only(self.stems, name), _only(self.hides, name)
        if tags is None and hides is None:
            return None
        return Contents(self.usual_tags(name) if tags is None else tags, hides or ())

    def usual_tags(self, name: str) -> tuple[str, ...]:
        """Return the tags that a name usually stands for.

        A name is read as words: the longest phrases first, whether usual names or tags.

        Raises:
            InputError: If no rule, or two rules with different tags, fit the name.
        """
        text = " ".join(filter(None, _SEPARATORS.split(name.casefold())))
        phrases, tag_of = _phrases()
        found = dict.fromkeys(tag_of[match.group()] for match in phrases.finditer(text))
        # "Lead vocals" is one rule, although "vocals" fits, too.
        broader = {above for tag in found for above in self.vocabulary.ancestors(tag)}
        tags = tuple(tag for tag in found if tag not in broader)
        if not tags:
            raise InputError(f"no rule names the stem {name!r}")
        if len(tags) > 1:
            raise InputError(f"two rules fit the stem {name!r}: {' and '.join(tags)}")
        return tags

    def group(self, song: str, default: str) -> str:
        """Return the group of a song."""
        return (_only(self.groups, song) or (default,))[0]


@cache
def _phrases() -> tuple[re.Pattern[str], dict[str, str]]:
    """Return a pattern of all phrases, the longest first, and their tags."""
    tags = [t for t in music_vocabulary().tags if t.category in ("instrument", "vocals")]
    named = {
        " ".join(words(surface)): "drums" if tag.name in _DRUMS else tag.name
        for tag in tags
        for surface in (tag.name, *tag.aliases)
    }
    named |= ABBREVIATIONS
    longest = "|".join(map(re.escape, sorted(named, key=len, reverse=True)))
    return re.compile(rf"(?<![a-z0-9])(?:{longest})(?![a-z0-9])"), named


def _lists(values: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    return {
        str(name): (value,) if isinstance(value, str) else tuple(map(str, value or ()))
        for name, value in values.items()
    }


def _only(rules: Mapping[str, tuple[str, ...]], name: str) -> tuple[str, ...] | None:
    """Return the value of the rule that fits a name; the name itself beats globs."""
    if name in rules:
        return rules[name]
    fitting = {glob: value for glob, value in rules.items() if fnmatch(name, glob)}
    if len({*fitting.values()}) > 1:
        raise InputError(f"two rules fit {name!r}: {' and '.join(map(repr, fitting))}")
    return next(iter(fitting.values()), None)
