"""Declared types: text, equality, Arrow types, the form of their values."""

import datetime as dt
import math
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from shmflink.core.row import Row, RowKind
from shmflink.core.rows import RowCodec
from shmflink.core.time_units import Instant
from shmflink.core.types.conform import narrow_value
from shmflink.core.types.typeinfo import ColumnsTypeInfo, LocalTimeTypeInfo, TypeInformation, Types, schema_of
from shmflink.errors import TypeMismatchError


class _Nanoseconds(dt.datetime):
    """As `pandas.Timestamp` is one."""

    nanosecond = 7


@pytest.mark.parametrize(
    ("type_info", "text", "arrow"),
    [
        (Types.STRING(), "String", pa.utf8()),
        (Types.INT(), "Integer", pa.int32()),
        (Types.SHORT(), "Short", pa.int16()),
        (Types.FLOAT(), "Float", pa.float32()),
        (Types.INSTANT(), "Instant", pa.timestamp("us", "UTC")),
        (Types.SQL_DATE(), "DateTypeInfo", pa.date32()),
        (Types.PICKLED_BYTE_ARRAY(), "PickledByteArrayTypeInfo", pa.binary()),
        (Types.PRIMITIVE_ARRAY(Types.BYTE()), "PrimitiveArrayTypeInfo<Byte>", pa.binary()),
        (Types.BASIC_ARRAY(Types.INT()), "BasicArrayTypeInfo<Integer>", pa.list_(pa.int32())),
        (Types.LIST(Types.STRING()), "ListTypeInfo<String>", pa.list_(pa.utf8())),
        (Types.MAP(Types.STRING(), Types.LONG()), "MapTypeInfo<String, Long>", pa.map_(pa.utf8(), pa.int64())),
        (
            Types.TUPLE([Types.INT(), Types.STRING()]),
            "TupleTypeInfo(Integer, String)",
            pa.struct([("f0", pa.int32()), ("f1", pa.utf8())]),
        ),
        (Types.ROW([Types.INT()]), "RowTypeInfo(Integer)", pa.struct([("f0", pa.int32())])),
        (Types.ROW_NAMED(["a"], [Types.INT()]), "RowTypeInfo(a: Integer)", pa.struct([("a", pa.int32())])),
        (LocalTimeTypeInfo(LocalTimeTypeInfo.TimeType.LOCAL_TIME), "LocalTimeTypeInfo<LOCAL_TIME>", pa.time64("us")),
    ],
)
def test_text_and_arrow_type(type_info: TypeInformation, text: str, arrow: pa.DataType) -> None:
    assert repr(type_info) == text
    assert type_info.arrow_type == arrow


def test_equality_is_by_content() -> None:
    assert Types.TUPLE([Types.INT()]) == Types.TUPLE([Types.INT()])
    assert Types.INT() != Types.LONG()
    assert Types.ROW([Types.INT()]) == Types.ROW_NAMED(["a"], [Types.INT()])
    assert len({Types.INT(), Types.INT(), Types.LIST(Types.INT())}) == 2


@pytest.mark.parametrize(
    ("type_info", "value", "expected"),
    [
        (Types.SHORT(), -(2**15), -(2**15)),
        (Types.BYTE(), 127, 127),
        (Types.INT(), 2**31 - 1, 2**31 - 1),
        (Types.LONG(), -(2**63), -(2**63)),
        (Types.INT(), True, 1),
        (Types.DOUBLE(), 3, 3.0),
        (Types.FLOAT(), 0.1, 0.10000000149011612),
        (Types.FLOAT(), math.inf, math.inf),
        (Types.FLOAT(), 3.4028235e38, 3.4028234663852886e38),
        (Types.BIG_INT(), 2**100, 2**100),
        (Types.BIG_DEC(), 5, Decimal(5)),
        (Types.SQL_DATE(), dt.datetime(2020, 1, 2, 3), dt.date(2020, 1, 2)),
        (Types.INSTANT(), Instant(1, 1_234_000), Instant(1, 1_234_000)),
        (Types.INSTANT(), Instant(253_402_300_799, 999_999_000), Instant(253_402_300_799, 999_999_000)),
        (Types.SQL_TIMESTAMP(), dt.datetime(2020, 1, 2, 3, 4, 5, 123456), dt.datetime(2020, 1, 2, 3, 4, 5, 123456)),
        (Types.SQL_TIME(), dt.time(1, 2, 3, 123456), dt.time(1, 2, 3, 123456)),
        (Types.PRIMITIVE_ARRAY(Types.BYTE()), bytearray(b"x"), b"x"),
        (Types.LIST(Types.BYTE()), (1, 100), [1, 100]),
        (Types.MAP(Types.STRING(), Types.DOUBLE()), {"a": 200}, {"a": 200.0}),
        (Types.TUPLE([Types.INT(), Types.STRING()]), [1, "x"], (1, "x")),
        (Types.TUPLE([Types.INT()]), Row(1), (1,)),
        (Types.ROW([Types.INT()]), (1,), Row(f0=1)),
        (Types.ROW_NAMED(["a", "b"], [Types.INT(), Types.INT()]), Row(b=2, a=1), Row(a=1, b=2)),
        (Types.ROW_NAMED(["a", "b"], [Types.INT(), Types.INT()]), {"a": 1}, Row(a=1, b=None)),
        (Types.ROW([Types.INT()]), Row.of_kind(RowKind.DELETE, 1), Row.of_kind(RowKind.DELETE, f0=1)),
        (Types.STRING(), None, None),
    ],
)
def test_values_are_brought_into_form(type_info: TypeInformation, value: Any, expected: Any) -> None:
    conformed = type_info.conform(value)
    assert conformed == expected
    assert type(conformed) is type(expected)


@pytest.mark.parametrize(
    ("type_info", "value", "message"),
    [
        (Types.INT(), "x", "declared INT, got str: 'x'"),
        (Types.INT(), 1.5, "declared INT, got float"),
        (Types.STRING(), 1, "declared STRING, got int: 1"),
        (Types.CHAR(), "ab", "declared CHAR"),
        (Types.BOOLEAN(), 1, "declared BOOLEAN"),
        (Types.DOUBLE(), "1", "declared DOUBLE"),
        (Types.SQL_TIME(), 1, "declared SQL_TIME"),
        (Types.LIST(Types.INT()), "ab", r"declared LIST\(INT\)"),
        (Types.TUPLE([Types.INT(), Types.INT()]), (1, "x"), r"field 1 \(f1\): declared INT"),
        (Types.TUPLE([Types.INT()]), (1, 2), r"declared TUPLE\(INT\), got tuple"),
        (Types.ROW_NAMED(["a"], [Types.INT()]), Row(b=1), r"fields \['a'\], got one with \['b'\]"),
        (Types.BYTE(), 300, r"300 is beyond BYTE, which holds -128 to 127: declare SHORT, INT or LONG"),
        (Types.SHORT(), 2**15, r"32768 is beyond SHORT, which holds -32768 to 32767: declare INT or LONG"),
        (Types.INT(), -(2**31) - 1, r"-2147483649 is beyond INT, which holds .*: declare LONG"),
        (Types.LONG(), 2**63, r"9223372036854775808 is beyond LONG, which holds .*: declare BIG_INT"),
        (Types.LONG(), 10**1000, r"an integer of 3322 bits is beyond LONG"),
        (Types.FLOAT(), 1e300, r"1e\+300 is beyond FLOAT, which holds .*: declare DOUBLE"),
        (Types.FLOAT(), -(10**40), r"is beyond FLOAT"),
        (Types.INSTANT(), Instant(1, 1_234_567), r"Instant<1, 1234567> has a fraction of a microsecond.*: round its"),
        (Types.INSTANT(), Instant(253_402_300_800, 0), r"is beyond INSTANT, which holds the years 1 to 9999"),
        (Types.INSTANT(), Instant(-62_135_596_801, 0), r"is beyond INSTANT"),
        (Types.TUPLE([Types.INSTANT()]), (Instant(0, 1),), r"field 0 \(f0\): Instant<0, 1> has a fraction"),
        (Types.SQL_TIMESTAMP(), _Nanoseconds(2020, 1, 1), r"has a fraction of a microsecond, which SQL_TIMESTAMP"),
        (Types.BASIC_ARRAY(Types.INT()), [1, 2**31], r"item 1: 2147483648 is beyond INT"),
        (Types.PRIMITIVE_ARRAY(Types.FLOAT()), [1e300], r"item 0: 1e\+300 is beyond FLOAT"),
        (Types.MAP(Types.STRING(), Types.BYTE()), {"a": 200}, r"item 'a': 200 is beyond BYTE"),
        (Types.MAP(Types.BYTE(), Types.STRING()), {200: "a"}, r"item 200: 200 is beyond BYTE"),
        (
            Types.ROW_NAMED(["a"], [Types.ROW_NAMED(["b"], [Types.TUPLE([Types.SHORT()])])]),
            Row(a=Row(b=(70000,))),
            r"field 0 \(a\): field 0 \(b\): field 0 \(f0\): 70000 is beyond SHORT",
        ),
    ],
)
def test_a_value_of_another_kind_is_refused(type_info: TypeInformation, value: Any, message: str) -> None:
    with pytest.raises(TypeMismatchError, match=message):
        type_info.conform(value)


@pytest.mark.parametrize(
    ("type_info", "value", "expected"),
    [
        (Types.SHORT(), 43878, -21658),
        (Types.BYTE(), 200, -56),
        (Types.INT(), 2**31, -(2**31)),
        (Types.LONG(), 2**63, -(2**63)),
        (Types.FLOAT(), 1e300, math.inf),
        (Types.LIST(Types.BYTE()), (1, 200), [1, -56]),
        (Types.MAP(Types.STRING(), Types.BYTE()), {"a": 200}, {"a": -56}),
        (Types.TUPLE([Types.INT(), Types.STRING()]), [2**32, "x"], (0, "x")),
        (Types.ROW([Types.ROW([Types.INT()])]), ((2**31,),), Row(f0=Row(f0=-(2**31)))),
    ],
)
def test_elements_of_a_collection_are_cast_as_java_casts(type_info: TypeInformation, value: Any, expected: Any) -> None:
    assert narrow_value(type_info.shape, value) == expected
    assert RowCodec(type_info).narrow([value]) == [expected]


def test_wrong_declarations_are_refused() -> None:
    with pytest.raises(TypeMismatchError, match="1 field names for 2"):
        Types.ROW_NAMED(["a"], [Types.INT(), Types.INT()])
    with pytest.raises(TypeMismatchError, match="must differ"):
        Types.ROW_NAMED(["a", "a"], [Types.INT(), Types.INT()])
    with pytest.raises(TypeError, match="Invalid element type"):
        Types.PRIMITIVE_ARRAY(Types.STRING())


def test_a_type_of_columns() -> None:
    fields = [("a", pa.int32()), ("b", pa.list_(pa.utf8())), ("c", pa.struct([("x", pa.bool_())]))]
    schema = pa.schema([*fields, ("d", pa.decimal128(9, 2)), ("e", pa.list_(pa.uint64()))])
    columns = ColumnsTypeInfo(schema.with_metadata({"from": "a file"}))
    assert columns.schema.equals(schema, check_metadata=True)
    nested = (("list", "str"), ("row", ("x",), ("bool",)))
    assert columns.shape == ("row", ("a", "b", "c", "d", "e"), ("i32", *nested, "arrow", "arrow"))
    assert columns == ColumnsTypeInfo(schema)
    assert columns != ColumnsTypeInfo(schema.remove(4))
    assert repr(ColumnsTypeInfo(pa.schema([("a", pa.int32())]))) == "Columns(a: int32)"


def test_columns_are_nullable_and_names_differ() -> None:
    required = pa.schema([pa.field("a", pa.int32(), nullable=False)])
    assert ColumnsTypeInfo(required).schema.field("a").nullable
    with pytest.raises(TypeMismatchError, match=r"\['a'\] occur more than once"):
        ColumnsTypeInfo(pa.schema([("a", pa.int32()), ("a", pa.utf8())]))


def test_the_columns_of_declared_types() -> None:
    named = Types.ROW_NAMED(["n", "m"], [Types.INT(), Types.MAP(Types.STRING(), Types.LONG())])
    assert schema_of(named) == pa.schema([("n", pa.int32()), ("m", pa.map_(pa.utf8(), pa.int64()))])
    assert schema_of(Types.TUPLE([Types.STRING(), Types.BIG_DEC()])) == pa.schema(
        [("f0", pa.utf8()), ("f1", pa.decimal128(38, 18))]
    )
    assert schema_of(Types.STRING()) == pa.schema([("value", pa.utf8())])
    assert schema_of(ColumnsTypeInfo(pa.schema([("a", pa.int8())]))) == pa.schema([("a", pa.int8())])
    assert schema_of(Types.PICKLED_BYTE_ARRAY()) is None
    assert schema_of(Types.TUPLE([Types.LIST(Types.PICKLED_BYTE_ARRAY())])) is None
    assert schema_of(None) is None
