"""What is gathered of tracks that have captions and no tags."""

import pytest

from negclap.data.gather import _told
from negclap.data.manifest import Caption
from negclap.text.vocabulary import Tag, Vocabulary


@pytest.mark.parametrize(
    ("caption", "present", "absent"),
    [
        ("Simple piano with no drums, bass or vocals.", {"piano"}, {"drums", "bass", "vocals"}),
        ("The song does not have any vocals", set(), {"vocals"}),
        ("there are no audible drums", set(), {"drums"}),
        ("vocals singing off-key over drums", {"vocals", "drums"}, set()),
        ("they drop the bass", set(), set()),  # may deny it, may not
        ("piano instead of guitar, barely audible drums", {"piano", "drums"}, {"guitar"}),
    ],
)
def test_captions_tell_what_is_there_and_what_is_not(caption, present, absent):
    names = ("piano", "drums", "bass", "vocals", "guitar")
    vocabulary = Vocabulary(tuple(Tag(name, "instrument", "noun") for name in names))
    found = _told([Caption(caption, "human")], vocabulary)
    assert [set(found[0]), set(found[1])] == [present, absent]
