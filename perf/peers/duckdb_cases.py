"""DuckDB: one SQL statement a case, `COPY … TO`, order not preserved, a file per thread."""

from __future__ import annotations

import duckdb

from perf.peers.queries import BUCKET_MS, MIN_PRICE, MIN_WIDE, THREADS, WIDE_USED

__all__ = ["CASES", "copy_to", "version"]

COLUMN_TYPES = {
    "id": "BIGINT",
    "ts": "TIMESTAMP",
    "key": "BIGINT",
    "price": "DOUBLE",
    "quantity": "INTEGER",
    "name": "VARCHAR",
}
BUCKET = f"time_bucket(INTERVAL '{BUCKET_MS // 1000} seconds', ts)"


def version() -> str:
    return str(duckdb.__version__)


def etl_parquet(inputs: str, output: str) -> None:
    _etl(_parquet(inputs), output)


def csv_to_parquet(inputs: str, output: str) -> None:
    _etl(_csv(inputs), output)


def jsonl_to_parquet(inputs: str, output: str) -> None:
    _etl(f"read_json('{inputs}/*.jsonl', format='newline_delimited', columns={COLUMN_TYPES})", output)


def aggregate_parquet(inputs: str, output: str) -> None:
    _aggregate(_parquet(inputs), output)


def aggregate_csv(inputs: str, output: str) -> None:
    _aggregate(_csv(inputs), output)


def word_count(inputs: str, output: str) -> None:
    lines = (
        f"read_csv('{inputs}/*.txt', columns={{'line': 'VARCHAR'}}, header=false, auto_detect=false, "
        "delim='\\x01', quote='', escape='')"
    )
    words = f"SELECT unnest(string_split(line, ' ')) AS word FROM {lines}"
    copy_to(f"SELECT word, count(*) AS n FROM ({words}) GROUP BY word", output)


def distinct(inputs: str, output: str) -> None:
    copy_to(f"SELECT DISTINCT key FROM {_parquet(inputs)}", output)


def wide(inputs: str, output: str) -> None:
    copy_to(f"SELECT {', '.join(WIDE_USED)} FROM {_parquet(inputs)} WHERE {WIDE_USED[1]} >= {MIN_WIDE}", output)


def _etl(table: str, output: str) -> None:
    derived = "id, ts, key, upper(name) AS name, quantity, price * quantity AS total"
    copy_to(f"SELECT {derived} FROM {table} WHERE price > {MIN_PRICE}", output)


def _aggregate(table: str, output: str) -> None:
    aggregates = "count(*) AS n, sum(price) AS total, max(price) AS top"
    copy_to(f"SELECT key, {BUCKET} AS bucket, {aggregates} FROM {table} GROUP BY key, bucket", output)


def _parquet(inputs: str) -> str:
    return f"read_parquet('{inputs}/*.parquet')"


def _csv(inputs: str) -> str:
    return f"read_csv('{inputs}/*.csv', columns={COLUMN_TYPES}, header=false, auto_detect=false)"


def copy_to(query: str, output: str) -> None:
    """Runs a query on the threads that a case has, into Parquet files."""
    with duckdb.connect() as connection:
        connection.execute(f"SET threads={THREADS}")
        connection.execute("SET preserve_insertion_order=false")
        connection.execute("SET enable_progress_bar=false")
        connection.execute(f"COPY ({query}) TO '{output}' (FORMAT parquet, COMPRESSION snappy, PER_THREAD_OUTPUT true)")


CASES = {
    function.__name__: function
    for function in (
        etl_parquet,
        csv_to_parquet,
        jsonl_to_parquet,
        aggregate_parquet,
        aggregate_csv,
        word_count,
        distinct,
        wide,
    )
}
