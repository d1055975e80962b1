import json
from pathlib import Path

import numpy as np
import pytest

from negclap.cli import main
from negclap.errors import InputError
from negclap.evaluation.mining import (
    Counts,
    Label,
    mine,
    read_captions,
    read_labels,
    score_denied,
    score_labels,
    text_only_accuracy,
)

CAPTIONS = {
    "a": "There are no voices in this song. The bass is not clear.",
    "b": "fast drums",
    "c": "a drone without percussion",
}


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "captions.csv"
    lines = [f'{key},"{text}"' for key, text in CAPTIONS.items()]
    path.write_text("ytid,caption\n" + "\n".join(lines) + "\n")
    return path


def test_matches_with_labels_are_counted_by_kind():
    labels = {
        "a": [Label("no", 10, "voices", "absence"), Label("not", 47, "bass", "predicate")],
        "b": [Label("no", 0, "drums", "absence")],
        "c": [],
    }
    with pytest.raises(
        InputError, match="1 labels have no caption with their id, the first is 'd'"
    ):
        score_labels(mine(CAPTIONS), labels | {"d": []}, CAPTIONS)
    assert score_labels(mine(CAPTIONS), labels, CAPTIONS) == {
        "absence": Counts(right=1, extra=1, missed=1),
        "predicate": Counts(right=0, extra=1, missed=1),
    }


@pytest.mark.parametrize("name", ["written_captions", "unseen_captions"])
def test_detector_finds_absences_in_independent_captions(name):
    """The captions and labels were written without knowledge of the detector.

    It was corrected on both sets since; the test sets are in tests/text/sentences.
    """
    path = Path(__file__).parents[1] / "text" / f"{name}.jsonl"
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    captions = {entry["ytid"]: entry["caption"] for entry in entries}
    labels = {entry["ytid"]: [Label(**label) for label in entry["negations"]] for entry in entries}
    counts = score_labels(mine(captions), labels, captions)
    assert counts["absence"].precision >= 0.95
    assert counts["absence"].recall >= 0.95
    assert counts["lexical"].recall >= 0.9


def test_denied_attributes_are_right_by_their_head():
    found = [["lead guitar", "drumming"], ["bass"], []]
    labels = [["guitar", "drums"], [], ["lead vocals"]]
    assert score_denied(found, labels) == (Counts(right=2, extra=1, missed=1), 0)
    assert score_denied([["guitar"]], [["lead guitar"]]) == (Counts(0, 1, 1), 0)
    assert score_denied([[]], [[]]) == (Counts(0, 0, 0), 1)


def test_text_only_accuracy_of_two_toy_encoders():
    def understands(texts):
        """Embed texts so that affirmative texts are close to the phrase, negated ones far."""
        return np.array([[0.0, 1.0] if " no " in f" {t} " or "without" in t else [1.0, 0.0]
                         for t in texts], dtype=np.float32)  # fmt: skip

    def constant(texts):
        return np.tile(np.array([[1.0, 0.0]], dtype=np.float32), (len(texts), 1))

    mined = mine(CAPTIONS)
    assert text_only_accuracy(mined, CAPTIONS, understands) == (1.0, 0.5, 2)
    assert text_only_accuracy(mined, CAPTIONS, constant) == (0.5, 0.5, 2)


def test_mine_command(table, tmp_path, capsys):
    labels = tmp_path / "labels.jsonl"
    label = {"cue": "no", "start": 10, "head": "voices", "kind": "absence"}
    labels.write_text(json.dumps({"ytid": "a", "negations": [label]}) + "\n")
    out = tmp_path / "mined.jsonl"
    assert main(["mine", str(table), "--out", str(out), "--labels", str(labels)]) == 0
    found = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(one["id"], one["kind"]) for one in found] == [
        ("a", "absence"), ("a", "predicate"), ("c", "absence")]  # fmt: skip
    assert "3 captions, 2 with 3 negations" in capsys.readouterr().out


def test_captions_of_a_manifest_are_read(chorales):
    assert len(read_captions(chorales / "manifest.jsonl", "", "")) > 100


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,text\n1,x\n", r"missing columns \[.caption."),
        ("ytid,caption\n1,x\n1,y\n", "captions.csv:3: id '1' is not unique"),
    ],
)
def test_invalid_table_is_an_error(tmp_path, content, message):
    path = tmp_path / "captions.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_captions(path, "caption", "ytid")


def test_invalid_label_is_an_error_with_its_line(tmp_path):
    path = tmp_path / "labels.jsonl"
    path.write_text('{"ytid": "a", "negations": []}\n{"ytid": "b"}\n')
    with pytest.raises(InputError, match=r"labels\.jsonl:2"):
        read_labels(path)
