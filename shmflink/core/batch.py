"""A batch: the unit of work, as rows or as columns, converted at most once in each direction and lazily."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

from shmflink import _core
from shmflink.core.columns import cast_columns
from shmflink.core.isolation import ISOLATION
from shmflink.core.keys.columns import keys_from_wire, keys_to_wire
from shmflink.core.rows import SHAPE_KEY, decode, encode, shape_of_columns
from shmflink.core.types.shapes import is_fixed
from shmflink.core.types.typeinfo import ColumnsTypeInfo, TypeInformation
from shmflink.errors import TypeMismatchError

__all__ = ["KEY_COLUMN", "TIMESTAMP_COLUMN", "Batch"]

TIMESTAMP_COLUMN: Final = "__timestamp"
KEY_COLUMN: Final = "__key"
_HIDDEN: Final = frozenset({TIMESTAMP_COLUMN, KEY_COLUMN})


class Batch:
    """Rows of one run of stream elements: a Python list of rows, an Arrow record batch, or both.

    `timestamps` (int64 milliseconds, `None` = no row has one) and `keys` (the key column of a keyed stream, in the form
    of `core.keys.columns.encode_keys`) are hidden: they travel with the rows but are not columns of the user. A batch
    is immutable; to change rows, make another batch. Memory of `columns` may be a shared segment: do not keep it beyond
    the call, or copy it.
    """

    __slots__ = ("_columns", "_rows", "keys", "num_rows", "row_type", "timestamps")

    def __init__(
        self,
        num_rows: int,
        rows: list[Any] | None,
        columns: pa.RecordBatch | None,
        row_type: TypeInformation | None = None,
        timestamps: pa.Int64Array | None = None,
        keys: pa.Array | None = None,
    ) -> None:
        self.num_rows = num_rows
        self._rows = rows
        self._columns = columns
        self.row_type = row_type
        self.timestamps = timestamps
        self.keys = keys

    @classmethod
    def of_rows(
        cls,
        rows: list[Any],
        row_type: TypeInformation | None = None,
        *,
        timestamps: pa.Int64Array | None = None,
        keys: pa.Array | None = None,
    ) -> Batch:
        """A batch of Python rows; the batch owns the list."""
        return cls(len(rows), rows, None, row_type, timestamps, keys)

    @classmethod
    def of_columns(
        cls,
        columns: pa.RecordBatch,
        row_type: TypeInformation | None = None,
        *,
        timestamps: pa.Int64Array | None = None,
        keys: pa.Array | None = None,
    ) -> Batch:
        """A batch of Arrow columns."""
        return cls(columns.num_rows, None, columns, row_type, timestamps, keys)

    @property
    def is_columnar(self) -> bool:
        """Whether the columns exist already, so that `columns()` costs nothing."""
        return self._columns is not None

    @property
    def is_of_rows(self) -> bool:
        """Whether the elements are Python values: in a list, or in columns made from them."""
        return self._rows is not None or shape_of_columns(self._columns) is not None

    def rows(self) -> list[Any]:
        """The Python rows; the batch keeps the list, so do not modify it."""
        if self._rows is None:
            assert self._columns is not None
            self._rows = decode(self._columns, None if self.row_type is None else self.row_type.shape)
        return self._rows

    def columns(self) -> pa.RecordBatch:
        """The user's columns, without the hidden ones.

        Tuples have the columns f0, f1, ..., rows their field names, anything else one column `value`.

        Raises:
            TypeMismatchError: a row does not fit the declared type.
        """
        columns = self._encoded()
        metadata = columns.schema.metadata
        if not metadata or SHAPE_KEY not in metadata:
            return columns
        rest = {key: value for key, value in metadata.items() if key != SHAPE_KEY}
        return columns.replace_schema_metadata(rest or None)

    def to_wire(self) -> pa.RecordBatch:
        """The user's columns, then the hidden ones, with the schema metadata that `from_wire` needs."""
        columns = self._encoded()
        if self.timestamps is None and self.keys is None:
            return columns
        arrays, fields = columns.columns, list(columns.schema)
        if not _HIDDEN.isdisjoint(columns.schema.names):
            raise TypeMismatchError(f"the column names {sorted(_HIDDEN)} are reserved; rename the columns")
        if self.timestamps is not None:
            arrays.append(self.timestamps)
            fields.append(_TIMESTAMP_FIELD)
        if self.keys is not None:
            storage, metadata = keys_to_wire(self.keys)
            arrays.append(storage)
            fields.append(pa.field(KEY_COLUMN, storage.type, metadata=metadata))
        return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields, columns.schema.metadata))

    @classmethod
    def from_wire(cls, wire: pa.RecordBatch, row_type: TypeInformation | None = None) -> Batch:
        """The batch on which `to_wire` was called; its arrays are views of `wire`."""
        names = wire.schema.names
        timestamps = keys = None
        count = len(names)
        if count and names[count - 1] == KEY_COLUMN:
            count -= 1
            keys = keys_from_wire(wire.column(count), wire.schema.field(count).metadata)
        if count and names[count - 1] == TIMESTAMP_COLUMN:
            count -= 1
            timestamps = wire.column(count)
        columns = wire if count == len(names) else wire.select(range(count))
        return cls(wire.num_rows, None, columns, row_type, timestamps, keys)

    def isolated(self) -> Batch:
        """The same rows for another reader: changes that one reader makes to a row's value are invisible to the other.

        For a batch with columns: a batch of the same columns, whose rows are made again on demand. For a batch of rows:
        a batch with copies of the mutable rows.
        """
        columns, rows = self._columns, self._rows
        if columns is not None:
            if self._has_fixed_rows(columns):
                return self
            rows = None
        else:
            assert rows is not None
            rows = ISOLATION.isolated_list(rows)
            if rows is self._rows:
                return self
        return Batch(self.num_rows, rows, columns, self.row_type, self.timestamps, self.keys)

    def _has_fixed_rows(self, columns: pa.RecordBatch) -> bool:
        """Whether the rows of these columns are immutable."""
        shape = shape_of_columns(columns) or (None if self.row_type is None else self.row_type.shape)
        return shape is not None and is_fixed(shape)

    def slice(self, offset: int, length: int) -> Batch:
        """Rows `offset` to `offset + length`, columns without copying; in both forms if both exist."""
        assert 0 <= offset <= offset + length <= self.num_rows, (offset, length, self.num_rows)
        return Batch(
            length,
            None if self._rows is None else self._rows[offset : offset + length],
            None if self._columns is None else self._columns.slice(offset, length),
            self.row_type,
            None if self.timestamps is None else self.timestamps.slice(offset, length),
            None if self.keys is None else self.keys.slice(offset, length),
        )

    def filter(self, mask: pa.BooleanArray) -> Batch:
        """The rows whose mask is true (null is not), as columns of the same form, with their timestamps, not keyed."""
        timestamps = None if self.timestamps is None else self.timestamps.filter(mask)
        columns = _core.keep_rows(self._encoded(), mask)
        return Batch(columns.num_rows, None, columns, self.row_type, timestamps, None)

    def with_keys(self, keys: pa.Array) -> Batch:
        """The same rows with these keys, one per row."""
        assert len(keys) == self.num_rows, (len(keys), self.num_rows)
        return Batch(self.num_rows, self._rows, self._columns, self.row_type, self.timestamps, keys)

    def without_keys(self) -> Batch:
        """The same rows, not keyed."""
        return Batch(self.num_rows, self._rows, self._columns, self.row_type, self.timestamps, None)

    def with_timestamps(self, timestamps: pa.Int64Array | None) -> Batch:
        """The same rows with these timestamps."""
        assert timestamps is None or len(timestamps) == self.num_rows
        return Batch(self.num_rows, self._rows, self._columns, self.row_type, timestamps, self.keys)

    def with_row_type(self, row_type: TypeInformation | None) -> Batch:
        """The same rows, with this declared type."""
        if row_type is self.row_type:
            return self
        return Batch(self.num_rows, self._rows, self._columns, row_type, self.timestamps, self.keys)

    def with_rows(self, rows: list[Any], row_type: TypeInformation | None = None) -> Batch:
        """Other rows, one for each of these, with the same timestamps and without keys (the output of `map`)."""
        assert len(rows) == self.num_rows, (len(rows), self.num_rows)
        return Batch(self.num_rows, rows, None, row_type, self.timestamps, None)

    def __len__(self) -> int:
        return self.num_rows

    def __repr__(self) -> str:
        both = (("rows", self._rows), ("columns", self._columns))
        forms = [name for name, form in both if form is not None]
        hidden = [name for name in ("timestamps", "keys") if getattr(self, name) is not None]
        return f"Batch({self.num_rows} rows as {'+'.join(forms)}{''.join(f', {name}' for name in hidden)})"

    def _encoded(self) -> pa.RecordBatch:
        if self._columns is None:
            assert self._rows is not None
            kinds = self.row_type.schema.types if isinstance(self.row_type, ColumnsTypeInfo) else None
            columns = encode(self._rows, None if self.row_type is None else self.row_type.shape, kinds)
            if isinstance(self.row_type, ColumnsTypeInfo) and columns.schema.types != kinds:
                metadata = columns.schema.metadata
                columns = cast_columns(columns, self.row_type.schema).replace_schema_metadata(metadata)
            self._columns = columns
        return self._columns


_TIMESTAMP_FIELD: Final = pa.field(TIMESTAMP_COLUMN, pa.int64())
