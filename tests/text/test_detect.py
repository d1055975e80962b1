import json
from pathlib import Path

import pytest

from negclap.text.detect import find_negations
from negclap.text.rewrite import affirm, remove

LABELS = Path(__file__).with_name("natural_negation.jsonl")


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("There are no voices in this song.", [("no", "voices", "absence", "vocals")]),
        ("a drone with no percussion and no voices", [
            ("no", "percussion", "absence", "percussion"), ("no", "voices", "absence", "vocals")]),
        ("chords without any flourishes or embellishments. Nice.",
         [("without", "flourishes or embellishments", "absence", None)]),
        ("This song does not have any voices.",
         [("does not have any", "voices", "absence", "vocals")]),
        ("There aren't really any rhyming lyrics - it's a talk",
         [("aren't really any", "rhyming lyrics", "absence", "lyrics")]),
        ("a piece lacking bass", [("lacking", "bass", "absence", "bass")]),
        ("The voice is absent here.", [("is absent", "voice", "absence", "vocals")]),
        ("a drumless hip hop beat", [("drumless", "drum", "absence", "drums")]),
        ("No one is singing; two trumpets play", [("No one", "singing", "absence", "vocals")]),
        ("Vocals: none. Tempo: 120 bpm.", [("none", "Vocals", "absence", "vocals")]),
        ("There are no other instruments.",
         [("no", "other instruments", "relational", "instruments")]),
        ("a bowl being struck, nothing else", [("nothing", "else", "relational", None)]),
        ("The audio is not clear.", [("not", "clear", "predicate", None)]),
        ("Other instruments cannot be heard.", [("cannot", "heard", "predicate", None)]),
        ("notes played without pausing in between", [("without", "pausing", "predicate", None)]),
        ("The choir is no longer singing.", [("no longer", "singing", "predicate", "vocals")]),
        ("a barely audible bass", [("barely", "audible bass", "degree", "bass")]),
        ("hardly any percussion", [("hardly any", "percussion", "degree", "percussion")]),
        ("an organ instead of a piano", [("instead of", "piano", "contrast", "piano")]),
        ("singing vocables and not words", [("not", "words", "contrast", "lyrics")]),
        ("a no wave track", [("no wave", "wave track", "pseudo", None)]),
        ("not only piano but also flute",
         [("not only", "only piano", "pseudo", None)]),
        ("played with and without the pedal", [("with and without", "and without the pedal",
                                                "pseudo", None)]),
        ("He doesn't use many words.", [("doesn't use", "words", "degree", "lyrics")]),
        ("chill non-vocal playlist", [("non-vocal", "vocal", "absence", "vocals")]),
        ("a kickless section", [("kickless", "kick", "absence", "drums")]),
        ("There is no sign of a rapper.", [("no", "rapper", "absence", "vocals")]),
        ("there ain't no guitar", [("ain't no", "guitar", "absence", "guitar")]),
        ("stripped of its beat", [("stripped of", "beat", "absence", "rhythm")]),
        ("drums? no", [("no", "drums", "absence", "drums")]),
        ("no-vocals mix", [("no", "vocals mix", "absence", "vocals")]),
        ("ambient -drums", [("-", "drums", "absence", "drums")]),
        ("bass but not a snare", [("not", "snare", "absence", "drums")]),
        ("I can't hear the bass.", [("can't hear", "bass", "absence", "bass")]),
        ("The flute, typical here, is nowhere to be heard.",
         [("is nowhere to be heard", "flute", "absence", "flute")]),
        ("The vocal that was in the intro is missing now.",
         [("is missing", "vocal", "absence", "vocals")]),
        ("nor are there any drums", [("nor are there any", "drums", "absence", "drums")]),
        ("No one else plays.", [("No one", "else plays", "relational", None)]),
        ("Apart from the hammer nothing is heard.",
         [("nothing", "heard", "relational", None)]),
        ("so dense that no instrument can be told apart",
         [("no", "instrument can be told", "predicate", "instruments")]),
        ("voices that mean nothing", [("nothing", "mean", "predicate", None)]),
        ("neither of whom sings in tune", [("neither", "of whom sings", "predicate", None)]),
        ("not perfectly in tune but charming",
         [("not", "perfectly in tune", "predicate", "melody")]),
        ("songs like No Woman No Cry with an organ",
         [("No", "Woman", "pseudo", None), ("No", "Cry", "pseudo", None)]),
        ("Calm Piano, No Drums", [("No", "Drums", "absence", "drums")]),
        ('A boy says "no drums here" and laughs', [("no", "drums", "pseudo", None)]),
        ("a cover of \"Nothing Else Matters\" on a guitar",
         [("Nothing", 'Else Matters" on a guitar', "pseudo", None)]),
        ("He avoids the police out of nowhere, second to none.",
         [("second to none", "to none", "pseudo", None)]),
        ("break free from an addiction", []),
        ("a minor piano note in unison, instrumental and notable", []),
    ],
)  # fmt: skip
def test_find_negations(caption, expected):
    found = find_negations(caption)
    assert [(n.cue, n.phrase, n.kind, n.tag) for n in found] == expected
    for negation in found:
        assert caption[slice(*negation.span)] == negation.cue
        assert caption[slice(*negation.phrase_span)] == negation.phrase


def test_find_negations_maps_phrases_to_the_vocabulary(vocabulary):
    found = find_negations("slow piano, no drum or singing", vocabulary)
    assert [negation.tag for negation in found] == ["drums"]


@pytest.mark.parametrize(
    ("caption", "affirmed", "removed"),
    [
        ("calm piano, no drums", "calm piano, some drums", "calm piano"),
        ("rock without vocals", "rock with vocals", "rock"),
        ("There are no voices in this song. It is happy.",
         "There are some voices in this song. It is happy.", "It is happy."),
        ("This song does not have any drums.", "This song does indeed have some drums.", None),
        ("a piece with piano and no drums", "a piece with piano and some drums",
         "a piece with piano"),
        ("music lacking trumpet", "music with trumpet", "music"),
        ("The vocals are absent.", "The vocals are present.", None),
        ("without flute, a quiet song", "with flute, a quiet song", "a quiet song"),
        ("no piano", "some piano", ""),
        ("You can't hear any drums.", "You can indeed hear some drums.", None),
        ("They dont have any drums.", "They do indeed have some drums.", None),
        ("neither drums", None, None),
    ],
)  # fmt: skip
def test_affirm_and_remove(caption, affirmed, removed):
    (negation,) = find_negations(caption)
    assert affirm(caption, negation) == affirmed
    if removed is not None:
        assert remove(caption, negation) == removed


def test_only_absences_are_affirmed():
    (negation,) = find_negations("The audio is not clear.")
    assert affirm("The audio is not clear.", negation) is None


def test_the_labels_are_valid():
    entries = [json.loads(line) for line in LABELS.read_text().splitlines()]
    assert len(entries) >= 200
    assert len({entry["ytid"] for entry in entries}) == len(entries)
    kinds = {label["kind"] for entry in entries for label in entry["negations"]}
    assert kinds == {"absence", "relational", "predicate", "degree", "contrast", "pseudo"}
