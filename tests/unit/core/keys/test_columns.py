"""Key columns: equality by type and value, canonical bytes, casts."""

import datetime as dt
import enum
import math
import struct
import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest

from shmflink.core.keys.columns import (
    canonical_bytes,
    decode_keys,
    encode_keys,
    key_column,
    key_values,
    keys_from_wire,
    keys_to_wire,
    value_of_canonical,
)
from shmflink.core.row import Row
from shmflink.core.types.typeinfo import Types
from shmflink.errors import TypeMismatchError

KEYS: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    2**63 - 1,
    2**63,
    -(2**70),
    0.0,
    1.0,
    -2.5,
    "",
    "a",
    "ü",
    b"",
    b"a",
    Decimal("1.5"),
    Decimal(0),
    Decimal("Infinity"),
    dt.date(2020, 1, 1),
    dt.datetime(2020, 1, 1),
    dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
    dt.time(1, 2, 3, 4),
    (),
    (1, "a", None),
    (1, ("b", 2.0)),
    Row(1, "a"),
    Row(x=1, y="a"),
]


@pytest.mark.parametrize(
    ("keys", "kind"),
    [
        ([1, None], pa.int64()),
        (["a", None], pa.utf8()),
        ([b"a"], pa.binary()),
        ([True], pa.bool_()),
        ([1.5], pa.float64()),
        ([1, "a"], pa.large_binary()),
        ([1, True], pa.large_binary()),
        ([2**63], pa.large_binary()),
        ([(1, 2)], pa.large_binary()),
        ([None], pa.large_binary()),
        ([], pa.large_binary()),
    ],
)
def test_simple_keys_lie_in_typed_columns(keys: list[Any], kind: pa.DataType) -> None:
    column = encode_keys(keys)
    assert column.type == kind
    assert key_values(column) == keys


def test_all_kinds_of_keys_come_back_and_stay_apart() -> None:
    column = encode_keys(KEYS)
    assert repr(key_values(column)) == repr(KEYS)
    decoded = decode_keys(column)
    assert len(set(decoded)) == len(KEYS)
    storage, metadata = keys_to_wire(column)
    assert storage.type == pa.binary()
    assert decode_keys(keys_from_wire(storage, metadata)) == decoded


def test_decoded_keys_agree_between_column_types() -> None:
    for key in KEYS:
        alone, mixed = decode_keys(encode_keys([key]))[0], decode_keys(encode_keys([key, "other", 7]))[0]
        assert alone == mixed
        assert type(alone) is type(mixed)


def test_python_equal_keys_of_different_type_differ() -> None:
    assert len(set(decode_keys(encode_keys([1, 1.0, True, Decimal(1)])))) == 4
    assert len({decode_keys(encode_keys([key]))[0] for key in (1, 1.0, True)}) == 3


def test_equal_keys_are_one_key() -> None:
    nans = encode_keys([math.nan, -math.nan, float("nan")])
    assert len(set(decode_keys(nans))) == 1
    assert len(set(decode_keys(encode_keys([0.0, -0.0, (), 1])))) == 3
    assert canonical_bytes((0.0, math.nan)) == canonical_bytes((-0.0, -math.nan))
    assert canonical_bytes(Decimal("1.50")) == canonical_bytes(Decimal("1.5")) == canonical_bytes(Decimal("15E-1"))
    assert canonical_bytes(Decimal(100)) == canonical_bytes(Decimal("1E2"))
    assert canonical_bytes(Decimal("-0")) == canonical_bytes(Decimal("0.00"))
    zone = dt.timezone(dt.timedelta(hours=2))
    assert canonical_bytes(dt.datetime(2020, 1, 1, 2, tzinfo=zone)) == canonical_bytes(
        dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    )


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_native_and_python_make_the_same_bytes(key: Any) -> None:
    column = encode_keys([key, "x", 1, (key,), ((key,), key)])
    expected = [None if key is None else canonical_bytes(key), canonical_bytes("x"), canonical_bytes(1)]
    expected += [canonical_bytes((key,)), canonical_bytes(((key,), key))]
    assert column.to_pylist() == expected
    assert repr(value_of_canonical(canonical_bytes(key))) == repr(key)


def test_the_bytes_are_as_drawn() -> None:
    assert canonical_bytes(5) == b"i" + struct.pack("<q", 5)
    assert canonical_bytes("ab") == b"sab"
    assert (
        canonical_bytes((True, None))
        == b"T" + struct.pack("<I", 2) + struct.pack("<I", 2) + b"t\x01" + struct.pack("<I", 1) + b"n"
    )


@pytest.mark.parametrize("key", [{"a": 1}, [{1}], {1}, object(), (1, [{}])])
def test_a_key_without_stable_bytes_is_refused(key: Any) -> None:
    with pytest.raises(
        TypeMismatchError, match=r"key of record 1 of the batch: a key of type .* has no stable byte form"
    ):
        encode_keys([1, key])


def test_a_declared_type_casts_first() -> None:
    assert key_values(encode_keys([4387, True], Types.SHORT())) == [4387, 1]
    with pytest.raises(TypeMismatchError, match="key of record 1 of the batch: 43878 is beyond SHORT"):
        encode_keys([1, 43878], Types.SHORT())
    assert encode_keys([1, 2], Types.DOUBLE()).type == pa.float64()
    with pytest.raises(TypeMismatchError, match="key of record 1 of the batch: declared INT"):
        encode_keys([1, "a"], Types.INT())


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([1, None], pa.int8()), [1, None]),
        (pa.array([1, 2**64 - 1], pa.uint64()), [1, 2**64 - 1]),
        (pa.array([0.5], pa.float32()), [("f", 0.5)]),
        (pa.array(["a"], pa.large_utf8()), ["a"]),
        (pa.array(["a"], pa.string_view()), ["a"]),
        (pa.array([b"a"], pa.large_binary()), [b"a"]),
        (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
    ],
)
def test_a_users_column_as_keys(column: pa.Array, expected: list[Any]) -> None:
    assert decode_keys(key_column(column)) == expected


def test_users_columns_with_canonical_keys() -> None:
    dates = key_column(pa.array([dt.date(2020, 1, 1), None]))
    assert key_values(dates) == [dt.date(2020, 1, 1), None]
    structs = key_column(pa.array([{"x": 1, "y": "a"}, None]))
    assert key_values(structs) == [Row(x=1, y="a"), None]
    times = key_column(pa.array([1_000], pa.timestamp("ns")))
    assert key_values(times) == [dt.datetime(1970, 1, 1, microsecond=1)]
    with pytest.raises(TypeMismatchError, match="nanoseconds"):
        key_column(pa.array([1], pa.timestamp("ns")))
    assert key_values(key_column(pa.array([[1]]))) == [[1]]


class Color(enum.Enum):
    RED = 1
    BLUE = "blue"


class Size(enum.IntEnum):
    SMALL = 1


class Name(str):
    __slots__ = ()


class Point(NamedTuple):
    x: int
    y: float


@dataclass(frozen=True)
class Place:
    city: str
    at: Point


OBJECT_KEYS: list[Any] = [
    Color.RED,
    Color.BLUE,
    Size.SMALL,
    uuid.UUID(int=7),
    [1, "a"],
    [1, ["b", None]],
    dt.timedelta(days=-1, microseconds=5),
    Point(1, 2.0),
    Place("Ulm", Point(3, 4.0)),
]


def test_objects_are_keys_that_come_back_as_they_were() -> None:
    keys = encode_keys([*OBJECT_KEYS, 1, (1, 2.0)])
    assert key_values(keys) == [*OBJECT_KEYS, 1, (1, 2.0)]
    assert [type(key) for key in key_values(keys)[:-2]] == [type(key) for key in OBJECT_KEYS]
    assert len(set(decode_keys(keys))) == len(OBJECT_KEYS) + 2  # an IntEnum is no int, a named tuple no tuple


@pytest.mark.parametrize(
    ("key", "plain"),
    [
        (Name("a"), "a"),
        (np.int32(7), 7),
        (np.float32(0.5), 0.5),
        (np.str_("a"), "a"),
        (np.bytes_(b"a"), b"a"),
        (np.bool_(True), True),
        (np.datetime64("2020-01-02"), dt.date(2020, 1, 2)),
        (bytearray(b"a"), b"a"),
        ((np.int64(1), Name("b")), (1, "b")),
    ],
)
def test_subclasses_and_numpy_scalars_are_the_plain_values_that_they_hold(key: Any, plain: Any) -> None:
    assert canonical_bytes(key) == canonical_bytes(plain)
    assert value_of_canonical(canonical_bytes(key)) == plain
    assert type(value_of_canonical(canonical_bytes(key))) is type(plain)


@pytest.mark.parametrize("key", [np.datetime64("2020-01-02T00:00:00", "ns"), {1}, {"a": 1}, object(), [object()]])
def test_what_has_no_stable_bytes_is_no_key(key: Any) -> None:
    with pytest.raises(TypeMismatchError, match="has no stable byte form"):
        canonical_bytes(key)


def test_the_class_of_a_key_is_found_in_its_module_or_named() -> None:
    data = canonical_bytes(Color.RED).replace(b"Color", b"Kolor")
    with pytest.raises(TypeMismatchError, match=r"class Kolor of the module .* cannot find"):
        value_of_canonical(data)
