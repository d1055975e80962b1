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
        ("piano instead of guitar, barely audible drums", {"piano", "drums"}, {"guitar"}),
    ],
)
def test_tags_in_captions(caption, present, absent):
    names = ("piano", "drums", "bass", "vocals", "guitar")
    vocabulary = Vocabulary(tuple(Tag(name, "instrument", "noun") for name in names))
    found = tags_in_captions([Caption(caption, "human")], vocabulary)
    assert [set(found[0]), set(found[1])] == [present, absent]
