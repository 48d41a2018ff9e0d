"""Converts CSV to Parquet; unreadable rows go to a separate folder, with the reason.

    shmflink run examples/clean_csv.py --slots 4
    python examples/clean_csv.py --input orders/ --output clean/ --bad bad/

A filter drops rows that can be read but make no sense (a quantity below one).
"""

import argparse
import json
import os
import sys
import tempfile

import pyarrow as pa
import pyarrow.dataset as ds

from shmflink.datastream import StreamExecutionEnvironment
from shmflink.datastream.connectors.file_system import FileSink
from shmflink.expressions import col

ORDERS = pa.schema([("id", pa.int64()), ("country", pa.string()), ("quantity", pa.int32()), ("price", pa.float64())])


def run(input_path, output_path, bad_path):
    env = StreamExecutionEnvironment.get_execution_environment()
    orders = env.read_csv(input_path, schema=ORDERS, on_error="folder", malformed_folder=bad_path)
    clean = orders.filter(col("quantity") > 0).with_columns(total=col("quantity") * col("price"))
    clean.sink_to(FileSink.parquet(output_path))
    env.execute("clean csv")


def write_orders(folder, files=3, orders_per_file=1000):
    """Made-up orders; of each hundred, one has a word as its price and one is cut off."""
    os.mkdir(folder)
    for number in range(files):
        with open(os.path.join(folder, f"orders-{number}.csv"), "w") as out:
            out.write("id,country,quantity,price\n")
            for order in range(number * orders_per_file, (number + 1) * orders_per_file):
                price = "cheap" if order % 100 == 17 else order % 40 / 4
                row = f"{order},{['DE', 'FR', 'JP'][order % 3]},{order % 10},{price}"
                out.write(row[: row.index(",")] + "\n" if order % 100 == 71 else row + "\n")


def rows_of(folder):
    return [row for name in sorted(os.listdir(folder)) for row in open(os.path.join(folder, name))]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", help="CSV with the columns id, country, quantity and price; else made-up orders")
    parser.add_argument("--output", help="the folder for clean rows")
    parser.add_argument("--bad", help="the folder for unreadable rows")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="clean-csv-") as scratch:
        if arguments.input is None:
            arguments.input = os.path.join(scratch, "orders")
            write_orders(arguments.input)
        output = arguments.output or os.path.join(scratch, "clean")
        bad = arguments.bad or os.path.join(scratch, "bad")
        run(arguments.input, output, bad)
        print(f"{ds.dataset(output, format='parquet').count_rows()} clean rows")
        refused = [json.loads(row) for row in rows_of(bad)] if os.path.isdir(bad) else []
        print(f"{len(refused)} bad rows")
        for row in sorted(refused, key=lambda row: (row["file"], row["line"]))[:2]:
            print(f"{os.path.basename(row['file'])} line {row['line']}: {row['text']!r}: {row['reason']}")
        sys.stdout.flush()
