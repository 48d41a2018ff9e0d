"""Which columns of a Parquet file get a dictionary, and which encodings the others get.

If the writer tries a dictionary and gives it up, that costs more than everything else for a column of distinct numbers.
Therefore a sample of the rows decides beforehand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

import pyarrow as pa

from shmflink.core.lazy_imports import pc

__all__ = ["SAMPLE_ROWS", "EncodingChoice", "choose_encodings"]

EncodingChoice: TypeAlias = tuple[bool | list[str], dict[str, str]]
"""Columns with a dictionary, and encodings by column, as `pyarrow.parquet.ParquetWriter` takes them."""

SAMPLE_ROWS: Final = 16_384
_SAMPLE_PIECES: Final = 8

_DISTINCT_SHARE_MAX: Final = 0.5
"""If more than this share of the sample are distinct values, a dictionary does not pay."""


def choose_encodings(rows: pa.Table, dictionary: bool | Sequence[str] | str, encodings: str) -> EncodingChoice:
    """Decides by the options and, if `dictionary` is ``auto``, by a sample of the rows."""
    if dictionary == "auto":
        sample = _sample(rows)
        chosen: bool | list[str] = [
            path
            for field, column in zip(sample.schema, sample.columns, strict=True)
            if _repeats(column)
            for path in _leaves(field)
        ]
    else:
        chosen = dictionary if isinstance(dictionary, bool) else list(dictionary)
    if encodings == "plain" or chosen is True:
        return chosen, {}
    without = set(rows.schema.names) - set(chosen or ())
    compact = {
        field.name: "DELTA_BINARY_PACKED" for field in rows.schema if field.name in without and _is_integral(field.type)
    }
    return chosen, compact


def _sample(rows: pa.Table) -> pa.Table:
    """Some runs of rows, spread over all rows."""
    if rows.num_rows <= SAMPLE_ROWS:
        return rows
    length = SAMPLE_ROWS // _SAMPLE_PIECES
    step = (rows.num_rows - length) // (_SAMPLE_PIECES - 1)
    return pa.concat_tables([rows.slice(piece * step, length) for piece in range(_SAMPLE_PIECES)])


def _repeats(column: pa.ChunkedArray) -> bool:
    kind = column.type
    if pa.types.is_nested(kind) or pa.types.is_dictionary(kind):
        return True  # inside lists and structs values mostly repeat; otherwise the writer falls back by itself
    if pa.types.is_boolean(kind) or pa.types.is_null(kind):
        return False
    try:
        distinct = pc.count_distinct(column).as_py()
    except pa.ArrowNotImplementedError:
        return True
    return bool(distinct <= max(1, int((len(column) - column.null_count) * _DISTINCT_SHARE_MAX)))


def _leaves(field: pa.Field, prefix: str = "") -> Iterator[str]:
    """The Parquet columns of a field, by path."""
    path, kind = f"{prefix}{field.name}", field.type
    if pa.types.is_struct(kind):
        for index in range(kind.num_fields):
            yield from _leaves(kind.field(index), f"{path}.")
    elif pa.types.is_map(kind):
        yield from _leaves(kind.key_field.with_name("key"), f"{path}.key_value.")
        yield from _leaves(kind.item_field.with_name("value"), f"{path}.key_value.")
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        yield from _leaves(kind.value_field.with_name("element"), f"{path}.list.")
    else:
        yield path


def _is_integral(kind: pa.DataType) -> bool:
    """Whether the type is stored as INT32 or INT64."""
    return bool(pa.types.is_integer(kind) or pa.types.is_timestamp(kind) or pa.types.is_date(kind)) or bool(
        pa.types.is_time(kind) or pa.types.is_duration(kind)
    )
