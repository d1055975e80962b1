import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from negclap.data.manifest import Caption, Track, write_manifest
from negclap.data.tracks import read_manifest
from negclap.errors import InputError

from .conftest import GOOD


def lines(*records):
    return "".join(json.dumps(record) + "\n" for record in records)


def without(name):
    return {key: value for key, value in GOOD.items() if key != name}


def test_write_and_read_round_trip(tmp_path):
    track = Track(
        "t", "a.wav", 1.5, 5.0, (Caption("ünï piano", "human"),), ("piano",), (), "test", {"x": 1}
    )
    write_manifest(tmp_path / "m.jsonl", [track])
    assert list(read_manifest(tmp_path / "m.jsonl")) == [track]
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["m.jsonl", "m.jsonl.arrow"]


def test_null_absent_tags_are_none(tmp_path):
    (tmp_path / "m.jsonl").write_text(lines(GOOD))
    assert read_manifest(tmp_path / "m.jsonl")[0].absent_tags is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        ("{", ":1: not JSON"),
        (lines(GOOD) + "[1]\n", ":2: expected an object"),
        (lines(without("audio")), r":1: .*missing fields \['audio'\]"),
        (lines(GOOD | {"artist": "x"}), r":1: unknown fields \['artist'\]"),
        (lines(GOOD, GOOD), ":2: track_id 't1' is a duplicate of line 1"),
        (lines(GOOD | {"track_id": ""}), ":1: track_id is empty"),
        (lines(GOOD | {"duration_s": -1}), ":1: duration_s is -1"),
        (lines(GOOD | {"duration_s": "5"}), ":1: duration_s is '5'"),
        (lines(GOOD | {"duration_s": float("nan")}), ":1: duration_s is nan"),
        (lines(GOOD | {"start_s": True}), ":1: start_s is True"),
        (lines(GOOD | {"tags": "piano"}), ":1: tags is 'piano', expected a list"),
        (lines(GOOD | {"tags": [1]}), r":1: tags is \[1\], expected a list of strings"),
        (
            lines(GOOD | {"tags": ["a", "b"], "absent_tags": ["b"]}),
            r":1: tags and absent_tags both contain \['b'\]",
        ),
        (lines(GOOD | {"captions": ["x"]}), r":1: captions\[0\]: expected"),
        (lines(GOOD | {"captions": [{"text": " "}]}), r":1: captions\[0\] has 0 words"),
        (
            lines(GOOD | {"captions": [{"text": "la " * 10_000}]}),
            r":1: captions\[0\] has 10000 words",
        ),
        (lines(GOOD | {"meta": []}), ":1: meta is"),
    ],
)
def test_errors_have_the_file_and_line(tmp_path, content, message):
    path = tmp_path / "m.jsonl"
    path.write_text(content)
    with pytest.raises(InputError, match=message) as error:
        read_manifest(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_file_is_reported(tmp_path):
    with pytest.raises(InputError, match="manifest not found"):
        read_manifest(tmp_path / "m.jsonl")


def test_invalid_utf8_is_reported_with_its_line(tmp_path):
    (tmp_path / "m.jsonl").write_bytes(b'{"track_id": "\xff"}\n')
    with pytest.raises(InputError, match=":1: not UTF-8"):
        read_manifest(tmp_path / "m.jsonl")


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_only_input_errors(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("fuzz") / "m.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError):
        read_manifest(path)
