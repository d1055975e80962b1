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


def test_scores_against_labels_are_counted_by_kind():
    labels = {
        "a": [Label("no", 10, "voices", "absence"), Label("not", 47, "bass", "predicate")],
        "b": [Label("no", 0, "drums", "absence")],
        "c": [],
    }
    with pytest.raises(InputError, match="1 labelled captions are not there, the first: 'd'"):
        score_labels(mine(CAPTIONS), labels | {"d": []}, CAPTIONS)
    assert score_labels(mine(CAPTIONS), labels, CAPTIONS) == {
        "absence": Counts(right=1, extra=1, missed=1),
        "predicate": Counts(right=0, extra=1, missed=1),
    }


@pytest.mark.parametrize("name", ["written_captions", "unseen_captions"])
def test_absences_are_found_in_captions_written_by_others(name):
    """Captions and labels that were written without sight of the detector.

    The detector was mended on the written ones, never on the unseen: it stays so.
    """
    path = Path(__file__).parent / "text" / f"{name}.jsonl"
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    captions = {entry["ytid"]: entry["caption"] for entry in entries}
    labels = {entry["ytid"]: [Label(**label) for label in entry["negations"]] for entry in entries}
    absence = score_labels(mine(captions), labels, captions)["absence"]
    assert absence.precision >= 0.95
    assert absence.recall >= 0.95


def test_text_only_asks_whether_the_embedding_moves_the_right_way():
    def understands(texts):
        """A cosine with the phrase of 1 for what affirms it, 0 for what denies it."""
        return np.array([[0.0, 1.0] if " no " in f" {t} " or "without" in t else [1.0, 0.0]
                         for t in texts], dtype=np.float32)  # fmt: skip

    def deaf(texts):
        return np.tile(np.array([[1.0, 0.0]], dtype=np.float32), (len(texts), 1))

    mined = mine(CAPTIONS)
    assert text_only_accuracy(mined, CAPTIONS, understands) == (1.0, 0.5, 2)
    assert text_only_accuracy(mined, CAPTIONS, deaf) == (0.5, 0.5, 2)


def test_mine_by_the_command_line(table, tmp_path, capsys):
    labels = tmp_path / "labels.jsonl"
    label = {"cue": "no", "start": 10, "head": "voices", "kind": "absence"}
    labels.write_text(json.dumps({"ytid": "a", "negations": [label]}) + "\n")
    out = tmp_path / "mined.jsonl"
    assert main(["mine", str(table), "--out", str(out), "--labels", str(labels)]) == 0
    found = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(one["id"], one["kind"]) for one in found] == [
        ("a", "absence"), ("a", "predicate"), ("c", "absence")]  # fmt: skip
    assert "3 captions, 2 with 3 negations" in capsys.readouterr().out


def test_a_manifest_can_be_mined(chorales):
    assert len(read_captions(chorales / "manifest.jsonl", "", "")) > 100


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,text\n1,x\n", "no column 'caption'"),
        ("ytid,caption\n1,x\n1,y\n", "captions.csv:3: '1' comes twice"),
    ],
)
def test_bad_tables_are_one_line(tmp_path, content, message):
    path = tmp_path / "captions.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_captions(path, "caption", "ytid")


def test_bad_labels_name_their_line(tmp_path):
    path = tmp_path / "labels.jsonl"
    path.write_text('{"ytid": "a", "negations": []}\n{"ytid": "b"}\n')
    with pytest.raises(InputError, match=r"labels\.jsonl:2"):
        read_labels(path)
