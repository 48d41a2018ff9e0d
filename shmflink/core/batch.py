"""A batch: the unit of work, as rows or as columns, converted at most once in each direction and lazily."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

__all__ = ["Batch"]


class Batch:
    """Rows of one stream element run: a Python list of rows, an Arrow record batch, or both.

    `timestamps` (int64 milliseconds, `None` = no row has one) and `keys` (the key column of a keyed stream) are
    hidden: they travel with the rows but are no columns of the user's. A batch is immutable; whoever wants other
    rows makes another batch. Memory of `columns` may be a shared segment: keep it only as long as the call lasts,
    or copy.
    """

    __slots__ = ("_columns", "_rows", "keys", "num_rows", "row_type", "timestamps")

    def __init__(
        self,
        num_rows: int,
        rows: list[Any] | None,
        columns: pa.RecordBatch | None,
        row_type: Any = None,
        timestamps: pa.Int64Array | None = None,
        keys: Any = None,
    ) -> None:
        self.num_rows = num_rows
        self._rows = rows
        self._columns = columns
        self.row_type = row_type
        self.timestamps = timestamps
        self.keys = keys

    @classmethod
    def of_rows(
        cls, rows: list[Any], row_type: Any = None, *, timestamps: pa.Int64Array | None = None, keys: Any = None
    ) -> Batch:
        """A batch of Python rows; the batch owns the list."""
        return cls(len(rows), rows, None, row_type, timestamps, keys)

    @classmethod
    def of_columns(
        cls,
        columns: pa.RecordBatch,
        row_type: Any = None,
        *,
        timestamps: pa.Int64Array | None = None,
        keys: Any = None,
    ) -> Batch:
        """A batch of Arrow columns."""
        return cls(columns.num_rows, None, columns, row_type, timestamps, keys)
