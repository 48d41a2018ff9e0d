"""The files of a shape, in the cache folder of all data sets, written by pyarrow, DuckDB or Polars."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from perf.data import made
from perf.shapes.rows import Shape, piece

__all__ = ["QUICK_ROWS", "ensure", "missing_writer", "rows_at"]

VERSION: Final = 1
"""Part of every folder's name: raise it where the rows or files change."""

QUICK_ROWS: Final = 20_000
QUICK_FILES: Final = 2
PIECE_BYTES: Final = 1 << 26
ROW_BYTES: Final = 40
"""Of the five columns; a further column has one."""


def rows_at(shape: Shape, scale: float, quick: bool) -> int:
    """How many rows the shape has at this size."""
    return QUICK_ROWS if quick else max(1000, int(shape.rows * scale))


def missing_writer(shape: Shape) -> str | None:
    """Which library the files need that is not installed."""
    return None if importlib.util.find_spec(shape.written.by) else shape.written.by


def ensure(shape: Shape, cache: Path, scale: float, quick: bool) -> Path:
    """The shape's folder, made now where it is missing."""
    rows = rows_at(shape, scale, quick)
    size = rows * (ROW_BYTES + 2 * shape.columns)
    files = min(shape.written.files, QUICK_FILES) if quick else shape.written.files
    return made(
        cache / f"shape-{shape.name}-{rows}-v{VERSION}", size, lambda folder: _write(shape, folder, rows, files)
    )


def _write(shape: Shape, folder: Path, rows: int, files: int) -> None:
    """Rows are divided evenly among the files."""
    write = {"pyarrow": _by_pyarrow, "duckdb": _by_duckdb, "polars": _by_polars}[shape.written.by]
    bounds = [rows * number // files for number in range(files + 1)]
    for number in range(files):
        pieces = _pieces(shape, bounds[number], bounds[number + 1], rows)
        write(shape, folder / f"part-{number:05d}.parquet", pieces)


def _pieces(shape: Shape, start: int, stop: int, total: int) -> Iterator[pa.Table]:
    """Whole row groups each: a writer that is given less ends a row group."""
    group_rows = shape.written.group_rows
    step = max(1, PIECE_BYTES // (8 * shape.columns) // group_rows) * group_rows
    for first in range(start, stop, step):
        yield piece(shape, first, min(step, stop - first), total)


def _by_pyarrow(shape: Shape, path: Path, pieces: Iterator[pa.Table]) -> None:
    first = next(pieces)
    with pq.ParquetWriter(path, first.schema, **dict(shape.written.settings)) as writer:
        for table in (first, *pieces):
            writer.write_table(table, row_group_size=shape.written.group_rows)


def _by_duckdb(_shape: Shape, path: Path, pieces: Iterator[pa.Table]) -> None:
    """With DuckDB's own row groups."""
    with importlib.import_module("duckdb").connect() as connection:
        connection.register("rows", pa.concat_tables(pieces))
        connection.execute(f"COPY rows TO '{path}' (FORMAT parquet)")


def _by_polars(_shape: Shape, path: Path, pieces: Iterator[pa.Table]) -> None:
    """With Polars' own row groups and compression, zstd."""
    importlib.import_module("polars").from_arrow(pa.concat_tables(pieces)).write_parquet(path)
