"""pyarrow: dataset scans, Acero's plans, `write_dataset`; JSON file by file: a JSON dataset hangs on two threads."""

from __future__ import annotations

import glob
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.acero as acero
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.dataset as ds
import pyarrow.json
import pyarrow.parquet as pq

from perf.peers.queries import BUCKET_MS, MIN_PRICE, MIN_WIDE, THREADS, WIDE_USED

__all__ = ["CASES", "version"]

SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("ts", pa.timestamp("ms")),
        ("key", pa.int64()),
        ("price", pa.float64()),
        ("quantity", pa.int32()),
        ("name", pa.string()),
    ]
)
TEXT_BLOCK_BYTES = 1 << 23

pa.set_cpu_count(THREADS)


def version() -> str:
    return str(pa.__version__)


def etl_parquet(inputs: str, output: str) -> None:
    _etl(_parquet(inputs), output)


def csv_to_parquet(inputs: str, output: str) -> None:
    _etl(_csv(inputs), output)


def jsonl_to_parquet(inputs: str, output: str) -> None:
    options = pyarrow.json.ParseOptions(explicit_schema=SCHEMA)
    blocks = pyarrow.json.ReadOptions(block_size=TEXT_BLOCK_BYTES)
    os.makedirs(output)
    for number, path in enumerate(sorted(glob.glob(f"{inputs}/*.jsonl"))):
        table = pyarrow.json.read_json(path, blocks, options).filter(pc.field("price") > MIN_PRICE)
        plan = acero.Declaration.from_sequence(
            [
                acero.Declaration("table_source", acero.TableSourceNodeOptions(table)),
                acero.Declaration("project", acero.ProjectNodeOptions(list(_derived().values()), list(_derived()))),
            ]
        )
        pq.write_table(plan.to_table(), f"{output}/{number}.parquet", compression="snappy")


def aggregate_parquet(inputs: str, output: str) -> None:
    _aggregate(_parquet(inputs), output)


def aggregate_csv(inputs: str, output: str) -> None:
    _aggregate(_csv(inputs), output)


def word_count(inputs: str, output: str) -> None:
    """Blocks of lines on two threads, counted by themselves, the counts added up at the end."""
    with ThreadPoolExecutor(THREADS) as pool:
        counts = pa.concat_tables(pool.map(_count_words, _text_blocks(inputs)))
    counted = counts.group_by("word").aggregate([("n", "sum")]).rename_columns(["word", "n"])
    os.makedirs(output)
    pq.write_table(counted, f"{output}/part.parquet", compression="snappy")


def distinct(inputs: str, output: str) -> None:
    columns = {"key": pc.field("key")}
    _write(_plan(_parquet(inputs), columns, acero.AggregateNodeOptions([], keys=["key"])), output)


def wide(inputs: str, output: str) -> None:
    keep = pc.field(WIDE_USED[1]) >= MIN_WIDE
    _write(_parquet(inputs).scanner(columns=list(WIDE_USED), filter=keep), output)


def _etl(dataset: ds.Dataset, output: str) -> None:
    _write(dataset.scanner(columns=_derived(), filter=pc.field("price") > MIN_PRICE), output)


def _derived() -> dict[str, pc.Expression]:
    return {
        "id": pc.field("id"),
        "ts": pc.field("ts"),
        "key": pc.field("key"),
        "name": pc.utf8_upper(pc.field("name")),
        "quantity": pc.field("quantity"),
        "total": pc.multiply(pc.field("price"), pc.field("quantity").cast(pa.float64())),
    }


def _aggregate(dataset: ds.Dataset, output: str) -> None:
    bucket = pc.floor_temporal(pc.field("ts"), BUCKET_MS // 1000, "second")
    columns = {"key": pc.field("key"), "bucket": bucket, "price": pc.field("price")}
    calls = [
        ("price", "hash_count", None, "n"),
        ("price", "hash_sum", None, "total"),
        ("price", "hash_max", None, "top"),
    ]
    _write(_plan(dataset, columns, acero.AggregateNodeOptions(calls, keys=["key", "bucket"])), output)


def _plan(dataset: ds.Dataset, columns: dict[str, pc.Expression], aggregate: Any) -> pa.RecordBatchReader:
    used = ["ts", "key", "price"] if "bucket" in columns else list(columns)
    return acero.Declaration.from_sequence(
        [
            acero.Declaration("scan", acero.ScanNodeOptions(dataset, columns=used)),
            acero.Declaration("project", acero.ProjectNodeOptions(list(columns.values()), list(columns))),
            acero.Declaration("aggregate", aggregate),
        ]
    ).to_reader(use_threads=True)


def _count_words(block: pa.RecordBatch) -> pa.Table:
    words = pc.list_flatten(pc.split_pattern(block.column(0), " "))
    values, counts = words.value_counts().flatten()
    return pa.table({"word": values, "n": counts})


def _text_blocks(inputs: str) -> Any:
    read = csv.ReadOptions(column_names=["line"], block_size=TEXT_BLOCK_BYTES, use_threads=False)
    parse = csv.ParseOptions(delimiter="\x01", quote_char=False)
    convert = csv.ConvertOptions(column_types={"line": pa.string()})
    for path in sorted(glob.glob(f"{inputs}/*.txt")):
        yield from csv.open_csv(path, read, parse, convert)


def _parquet(inputs: str) -> ds.Dataset:
    return ds.dataset(inputs, format="parquet")


def _csv(inputs: str) -> ds.Dataset:
    options = ds.CsvFileFormat(
        read_options=csv.ReadOptions(column_names=SCHEMA.names),
        convert_options=csv.ConvertOptions(column_types=SCHEMA),
    )
    return ds.dataset(inputs, schema=SCHEMA, format=options)


def _write(rows: Any, output: str) -> None:
    options = ds.ParquetFileFormat().make_write_options(compression="snappy")
    ds.write_dataset(rows, output, format="parquet", file_options=options)


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
