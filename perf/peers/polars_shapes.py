"""Polars' queries over shapes: lazy frames on the streaming engine, as `polars_cases.py`."""

from __future__ import annotations

from collections.abc import Callable

from perf.peers.polars_cases import pl, sink, version
from perf.peers.shape_queries import MIN_VALUE, NESTED, PATTERN, TOP, WINDOW_SECONDS, passed

__all__ = ["run", "version"]


def etl(rows: pl.LazyFrame, shape: str) -> pl.LazyFrame:
    value = pl.col("value")
    more = [pl.col("place").struct.field("city")] if shape == NESTED else []
    return rows.filter(value > MIN_VALUE).select(*passed(shape), *more, (value + value).alias("doubled"))


def copy(rows: pl.LazyFrame, _shape: str) -> pl.LazyFrame:
    return rows.filter(pl.col("value") > MIN_VALUE)


def aggregate(rows: pl.LazyFrame, _shape: str) -> pl.LazyFrame:
    value = pl.col("value")
    return rows.group_by("key").agg(n=pl.len().cast(pl.Int64), total=value.sum(), top=value.max())


def distinct(rows: pl.LazyFrame, _shape: str) -> pl.LazyFrame:
    return rows.select("text").unique()


def top_n(rows: pl.LazyFrame, _shape: str) -> pl.LazyFrame:
    return rows.group_by("key").agg(top=pl.col("value").drop_nulls().top_k(TOP)).explode("top")


def like(rows: pl.LazyFrame, _shape: str) -> pl.LazyFrame:
    text = pl.col("text")
    return rows.filter(text.str.contains(PATTERN.strip("%"), literal=True)).group_by(text).agg(n=pl.len())


def window(rows: pl.LazyFrame, _shape: str) -> pl.LazyFrame:
    bucket = pl.col("ts").dt.truncate(f"{WINDOW_SECONDS}s").alias("bucket")
    return rows.group_by("key", bucket).agg(n=pl.len(), total=pl.col("value").sum())


def run(query: str, shape: str, inputs: str, output: str) -> None:
    """A query over the files of a shape, into a Parquet file."""
    sink(_QUERIES[query](pl.scan_parquet(f"{inputs}/*.parquet"), shape), output)


_QUERIES: dict[str, Callable[[pl.LazyFrame, str], pl.LazyFrame]] = {
    one.__name__: one for one in (etl, copy, aggregate, distinct, top_n, like, window)
}
