"""Rows to columns and back: shapes, exactness, the declared form, columns that were never rows."""

import datetime as dt
import math
import re
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from shmflink.core.row import Row, RowKind
from shmflink.core.rows import RowCodec, codec_of, decode, encode, shape_of_columns
from shmflink.core.time_units import Instant
from shmflink.core.types.conform import narrow_value
from shmflink.core.types.typeinfo import TypeInformation, Types
from shmflink.errors import TypeMismatchError


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("rows", "shape"),
    [
        ([1, 2, None], "i64"),
        ([True, None], "bool"),
        ([1.5, -0.0, math.inf], "f64"),
        (["a", "ünï", ""], "str"),
        ([b"\0", b""], "bytes"),
        ([None, None], "null"),
        ([], "null"),
        ([(1, "a"), (None, "b")], ("tuple", ("i64", "str"))),
        ([((1, 2), "a"), (None, "b")], ("tuple", (("tuple", ("i64", "i64")), "str"))),
        ([Row(1, 2)], ("row", None, ("i64", "i64"))),
        ([Row(a=1), Row(a=None)], ("row", ("a",), ("i64",))),
        ([(1, dt.date(2020, 1, 1), Decimal("1.10"))], ("tuple", ("i64", "date", "dec"))),
        ([dt.datetime(2020, 1, 1, 1, 2, 3, 4)], "ts"),
        ([dt.time(1, 2, 3, 4)], "time"),
        ([1, "a"], "pickle"),
        ([1, True], "pickle"),
        ([1, 1.0], "pickle"),
        ([2**63], "pickle"),
        ([(1,), (1, 2)], "pickle"),
        ([(1,), [1]], "pickle"),
        ([(1,), None], "pickle"),
        ([()], "pickle"),
        ([{"a": 1}], "pickle"),
        ([[1, 2]], "pickle"),
        ([Text("a")], "pickle"),
        (["\ud800"], "pickle"),
        ([Row(a=1), Row(b=1)], "pickle"),
        ([Row(a=1), Row(1)], "pickle"),
        ([Row.of_kind(RowKind.DELETE, 1)], "pickle"),
        ([dt.datetime(2020, 1, 1, tzinfo=dt.UTC)], "pickle"),
        ([dt.datetime(2020, 1, 1, fold=1)], "pickle"),
        ([dt.date(2020, 1, 1), dt.datetime(2020, 1, 1)], "pickle"),
    ],
)
def test_inferred_rows_come_back_as_they_were(rows: list[Any], shape: Any) -> None:
    columns = encode(rows)
    assert shape_of_columns(columns) == shape
    back = decode(columns)
    assert repr(back) == repr(rows)
    assert [type(row) for row in back] == [type(row) for row in rows]


def test_columns_are_what_other_tools_expect() -> None:
    columns = encode([("a", 1), ("b", None)])
    assert columns.schema.names == ["f0", "f1"]
    assert columns.schema.types == [pa.utf8(), pa.int64()]
    assert columns.to_pydict() == {"f0": ["a", "b"], "f1": [1, None]}
    assert encode([1]).schema.names == ["value"]
    assert encode([Row(x=1, y=b"")]).schema.names == ["x", "y"]
    assert encode([(1, (2, "a"))]).column(1).to_pylist() == [{"f0": 2, "f1": "a"}]


DECLARED: list[tuple[TypeInformation, list[Any]]] = [
    (Types.SHORT(), [1, None, -(2**15)]),
    (Types.FLOAT(), [0.5, math.inf]),
    (Types.BIG_INT(), [2**100, -1]),
    (Types.INSTANT(), [Instant(5, 7_000), Instant(-5, 0), Instant(253_402_300_799, 999_999_000), None]),
    (Types.LIST(Types.BIG_DEC()), [[Decimal("1.10"), None], None, []]),
    (Types.MAP(Types.STRING(), Types.LIST(Types.INT())), [{"a": [1], "b": None}, {}]),
    (Types.TUPLE([Types.INT(), Types.LIST(Types.SQL_DATE())]), [(1, [dt.date(2020, 1, 1)]), (2, None)]),
    (Types.TUPLE([Types.PICKLED_BYTE_ARRAY(), Types.CHAR()]), [({1, 2}, "x"), (None, None)]),
    (Types.ROW([Types.ROW_NAMED(["x"], [Types.BYTE()])]), [Row(f0=Row(x=1)), Row(f0=None)]),
    (Types.ROW([Types.TUPLE([Types.SQL_TIME()])]), [Row(f0=(dt.time(1),))]),
    (Types.PICKLED_BYTE_ARRAY(), [1, "a", None, [2]]),
]


@pytest.mark.parametrize(("type_info", "rows"), DECLARED, ids=lambda value: str(value)[:40])
def test_declared_rows_come_back_as_they_were(type_info: TypeInformation, rows: list[Any]) -> None:
    codec = RowCodec(type_info)
    columns = codec.encode(rows)
    assert repr(codec.decode(columns)) == repr(rows)
    assert repr(decode(columns.slice(1))) == repr(rows[1:])
    if not pa.types.is_struct(type_info.arrow_type):
        assert columns.schema.types == [type_info.arrow_type]


def test_conforming_returns_the_same_list_where_all_fits() -> None:
    rows = [(1, "a"), (None, "b")]
    codec = codec_of(Types.TUPLE([Types.INT(), Types.STRING()]).shape)
    assert codec.conform(rows) is rows
    mixed = [(1, "a"), [2, "b"], (3, "c")]
    conformed = codec.conform(mixed)
    assert conformed == [(1, "a"), (2, "b"), (3, "c")]
    assert conformed[0] is mixed[0]
    assert mixed[1] == [2, "b"]


def test_conforming_makes_rows_of_what_functions_return() -> None:
    codec = RowCodec(Types.ROW_NAMED(["a", "b"], [Types.SHORT(), Types.FLOAT()]))
    rows = [(4387, 0.1), [1, 2], Row(1, 1.0), Row(b=0.5, a=2), {"a": 1}, Row.of_kind(RowKind.DELETE, 5, 5)]
    names = ["a", "b"]
    expected = [(4387, 0.10000000149011612), (1, 2.0), (1, 1.0), (2, 0.5), (1, None), (5, 5.0)]
    conformed = codec.conform(rows)
    assert [(row._fields, tuple(row)) for row in conformed] == [(names, values) for values in expected]
    assert [row.get_row_kind() for row in conformed] == [RowKind.INSERT] * 5 + [RowKind.DELETE]


def test_the_native_way_conforms_as_the_python_way() -> None:
    kinds = [Types.BYTE(), Types.SHORT(), Types.INT(), Types.LONG(), Types.FLOAT(), Types.DOUBLE(), Types.BIG_INT()]
    values = [0, -1, 127, 128, 2**31, 2**63, -(2**63) - 1, 2**200, True, None, 10**15 + 1]
    for kind in kinds:
        narrowed = [narrow_value(kind.shape, value) for value in values]
        assert repr(RowCodec(kind).narrow(list(values))) == repr(narrowed)
        for value in values:
            try:
                expected = repr([kind.conform(value)])
            except TypeMismatchError as error:
                with pytest.raises(TypeMismatchError, match=re.escape(f"record 0 of the batch: {error}")):
                    RowCodec(kind).conform([value])
            else:
                assert repr(RowCodec(kind).conform([value])) == expected


def test_a_mismatch_names_record_field_type_and_value() -> None:
    codec = RowCodec(Types.ROW_NAMED(["a", "b"], [Types.INT(), Types.STRING()]))
    with pytest.raises(TypeMismatchError, match=r"record 1 of the batch: field 0 \(a\): declared INT, got str: 'x'"):
        codec.conform([(1, "a"), ("x", "b")])
    with pytest.raises(TypeMismatchError, match="record 0 of the batch"):
        codec.encode([(1, 2)])
    beyond = r"record 1 of the batch: field 0 \(a\): 2147483648 is beyond INT.*; the record: \(2147483648, 'b'\)"
    with pytest.raises(TypeMismatchError, match=beyond):
        codec.conform([(1, "a"), (2**31, "b")])


def test_encoding_conforms_first() -> None:
    assert RowCodec(Types.TUPLE([Types.SHORT()])).encode([[4387]]).column(0).to_pylist() == [4387]
    with pytest.raises(TypeMismatchError, match="43878 is beyond SHORT"):
        RowCodec(Types.TUPLE([Types.SHORT()])).encode([[43878]])


def test_deletions_and_nones_have_no_typed_columns() -> None:
    codec = RowCodec(Types.ROW([Types.INT()]))
    for row in (None, Row.of_kind(RowKind.DELETE, f0=1)):
        with pytest.raises(TypeMismatchError, match="None or not an insertion"):
            codec.encode([row])


def test_columns_that_never_were_rows_become_rows() -> None:
    columns = pa.RecordBatch.from_pydict(
        {
            "i": pa.array([1, None], pa.uint8()),
            "u": pa.array([2**64 - 1, 0], pa.uint64()),
            "s": pa.array(["a", None], pa.large_utf8()),
            "v": pa.array(["a", "long enough to leave the view"], pa.string_view()),
            "d": pa.array([Decimal("1.50"), None], pa.decimal128(9, 2)),
            "t": pa.array([1_000, 2_999], pa.timestamp("ns")),
            "l": pa.array([[1], None], pa.list_(pa.int8())),
            "m": pa.array([[("k", 1)], None], pa.map_(pa.utf8(), pa.int64())),
            "r": pa.array([{"x": 1, "y": [{"z": 2}]}, None]),
            "c": pa.array(["p", "p"]).dictionary_encode(),
            "h": pa.array([1.5, None], pa.float16()),
        }
    )
    first, second = decode(columns)
    assert first == Row(
        i=1,
        u=2**64 - 1,
        s="a",
        v="a",
        d=Decimal("1.50"),
        t=dt.datetime(1970, 1, 1, microsecond=1),
        l=[1],
        m={"k": 1},
        r=Row(x=1, y=[Row(z=2)]),
        c="p",
        h=1.5,
    )
    assert second.as_dict() | {"t": 0} == dict.fromkeys("ismdlrh") | {
        "u": 0,
        "v": "long enough to leave the view",
        "t": 0,
        "c": "p",
    }
    assert repr(decode(columns.slice(1))) == repr([second])


def test_columns_of_another_shape_are_refused() -> None:
    codec = RowCodec(Types.TUPLE([Types.INT(), Types.INT()]))
    with pytest.raises(TypeError, match="2 fields cannot be made of 1 columns"):
        codec.decode(pa.RecordBatch.from_pydict({"a": [1]}))


def test_rows_of_one_batch_do_not_share_values() -> None:
    first, second = decode(encode([Row(a=1), Row(a=1)]))
    first["a"] = 5
    assert second.a == 1
