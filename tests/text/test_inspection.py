from types import SimpleNamespace

from negclap.text.inspection import inspect_denials, inspect_insertions
from negclap.text.vocabulary import Tag, Vocabulary


def test_counts_are_consistent(tracks, chorales):
    vocabulary = Vocabulary.load(chorales / "vocabulary.json")
    options = {"p": 0.6, "absent_from": "absent_tags", "seed": 0, "samples": 5}
    report = inspect_insertions(tracks, vocabulary, **options, unread=lambda _: "")
    assert report.captions == sum(len(track.captions) for track in tracks)
    assert report.cut == 0
    short = inspect_insertions(tracks, vocabulary, **options, unread=lambda text: text[20:])
    assert short.cut == sum(len(c.text) > 20 for track in tracks for c in track.captions)
    assert short.positions["end"] < report.positions["end"]
    assert report.without_tag == 0
    assert report.inserted == report.tags.total() == report.cues.total()
    assert abs(report.inserted / report.captions - 0.6) < 0.1
    assert len(report.samples) == 5


def test_sure_and_unsure_denials_are_counted_and_sampled():
    texts = ["no drums", "piano without drums", "no gleeblorp", "no drums yet", "loud"]
    captions = [SimpleNamespace(text=text) for text in texts]
    tracks = [SimpleNamespace(track_id="a", captions=captions)]
    vocabulary = Vocabulary((Tag("drums"), Tag("piano")))
    report = inspect_denials(tracks, vocabulary, seed=0, samples=1)
    assert report.kinds == {"absence": 3, "partial": 1}
    assert (report.sure_count, report.unsure_count) == (2, 1)
    assert len(report.sure) == 1
    assert report.unsure == [("a", "no gleeblorp", "gleeblorp", "not a musical term")]
