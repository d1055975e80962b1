"""The experiment on teaching: its controls, its oracle and its sentences."""

import json
from random import Random

import pytest
import teach
import torch
import torch.nn.functional as F

from negclap.commands.teach import parser
from negclap.evaluation.benchmark import EncodedSplit
from negclap.text.lessons import Lesson, LessonPlan
from negclap.text.probes import Statement
from negclap.training.teacher import Target

DENIAL = Lesson("piano, no drums", "piano", ("drums",), tags=("piano", "drums"))


@pytest.fixture
def split(exam_clips):
    """Clips whose embedding says exactly which tags they have."""
    exam, _ = exam_clips
    names = exam.vocabulary.names
    has = torch.tensor([[1.0 if n in track.tags else -1.0 for n in names] for track in exam.tracks])
    return EncodedSplit(exam, F.normalize(has, dim=1), torch.empty(0, len(names)))


def one_hot(split, *names):
    rows = [split.exam.vocabulary.names.index(name) for name in names]
    return F.normalize(torch.eye(len(split.exam.vocabulary.names))[rows].sum(0), dim=0)


def test_arguments_of_every_variant_parse(vocabulary):
    found = teach.variants(vocabulary)
    for variant in found.values():
        options = sorted(variant.arguments, key=lambda one: not one.startswith("--"))
        parser().parse_args(["--model=m", "--out=o", *options])
    assert {"taught", "minilm", "lambda 0", "shuffled polarity", "wrong tag"} <= found.keys()


def test_controls_change_the_lessons_within_the_block_only(vocabulary):
    plan = LessonPlan(vocabulary)
    before = [plan(number) for number in range(200)]
    with teach.changed_lessons(teach.polarity):
        shuffled = [plan(number) for number in range(200)]
    with teach.changed_lessons(teach.affirm_only):
        assert not any(plan(number).denied for number in range(200))
    assert [plan(number) for number in range(200)] == before
    assert [one.text for one in shuffled] == [one.text for one in before]
    turned = [a.degree != b.degree for a, b in zip(before, shuffled, strict=True) if a.denied]
    assert 0.3 < sum(turned) / len(turned) < 0.7
    assert teach.wrong_tag(DENIAL, Random(0), ["flute"]).denied == ("flute",)


def test_the_oracle_of_the_method_reads_claims(split):
    def embed(texts):
        found = [
            [m.tag for m in split.exam.vocabulary.find(text)] or ["low-pitched"] for text in texts
        ]
        return torch.stack([one_hot(split, *tags) for tags in found])

    oracle = teach.oracle_of(Target("subtract", 0.5), embed, split.exam.vocabulary)
    a, b = one_hot(split, "piano"), one_hot(split, "drums")
    found = oracle(
        [
            Statement("piano", (("piano", True),)),
            Statement("any words", (("piano", True), ("drums", False))),
            Statement("not without piano", (("piano", True),)),
        ]
    )
    torch.testing.assert_close(found, torch.stack([a, F.normalize(a - 0.5 * b, dim=0), a]))


def test_sentences_are_scored_on_clips_with_and_without_x(split, tmp_path):
    lines = [
        {"text": "there is no {x}", "denied": ["x"], "affirmed": [], "kind": "denies"},
        {"text": "no {x} but {y}", "denied": ["x"], "affirmed": ["y"], "kind": "denies"},
        {"text": "not only {x}", "denied": [], "affirmed": ["x"], "kind": "does not deny"},
    ]
    path = tmp_path / "sentences.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))

    def reader(flip):
        def embed(texts):
            rows = []
            for text in texts:
                (tag, *_) = [m.tag for m in split.exam.vocabulary.find(text)]
                deny = text.startswith(("no ", "there is no"))
                rows.append(one_hot(split, tag) * (-1 if deny != flip else 1))
            return torch.stack(rows)

        return embed

    known = ["piano", "vocals", "drums", "flute", "organ", "violin"]
    assert teach.sentence_scores(split, reader(flip=False), path, known) == {
        "denies": 1.0,
        "does not deny": 1.0,
    }
    assert set(teach.sentence_scores(split, reader(flip=True), path, known).values()) == {0.0}


def test_tables_have_a_row_for_each_key():
    values = {
        "suite": {"chain": 0.5},
        "phrases": {"no": 0.25},
        "tags": {"drums": {"bare": 1, "no": 0}},
    }
    oracle = {"suite": {"chain": 0.75}, "validation": {}, "text": {}}
    asked = dict.fromkeys(("untaught", "boolean", "taught"), values)
    results = {"known tags": {}, **asked, teach.DEFAULT_TARGET: oracle}
    written = teach.tables(results)
    assert "| chain | 0.500 | 0.500 | 0.750 | 0.500 |" in written
    assert "| no | 0.250 | 0.250 | 0.250 |" in written
    assert "| drums | 1.00 0.00 | 1.00 0.00 | 1.00 0.00 |" in written
