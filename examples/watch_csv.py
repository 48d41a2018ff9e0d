"""Watches a folder for CSV files and writes their rows to Parquet, one folder for each day.

    shmflink run examples/watch_csv.py --input incoming/ --output readings/ --slots 2
    python examples/watch_csv.py

The job never ends: cancel it with Ctrl-C. Without arguments it runs a demonstration: three files arrive one after the
other, and when all their rows have been written, the job is canceled.
"""

import argparse
import os
import sys
import tempfile
import time

import pyarrow as pa
import pyarrow.dataset as ds

from shmflink.datastream import StreamExecutionEnvironment
from shmflink.datastream.connectors.file_system import FileSink, RollingPolicy
from shmflink.expressions import col

READINGS = pa.schema([("time", pa.timestamp("ms")), ("sensor", pa.string()), ("celsius", pa.float64())])
PATIENCE_SECONDS = 60


def start(input_path, output_path):
    env = StreamExecutionEnvironment.get_execution_environment()
    readings = env.read_csv(input_path, schema=READINGS, monitor_interval=0.2)
    by_day = readings.filter(col("celsius").is_not_null).with_columns(day=col("time").to_date)
    rolling = RollingPolicy.limits(age_ms=400, part_rows=1_000_000)
    by_day.sink_to(
        FileSink.parquet(output_path, partition_by="day", rolling=rolling, publish="when_rolled", check_interval_ms=100)
    )
    return env.execute_async("watch csv")


def write_readings(folder, number, rows=100):
    """Adds a file of made-up readings; it appears under its name only when it is complete."""
    unfinished = os.path.join(folder, f".readings-{number}")
    with open(unfinished, "w") as out:
        out.write("time,sensor,celsius\n")
        for reading in range(rows):
            hour = f"2024-05-{number + 1:02} {reading % 24:02}:00:00"
            out.write(f"{hour},sensor{reading % 3},{'' if reading % 10 == 3 else reading / 4}\n")
    os.rename(unfinished, os.path.join(folder, f"readings-{number}.csv"))


def rows_by_day(folder):
    """How many rows each day has now; files appear only when they are complete."""
    found = ds.dataset(folder, format="parquet", partitioning="hive") if os.path.isdir(folder) else None
    if found is None or not found.files:
        return {}
    counts = found.to_table(columns=["day"]).group_by("day").aggregate([("day", "count")])
    return {row["day"]: row["day_count"] for row in counts.to_pylist()}


def wait_for(days, rows, folder):
    """Waits until each of `days` days has `rows` rows."""
    end = time.monotonic() + PATIENCE_SECONDS
    while list(rows_by_day(folder).values()) != [rows] * days:
        if time.monotonic() > end:
            sys.exit(f"waited {PATIENCE_SECONDS} s for rows that did not come")
        time.sleep(0.05)


def demonstrate(scratch):
    incoming, output = os.path.join(scratch, "incoming"), os.path.join(scratch, "readings")
    os.mkdir(incoming)
    job = start(incoming, output)
    for number in range(3):
        write_readings(incoming, number)
        wait_for(number + 1, 90, output)
    job.cancel().result()
    for day, rows in sorted(rows_by_day(output).items()):
        print(f"{day}: {rows} readings")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", help="the folder to watch")
    parser.add_argument("--output", help="the folder to write into")
    arguments = parser.parse_args()
    if bool(arguments.input) != bool(arguments.output):
        parser.error("give both --input and --output, or neither for the demonstration")
    if arguments.input:
        start(arguments.input, arguments.output).get_job_execution_result().result()
    else:
        with tempfile.TemporaryDirectory(prefix="watch-csv-") as scratch:
            demonstrate(scratch)
            sys.stdout.flush()
