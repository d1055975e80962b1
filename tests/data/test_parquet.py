import datetime
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from negclap.data.tables import read_parquet
from negclap.data.tracks import read_manifest
from negclap.errors import InputError

from .conftest import GOOD

FAR = pa.array([0, 2**52], pa.timestamp("ms"))  # the year 144,683


def damage(path, table, old, new):
    pq.write_table(table, path)
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))


def test_rows_are_numbered_from_one(tmp_path):
    pq.write_table(pa.table({"a": ["x", None]}), tmp_path / "t.parquet")
    rows = list(read_parquet(tmp_path / "t.parquet", ["a"]))
    assert [(row.place[-2:], row.values) for row in rows] == [
        (":1", {"a": "x"}),
        (":2", {"a": None}),
    ]


def test_all_problems_are_one_line_errors(tmp_path):
    path = tmp_path / "t.parquet"
    with pytest.raises(InputError, match=r"t\.parquet: cannot be read as Parquet after row 0"):
        list(read_parquet(path))
    pq.write_table(pa.table({"a": FAR}), path)
    with pytest.raises(InputError, match="date value out of range"):
        list(read_parquet(path))
    damage(path, pa.table({"a": ["piano"]}), b"piano", b"pi\xff\xffo")
    with pytest.raises(InputError, match="can't decode byte 0xff"):
        list(read_parquet(path))
    with pytest.raises(InputError, match=r"missing columns \['b'\]; it has \['a'\]"):
        list(read_parquet(path, ["b"]))


def test_corrupt_manifest_is_not_reported_as_a_read_only_folder(tmp_path):
    path = tmp_path / "m.parquet"
    pq.write_table(pa.table({"track_id": ["a"]}), path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-40] + b"\xff" * 32 + whole[-8:])
    with pytest.raises(InputError, match=r"m\.parquet: cannot be read as Parquet"):
        read_manifest(path)


@pytest.mark.parametrize(
    "meta", [{"made": datetime.date(1999, 4, 1)}, json.dumps({"made": "1999-04-01"})]
)
def test_meta_is_json_or_a_struct_of_any_types(tmp_path, meta):
    pq.write_table(pa.Table.from_pylist([GOOD | {"meta": meta}]), tmp_path / "m.parquet")
    assert read_manifest(tmp_path / "m.parquet")[0].meta == {"made": "1999-04-01"}
