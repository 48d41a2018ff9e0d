from __future__ import annotations

import pyarrow as pa
import pytest

from shmflink.connectors.postgres.columns import create_table, plain_columns, quoted, staged_columns
from shmflink.errors import ConfigurationError

SCHEMA = pa.schema({'a"b': pa.int32(), "bytes": pa.binary(), "span": pa.duration("s"), "list": pa.list_(pa.string())})


def test_a_table_that_fits() -> None:
    assert quoted('a"b') == '"a""b"'
    assert create_table("s.t", SCHEMA) == (
        'CREATE TABLE s.t ("a""b" integer, "bytes" bytea, "span" interval, "list" text[])'
    )


@pytest.mark.parametrize(
    ("data_type", "name"),
    [
        (pa.dictionary(pa.int8(), pa.string()), "text"),
        (pa.uint64(), "numeric(20)"),
        (pa.list_(pa.list_(pa.int64())), "jsonb"),
        (pa.struct({"a": pa.int8()}), "jsonb"),
        (pa.map_(pa.string(), pa.int8()), "jsonb"),
        (pa.timestamp("ns", "UTC"), "timestamptz"),
    ],
)
def test_types(data_type: pa.DataType, name: str) -> None:
    assert create_table("t", pa.schema({"c": data_type})) == f'CREATE TABLE t ("c" {name})'


def test_what_is_staged_in_another_type() -> None:
    found = {"list": "text[]", "span": "interval", "bytes": "bytea", 'a"b': "bigint"}
    assert [(column.stage_type, column.expression) for column in staged_columns("t", found, SCHEMA)] == [
        ("bigint", '"a""b"'),
        ("text", "decode(\"bytes\", 'base64')"),
        ("bigint", "\"span\" * interval '1 microsecond'"),
        (
            "jsonb",
            'CASE WHEN "list" IS NULL THEN NULL ELSE ARRAY(SELECT jsonb_array_elements_text("list"))::text[] END',
        ),
    ]
    (as_json,) = staged_columns("t", {"list": "jsonb"}, SCHEMA.remove(0).remove(0).remove(0))
    assert (as_json.stage_type, as_json.expression) == ("jsonb", '"list"')


def test_what_is_missing_is_said_in_sql() -> None:
    with pytest.raises(
        ConfigurationError, match='This statement creates one that fits: CREATE TABLE t \\("a""b" integer'
    ):
        staged_columns("t", {}, SCHEMA)
    with pytest.raises(ConfigurationError, match='ALTER TABLE t ADD COLUMN "bytes" bytea, ADD COLUMN "span" interval'):
        staged_columns("t", {'a"b': "integer", "list": "text[]"}, SCHEMA)


def test_durations_are_microseconds() -> None:
    rows = pa.record_batch({"n": [1, 2], "span": pa.array([1, None], pa.duration("s"))})
    assert plain_columns(rows).to_pydict() == {"n": [1, 2], "span": [1_000_000, None]}
    assert plain_columns(rows.select(["n"])).to_pydict() == {"n": [1, 2]}
