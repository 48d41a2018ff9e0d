"""The same table in a file as several tools write it."""

from __future__ import annotations

import random
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["write"]

Connection = duckdb.DuckDBPyConnection


def write(table: pa.Table, folder: Path, rng: random.Random, database: Connection) -> tuple[str, str]:
    """The kind of reader that the file is for, and who wrote it how."""
    makers = [_by_pyarrow, _by_pyarrow, _by_polars, _by_duckdb, _ipc, _ipc_of_polars]
    return rng.choice(makers)(table, folder, rng, database)


def _by_pyarrow(table: pa.Table, folder: Path, rng: random.Random, _: Connection) -> tuple[str, str]:
    options = {
        "compression": rng.choice(("none", "snappy", "zstd", "gzip")),
        "use_dictionary": rng.random() < 0.5,
        "data_page_version": rng.choice(("1.0", "2.0")),
        "version": "2.6",
        "store_schema": rng.random() < 0.7,
    }
    group_rows = rng.choice((1, 7, 1000)) if table.num_rows < 100 else rng.choice((37, 1000))
    with pq.ParquetWriter(folder / "a.parquet", table.schema, **options) as writer:
        for start in range(0, table.num_rows, group_rows):
            if rng.random() < 0.1:
                writer.write_table(table.slice(0, 0))
            writer.write_table(table.slice(start, group_rows))
        if not table.num_rows or rng.random() < 0.1:
            writer.write_table(table.slice(0, 0))
    return "parquet", f"pyarrow {options}, groups of {group_rows}"


def _by_polars(table: pa.Table, folder: Path, rng: random.Random, _: Connection) -> tuple[str, str]:
    compression = rng.choice(("uncompressed", "snappy", "zstd", "lz4"))
    frame = pl.from_arrow(_storage(table))
    assert isinstance(frame, pl.DataFrame)
    frame.write_parquet(folder / "a.parquet", compression=compression, row_group_size=rng.choice((None, 50)))
    return "parquet", f"Polars {compression}"


def _by_duckdb(table: pa.Table, folder: Path, rng: random.Random, database: Connection) -> tuple[str, str]:
    version = rng.choice(("V1", "V2"))
    compression = rng.choice(("uncompressed", "snappy", "zstd"))
    target = folder / "a.parquet"
    database.execute(f"copy t to '{target}' (format parquet, parquet_version {version}, compression {compression})")
    return "parquet", f"DuckDB {version} {compression}"


def _ipc(table: pa.Table, folder: Path, rng: random.Random, _: Connection) -> tuple[str, str]:
    compression = rng.choice((None, "lz4", "zstd"))
    options = pa.ipc.IpcWriteOptions(compression=compression, unify_dictionaries=True)
    make = rng.choice((pa.ipc.new_file, pa.ipc.new_stream))
    with make(folder / "a.arrow", table.schema, options=options) as writer:
        writer.write_table(table, rng.choice((5, 1000)))
    return "ipc", f"pyarrow {make.__name__} {compression}"


def _ipc_of_polars(table: pa.Table, folder: Path, rng: random.Random, _: Connection) -> tuple[str, str]:
    frame = pl.from_arrow(_storage(table))
    assert isinstance(frame, pl.DataFrame)
    level = rng.choice((pl.CompatLevel.newest(), pl.CompatLevel.oldest()))
    frame.write_ipc(folder / "a.arrow", compat_level=level)
    return "ipc", f"Polars IPC {level}"


def _storage(table: pa.Table) -> pa.Table:
    """UUIDs as text: Polars has none."""
    from shmflink.core.plain_columns import plain_array

    columns = [
        plain_array(column.combine_chunks()) if "uuid" in str(column.type) else column for column in table.columns
    ]
    return pa.table(dict(zip(table.schema.names, columns, strict=True)))
