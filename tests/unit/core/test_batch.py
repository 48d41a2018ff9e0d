"""A batch keeps rows, timestamps and keys together, in any form."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from shmflink.core.batch import Batch
from shmflink.core.keys.columns import encode_keys, key_values
from shmflink.core.row import Row, create_row
from shmflink.core.types.typeinfo import ColumnsTypeInfo, Types
from shmflink.errors import TypeMismatchError


def stamps(*values: int | None) -> pa.Array:
    return pa.array(values, pa.int64())


def test_rows_and_columns_are_converted_once() -> None:
    batch = Batch.of_rows([(1, "a"), (2, "b")])
    assert not batch.is_columnar
    columns = batch.columns()
    assert columns.to_pydict() == {"f0": [1, 2], "f1": ["a", "b"]}
    assert batch.is_columnar
    assert batch.rows() is batch.rows()
    assert len(batch) == batch.num_rows == 2


def test_user_columns_carry_no_metadata_of_ours_but_keep_the_users() -> None:
    assert Batch.of_rows([1]).columns().schema.metadata is None
    columns = pa.RecordBatch.from_pydict({"a": [1]}).replace_schema_metadata({"k": "v"})
    wire = Batch.of_columns(columns, timestamps=stamps(1)).to_wire()
    assert Batch.from_wire(wire).columns().schema.metadata == {b"k": b"v"}


@pytest.mark.parametrize("timestamps", [None, stamps(1, None, 3)])
@pytest.mark.parametrize("keys", [None, [1, 2, 1], ["a", None, "b"], [(1, "a"), 2, None], [b"x", b"y", b"z"]])
@pytest.mark.parametrize("rows", [[1, 2, 3], [(1, "a"), (2, "b"), (3, None)], [{"a": 1}, [2], None]])
def test_the_wire_brings_everything_back(rows: list[Any], keys: list[Any] | None, timestamps: pa.Array) -> None:
    column = None if keys is None else encode_keys(keys)
    wire = Batch.of_rows(rows, timestamps=timestamps, keys=column).to_wire()
    for offset in range(3):
        back = Batch.from_wire(wire.slice(offset))
        assert back.rows() == rows[offset:]
        assert (back.timestamps is None) == (timestamps is None)
        if timestamps is not None:
            assert back.timestamps == timestamps.slice(offset)
        assert (None if back.keys is None else key_values(back.keys)) == (None if keys is None else keys[offset:])


def test_hidden_columns_are_last_and_say_what_they_are() -> None:
    wire = Batch.of_rows([1], timestamps=stamps(5), keys=encode_keys([(1, 2)])).to_wire()
    assert wire.schema.names == ["value", "__timestamp", "__key"]
    assert wire.schema.field("__key").type == pa.binary()
    assert wire.schema.field("__key").metadata == {b"shmflink.key": b"canonical"}
    assert Batch.of_rows([1], keys=encode_keys([b"x"])).to_wire().schema.field("__key").metadata is None


def test_a_batch_without_columns_keeps_its_length() -> None:
    columns = pa.RecordBatch.from_pydict({"a": [1, 2]}).select([])
    for batch in (Batch.of_columns(columns), Batch.of_columns(columns, timestamps=stamps(1, 2))):
        back = Batch.from_wire(batch.to_wire())
        assert (back.num_rows, back.columns().num_rows, back.columns().num_columns) == (2, 2, 0)
        assert [len(row) for row in back.rows()] == [0, 0]


def test_reserved_column_names_are_refused() -> None:
    columns = pa.RecordBatch.from_pydict({"__key": [1]})
    with pytest.raises(TypeMismatchError, match="reserved"):
        Batch.of_columns(columns, timestamps=stamps(1)).to_wire()


def test_a_slice_has_both_forms_and_the_hidden_columns() -> None:
    batch = Batch.of_rows([1, 2, 3], timestamps=stamps(1, 2, 3), keys=encode_keys(["a", "b", "c"]))
    batch.columns()
    part = batch.slice(1, 2)
    assert part.rows() == [2, 3]
    assert part.columns().to_pydict() == {"value": [2, 3]}
    assert part.timestamps.to_pylist() == [2, 3]
    assert key_values(part.keys) == ["b", "c"]
    assert batch.slice(3, 0).rows() == []


def test_other_rows_keep_timestamps_and_lose_keys() -> None:
    batch = Batch.of_rows([1, 2], timestamps=stamps(1, 2)).with_keys(encode_keys([1, 2]))
    mapped = batch.with_rows(["a", "b"], Types.STRING())
    assert (mapped.rows(), mapped.timestamps, mapped.keys) == (["a", "b"], batch.timestamps, None)
    assert batch.without_keys().keys is None
    assert batch.with_timestamps(None).timestamps is None
    assert repr(batch) == "Batch(2 rows as rows, timestamps, keys)"


def test_declared_types_give_typed_columns_and_rows() -> None:
    row_type = Types.ROW_NAMED(["a"], [Types.SHORT()])
    batch = Batch.of_rows([(4387,)], row_type)
    assert batch.columns().schema.types == [pa.int16()]
    assert Batch.from_wire(batch.to_wire()).rows() == [Row(a=4387)]
    columns = pa.RecordBatch.from_pydict({"x": [1]})
    assert Batch.of_columns(columns, Types.TUPLE([Types.LONG()])).rows() == [(1,)]
    assert Batch.of_columns(columns).rows() == [Row(x=1)]


def test_rows_of_a_columnar_type_become_columns_of_exactly_these_types() -> None:
    schema = pa.schema(
        [
            ("small", pa.uint8()),
            ("text", pa.large_utf8()),
            ("names", pa.map_(pa.utf8(), pa.int64())),
            ("nested", pa.struct([("x", pa.int16())])),
            ("price", pa.decimal128(9, 2)),
            ("late", pa.timestamp("ns", "UTC")),
        ]
    )
    late = dt.datetime(2024, 1, 2, tzinfo=dt.UTC)
    row = Row(small=7, text="a", names={"k": 1}, nested=Row(x=3), price=Decimal("1.50"), late=late)
    none = create_row(schema.names, [None] * len(schema))
    columns = Batch.of_rows([row, none], ColumnsTypeInfo(schema)).columns()
    assert columns.schema.equals(schema)
    assert Batch.of_columns(columns, ColumnsTypeInfo(schema)).rows() == [row, none]


def test_a_value_that_does_not_fit_its_column_names_it() -> None:
    batch = Batch.of_rows([Row(small=300)], ColumnsTypeInfo(pa.schema([("small", pa.uint8())])))
    with pytest.raises(TypeMismatchError, match="column `small` is declared as uint8"):
        batch.columns()


def test_filter_keeps_the_form_and_the_timestamps() -> None:
    batch = Batch.of_rows([("a", 1), ("b", 2), ("c", 3)], timestamps=pa.array([10, 20, 30]))
    kept = batch.filter(pa.array([True, None, True]))
    assert kept.rows() == [("a", 1), ("c", 3)]
    assert kept.timestamps.to_pylist() == [10, 30]


def test_rows_for_another_reader_are_values_of_their_own() -> None:
    fixed = Batch.of_rows([1, ("a", None)])
    assert fixed.isolated() is fixed
    changeable = Batch.of_rows([{"v": [1]}, 2], timestamps=stamps(5, 6)).with_keys(encode_keys([1, 2]))
    other = changeable.isolated()
    other.rows()[0]["v"].append(2)
    assert changeable.rows() == [{"v": [1]}, 2]
    assert (other.timestamps, other.keys) == (changeable.timestamps, changeable.keys)


def test_columns_for_another_reader_are_the_same_columns_but_rows_of_their_own() -> None:
    batch = Batch.from_wire(Batch.of_rows([Row(a=1)]).to_wire())
    other = batch.isolated()
    assert other.columns() == batch.columns()
    other.rows()[0]["a"] = 2
    assert batch.rows() == [Row(a=1)]
    fixed = Batch.from_wire(Batch.of_rows([(1, "x")]).to_wire())
    assert fixed.isolated() is fixed


def test_a_declared_type_can_be_given_later() -> None:
    batch = Batch.of_rows([1], timestamps=stamps(5))
    typed = batch.with_row_type(Types.INT())
    assert (typed.row_type, typed.rows(), typed.timestamps) == (Types.INT(), [1], batch.timestamps)
    assert typed.with_row_type(typed.row_type) is typed
