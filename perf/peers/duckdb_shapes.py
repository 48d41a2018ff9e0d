"""DuckDB's queries over shapes: one SQL statement each, as `duckdb_cases.py`."""

from __future__ import annotations

from collections.abc import Callable

from perf.peers.duckdb_cases import copy_to, version
from perf.peers.shape_queries import MIN_VALUE, NESTED, PATTERN, TOP, WINDOW_SECONDS, passed

__all__ = ["run", "version"]


def etl(shape: str) -> str:
    columns = ", ".join((*passed(shape), *(("place.city AS city",) if shape == NESTED else ())))
    return f"SELECT {columns}, value + value AS doubled FROM rows WHERE value > {MIN_VALUE}"


def copy(_shape: str) -> str:
    return f"SELECT * FROM rows WHERE value > {MIN_VALUE}"


def aggregate(_shape: str) -> str:
    return "SELECT key, count(*) AS n, sum(value) AS total, max(value) AS top FROM rows GROUP BY key"


def distinct(_shape: str) -> str:
    return "SELECT DISTINCT text FROM rows"


def top_n(_shape: str) -> str:
    return f"SELECT key, unnest(max(value, {TOP})) AS top FROM rows GROUP BY key"


def like(_shape: str) -> str:
    return f"SELECT text, count(*) AS n FROM rows WHERE text LIKE '{PATTERN}' GROUP BY text"


def window(_shape: str) -> str:
    bucket = f"time_bucket(INTERVAL '{WINDOW_SECONDS} seconds', ts) AS bucket"
    return f"SELECT key, {bucket}, count(*) AS n, sum(value) AS total FROM rows GROUP BY key, bucket"


def run(query: str, shape: str, inputs: str, output: str) -> None:
    """A query over the files of a shape, into Parquet files."""
    text = _QUERIES[query](shape)
    copy_to(f"WITH rows AS (FROM read_parquet('{inputs}/*.parquet')) {text}", output)


_QUERIES: dict[str, Callable[[str], str]] = {
    one.__name__: one for one in (etl, copy, aggregate, distinct, top_n, like, window)
}
