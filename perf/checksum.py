"""Are two engines' results the same rows? A sum over rows that does not depend on their order or on the files.

Columns that are not floating point are hashed; each row's hash ties its columns together and the rows' hashes are
summed modulo 2^64, so they have to agree exactly. Floating point columns are summed, plainly and weighted by their
row's hash, and agree within `TOLERANCE`: engines add up in different orders.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq

__all__ = ["Checksum", "checksum_of", "difference"]

TOLERANCE: Final = 1e-9
"""Of the sum of the absolute values."""

BATCH_ROWS: Final = 1 << 17
STRING_BYTES_MAX: Final = 4096
_WEIGHTS: Final = np.power(np.uint64(0x100000001B3), np.arange(STRING_BYTES_MAX, dtype=np.uint64))
_ODD: Final = np.uint64(0x9E3779B97F4A7C15)
_NULL: Final = np.uint64(0xD6E8FEB86659FD93)


@dataclass(slots=True)
class Checksum:
    """Of one result. `sums` and `weighted` have an entry for each floating point column, `magnitudes` their scale."""

    columns: tuple[str, ...]
    rows: int = 0
    hashed: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    weighted: dict[str, float] = field(default_factory=dict)
    magnitudes: dict[str, float] = field(default_factory=dict)


def checksum_of(folder: Path, schema: pa.Schema) -> Checksum:
    """Of all the Parquet or CSV files below a folder, whose columns are (or are cast to) `schema`.

    CSV files have no header and the schema's columns in its order. Hidden files and empty ones are left out.
    """
    result = Checksum(tuple(schema.names))
    total = np.uint64(0)
    for batch in _batches(folder, schema):
        hashes = _row_hashes(batch)
        with np.errstate(over="ignore"):
            total += hashes.sum(dtype=np.uint64)
        result.rows += batch.num_rows
        _add_floats(result, batch, hashes)
    result.hashed = int(total)
    return result


def difference(expected: Checksum, got: Checksum) -> str | None:
    """What differs, in words; None where the results are equal."""
    if expected.rows != got.rows:
        return f"{got.rows:,} rows instead of {expected.rows:,}"
    if expected.hashed != got.hashed:
        return f"the rows' hashes differ ({got.hashed:016x} instead of {expected.hashed:016x})"
    for name, magnitude in expected.magnitudes.items():
        for kind in ("sums", "weighted"):
            one, other = getattr(expected, kind)[name], getattr(got, kind)[name]
            if not abs(one - other) <= TOLERANCE * max(magnitude, 1.0):
                return f"column {name!r} adds up to {other!r} instead of {one!r}"
    return None


def _batches(folder: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith((".", "_"))]
    for path in files:
        if path.stat().st_size == 0:
            continue
        if path.suffix == ".parquet":
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(BATCH_ROWS, columns=schema.names):
                    yield _cast(batch, schema)
        else:
            read = csv.ReadOptions(column_names=schema.names)
            with csv.open_csv(path, read, convert_options=csv.ConvertOptions(column_types=schema)) as reader:
                for batch in reader:
                    yield _cast(batch, schema)


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = [pc.cast(batch.column(column.name), column.type, safe=True) for column in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _row_hashes(batch: pa.RecordBatch) -> np.ndarray[Any, np.dtype[np.uint64]]:
    hashes = np.zeros(batch.num_rows, np.uint64)
    with np.errstate(over="ignore"):
        for number, column in enumerate(batch.columns):
            if not pa.types.is_floating(column.type):
                hashes = _mixed(hashes * _ODD + _column_hashes(column) + np.uint64(number + 1))
    return hashes


def _column_hashes(column: pa.Array) -> np.ndarray[Any, np.dtype[np.uint64]]:
    if pa.types.is_string(column.type):
        hashes = _string_hashes(column)
    elif pa.types.is_decimal(column.type):
        hashes = _string_hashes(column.cast(pa.string()))
    elif pa.types.is_struct(column.type):
        hashes = np.zeros(len(column), np.uint64)
        for child in column.flatten():
            hashes = _mixed(hashes * _ODD + _column_hashes(child))
    elif pa.types.is_floating(column.type):  # in a struct or list: not computed, so equal to the bit
        hashes = np.asarray(pc.fill_null(column.cast(pa.float64()), 0.0)).view(np.uint64)
    elif pa.types.is_list(column.type):
        hashes = _list_hashes(column)
    else:
        hashes = np.asarray(pc.fill_null(column.cast(pa.int64()), 0)).view(np.uint64)
    if column.null_count:
        hashes = np.where(np.asarray(column.is_null()), _NULL, hashes)
    return _mixed(hashes)


def _string_hashes(column: pa.Array) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """A polynomial in each string's bytes."""
    column = pc.fill_null(column, "")
    offsets = np.frombuffer(column.buffers()[1], np.int32)[column.offset : column.offset + len(column) + 1]
    lengths = np.diff(offsets)
    if len(lengths) == 0 or offsets[-1] == offsets[0]:
        return np.zeros(len(column), np.uint64)
    data = np.frombuffer(column.buffers()[2], np.uint8)[offsets[0] : offsets[-1]].astype(np.uint64) + np.uint64(1)
    places = np.arange(len(data)) - np.repeat(offsets[:-1] - offsets[0], lengths)
    data *= _WEIGHTS[places]
    ends = np.concatenate(([np.uint64(0)], np.cumsum(data, dtype=np.uint64)))
    hashes = ends[offsets[1:] - offsets[0]] - ends[offsets[:-1] - offsets[0]]
    return hashes + lengths.astype(np.uint64)


def _list_hashes(column: pa.Array) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """The sum of the elements' hashes, each mixed with its place in the list."""
    lengths = np.asarray(pc.fill_null(pc.list_value_length(column), 0)).astype(np.int64)
    ends = np.concatenate(([0], np.cumsum(lengths)))
    elements = _column_hashes(column.flatten())
    places = (np.arange(len(elements)) - np.repeat(ends[:-1], lengths)).astype(np.uint64)
    sums = np.concatenate(([np.uint64(0)], np.cumsum(_mixed(elements + places), dtype=np.uint64)))
    return sums[ends[1:]] - sums[ends[:-1]] + lengths.astype(np.uint64)


def _mixed(values: np.ndarray[Any, np.dtype[np.uint64]]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _add_floats(result: Checksum, batch: pa.RecordBatch, hashes: np.ndarray[Any, np.dtype[np.uint64]]) -> None:
    weights = (hashes % np.uint64(1009)).astype(np.float64) / 1009
    for column in batch.schema:
        if pa.types.is_floating(column.type):
            values = np.asarray(pc.fill_null(batch.column(column.name), 0.0))
            for sums, added in (
                (result.sums, values.sum()),
                (result.weighted, (values * weights).sum()),
                (result.magnitudes, np.abs(values).sum()),
            ):
                sums[column.name] = sums.get(column.name, 0.0) + float(added)
