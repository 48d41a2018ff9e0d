"""One column at a time: Python values <-> an Arrow array, for the cases that the native module leaves to Python."""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa

from shmflink.core.lazy_imports import pc
from shmflink.core.plain_columns import cast_array
from shmflink.core.row import Row, RowKind, create_row
from shmflink.core.serialization.codec import dumps_value, dumps_values, loads_value
from shmflink.core.time_units import Instant
from shmflink.core.types.shapes import Shape, arrow_type_of, field_names
from shmflink.errors import TypeMismatchError

__all__ = ["array_of", "cast_columns", "check_finite", "values_of"]

_NS: Final = "ns"


def array_of(shape: Shape, values: Sequence[Any], kind: pa.DataType | None = None) -> pa.Array:
    """The Arrow array of these values, which must conform to `shape`. `kind`: its type if the shape does not determine
    it.

    Raises:
        TypeMismatchError: Arrow cannot hold a value.
    """
    if shape == "pickle":
        return pa.array(dumps_values(values), pa.binary())
    try:
        if shape == "arrow":
            return _inferred(values, kind)
        convert = _encoder(shape)
        plain = values if convert is None else [None if value is None else convert(value) for value in values]
        return pa.array(plain, arrow_type_of(shape))
    except (pa.ArrowException, OverflowError) as error:
        raise TypeMismatchError(f"a value does not fit its column: {error}") from error


def _inferred(values: Sequence[Any], kind: pa.DataType | None) -> pa.Array:
    try:
        return pa.array(values)
    except OverflowError:  # of an integer beyond 64 signed bits, whose type Arrow does not infer
        if kind is None:
            raise
        return pa.array(values, kind)


def check_finite(before: pa.Array, after: pa.Array) -> pa.Array:
    """`after`, a cast of `before`; `pa.ArrowInvalid` if a float has become infinite, which Arrow does not report."""
    are_floats = pa.types.is_floating(after.type) and pa.types.is_floating(before.type)
    if are_floats and after.type.bit_width < before.type.bit_width:
        is_infinite = pc.is_inf(after.cast(before.type))
        if pc.any(is_infinite).as_py():
            became = before.filter(pc.and_(is_infinite, pc.invert(pc.is_inf(before))))
            if len(became):
                raise pa.ArrowInvalid(f"{became[0]} is beyond {after.type}")
    return after


def cast_columns(columns: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The columns cast to the types of `schema`, which has the same names; columns that fit are not copied.

    Raises:
        TypeMismatchError: other names, or a value that does not fit; the message has column, both types and the reason.
    """
    if columns.schema.names != schema.names:
        raise TypeMismatchError(f"expected the columns {schema.names}, but a batch has {columns.schema.names}")
    arrays = [_cast(array, field) for array, field in zip(columns.columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _cast(array: pa.Array, field: pa.Field) -> pa.Array:
    if array.type == field.type:
        return array
    try:
        return check_finite(array, cast_array(array, field.type))
    except pa.ArrowException as error:  # a value does not fit, or these types cannot be cast
        raise TypeMismatchError(
            f"column `{field.name}` is declared as {field.type}, but a batch has {array.type}: {error}"
        ) from None


def values_of(shape: Shape, array: pa.Array) -> list[Any]:
    """The Python values of an array; the inverse of `array_of`."""
    if shape == "arrow":
        return _plain_values(array)
    plain = array.to_pylist()
    convert = _decoder(shape)
    return plain if convert is None else [None if value is None else convert(value) for value in plain]


def _instant_to_micros(value: Instant) -> int:
    return value.seconds * 1_000_000 + value.nanos // 1000


def _instant_of(value: Any) -> Instant:
    micros = (value.replace(tzinfo=None) - _EPOCH) // _MICROSECOND
    return Instant(micros // 1_000_000, micros % 1_000_000 * 1000)


_EPOCH: Final = dt.datetime(1970, 1, 1)  # noqa: DTZ001  without a zone, as columns of instants are
_MICROSECOND: Final = dt.timedelta(microseconds=1)
_ENCODERS: Final[dict[str, Callable[[Any], Any]]] = {
    "dec": str,
    "big": str,
    "inst": _instant_to_micros,
    "pickle": dumps_value,
}
_DECODERS: Final[dict[str, Callable[[Any], Any]]] = {
    "dec": decimal.Decimal,
    "big": int,
    "inst": _instant_of,
    "pickle": loads_value,
}


def _encoder(shape: Shape) -> Callable[[Any], Any] | None:
    """Converts a value to one that `pa.array` accepts; None if it already is one."""
    if isinstance(shape, str):
        return _ENCODERS.get(shape)
    if shape[0] == "list":
        return _each(_or_none(_encoder(shape[1])))
    if shape[0] == "map":
        key, item = (_or_none(_encoder(part)) or _same for part in shape[1:])
        return lambda value: [(key(k), item(v)) for k, v in value.items()]
    names = field_names(shape)
    parts = [_or_none(_encoder(part)) or _same for part in shape[-1]]
    return lambda value: {n: part(v) for n, part, v in zip(names, parts, value, strict=True)}


def _decoder(shape: Shape) -> Callable[[Any], Any] | None:
    """Converts a result of `to_pylist` to a row's value; None if it already is one."""
    if isinstance(shape, str):
        return _DECODERS.get(shape)
    if shape[0] == "list":
        return _each(_or_none(_decoder(shape[1])))
    parts = [_or_none(_decoder(part)) or _same for part in (shape[1:] if shape[0] == "map" else shape[-1])]
    if shape[0] == "map":
        key, item = parts
        return lambda value: {key(k): item(v) for k, v in value}
    if shape[0] == "tuple":
        return lambda value: tuple(part(v) for part, v in zip(parts, value.values(), strict=True))
    names = list(shape[1]) if shape[1] is not None else None
    return lambda value: create_row(
        names, [part(v) for part, v in zip(parts, value.values(), strict=True)], RowKind.INSERT
    )


def _or_none(convert: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
    return None if convert is None else lambda value: None if value is None else convert(value)


def _each(convert: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
    return None if convert is None else lambda value: list(map(convert, value))


def _same(value: Any) -> Any:
    return value


def _plain_values(array: pa.Array) -> list[Any]:
    """Values of a column that came as Arrow: structs become rows, maps dicts, lists lists."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        return _plain_values(array.dictionary_decode())
    if isinstance(kind, pa.BaseExtensionType):
        return _plain_values(array.storage)
    if _has_nanos(kind):
        # Python times have microseconds at most.
        array = array.cast(_in_micros(kind), safe=False)
    values = array.to_pylist()
    convert = _plain_decoder(kind)
    return values if convert is None else [None if value is None else convert(value) for value in values]


def _plain_decoder(kind: pa.DataType) -> Callable[[Any], Any] | None:
    if pa.types.is_struct(kind):
        parts = [_or_none(_plain_decoder(kind.field(i).type)) or _same for i in range(kind.num_fields)]
        names = [kind.field(i).name for i in range(kind.num_fields)]
        return lambda value: _struct_row(names, parts, value)
    if pa.types.is_map(kind):
        key, item = (_or_none(_plain_decoder(part)) or _same for part in (kind.key_type, kind.item_type))
        return lambda value: {key(k): item(v) for k, v in value}
    if _is_list(kind):
        return _each(_or_none(_plain_decoder(kind.value_type)))
    return None


def _struct_row(names: list[str], parts: list[Callable[[Any], Any]], value: dict[str, Any]) -> Row:
    return create_row(names, [part(value[name]) for name, part in zip(names, parts, strict=True)])


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _has_nanos(kind: pa.DataType) -> bool:
    is_time = pa.types.is_timestamp(kind) or pa.types.is_time64(kind) or pa.types.is_duration(kind)
    return bool(is_time and kind.unit == _NS)


def _in_micros(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    return pa.time64("us") if pa.types.is_time64(kind) else pa.duration("us")
