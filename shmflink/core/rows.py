"""Rows <-> columns: what `Batch` calls when it changes form.

A `RowCodec` is compiled once from a declared type's shape. Rows without a declared type get a shape by inference, per
batch: where all rows are alike (scalars, tuples or rows of scalars) they travel as typed columns, else each is
pickled. Either way a row comes back exactly as it was. The shape rides in the schema metadata `shmflink.rows`;
columns without it (read from a file, made by a user's batch function) decode to `Row`s.
"""

from __future__ import annotations

import datetime
import decimal
from functools import lru_cache
from typing import Any, Final

import pyarrow as pa

from shmflink.core.columns import array_of, values_of
from shmflink.core.conform import conform_value
from shmflink.core.row import Row, RowKind, create_row, field_names_of
from shmflink.core.shapes import PICKLE, Shape, arrow_type_of, field_names, from_json, to_json
from shmflink.errors import TypeMismatchError

__all__ = ["SHAPE_KEY", "RowCodec", "codec_of", "decode", "encode", "shape_of_columns"]

SHAPE_KEY: Final = b"shmflink.rows"


class RowCodec:
    """Converts rows of one shape. Stateless; `codec_of` shares them."""

    __slots__ = ("_names", "_parts", "_schema", "shape")

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        composite = isinstance(shape, tuple) and shape[0] in ("tuple", "row")
        self._parts: tuple[Shape, ...] = shape[-1] if composite else (shape,)
        self._names = field_names(shape)
        self._schema: pa.Schema | None = None

    def try_encode(self, rows: list[Any]) -> pa.RecordBatch | None:
        """The columns of these rows; None where a row does not fit the shape exactly."""
        if not all(_fits(self.shape, row) and row is not None for row in rows) and not self._is_single:
            return None
        if self._is_single and not all(_fits(self.shape, row) for row in rows):
            return None
        columns = [rows] if self._is_single else list(zip(*rows, strict=True)) or [()] * len(self._parts)
        arrays = [array_of(part, values) for part, values in zip(self._parts, columns, strict=True)]
        return self._batch(arrays)

    def encode(self, rows: list[Any]) -> pa.RecordBatch:
        """The columns of these rows, brought into the declared form first where need be.

        Raises:
            TypeMismatchError: a row does not fit the declared type.
        """
        batch = self.try_encode(rows)
        if batch is None:
            batch = self.try_encode(self.conform(rows))
        if batch is None:
            raise TypeMismatchError("a None record, or one that is not an insertion, has no place in typed columns")
        return batch

    def decode(self, columns: pa.RecordBatch) -> list[Any]:
        """The rows that `encode` was given."""
        values = [values_of(part, column) for part, column in zip(self._parts, columns.columns, strict=True)]
        if self._is_single:
            return values[0]
        if self.shape[0] == "tuple":
            return list(zip(*values, strict=True))
        names = self.shape[1] and list(self.shape[1])
        return [create_row(names, row) for row in zip(*values, strict=True)]

    def conform(self, rows: list[Any]) -> list[Any]:
        """The rows in the declared form: ints wrapped, tuples made rows; the same list where all fit.

        Raises:
            TypeMismatchError: names the row's position, the field, the type and the value.
        """
        if all(_fits(self.shape, row) for row in rows):
            return rows
        conformed = []
        for index, row in enumerate(rows):
            try:
                conformed.append(conform_value(self.shape, row))
            except TypeMismatchError as error:
                raise TypeMismatchError(f"record {index} of the batch: {error}") from None
        return conformed

    @property
    def _is_single(self) -> bool:
        return not isinstance(self.shape, tuple) or self.shape[0] not in ("tuple", "row")

    def _batch(self, arrays: list[pa.Array]) -> pa.RecordBatch:
        if self._schema is None:
            fields = [pa.field(name, array.type) for name, array in zip(self._names, arrays, strict=True)]
            self._schema = pa.schema(fields, {SHAPE_KEY: to_json(self.shape)})
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)


@lru_cache(maxsize=1024)
def codec_of(shape: Shape) -> RowCodec:
    """The codec of a shape, compiled once."""
    return RowCodec(shape)


def encode(rows: list[Any], declared: Shape | None = None) -> pa.RecordBatch:
    """The columns of these rows, with the shape in the metadata; without a declared shape it is inferred.

    Raises:
        TypeMismatchError: a row does not fit the declared type.
    """
    if declared is not None:
        return codec_of(declared).encode(rows)
    shape = _infer(rows)
    batch = codec_of(shape).try_encode(rows)
    if batch is None:
        batch = codec_of(PICKLE).encode(rows)
    return batch


def decode(columns: pa.RecordBatch, declared: Shape | None = None) -> list[Any]:
    """The rows of these columns, by the shape in their metadata, else the declared one, else as `Row`s."""
    shape = shape_of_columns(columns) or declared
    if shape is None:
        shape = ("row", tuple(columns.schema.names), ("arrow",) * columns.num_columns)
        if not columns.num_columns:
            return [create_row([], ()) for _ in range(columns.num_rows)]
    return codec_of(shape).decode(columns)


def shape_of_columns(columns: pa.RecordBatch) -> Shape | None:
    """The shape that these columns carry; None for columns that never were rows."""
    metadata = columns.schema.metadata
    data = metadata.get(SHAPE_KEY) if metadata else None
    return None if data is None else from_json(data)


_SCALARS: Final[dict[type, str]] = {
    int: "i64",
    float: "f64",
    str: "str",
    bytes: "bytes",
    bool: "bool",
    datetime.datetime: "ts",
    datetime.date: "date",
    datetime.time: "time",
    decimal.Decimal: "dec",
}
_PYTHON_TYPES: Final[dict[str, type]] = {
    **{kind: python for python, kind in _SCALARS.items()},
    "i8": int,
    "i16": int,
    "i32": int,
    "f32": float,
    "big": int,
}


def _infer(rows: list[Any]) -> Shape:
    first = next((row for row in rows if row is not None), None)
    if type(first) is tuple and first:
        kinds = tuple(_infer_scalar(row[i] for row in rows if _is_tuple(row, i)) for i in range(len(first)))
        return PICKLE if None in kinds else ("tuple", kinds)
    if type(first) is Row and len(first):
        names = field_names_of(first)
        kinds = tuple(_infer_scalar(row[i] for row in rows if _is_row(row, i)) for i in range(len(first)))
        return PICKLE if None in kinds else ("row", None if names is None else tuple(names), kinds)
    return _infer_scalar(rows) or PICKLE


def _is_tuple(row: Any, index: int) -> bool:
    return type(row) is tuple and index < len(row)


def _is_row(row: Any, index: int) -> bool:
    return type(row) is Row and index < len(row)


def _infer_scalar(values: Any) -> str | None:
    first = next((value for value in values if value is not None), None)
    return "null" if first is None else _SCALARS.get(type(first))


def _fits(shape: Shape, value: Any) -> bool:
    """True where `value` would come back exactly from a column of this shape."""
    if value is None or shape == PICKLE:
        return True
    if isinstance(shape, str):
        if type(value) is not _PYTHON_TYPES.get(shape):
            return False
        try:
            return bool(conform_value(shape, value) == value or value != value) and getattr(value, "fold", 0) == 0
        except TypeMismatchError:
            return False
    if shape[0] == "list":
        return type(value) is list and all(_fits(shape[1], item) for item in value)
    if shape[0] == "map":
        return type(value) is dict and all(
            key is not None and _fits(shape[1], key) and _fits(shape[2], item) for key, item in value.items()
        )
    if shape[0] == "tuple":
        return type(value) is tuple and len(value) == len(shape[1]) and all(map(_fits, shape[1], value))
    names = shape[1] and list(shape[1])
    return (
        type(value) is Row
        and field_names_of(value) == names
        and value.get_row_kind() is RowKind.INSERT
        and len(value) == len(shape[2])
        and all(map(_fits, shape[2], value))
    )
