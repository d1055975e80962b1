from collections import Counter

from negclap.text.negate import is_negated
from negclap.text.probes import assign_absence_pairs, build_probes, statement


def by_split(tracks, split):
    chosen = [track for track in tracks if track.split == split]
    return chosen, [track.captions[0].text for track in chosen]


def chorale_vocabulary(chorales):
    from negclap.text.vocabulary import Vocabulary

    return Vocabulary.load(chorales / "vocabulary.json")


def test_claims_follow_polarity(vocabulary):
    text = "slow piano, no drums or vocals"
    expected = {"slow": True, "piano": True, "drums": False, "vocals": False}
    assert dict(statement(text, vocabulary).claims) == expected


def test_absence_pairs_are_balanced_and_true(chorales, tracks):
    vocabulary = chorale_vocabulary(chorales)
    clips, captions = by_split(tracks, "train")
    pairs = assign_absence_pairs(clips, captions, vocabulary, seed=0)
    given = [pair for pair in pairs if pair]
    assert len(given) > len(clips) / 2
    counts = Counter((pair.present, pair.absent) for pair in given)
    assert all(counts[x, y] == counts[y, x] for x, y in counts)
    for clip, caption, pair in zip(clips, captions, pairs, strict=True):
        if pair:
            assert pair.present in clip.tags
            assert pair.absent in clip.absent_tags
            mentioned = {mention.tag for mention in vocabulary.find(caption)}
            assert not any(vocabulary.excludes(tag, m) for tag in pair for m in mentioned)
    assert pairs == assign_absence_pairs(clips, captions, vocabulary, seed=0)


def test_probes_claim_what_they_say(chorales, tracks):
    vocabulary = chorale_vocabulary(chorales)
    clips, captions = by_split(tracks, "test")
    pairs = assign_absence_pairs(clips, captions, vocabulary, 0)
    probes = build_probes(clips, captions, pairs, vocabulary, 0)
    for clip, probe in zip(clips, probes, strict=True):
        assert all(clip_has == (tag in clip.tags) for tag, clip_has in probe["original"].claims)
        assert not any(present for _, present in probe["fully"].claims)
        for role in ("absence_true", "absence_false"):
            if role in probe:
                text, claims = probe[role]
                mentions = vocabulary.find(text)
                read = {m.tag: not is_negated(text, mentions, i) for i, m in enumerate(mentions)}
                assert read == dict(claims)
                truth = all(present == (tag in clip.tags) for tag, present in claims)
                assert truth == (role == "absence_true")


def test_unknown_absence_gives_no_absence_probe(vocabulary):
    class Unknown:
        track_id, tags, absent_tags = "t", ("piano",), None

    assert assign_absence_pairs([Unknown()], ["slow piano"], vocabulary, 0) == [None]
    probe = build_probes([Unknown()], ["slow piano"], [None], vocabulary, 0)[0]
    assert set(probe) == {"original", "half", "fully"}
