"""Parquet in, filter and derive by columns, Parquet out: whole Arrow batches, no Python per row.

    shmflink run examples/parquet_etl.py --slots 4
    python examples/parquet_etl.py --input orders/ --output paid/

`map_batches` and `ParquetFormat` are shmflink's own; everything else has PyFlink's names.
"""

import argparse
import os
import sys
import tempfile

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from shmflink.common import WatermarkStrategy
from shmflink.datastream import StreamExecutionEnvironment
from shmflink.datastream.connectors.file_system import BucketAssigner, FileSink, FileSource, OutputFileConfig
from shmflink.datastream.formats.parquet import ParquetBulkWriters, ParquetFormat

COUNTRIES = ["DE", "FR", "JP", "US"]
STATES = ["paid", "open", "cancelled"]
RESULT = pa.schema([("order_id", pa.int64()), ("country", pa.string()), ("total", pa.float64())])


def paid_totals(orders: pa.RecordBatch) -> pa.RecordBatch:
    """Only the paid orders, each with its total."""
    paid = orders.filter(pc.equal(orders["state"], "paid"))
    total = pc.multiply(pc.cast(paid["quantity"], pa.float64()), paid["unit_price"])
    return pa.RecordBatch.from_arrays([paid["order_id"], paid["country"], total], schema=RESULT)


def write_orders(folder, files=4, orders_per_file=25_000):
    """Made-up orders, the same every time."""
    for number in range(files):
        ids = range(number * orders_per_file, (number + 1) * orders_per_file)
        columns = {
            "order_id": list(ids),
            "country": [COUNTRIES[order % 4] for order in ids],
            "state": [STATES[order % 3] for order in ids],
            "quantity": pa.array([order % 7 + 1 for order in ids], pa.int32()),
            "unit_price": [(order % 1000) / 4 for order in ids],
        }
        pq.write_table(pa.table(columns), os.path.join(folder, f"orders-{number}.parquet"), row_group_size=10_000)


def run(input_path, output_path):
    env = StreamExecutionEnvironment.get_execution_environment()
    source = FileSource.for_bulk_file_format(ParquetFormat(), input_path).build()
    sink = (
        FileSink.for_bulk_format(output_path, ParquetBulkWriters.for_row_type(RESULT))
        .with_bucket_assigner(BucketAssigner.base_path_bucket_assigner())
        .with_output_file_config(OutputFileConfig("paid", ".parquet"))
        .build()
    )
    orders = env.from_source(source, WatermarkStrategy.no_watermarks(), "orders")
    orders.map_batches(paid_totals).sink_to(sink)
    env.execute("parquet etl")


def show(output_path):
    table = ds.dataset(output_path, format="parquet").to_table()
    for row in (
        table.group_by("country").aggregate([("total", "sum"), ("total", "count")]).sort_by("country").to_pylist()
    ):
        print(f"{row['country']}: {row['total_count']} paid orders, {row['total_sum'] or 0:.2f} in total")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", help="a Parquet file, or a folder or pattern of them")
    parser.add_argument("--output", help="the folder to write into")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="parquet-etl-") as scratch:
        if arguments.input is None:
            arguments.input = os.path.join(scratch, "orders")
            os.mkdir(arguments.input)
            write_orders(arguments.input)
        output = arguments.output or os.path.join(scratch, "paid")
        run(arguments.input, output)
        show(output)
        sys.stdout.flush()
