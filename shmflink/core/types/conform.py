"""Converts one Python value to the form of its declared shape, as Flink's Java types do.

FLOAT rounds to 32 bits, lists become tuples, tuples and dicts become rows. A number beyond the declared type is an
error (`conform_value`), except in elements of a program's collection: there ints wrap and floats become infinite, which
is Java's narrowing cast, as in Flink (`narrow_value`). This is the slow and complete implementation; the native module
handles the usual kinds in bulk and calls here for the rest.
"""

from __future__ import annotations

import datetime as dt
import decimal
import math
import operator
import struct
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from shmflink.core.row import Row, RowKind, create_row, field_names_of
from shmflink.core.time_units import Instant
from shmflink.core.types.shapes import Shape, describe
from shmflink.errors import TypeMismatchError

__all__ = ["conform_value", "narrow_value"]


def conform_value(shape: Shape, value: Any) -> Any:
    """`value` in the form of `shape`; the same object if it already fits.

    Raises:
        TypeMismatchError: names the expected type and the value; also for a number beyond the type.
    """
    return _conformed(shape, value, _SCALARS)


def narrow_value(shape: Shape, value: Any) -> Any:
    """Like `conform_value`, but casts a number beyond its type as Java does: ints wrap, floats become infinite.

    Raises:
        TypeMismatchError: names the expected type and the value.
    """
    return _conformed(shape, value, _NARROWING)


_Scalars: TypeAlias = Mapping[str, Callable[[str, Any], Any]]


def _conformed(shape: Shape, value: Any, scalars: _Scalars) -> Any:
    if value is None:
        return None
    if isinstance(shape, str):
        return scalars[shape](shape, value)
    match shape[0]:
        case "list":
            return _list(shape, value, scalars)
        case "map":
            return _map(shape, value, scalars)
        case "tuple":
            return _tuple(shape, value, scalars)
        case _:
            return _row(shape, value, scalars)


def _mismatch(shape: Shape, value: Any) -> TypeMismatchError:
    text = repr(value)
    shown = text if len(text) <= 120 else f"{text[:117]}..."
    return TypeMismatchError(f"declared {describe(shape)}, got {type(value).__name__}: {shown}")


_WIDER: Final = {
    "i8": "declare SHORT, INT or LONG",
    "i16": "declare INT or LONG",
    "i32": "declare LONG",
    "i64": "declare BIG_INT",
    "f32": "declare DOUBLE",
}


def _beyond(shape: str, value: Any, limits: str) -> TypeMismatchError:
    """A number of the right kind that its type cannot hold."""
    shown = (
        str(value)
        if not isinstance(value, int) or value.bit_length() < 400
        else f"an integer of {value.bit_length()} bits"
    )
    return TypeMismatchError(f"{shown} is beyond {describe(shape)}, which holds {limits}: {_WIDER[shape]}")


def _int(shape: str, value: Any) -> int:
    number = _index(shape, value)
    limit = 1 << (int(shape[1:]) - 1)
    if not -limit <= number < limit:
        raise _beyond(shape, number, f"{-limit} to {limit - 1}")
    return number


def _wrapped(shape: str, value: Any) -> int:
    bits = int(shape[1:])
    return (_index(shape, value) + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))


def _index(shape: str, value: Any) -> int:
    try:
        return int(operator.index(value))
    except TypeError:
        raise _mismatch(shape, value) from None


def _float(shape: str, value: Any) -> float:
    number = _narrowed(shape, value)
    if shape == "f32" and math.isinf(number) and not math.isinf(value):
        raise _beyond(shape, value, "-3.4028235e38 to 3.4028235e38")
    return number


def _narrowed(shape: str, value: Any) -> float:
    if isinstance(value, (str, bytes, bytearray, decimal.Decimal)):
        raise _mismatch(shape, value)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise _mismatch(shape, value) from None
    if shape == "f64":
        return number
    try:
        return float(struct.unpack("<f", struct.pack("<f", number))[0])
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _bool(shape: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if type(value).__name__ in ("bool_", "bool"):  # NumPy's bool, without importing numpy
        return bool(value)
    raise _mismatch(shape, value)


def _str(shape: str, value: Any) -> str:
    if not isinstance(value, str) or (shape == "char" and len(value) != 1):
        raise _mismatch(shape, value)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _mismatch(shape, value) from None
    return value if type(value) is str else str.__str__(value)


def _bytes(shape: str, value: Any) -> bytes:
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise _mismatch(shape, value)
    return value if type(value) is bytes else bytes(value)


def _date(shape: str, value: Any) -> dt.date:
    if isinstance(value, dt.datetime):
        return value.date()
    if not isinstance(value, dt.date):
        raise _mismatch(shape, value)
    return value


def _time(shape: str, value: Any) -> dt.time:
    if not isinstance(value, dt.time):
        raise _mismatch(shape, value)
    return value.replace(tzinfo=None, fold=0)


def _timestamp(shape: str, value: Any) -> dt.datetime:
    if not isinstance(value, dt.datetime):
        raise _mismatch(shape, value)
    if getattr(value, "nanosecond", 0):  # of pandas.Timestamp
        raise TypeMismatchError(
            f"{value} has a fraction of a microsecond, which {describe(shape)} does not hold: round it with "
            "`.floor('us')`"
        )
    if value.tzinfo is not None:
        value = value.astimezone().replace(tzinfo=None)
    stamp: dt.datetime = value
    return stamp.replace(fold=0) if stamp.fold else stamp


def _decimal(shape: str, value: Any) -> decimal.Decimal:
    if isinstance(value, int) and not isinstance(value, bool):
        return decimal.Decimal(value)
    if not isinstance(value, decimal.Decimal):
        raise _mismatch(shape, value)
    return value


_SECONDS_MIN: Final = -62_135_596_800  # 0001-01-01 00:00:00 UTC
_SECONDS_MAX: Final = 253_402_300_799  # 9999-12-31 23:59:59 UTC


def _instant(shape: str, value: Any) -> Instant:
    if not isinstance(value, Instant):
        raise _mismatch(shape, value)
    if value.nanos % 1000:
        raise TypeMismatchError(
            f"{value} has a fraction of a microsecond, which {describe(shape)} does not hold: round its nanos to "
            "thousands, or declare PICKLED_BYTE_ARRAY"
        )
    if not _SECONDS_MIN <= value.seconds <= _SECONDS_MAX:
        raise TypeMismatchError(
            f"{value} is beyond {describe(shape)}, which holds the years 1 to 9999: declare PICKLED_BYTE_ARRAY"
        )
    return value


def _null(shape: str, value: Any) -> Any:
    raise _mismatch(shape, value)


def _any(_shape: str, value: Any) -> Any:
    return value


_SCALARS: Final[_Scalars] = {
    "i8": _int,
    "i16": _int,
    "i32": _int,
    "i64": _int,
    "f32": _float,
    "f64": _float,
    "str": _str,
    "char": _str,
    "bytes": _bytes,
    "bool": _bool,
    "null": _null,
    "date": _date,
    "time": _time,
    "ts": _timestamp,
    "dec": _decimal,
    "big": _index,
    "inst": _instant,
    "pickle": _any,
    "arrow": _any,
}
_NARROWING: Final[_Scalars] = {**_SCALARS, **dict.fromkeys(("i8", "i16", "i32", "i64"), _wrapped), "f32": _narrowed}


def _field(index: int, name: str, shape: Shape, value: Any, scalars: _Scalars) -> Any:
    try:
        return _conformed(shape, value, scalars)
    except TypeMismatchError as error:
        raise TypeMismatchError(f"field {index} ({name}): {error}") from None


def _list(shape: tuple[Any, ...], value: Any, scalars: _Scalars) -> list[Any]:
    if isinstance(value, (str, bytes, Mapping)) or not hasattr(value, "__iter__"):
        raise _mismatch(shape, value)
    return [_item(index, shape[1], item, scalars) for index, item in enumerate(value)]


def _item(place: object, shape: Shape, value: Any, scalars: _Scalars) -> Any:
    """An item of a list or of a map."""
    try:
        return _conformed(shape, value, scalars)
    except TypeMismatchError as error:
        raise TypeMismatchError(f"item {place!r}: {error}") from None


def _map(shape: tuple[Any, ...], value: Any, scalars: _Scalars) -> dict[Any, Any]:
    if not isinstance(value, Mapping):
        raise _mismatch(shape, value)
    if None in value:
        raise TypeMismatchError(f"declared {describe(shape)}, got a map with the key None")
    return {_item(key, shape[1], key, scalars): _item(key, shape[2], item, scalars) for key, item in value.items()}


def _tuple(shape: tuple[Any, ...], value: Any, scalars: _Scalars) -> tuple[Any, ...]:
    if not isinstance(value, (tuple, list, Row)) or len(value) != len(shape[1]):
        raise _mismatch(shape, value)
    fields = zip(shape[1], value, strict=True)
    return tuple(_field(index, f"f{index}", item, part, scalars) for index, (item, part) in enumerate(fields))


def _row(shape: tuple[Any, ...], value: Any, scalars: _Scalars) -> Row:
    names = list(shape[1]) if shape[1] is not None else None
    kind = value.get_row_kind() if isinstance(value, Row) else RowKind.INSERT
    values = _row_values(shape, names, value)
    if len(values) != len(shape[2]):
        raise _mismatch(shape, value)
    shown = names if names is not None else [f"f{index}" for index in range(len(values))]
    fields = enumerate(zip(shown, shape[2], values, strict=True))
    return create_row(names, [_field(index, name, item, part, scalars) for index, (name, item, part) in fields], kind)


def _row_values(shape: Shape, names: list[str] | None, value: Any) -> list[Any]:
    if isinstance(value, Row):
        fields = field_names_of(value)
        if fields is None or names is None or fields == names:
            return list(value)
        if sorted(map(str, fields)) != sorted(names):
            raise TypeMismatchError(f"declared a row with the fields {names}, got one with {fields}")
        return [value[name] for name in names]
    if isinstance(value, (tuple, list)):
        return list(value)
    if names is not None and isinstance(value, dict):
        return [value.get(name) for name in names]
    if names is not None and hasattr(value, "__dict__") and not isinstance(value, type):
        return [vars(value).get(name) for name in names]
    raise _mismatch(shape, value)
