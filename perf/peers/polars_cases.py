"""Polars: lazy frames, the streaming engine, `sink_parquet` without keeping the order."""

from __future__ import annotations

import os

from perf.peers.queries import BUCKET_MS, MIN_PRICE, MIN_WIDE, THREADS, WIDE_USED

os.environ["POLARS_MAX_THREADS"] = str(THREADS)  # read once, when Polars is imported

import polars as pl

__all__ = ["CASES", "pl", "sink", "version"]

SCHEMA = {
    "id": pl.Int64,
    "ts": pl.Datetime("ms"),
    "key": pl.Int64,
    "price": pl.Float64,
    "quantity": pl.Int32,
    "name": pl.String,
}
TEXT_SCHEMA = SCHEMA | {"ts": pl.String}


def version() -> str:
    return str(pl.__version__)


def etl_parquet(inputs: str, output: str) -> None:
    _etl(_parquet(inputs), output)


def csv_to_parquet(inputs: str, output: str) -> None:
    _etl(_csv(inputs), output)


def jsonl_to_parquet(inputs: str, output: str) -> None:
    _etl(_with_time(pl.scan_ndjson(f"{inputs}/*.jsonl", schema=TEXT_SCHEMA)), output)


def aggregate_parquet(inputs: str, output: str) -> None:
    _aggregate(_parquet(inputs), output)


def aggregate_csv(inputs: str, output: str) -> None:
    _aggregate(_csv(inputs), output)


def word_count(inputs: str, output: str) -> None:
    words = pl.scan_lines(f"{inputs}/*.txt", name="line").select(pl.col("line").str.split(" ").alias("word"))
    sink(words.explode("word").group_by("word").agg(pl.len().cast(pl.Int64).alias("n")), output)


def distinct(inputs: str, output: str) -> None:
    sink(_parquet(inputs).select("key").unique(), output)


def wide(inputs: str, output: str) -> None:
    sink(_parquet(inputs).filter(pl.col(WIDE_USED[1]) >= MIN_WIDE).select(WIDE_USED), output)


def _etl(frame: pl.LazyFrame, output: str) -> None:
    derived = frame.filter(pl.col("price") > MIN_PRICE).select(
        "id",
        "ts",
        "key",
        pl.col("name").str.to_uppercase(),
        "quantity",
        (pl.col("price") * pl.col("quantity")).alias("total"),
    )
    sink(derived, output)


def _aggregate(frame: pl.LazyFrame, output: str) -> None:
    bucket = pl.col("ts").dt.truncate(f"{BUCKET_MS}ms").alias("bucket")
    price = pl.col("price")
    grouped = frame.group_by("key", bucket)
    sink(grouped.agg(n=pl.len().cast(pl.Int64), total=price.sum(), top=price.max()), output)


def _parquet(inputs: str) -> pl.LazyFrame:
    return pl.scan_parquet(f"{inputs}/*.parquet")


def _csv(inputs: str) -> pl.LazyFrame:
    return _with_time(pl.scan_csv(f"{inputs}/*.csv", has_header=False, schema=TEXT_SCHEMA))


def _with_time(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.with_columns(pl.col("ts").str.to_datetime("%Y-%m-%d %H:%M:%S%.3f", time_unit="ms", strict=True))


def sink(frame: pl.LazyFrame, output: str) -> None:
    """Runs a frame, into a Parquet file."""
    path = os.path.join(output, "part.parquet")
    frame.sink_parquet(path, compression="snappy", maintain_order=False, mkdir=True, engine="streaming")


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
