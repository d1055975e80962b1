"""Tags that are found in captions, for sources without tags."""

import pytest

from negclap.data.manifest import Caption
from negclap.data.prepare import tags_in_captions
from negclap.text.vocabulary import Tag, Vocabulary


@pytest.mark.parametrize(
    ("caption", "present", "absent"),
    [
        ("Simple piano with no drums, bass or vocals.", {"piano"}, {"drums", "bass", "vocals"}),
        ("The song does not have any vocals", set(), {"vocals"}),
        ("there are no audible drums", set(), {"drums"}),
        ("vocals singing off-key over drums", {"vocals", "drums"}, set()),
        ("they drop the bass", set(), set()),  # ambiguous
        ("no drums until the second verse", set(), set()),
        ("The drums don't bury the vocals.", {"vocals", "drums"}, set()),
        ("not only piano, vocals: n/a", {"piano"}, {"vocals"}),
        ("instrumental, no lead guitar", set(), {"vocals"}),
        ("a drumless piano duet", {"piano"}, {"drums"}),
        ("piano instead of guitar, barely audible drums", {"piano", "drums"}, {"guitar"}),
    ],
)
def test_tags_in_captions(caption, present, absent):
    names = ("piano", "drums", "bass", "vocals", "guitar")
    vocabulary = Vocabulary(tuple(Tag(name, "instrument", "noun") for name in names))
    found = tags_in_captions([Caption(caption, "human")], vocabulary)
    assert [set(found[0]), set(found[1])] == [present, absent]


def test_unsure_denials_are_reported_and_not_taken():
    vocabulary = Vocabulary((Tag("drums"), Tag("piano")))
    doubted = []
    captions = [Caption("no drums here, loud drums there", "human"), Caption("piano", "human")]
    assert tags_in_captions(captions, vocabulary, doubted.append) == (("drums", "piano"), ())
    assert [(negation.names, negation.doubt) for negation in doubted] == [
        (("drums",), "mentioned again in the text")
    ]
