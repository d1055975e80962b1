from collections import Counter

from negclap.evaluation.exam import MIXED, PLAIN, build_exam
from negclap.text.cues import CUES
from tests.reading import claims_by_cue


def is_true(statement, clip):
    return all(present == (tag in clip.tags) for tag, present in statement.claims)


def test_choices_have_a_true_and_a_false_text(exam_clips):
    exam, clips = exam_clips
    for choice in exam.choices:
        assert is_true(choice.true, clips[choice.clip]), choice
        assert not is_true(choice.false, clips[choice.clip]), choice


def test_texts_match_their_claims(exam_clips):
    """An independent reader agrees with the claims of all texts whose cues it supports."""
    exam, _ = exam_clips
    vocabulary = exam.vocabulary
    for text, statement in exam.statements().items():
        readable = text.replace("instrumental", "no vocals,")
        if not any(word in text for word in ("not without", "not only", "never")):
            assert claims_by_cue(readable, vocabulary) == dict(statement.claims), text


def test_all_parts_have_choices_equally_many_per_cue(exam_clips):
    exam, _ = exam_clips
    parts = [choice.part for choice in exam.choices]
    assert {"scope/swap", "scope/or", "double_negation", "pseudo/not_only"} <= set(parts)
    assert "lexicalised/instrumental" in parts
    assert len({parts.count(f"cue/{cue.name}/true_absence") for cue in CUES}) == 1


def test_choices_are_balanced(exam_clips):
    """Each of two texts is true equally often, so a model that ignores audio scores 1/2."""
    exam, _ = exam_clips
    counts = Counter((choice.part, choice.true.text, choice.false.text) for choice in exam.choices)
    for part, true, false in counts:
        assert counts[part, true, false] == counts[part, false, true]


def test_queries_have_enough_clips_and_all_wordings(exam_clips):
    exam, clips = exam_clips
    vocabulary = exam.vocabulary
    assert exam.queries
    for query in exam.queries:
        both = sum({query.wanted, query.unwanted} <= set(clip.tags) for clip in clips)
        wanted = sum(query.wanted in clip.tags for clip in clips)
        assert both >= 5
        assert wanted - both >= 5
        noun = vocabulary[query.unwanted].part_of_speech == "noun"
        cues = {c.name for c in CUES} if noun else set()
        assert set(query.texts) == {MIXED, PLAIN} | cues
        assert not {MIXED, PLAIN} & cues
        assert query.texts[PLAIN].claims == ((query.wanted, True),)


def test_texts_of_twins_are_each_true_of_one_clip(exam_clips, tracks):
    exam, clips = exam_clips
    twins = [track for track in tracks if track.split == "test_twin"]
    assert len(exam.twins) == len(twins)
    for question in exam.twins:
        has, lacks = ((clips if own else twins)[row] for own, row in (question.has, question.lacks))
        assert is_true(question.affirmed, has)
        assert not is_true(question.affirmed, lacks)
        assert is_true(question.negated, lacks)
        assert not is_true(question.negated, has)


def test_unknown_absent_tags_are_assumed(vocabulary):
    class Track:
        absent_tags = None

        def __init__(self, track_id, tags):
            self.track_id, self.tags = track_id, tags

    clips = [
        Track(f"t{i}", ("piano", "drums") if i % 2 else ("electric guitar",)) for i in range(8)
    ]
    exam = build_exam(clips, ["slow music"] * 8, vocabulary, 0, at=2)
    assert exam.assumed
    assert "guitar" not in exam.tracks[0].absent_tags
    assert {"piano", "drums"} <= set(exam.tracks[0].absent_tags)
    assert any(choice.part == "scope/swap" for choice in exam.choices)
