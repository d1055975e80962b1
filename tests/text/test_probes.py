from collections import Counter

from negclap.text.probes import build_probes, match_couples, statement
from tests.reading import claims_by_cue


def by_split(tracks, split):
    chosen = [track for track in tracks if track.split == split]
    return chosen, [track.captions[0].text for track in chosen]


def chorale_vocabulary(chorales):
    from negclap.text.vocabulary import Vocabulary

    return Vocabulary.load(chorales / "vocabulary.json")


def test_statement_claims_have_the_polarity_of_the_text(vocabulary):
    text = "slow piano, no drums or vocals"
    expected = {"slow": True, "piano": True, "drums": False, "vocals": False}
    assert dict(statement(text, vocabulary).claims) == expected


def test_couples_have_complementary_tags_and_balanced_texts(chorales, tracks):
    vocabulary = chorale_vocabulary(chorales)
    clips, captions = by_split(tracks, "train")
    couples = match_couples(clips, vocabulary, seed=0)
    members = [row for couple in couples for row in (couple.first, couple.second)]
    assert len(members) == len(set(members)) > 0.8 * len(clips)
    for first, second, x, y, context in couples:
        assert x in clips[first].tags
        assert x in clips[second].absent_tags
        assert y in clips[second].tags
        assert y in clips[first].absent_tags
        assert vocabulary[x].part_of_speech == vocabulary[y].part_of_speech
        for tag, present in context.claims:
            assert present
            assert {tag} <= set(clips[first].tags) & set(clips[second].tags)
            assert not vocabulary.excludes(tag, x)
            assert not vocabulary.excludes(tag, y)
    # Each pair of texts is asked twice, once with either answer: the text alone is worth 1/2.
    probes = build_probes(clips, captions, couples, vocabulary, 0)
    found = [probe.absence for probe in probes if probe.absence]
    asked = Counter((absence.true.text, absence.false.text) for absence in found)
    assert all(asked[true, false] == asked[false, true] for true, false in asked)
    assert couples == match_couples(clips, vocabulary, seed=0)


def test_claims_of_probes_match_their_texts(chorales, tracks):
    vocabulary = chorale_vocabulary(chorales)
    clips, captions = by_split(tracks, "test")
    couples = match_couples(clips, vocabulary, 0)
    probes = build_probes(clips, captions, couples, vocabulary, 0)
    for clip, probe in zip(clips, probes, strict=True):
        assert all(clip_has == (tag in clip.tags) for tag, clip_has in probe.original.claims)
        assert not any(present for _, present in probe.fully.claims)
        if probe.absence:
            for statement_, expected in ((probe.absence.true, True), (probe.absence.false, False)):
                text, claims = statement_
                assert claims_by_cue(text, vocabulary) == dict(claims)
                truth = all(present == (tag in clip.tags) for tag, present in claims)
                assert truth == expected


def test_tracks_with_unknown_absent_tags_have_no_absence_probe(vocabulary):
    class Unknown:
        track_id, tags, absent_tags = "t", ("piano",), None

    assert match_couples([Unknown(), Unknown()], vocabulary, 0) == []
    probe = build_probes([Unknown()], ["slow piano"], [], vocabulary, 0)[0]
    assert probe.half
    assert probe.fully
    assert probe.absence is None
