"""Fuzz tests of tables and manifests: every row is kept or reported, or the file is named."""

import csv
import datetime
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile as sf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from negclap.data.entries import Source
from negclap.data.manifest import write_manifest
from negclap.data.prepare import PrepareOptions, prepare_manifest
from negclap.data.sources.folder import Folder
from negclap.data.sources.lp_musiccaps import LpMusicCapsMsd, LpMusicCapsMtt
from negclap.data.sources.mtg_jamendo import MtgJamendo
from negclap.data.sources.musiccaps import MusicCaps
from negclap.data.sources.song_describer import SongDescriber
from negclap.data.tracks import Tracks, read_manifest
from negclap.errors import InputError

from ..conftest import silent_progress
from .conftest import GOOD, read_lines

T = TypeVar("T")
EXAMPLES = 25
_LONGEST = datetime.timedelta(days=10**6)  # more does not fit in 64 bits of microseconds
PATH, LONG = "x.wav", "y" * 300


@pytest.fixture(scope="module")
def audio(tmp_path_factory) -> str:
    """A folder with one clip of 2 s."""
    folder = tmp_path_factory.mktemp("audio")
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 32_000)
    sf.write(folder / PATH, noise, 16_000)
    return str(folder)


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("out")


def result_or_message(action: Callable[[], T]) -> T | str:
    """Return the result of ``action``, or the message of its InputError, which is one line."""
    try:
        return action()
    except InputError as error:
        message = str(error)
    assert "\n" not in message
    return message


def count(source: Source, audio: str, out: Path) -> int | str:
    """Return how many rows `prepare_manifest` counts, or its error message."""
    options = PrepareOptions(out, audio, min_duration_s=0.5, threads=1)
    summary = result_or_message(lambda: prepare_manifest(source, options, silent_progress))
    if isinstance(summary, str):
        found = re.match(r"none of (\d+) recordings", summary)
        return int(found[1]) - unlisted(out) if found else summary
    assert summary.read == summary.tracks.total() + summary.rejected.total()
    assert len(read_lines(out / "rejected.jsonl")) == summary.rejected.total()
    assert len(reread(out / "manifest.jsonl")) == summary.tracks.total()
    return summary.read - unlisted(out)


def reread(path: Path) -> Tracks:
    """Read a manifest without its cache, which may have the same timestamp."""
    path.with_name(path.name + ".arrow").unlink(missing_ok=True)
    return read_manifest(path)


def unlisted(out: Path) -> int:
    """Count the files that are not in the table."""
    reasons = [line["reason"] for line in read_lines(out / "rejected.jsonl")]
    return reasons.count("not in the table")


def as_csv(header: str, rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([header.split(","), *rows])
    return text.getvalue().encode()


def as_tsv(header: str, rows: list[list[str]]) -> bytes:
    return "\n".join("\t".join(row) for row in [header.split(","), *rows]).encode()


def as_parquet(columns: dict[str, pa.Array]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def rows_at_most(kind: str, content: bytes) -> int:
    """Return the number of rows in Parquet's row groups, or the number of lines."""
    if kind.endswith(".parquet"):
        found = pq.read_metadata(io.BytesIO(content))
        return sum(found.row_group(group).num_rows for group in range(found.num_row_groups))
    return len(re.split(rb"\r\n|\r|\n", content))


def is_plausible(counted: int | str, kind: str, content: bytes) -> bool:
    """Whether the message names the file, or the count is at most the number of rows."""
    if isinstance(counted, str):
        return kind in counted
    return 0 <= counted <= rows_at_most(kind, content)


MUSICCAPS = "ytid,start_s,end_s,aspect_list,caption,is_audioset_eval"
SONGS = "track_id,caption,path,is_valid_subset"
JAMENDO = "TRACK_ID,ARTIST_ID,ALBUM_ID,PATH,DURATION,TAGS"
FOLDER = "file,caption,tags,split"
VALID: dict[str, tuple[Callable[[Path], Source], bytes]] = {
    "musiccaps.csv": (
        MusicCaps,
        as_csv(MUSICCAPS, [["x", "0", "10", "['rock', 'no voice']", "Rock", "True"]] * 3),
    ),
    "songs.csv": (SongDescriber, as_csv(SONGS, [["7", "Rock, no drums", PATH, "True"]] * 3)),
    "jamendo.tsv": (
        MtgJamendo,
        as_tsv(JAMENDO, [["t", "a", "b", PATH, "2.0", "genre---rock", "mood/theme---calm"]] * 3),
    ),
    "folder.csv": (Folder, as_csv(FOLDER, [[PATH, "Rock", "rock;no drums", "train"]] * 3)),
    "folder.jsonl": (
        Folder,
        b'{"file": "x.wav", "captions": ["Rock", "R\\u00f6ck"], "tags": ["rock"]}\n' * 3,
    ),
    "train-msd.parquet": (
        LpMusicCapsMsd,
        as_parquet({"track_id": ["T", "U"], "tag": [["rock"], None], "path": [PATH, None]}),
    ),
    "test-mtt.parquet": (
        LpMusicCapsMtt,
        as_parquet({"track_id": ["1"], "tag_top188": [["no drums"]], "path": [PATH]}),
    ),
    "mc.parquet": (
        MusicCaps,
        as_parquet(
            {"fname": ["[x]-[0-10]"], "aspect_list": [["rock"]], "is_audioset_eval": [False]}
        ),
    ),
}
kinds = st.sampled_from(sorted(VALID))


@given(kinds, st.binary(max_size=200))
@settings(max_examples=EXAMPLES)
def test_arbitrary_bytes_are_read_as_a_table_or_reported(audio, out, kind, data):
    make, valid = VALID[kind]
    for content in (data, valid.partition(b"\n")[0] + b"\n" + data):
        (out / kind).write_bytes(content)
        assert is_plausible(count(make(out / kind), audio, out), kind, content)


@given(kinds, st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=4), st.data())
@settings(max_examples=2 * EXAMPLES, derandomize=True)
def test_damaged_tables_are_read_or_reported(audio, out, kind, wrong, data):
    make, valid = VALID[kind]
    content = bytearray(valid)
    for where, byte in wrong:
        content[int(where * len(content))] = byte
    cut = data.draw(st.just(len(content)) | st.integers(0, len(content)))
    damaged = bytes(content[:cut])
    (out / kind).write_bytes(damaged)
    assert is_plausible(count(make(out / kind), audio, out), kind, damaged)


cells = st.one_of(
    st.sampled_from([PATH, "x", "", " ", ".", "/", "..", "a/", "\0", LONG, "a://b", "pipe:false"]),
    st.sampled_from(["0", "-5", "10", "²", "9" * 400, "[]", "{[]: 1}", "(" * 300, "nan", "True"]),
    st.text(max_size=8),
)


def tables(header: str, alphabet: st.SearchStrategy[str] = cells):
    width = len(header.split(","))
    return st.lists(st.lists(alphabet, min_size=width, max_size=width + 1), max_size=4)


@given(tables(MUSICCAPS))
@example([["x", "0", "10", "{[]: 1}", "Rock", "True"]])
@example([["x", "0", "9" * 400, "[]", "Rock", "True"]])
@example([["x", "-1", "0", "[]", "Rock", "True"]])
@example([[LONG, "0", "10", "[]", "Rock", "True"]])
@settings(max_examples=EXAMPLES)
def test_every_row_of_musiccaps_is_counted_once(audio, out, rows):
    (out / "a.csv").write_bytes(as_csv(MUSICCAPS, rows))
    assert count(MusicCaps(out / "a.csv"), audio, out) == len(rows)


@given(tables(SONGS), st.booleans())
@settings(max_examples=EXAMPLES)
def test_every_track_of_song_describer_is_counted_once(audio, out, rows, valid_only):
    (out / "a.csv").write_bytes(as_csv(SONGS, rows))
    width = len(SONGS.split(","))
    whole = [row for row in rows if len(row) == width]
    left = [row for row in whole if not valid_only or row[-1].strip().lower() == "true"]
    expected = len(rows) - len(left) + len({row[0] for row in left})
    assert count(SongDescriber(out / "a.csv", valid_only), audio, out) == expected


@example([["t", "a", "b", ".", "2.0", "genre---rock"]])
@given(tables(JAMENDO, cells.filter(lambda cell: not set(cell) & set("\t\r\n"))))
@settings(max_examples=EXAMPLES)
def test_every_row_of_jamendo_is_counted_once(audio, out, rows):
    (out / "a.tsv").write_bytes(as_tsv(JAMENDO, rows))
    assert count(MtgJamendo(out / "a.tsv"), audio, out) == len(rows)


@given(tables(FOLDER))
@example([[PATH, "Rock", "", " "], [LONG, "Rock", "", ""], ["pipe:false", "Rock", "", ""]])
@settings(max_examples=EXAMPLES)
def test_every_row_of_a_folders_csv_is_counted_once(audio, out, rows):
    (out / "a.csv").write_bytes(as_csv(FOLDER, rows))
    assert count(Folder(out / "a.csv"), audio, out) == len(rows)


values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(), max_size=5),
        st.sampled_from([PATH, "piano", " ", "\ud800", "train", 10**400]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)  # fmt: skip


@given(
    st.lists(
        st.dictionaries(st.sampled_from(["caption", "captions", "tags", "split"]), values)
        | values.map(lambda value: {"file": value, "caption": "Rock"}),
        max_size=4,
    )
)
@example([{"split": "\ud800"}])
@example([{"split": " "}])
@settings(max_examples=2 * EXAMPLES)
def test_every_line_of_a_folders_jsonl_is_counted_once(audio, out, rows):
    lines = [json.dumps({"file": PATH} | row) for row in rows]
    (out / "a.jsonl").write_text("\n".join(lines))
    assert count(Folder(out / "a.jsonl"), audio, out) == len(rows)


COLUMNS: list[tuple[pa.DataType, st.SearchStrategy]] = [
    (pa.string(), cells),
    (pa.large_string(), cells),
    (pa.binary(), st.binary(max_size=5)),
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.float32(), st.floats(width=32)),
    (pa.bool_(), st.booleans()),
    (pa.date32(), st.dates()),
    (pa.timestamp("us"), st.datetimes()),
    (pa.duration("us"), st.timedeltas(-_LONGEST, _LONGEST)),
    (pa.list_(pa.string()), st.lists(cells, max_size=3)),
    (pa.list_(pa.int16()), st.lists(st.none() | st.integers(0, 9), max_size=3)),
    (pa.struct([("a", pa.string())]), st.fixed_dictionaries({"a": cells})),
    (pa.map_(pa.string(), pa.string()), st.lists(st.tuples(st.just("k"), cells), max_size=1)),
    (pa.dictionary(pa.int8(), pa.string()), cells),
]
columns = st.tuples(st.integers(1, 3), st.lists(st.sampled_from(COLUMNS), min_size=6, max_size=6))
MSD = ("track_id", "tag", "path", "caption_writing", "title", "year")
MC = ("fname", "aspect_list", "is_audioset_eval", "caption_ground_truth", "title", "year")


@given(columns, st.sampled_from([(LpMusicCapsMsd, MSD), (MusicCaps, MC)]), st.data())
@settings(max_examples=2 * EXAMPLES)
def test_every_row_of_parquet_with_any_column_types_is_counted_once(
    audio, out, columns, source, data
):
    (n_rows, types), (make, names) = columns, source
    table = {
        name: pa.array(
            data.draw(st.lists(st.none() | each, min_size=n_rows, max_size=n_rows)), kind
        )
        for name, (kind, each) in zip(names, types, strict=True)
    }
    (out / "train.parquet").write_bytes(as_parquet(table))
    assert count(make(out / "train.parquet"), audio, out) == n_rows


@given(st.dictionaries(st.sampled_from([*GOOD, "meta"]), values, min_size=1, max_size=2))
@example({"track_id": "\ud800"})
@example({"meta": {"title": "\ud800"}})
@settings(max_examples=2 * EXAMPLES)
def test_manifests_with_any_values_are_read_or_the_line_is_reported(out, changed):
    path = out / "a.jsonl"
    path.write_text(json.dumps(GOOD) + "\n" + json.dumps(GOOD | {"track_id": "t2"} | changed))
    tracks = result_or_message(lambda: reread(path))
    if isinstance(tracks, str):
        assert "a.jsonl:2: " in tracks
        return
    write_manifest(out / "again.jsonl", tracks)
    assert repr(list(reread(out / "again.jsonl"))) == repr(list(tracks))


@given(st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=4))
@settings(max_examples=EXAMPLES, derandomize=True)
def test_damaged_parquet_manifests_are_read_or_reported(out, wrong):
    path = out / "m.parquet"
    columns = {name: pa.array([value]) for name, value in GOOD.items()}
    content = bytearray(as_parquet(columns))
    for where, byte in wrong:
        content[int(where * len(content))] = byte
    path.write_bytes(content)
    tracks = result_or_message(lambda: reread(path))
    if isinstance(tracks, str):
        assert tracks.startswith(str(path))
        assert "can be written" not in tracks
    else:
        assert len(tracks) == 1
