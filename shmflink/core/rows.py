"""Rows <-> columns: what `Batch` calls when it changes form.

A `RowCodec` is compiled once from a declared type's shape. Rows without a declared type get an inferred shape, per
batch: if all rows are alike (scalars, tuples or rows of scalars) they are encoded as typed columns, otherwise each is
pickled. In both cases a row is decoded exactly as it was. The shape is in the schema metadata `shmflink.rows`; columns
without it (read from a file, made by a user's batch function) are decoded to `Row`s.
"""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

import pyarrow as pa

from shmflink import _core
from shmflink.core.columns import array_of, values_of
from shmflink.core.row import Row, RowKind, field_names_of
from shmflink.core.time_units import Instant
from shmflink.core.types.conform import conform_value, narrow_value
from shmflink.core.types.shapes import PICKLE, Shape, describe, field_names, from_json, to_json
from shmflink.core.types.typeinfo import TypeInformation
from shmflink.errors import TypeMismatchError

__all__ = ["SHAPE_KEY", "RowCodec", "codec_of", "decode", "encode", "fits", "shape_of_columns"]

SHAPE_KEY: Final = b"shmflink.rows"


class RowCodec:
    """Converts rows of one shape. Stateless; `codec_of` shares them."""

    __slots__ = ("_is_single", "_names", "_native", "_others", "_parts", "shape")

    def __init__(self, shape: Shape | TypeInformation) -> None:
        self.shape: Shape = shape.shape if isinstance(shape, TypeInformation) else shape
        self._is_single = isinstance(self.shape, str) or self.shape[0] in ("list", "map")
        self._parts: tuple[Shape, ...] = (self.shape,)
        if not self._is_single:
            self._parts = tuple(self.shape[-1])
        self._names = field_names(self.shape)
        # Columns that Python converts; for "arrow" columns, each batch's own type decides.
        self._others = [index for index, part in enumerate(self._parts) if not _is_native(part)]
        metadata = {SHAPE_KEY.decode(): to_json(self.shape).decode()}
        self._native = _core.RowCodec(self.shape, list(self._names), metadata, Row, RowKind.INSERT)

    def try_encode(self, rows: list[Any], kinds: Sequence[pa.DataType] | None = None) -> pa.RecordBatch | None:
        """The columns of these rows; None if a row would not survive the round trip exactly.

        `kinds`: the types of columns whose type the shape does not determine.
        """
        encoded = self._native.encode(rows)
        if encoded is None:
            return None
        batch, others = encoded
        if not others:
            return batch
        native = [index for index in range(len(self._parts)) if index not in others]
        arrays = dict(zip(native, batch.columns, strict=True))
        for index, values in others.items():
            part = self._parts[index]
            if part != PICKLE and not all(fits(part, value) for value in values):
                return None
            try:
                arrays[index] = array_of(part, values, None if kinds is None else kinds[index])
            except TypeMismatchError as error:
                raise TypeMismatchError(f"column `{self._names[index]}`: {error}") from None
        columns = [arrays[index] for index in range(len(self._parts))]
        fields = [pa.field(name, column.type) for name, column in zip(self._names, columns, strict=True)]
        return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields, batch.schema.metadata))

    def encode(self, rows: list[Any], kinds: Sequence[pa.DataType] | None = None) -> pa.RecordBatch:
        """The columns of these rows, converted to the declared form first if necessary; `kinds` as for `try_encode`.

        Raises:
            TypeMismatchError: a row does not fit the declared type.
        """
        batch = self.try_encode(rows, kinds)
        if batch is None:
            batch = self.try_encode(self.conform(rows), kinds)
        if batch is None:
            raise TypeMismatchError(
                f"records of type {describe(self.shape)} cannot become columns if one is None or not an insertion"
            )
        return batch

    def decode(self, columns: pa.RecordBatch) -> list[Any]:
        """The rows that were passed to `encode`.

        Raises:
            TypeError: the columns do not have this shape.
        """
        others = {index: values_of(self._parts[index], columns.column(index)) for index in self._others}
        return self._native.decode(columns, others)

    def conform(self, rows: list[Any]) -> list[Any]:
        """The rows in the declared form: floats rounded, tuples turned into rows; the same list if all fit.

        Raises:
            TypeMismatchError: names the row's position, the field, the type, the value and the row.
        """
        try:
            return self._native.conform(rows, conform_value, False)
        except TypeMismatchError:
            self._raise_mismatch(rows, conform_value)
            raise

    def narrow(self, rows: list[Any]) -> list[Any]:
        """Like `conform`, but casts numbers beyond their type as Java does: for a program's own collection.

        Raises:
            TypeMismatchError: names the row's position, the field, the type, the value and the row.
        """
        try:
            return self._native.conform(rows, narrow_value, True)
        except TypeMismatchError:
            self._raise_mismatch(rows, narrow_value)
            raise

    def _raise_mismatch(self, rows: list[Any], convert: Callable[[Shape, Any], Any]) -> None:
        """Converts the rows again, one by one, to find the error's position."""
        for index, row in enumerate(rows):
            try:
                convert(self.shape, row)
            except TypeMismatchError as error:
                of_row = "" if self._is_single else f"; the record: {_shortened(row)}"
                raise TypeMismatchError(f"record {index} of the batch: {error}{of_row}") from None


def _shortened(row: Any) -> str:
    text = repr(row)
    return text if len(text) <= RECORD_TEXT_MAX else f"{text[:RECORD_TEXT_MAX]}..."


RECORD_TEXT_MAX: Final = 300


_NATIVE: Final = frozenset({"i8", "i16", "i32", "i64", "f32", "f64", "str", "char", "bytes", "bool", "null"})


def _is_native(shape: Shape) -> bool:
    if isinstance(shape, str):
        return shape in _NATIVE
    return shape[0] in ("tuple", "row") and all(map(_is_native, shape[-1]))


@lru_cache(maxsize=1024)
def codec_of(shape: Shape) -> RowCodec:
    """The codec of a shape, compiled once."""
    return RowCodec(shape)


def encode(
    rows: list[Any], declared: Shape | None = None, kinds: Sequence[pa.DataType] | None = None
) -> pa.RecordBatch:
    """The columns of these rows, with the shape in the metadata; without a declared shape it is inferred.

    `kinds`: the types of declared columns.

    Raises:
        TypeMismatchError: a row does not fit the declared type.
    """
    if declared is not None:
        return codec_of(declared).encode(rows, kinds)
    batch = codec_of(_infer(rows) or PICKLE).try_encode(rows)
    return codec_of(PICKLE).encode(rows) if batch is None else batch


def decode(columns: pa.RecordBatch, declared: Shape | None = None) -> list[Any]:
    """The rows of these columns: by the shape in their metadata, otherwise the declared one, otherwise as `Row`s."""
    shape = shape_of_columns(columns) or declared or _shape_of_plain(columns.schema)
    return codec_of(shape).decode(columns)


def shape_of_columns(columns: pa.RecordBatch) -> Shape | None:
    """The shape in these columns' metadata; None for columns that were never rows."""
    metadata = columns.schema.metadata
    data = metadata.get(SHAPE_KEY) if metadata else None
    return None if data is None else from_json(data)


_PLAIN: Final[dict[pa.DataType, Shape]] = {
    **dict.fromkeys((pa.int8(), pa.int16(), pa.int32(), pa.int64()), "i64"),
    # The native decoder uses the Arrow type: "i64" stands for any int, "str" for any text.
    **dict.fromkeys((pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()), "i64"),
    **dict.fromkeys((pa.float32(), pa.float64()), "f64"),
    **dict.fromkeys((pa.utf8(), pa.large_utf8(), pa.string_view()), "str"),
    **dict.fromkeys((pa.binary(), pa.large_binary(), pa.binary_view()), "bytes"),
    pa.bool_(): "bool",
    pa.null(): "null",
}


@lru_cache(maxsize=256)
def _shape_of_plain(schema: pa.Schema) -> Shape:
    return ("row", tuple(schema.names), tuple(_PLAIN.get(kind, "arrow") for kind in schema.types))


_SCALARS: Final[dict[type, str]] = {
    int: "i64",
    float: "f64",
    str: "str",
    bytes: "bytes",
    bool: "bool",
    dt.datetime: "ts",
    dt.date: "date",
    dt.time: "time",
    decimal.Decimal: "dec",
}
_NESTING_MAX: Final = 4


def _infer(values: Sequence[Any], depth: int = 0) -> Shape | None:
    """The shape of the first value that is not None; None if it has no typed columns.

    Encoding shows whether the other values have the same shape.
    """
    first = next((value for value in values if value is not None), None)
    if first is None:
        return "null"
    kind = _SCALARS.get(type(first))
    if kind is not None:
        return kind
    if type(first) not in (tuple, Row) or not len(first) or depth == _NESTING_MAX:
        return None
    items = tuple(_infer_field(values, first, index, depth) for index in range(len(first)))
    if None in items:
        return None
    if type(first) is tuple:
        return ("tuple", items)
    names = field_names_of(first)
    if names is None:
        return ("row", None, items)
    are_plain = len(names) == len(items) == len(set(names)) and all(type(name) is str for name in names)
    return ("row", tuple(names), items) if are_plain else None


def _infer_field(values: Sequence[Any], first: Any, index: int, depth: int) -> Shape | None:
    kind = _SCALARS.get(type(first[index]))
    if kind is not None:
        return kind
    alike = [value[index] for value in values if type(value) is type(first) and len(value) > index]
    return _infer(alike, depth + 1)


_PYTHON_TYPES: Final[dict[str, type]] = {
    **{kind: python for python, kind in _SCALARS.items()},
    "big": int,
    "inst": Instant,
    "i8": int,
    "i16": int,
    "i32": int,
    "f32": float,
    "char": str,
}


def fits(shape: Shape, value: Any) -> bool:
    """True if `value` would survive the round trip through a column that Python converts."""
    if value is None or shape in (PICKLE, "arrow"):
        return True
    if isinstance(shape, str):
        return type(value) is _PYTHON_TYPES.get(shape) and _is_unchanged(shape, value)
    if shape[0] == "list":
        return type(value) is list and all(fits(shape[1], item) for item in value)
    if shape[0] == "map":
        return type(value) is dict and all(
            key is not None and fits(shape[1], key) and fits(shape[2], item) for key, item in value.items()
        )
    if shape[0] == "tuple":
        return type(value) is tuple and len(value) == len(shape[1]) and all(map(fits, shape[1], value))
    return type(value) is Row and _row_fits(shape, value)


def _row_fits(shape: tuple[Any, ...], row: Row) -> bool:
    names = None if shape[1] is None else list(shape[1])
    is_plain = field_names_of(row) == names and row.get_row_kind() is RowKind.INSERT
    return is_plain and len(row) == len(shape[2]) and all(map(fits, shape[2], row))


def _is_unchanged(shape: str, value: Any) -> bool:
    if getattr(value, "tzinfo", None) is not None or getattr(value, "fold", 0) == 1:
        return False
    try:
        conformed = conform_value(shape, value)
    except TypeMismatchError:
        return False
    return bool(conformed is value or conformed == value) or (shape in ("f32", "f64") and value != value)
