"""Aggregates by key: what each user bought in each ten seconds, from Parquet to a table in this process.

    shmflink run examples/aggregate.py --slots 4
    python examples/aggregate.py --input events/

Each reader pre-aggregates its rows before it sends them to the subtask of their key, if that reduces their number.
"""

import argparse
import os
import sys
import tempfile

import pyarrow as pa
import pyarrow.parquet as pq

from shmflink.datastream import RuntimeExecutionMode, StreamExecutionEnvironment
from shmflink.expressions import col, count


def run(input_path):
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_runtime_mode(RuntimeExecutionMode.BATCH)
    events = env.read_parquet(input_path)
    totals = events.key_by("user", col("time").floor_to(seconds=10).alias("bucket")).aggregate(
        purchases=count(),
        total=col("price").sum,
        highest=col("price").max,
        mean=col("price").sum / col("price").count,
    )
    return totals.filter(col("purchases") > 1).to_arrow("aggregate")


def write_events(folder, files=4, events_per_file=25_000):
    """Made-up events, the same every time."""
    os.mkdir(folder)
    for number in range(files):
        ids = range(number * events_per_file, (number + 1) * events_per_file)
        columns = {
            "time": pa.array([1_700_000_000_000 + event * 10 for event in ids], pa.timestamp("ms")),
            "user": [f"user{event * 7919 % 100}" for event in ids],
            "price": [(event % 1000) / 4 for event in ids],
        }
        pq.write_table(pa.table(columns), os.path.join(folder, f"events-{number}.parquet"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", help="Parquet with the columns time, user and price; else made-up events")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="aggregate-") as scratch:
        if arguments.input is None:
            arguments.input = os.path.join(scratch, "events")
            write_events(arguments.input)
        table = run(arguments.input)
        print(f"{table.num_rows} users and buckets; the five with the highest totals:")
        highest = table.sort_by([("total", "descending"), ("user", "ascending"), ("bucket", "ascending")])
        for row in highest.slice(0, 5).to_pylist():
            bought = f"{row['purchases']} purchases, {row['total']:.2f}, {row['mean']:.2f} each"
            print(f"{row['bucket']} {row['user']}: {bought}")
        sys.stdout.flush()
