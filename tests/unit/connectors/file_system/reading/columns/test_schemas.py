from __future__ import annotations

import pyarrow as pa
import pytest

from shmflink.connectors.file_system.reading.columns.schemas import conform, merge_schemas, plain_schema
from shmflink.connectors.file_system.reading.columns.wider_types import wider_type
from shmflink.errors import ConfigurationError, DataFormatError, TypeMismatchError

I32, I64, F64, TEXT = pa.int32(), pa.int64(), pa.float64(), pa.string()


@pytest.mark.parametrize(
    ("left", "right", "wider"),
    [
        (I32, I64, I64),
        (pa.uint8(), pa.int8(), pa.int16()),
        (pa.uint64(), I64, pa.decimal128(20, 0)),
        (pa.decimal128(5, 1), F64, F64),
        (pa.decimal128(5, 1), pa.int8(), pa.decimal128(5, 1)),
        (pa.decimal128(38, 0), pa.uint64(), pa.decimal128(38, 0)),
        (pa.decimal128(38, 10), pa.decimal128(38, 0), None),
        (pa.list_(pa.null()), pa.list_(I64), pa.list_(I64)),
        (pa.list_(TEXT), pa.large_list(pa.large_string()), pa.large_list(pa.large_string())),
        (pa.list_(TEXT), pa.list_(I64), None),
        (pa.map_(TEXT, I32), pa.map_(TEXT, I64), pa.map_(TEXT, I64)),
        (pa.struct({"x": I32}), pa.struct({"x": I64, "y": TEXT}), pa.struct({"x": I64, "y": TEXT})),
        (pa.struct({"x": I32}), pa.struct({"x": TEXT}), None),
        (pa.struct({"x": I32}), TEXT, None),
        (I64, pa.float32(), F64),
        (pa.null(), TEXT, TEXT),
        (pa.decimal128(5, 2), pa.decimal128(6, 4), pa.decimal128(7, 4)),
        (pa.timestamp("ms"), pa.timestamp("us"), pa.timestamp("us")),
        (pa.timestamp("ms"), pa.timestamp("ms", "UTC"), None),
        (pa.date32(), pa.timestamp("ms"), pa.timestamp("ms")),
        (pa.date32(), pa.date64(), pa.date64()),
        (TEXT, pa.large_string(), pa.large_string()),
        (TEXT, I64, None),
        (pa.bool_(), I64, None),
    ],
)
def test_the_type_that_holds_both(left: pa.DataType, right: pa.DataType, wider: pa.DataType | None) -> None:
    assert wider_type(left, right) == wider
    assert wider_type(right, left) == wider


A = pa.schema([("a", I32), ("b", TEXT)])


def test_one_schema_in_any_order() -> None:
    other = pa.schema([("b", pa.null()), ("a", I32)])
    assert merge_schemas([("/1", A), ("/2", other)], "strict") == A


def test_strict_is_about_columns_and_values_not_about_offsets_or_nulls() -> None:
    given = pa.schema([("a", pa.large_string()), ("b", pa.list_(pa.null())), ("c", pa.struct({"x": pa.null()}))])
    other = pa.schema([("a", TEXT), ("b", pa.list_(I64)), ("c", pa.struct({"x": I64}))])
    expected = pa.schema([("a", pa.large_string()), ("b", pa.list_(I64)), ("c", pa.struct({"x": I64}))])
    assert merge_schemas([("/1", given), ("/2", other)], "strict") == expected
    assert merge_schemas([("/1", other), ("/2", given)], "strict") == expected
    with pytest.raises(DataFormatError, match="column 'c' is struct"):
        merge_schemas([("/1", other), ("/2", pa.schema([*list(other)[:2], ("c", pa.struct({"y": I64}))]))], "strict")


def test_a_string_where_nothing_else_holds_both_inside_of_objects_too() -> None:
    files = [("/1", pa.schema([("o", pa.struct({"x": I64}))])), ("/2", pa.schema([("o", pa.struct({"x": TEXT}))]))]
    assert merge_schemas(files, "widen_to_string").field("o").type == pa.struct({"x": TEXT})


def test_text_with_and_without_zone_is_one_column_of_moments() -> None:
    files = [("/1", pa.schema([("t", pa.timestamp("us"))])), ("/2", pa.schema([("t", pa.timestamp("us", "UTC"))]))]
    assert merge_schemas(files, "widen", of_text=True).field("t").type == pa.timestamp("us", "UTC")
    with pytest.raises(DataFormatError, match="column 't' is timestamp"):
        merge_schemas(files, "widen")


def test_strict_names_both_files_the_column_and_both_types() -> None:
    """[S6] A schema that changes: the error shows what differs."""
    wider = pa.schema([("a", I64), ("b", TEXT)])
    with pytest.raises(
        DataFormatError, match=r"column 'a' is int32 in /1 and int64 in /2; give schema=, or schema_merg"
    ):
        merge_schemas([("/1", A), ("/2", wider)], "strict")
    with pytest.raises(DataFormatError, match=r"column 'b' \(string\) of /1 is not in /2"):
        merge_schemas([("/1", A), ("/2", pa.schema([("a", I32)]))], "strict")
    with pytest.raises(DataFormatError, match=r"column 'c' \(int32\) of /2 is not in /1"):
        merge_schemas([("/1", A), ("/2", pa.schema([*A, ("c", I32)]))], "strict")


def test_widened() -> None:
    files = [("/1", A), ("/2", pa.schema([("c", F64), ("a", I64)])), ("/3", pa.schema([("a", F64), ("n", pa.null())]))]
    assert merge_schemas(files, "widen") == pa.schema([("a", F64), ("b", TEXT), ("c", F64), ("n", TEXT)])
    mixed = [*files, ("/4", pa.schema([("a", TEXT)]))]
    with pytest.raises(DataFormatError, match=r"column 'a' is double in /3 and string in /4; .*widen_to_string"):
        merge_schemas(mixed, "widen")
    assert merge_schemas(mixed, "widen_to_string").field("a").type == TEXT


def test_the_first_says_it_all_and_unknown_rules_are_refused() -> None:
    assert merge_schemas([("/1", A), ("/2", pa.schema([("c", I32)]))], "first") == A
    with pytest.raises(ConfigurationError, match="'union' is not one of strict, widen"):
        merge_schemas([("/1", A)], "union")  # type: ignore[arg-type] - what a user may write


def test_a_plain_schema_has_no_dictionaries_and_no_name_twice() -> None:
    schema = pa.schema([pa.field("d", pa.dictionary(I32, TEXT), nullable=False)], {"k": "v"})
    assert plain_schema(schema, "/1").equals(pa.schema([("d", TEXT)]), check_metadata=True)
    with pytest.raises(DataFormatError, match="/1: two columns are named 'x'"):
        plain_schema(pa.schema([("x", I32), ("x", I32)]), "/1")


def test_a_batch_is_brought_into_a_schema() -> None:
    batch = pa.record_batch({"d": pa.array(["x", None, "x"]).dictionary_encode(), "n": pa.array([1, 2, 3], I32)})
    made = conform(batch, pa.schema([("n", I64), ("gone", F64), ("d", TEXT)]), "/1")
    assert made.to_pydict() == {"n": [1, 2, 3], "gone": [None] * 3, "d": ["x", None, "x"]}
    assert made.schema.types == [I64, F64, TEXT]
    none = conform(batch, pa.schema([]), "/1")
    assert (none.num_rows, none.num_columns) == (3, 0)
    with pytest.raises(
        TypeMismatchError, match=r"/1: column 'd' has type .*, which does not fit the declared type date32"
    ):
        conform(batch, pa.schema([("d", pa.date32())]), "/1")
