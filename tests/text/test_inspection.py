from negclap.text.inspection import inspect_insertions


def test_counts_are_consistent(tracks, chorales):
    from negclap.text.vocabulary import Vocabulary

    vocabulary = Vocabulary.load(chorales / "vocabulary.json")
    report = inspect_insertions(
        tracks, vocabulary, p=0.6, absent_from="absent_tags", seed=0, samples=5
    )
    assert report.captions == sum(len(track.captions) for track in tracks)
    assert report.without_tag == 0
    assert report.inserted == report.tags.total() == report.cues.total()
    assert abs(report.inserted / report.captions - 0.6) < 0.1
    assert len(report.samples) == 5
