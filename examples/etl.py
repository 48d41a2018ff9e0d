"""Reads Parquet, filters and derives columns, writes Parquet. No Python runs per row.

    shmflink run examples/etl.py --slots 4
    python examples/etl.py --input orders/ --output paid/

The source reads only the columns that are used and the rows that pass the filter: `shmflink info examples/etl.py`
shows it. Streams of columns are shmflink only; everything else has PyFlink's names.
"""

import argparse
import os
import sys
import tempfile

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from shmflink.datastream import StreamExecutionEnvironment
from shmflink.datastream.connectors.file_system import FileSink
from shmflink.expressions import col

COUNTRIES = ["de", "fr", "jp", "us"]
STATES = ["paid", "open", "cancelled"]


def run(input_path, output_path):
    env = StreamExecutionEnvironment.get_execution_environment()
    orders = env.read_parquet(input_path)
    paid = orders.filter(col("state") == "paid").select(
        "order_id",
        country=col("country").upper_case,
        total=col("quantity") * col("unit_price"),
    )
    paid.sink_to(FileSink.parquet(output_path))
    env.execute("etl")


def write_orders(folder, files=4, orders_per_file=25_000):
    """Made-up orders, the same every time."""
    os.mkdir(folder)
    for number in range(files):
        ids = range(number * orders_per_file, (number + 1) * orders_per_file)
        columns = {
            "order_id": list(ids),
            "country": [COUNTRIES[order % 4] for order in ids],
            "state": [STATES[order % 3] for order in ids],
            "quantity": pa.array([order % 7 + 1 for order in ids], pa.int32()),
            "unit_price": [(order % 1000) / 4 for order in ids],
            "comment": [f"order number {order}" for order in ids],
        }
        pq.write_table(pa.table(columns), os.path.join(folder, f"orders-{number}.parquet"), row_group_size=10_000)


def show(output_path):
    table = ds.dataset(output_path, format="parquet").to_table()
    by_country = table.group_by("country").aggregate([("total", "sum"), ("total", "count")])
    for row in by_country.sort_by("country").to_pylist():
        print(f"{row['country']}: {row['total_count']} paid orders, {row['total_sum'] or 0:.2f} in total")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", help="a Parquet file, or a folder or pattern of them; else made-up orders")
    parser.add_argument("--output", help="the folder to write into")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="etl-") as scratch:
        if arguments.input is None:
            arguments.input = os.path.join(scratch, "orders")
            write_orders(arguments.input)
        output = arguments.output or os.path.join(scratch, "paid")
        run(arguments.input, output)
        show(output)
        sys.stdout.flush()
