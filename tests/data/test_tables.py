"""Tables as people have them: delimiters, encodings, quotes that are not closed, names of files."""

import io
import json
import tarfile

import numpy as np
import pytest
import soundfile as sf

from negclap.cli import main
from negclap.data.tables import Row, read_csv
from negclap.data.tracks import read_manifest
from negclap.errors import InputError

ROWS = [("a.wav", "piano; slow, and soft"), ("b.wav", "“no” drüms")]


def write(path, delimiter, encoding="utf-8"):
    fields = [("file", "caption"), *ROWS]
    lines = [delimiter.join(f'"{each}"' for each in row) for row in fields]
    if delimiter == "\t":
        lines = [line.replace('"', "") for line in lines]
    path.write_text("\r\n".join(lines) + "\r\n", encoding=encoding, newline="")
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiters_and_encodings(tmp_path, delimiter, encoding):
    path = write(tmp_path / "t.csv", delimiter, encoding)
    rows = list(read_csv(path, ["file", "caption"]))
    assert rows == [
        Row(f"{path}:{number}", {"file": file, "caption": caption})
        for number, (file, caption) in enumerate(ROWS, start=2)
    ]


def test_a_broken_utf16_table_is_an_error(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("file,caption\na.wav,piano\n".encode("utf-16") + b"x")
    with pytest.raises(InputError, match=r"t\.csv: not UTF-16"):
        list(read_csv(path, ["file", "caption"]))


@pytest.mark.parametrize(
    "rest",
    [
        "".join(f"{i}.wav,slow piano\n" for i in range(9)),
        '5.wav,"slow piano"\n6.wav,fast piano\n',
        '5.wav,slow,"piano"\n',
    ],
)
def test_a_quote_that_is_not_closed_swallows_nothing(tmp_path, rest):
    path = tmp_path / "t.csv"
    path.write_text('file,caption\na.wav,"two\nlines"\nb.wav,"no drums, soft piano\n' + rest)
    with pytest.raises(InputError, match=r"t\.csv:4: a quoted field .*; is a quote missing\?"):
        list(read_csv(path, ["file", "caption"]))


def test_the_command_names_the_row_of_the_quote(tmp_path, capsys):
    text = 'ytid,caption\ns0,"no drums, soft piano\n' + "s,slow piano\n" * 20_000
    (tmp_path / "t.csv").write_text(text)
    assert main(["mine", str(tmp_path / "t.csv")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "t.csv:2: a quoted field does not end" in line


def noise(seed):
    return 0.1 * np.random.default_rng(seed).standard_normal(11 * 8_000)


@pytest.mark.parametrize(
    ("on_disk", "written"),
    [
        ("U\u0308bung.wav", "\u00dcbung.wav"),
        ("\u00dcbung.wav", "U\u0308bung.wav"),
        ("album/one.wav", "album\\one.wav"),
        ("album/one.wav", "./album/one.wav"),
    ],
)
def test_a_file_is_found_however_its_name_is_written(tmp_path, on_disk, written):
    path = tmp_path / "music" / on_disk
    path.parent.mkdir(parents=True)
    sf.write(path, noise(0), 8_000)
    (tmp_path / "t.tsv").write_text(f"file\tcaption\n{written}\tslow piano\n", encoding="utf-8")
    where = ["--audio", str(tmp_path / "music"), "--captions", str(tmp_path / "t.tsv")]
    assert main(["prepare", "folder", *where, "--out", str(tmp_path / "out")]) == 0
    (track,) = read_manifest(tmp_path / "out" / "manifest.jsonl")
    assert track.track_id == on_disk
    assert not (tmp_path / "out" / "rejected.jsonl").read_text()


def test_two_forms_of_a_name_are_two_files(tmp_path):
    (tmp_path / "music").mkdir()
    names = ("U\u0308bung.wav", "\u00dcbung.wav")
    for number, name in enumerate(names):
        sf.write(tmp_path / "music" / name, noise(number), 8_000)
    table = "".join(f"{name},piano {number}\n" for number, name in enumerate(names))
    (tmp_path / "t.csv").write_text("file,caption\n" + table, encoding="utf-8")
    where = ["--audio", str(tmp_path / "music"), "--captions", str(tmp_path / "t.csv")]
    assert main(["prepare", "folder", *where, "--out", str(tmp_path / "out")]) == 0
    found = read_manifest(tmp_path / "out" / "manifest.jsonl")
    assert {track.track_id: track.captions[0].text for track in found} == {
        name: f"piano {number}" for number, name in enumerate(names)
    }


def shard(path, files):
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            if name.endswith(".flac"):
                buffer = io.BytesIO()
                sf.write(buffer, noise(content), 8_000, format="FLAC")
                data = buffer.getvalue()
            else:
                data = json.dumps({"text": content}).encode()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def test_names_with_dots_in_shards_stay_apart(tmp_path):
    files = {
        "01. Rain.flac": 0, "01. Rain.json": "rain, no drums",
        "01. Fire.flac": 1, "01. Fire.json": "loud drums",
        "x/plain.meta.json": "a flute", "x/plain.flac": 2,
        "twice.flac": 3, "twice.b.json": "a harp",
        ".hidden.flac": 4, ".hidden.json": "hidden piano",
    }  # fmt: skip
    shard(tmp_path / "a" / "s.tar", files)
    arguments = ["--audio", str(tmp_path / "a"), "--out", str(tmp_path / "out")]
    assert main(["prepare", "webdataset", *arguments]) == 0
    found = read_manifest(tmp_path / "out" / "manifest.jsonl")
    assert {track.track_id: [c.text for c in track.captions] for track in found} == {
        "s/01. Rain": ["rain, no drums"],
        "s/01. Fire": ["loud drums"],
        "s/x/plain": ["a flute"],
        "s/twice": ["a harp"],
        "s/.hidden": ["hidden piano"],
    }


def test_two_audio_files_of_one_key_are_rejected(tmp_path):
    files = {"a.flac": 0, "a.FLAC.flac": 1, "b.flac": 1, "b.json": "piano", "a.json": "drums"}
    shard(tmp_path / "a" / "s.tar", {**files, "c/b.flac": 2, "c/b.json": "harp"})
    with tarfile.open(tmp_path / "a" / "s.tar", "a") as tar:
        buffer = io.BytesIO()
        sf.write(buffer, noise(5), 8_000, format="WAV")
        info = tarfile.TarInfo("b.wav")
        info.size = len(buffer.getvalue())
        tar.addfile(info, io.BytesIO(buffer.getvalue()))
    arguments = ["--audio", str(tmp_path / "a"), "--out", str(tmp_path / "out")]
    assert main(["prepare", "webdataset", *arguments]) == 0
    found = read_manifest(tmp_path / "out" / "manifest.jsonl")
    assert {track.track_id for track in found} == {"s/a", "s/c/b"}
    lines = (tmp_path / "out" / "rejected.jsonl").read_text().splitlines()
    details = {one["track_id"]: one["detail"] for one in map(json.loads, lines)}
    assert details["s/b"] == "b.wav is another audio file of the same key"
