"""Apache Flink's window queries: SQL in streaming mode, parallelism 2. Part of `flink_cases.py`, runs where that does.

`inputs` of the generated cases is `windows-keys-rows-seconds`, as the arguments of `perf/jobs/window_generated.py`. Its
rows have the same distribution as there, not the same values.
"""

from __future__ import annotations

import os
from typing import Any

from perf.peers.queries import BUCKET_MS, THREADS

__all__ = ["CASES"]

FIRST_MS = 1_735_689_600_000
JITTER_MS = 512
UNLIMITED = 1_000_000_000  # rows per second of datagen, which makes 10,000 where nothing is said
CSV_BOUND = "INTERVAL '60' SECOND"  # files are read side by side, not in the order of time; with less, rows are late

_WINDOWS = {
    "tumbling": "TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '10' SECOND)",
    "sliding": "HOP(TABLE events, DESCRIPTOR(ts), INTERVAL '1' SECOND, INTERVAL '10' SECOND)",
    "session": "SESSION(TABLE events PARTITION BY `key`, DESCRIPTOR(ts), INTERVAL '5' SECOND)",
}
_RESULTS = "`key` BIGINT, bucket TIMESTAMP(3), n BIGINT, total DOUBLE, top DOUBLE"
_SETTINGS = {
    "parallelism.default": str(THREADS),
    "taskmanager.numberOfTaskSlots": str(THREADS),
    "taskmanager.memory.managed.size": "2g",
    "taskmanager.memory.network.max": "512m",
}


def window_csv(inputs: str, output: str) -> float:
    """Tumbling windows over CSV files, as `aggregate_csv` in streaming mode."""
    tables = _streaming()
    columns = "id BIGINT, ts TIMESTAMP(3), `key` BIGINT, price DOUBLE, quantity INT, name STRING"
    source = f"'connector' = 'filesystem', 'path' = 'file://{inputs}', 'format' = 'csv'"
    tables.execute_sql(
        f"CREATE TEMPORARY TABLE events ({columns}, WATERMARK FOR ts AS ts - {CSV_BOUND}) WITH ({source})"
    )
    sink = f"'connector' = 'filesystem', 'path' = 'file://{output}', 'format' = 'csv'"
    tables.execute_sql(f"CREATE TEMPORARY TABLE written ({_RESULTS}) WITH ({sink})")
    return _run(tables, "tumbling", "`key`, window_start")


def window_generated(inputs: str, output: str) -> float:
    """Windows over generated rows; results are discarded."""
    del output
    windows, keys, rows, seconds = os.path.basename(inputs).split("-")
    tables = _streaming()
    mixed = "(id * 2654435761 / 65536)"
    columns = (
        f"id BIGINT, `key` AS MOD({mixed}, {keys}), price AS CAST(MOD({mixed}, 8192) AS DOUBLE) / 64, "
        f"ts AS TO_TIMESTAMP_LTZ({FIRST_MS} + id * {int(seconds) * 1000} / {rows} + MOD({mixed}, {JITTER_MS}), 3), "
        "WATERMARK FOR ts AS ts - INTERVAL '1' SECOND"
    )
    source = (
        f"'connector' = 'datagen', 'rows-per-second' = '{UNLIMITED}', 'fields.id.kind' = 'sequence', "
        f"'fields.id.start' = '0', 'fields.id.end' = '{int(rows) - 1}'"
    )
    tables.execute_sql(f"CREATE TEMPORARY TABLE events ({columns}) WITH ({source})")
    sink = _RESULTS.replace("TIMESTAMP(3)", "TIMESTAMP_LTZ(3)")
    tables.execute_sql(f"CREATE TEMPORARY TABLE written ({sink}) WITH ('connector' = 'blackhole')")
    return _run(tables, windows, "`key`, CAST(window_start AS TIMESTAMP_LTZ(3))")


def _streaming() -> Any:
    from pyflink.table import EnvironmentSettings, TableEnvironment

    tables = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    for key, value in _SETTINGS.items():
        tables.get_config().set(key, value)
    for name in ("events", "written"):
        tables.execute_sql(f"DROP TEMPORARY TABLE IF EXISTS {name}")
    return tables


def _run(tables: Any, windows: str, columns: str) -> float:
    query = f"SELECT {columns}, COUNT(*), SUM(price), MAX(price) FROM TABLE({_WINDOWS[windows]})"
    submitted = tables.execute_sql(f"INSERT INTO written {query} GROUP BY `key`, window_start, window_end")
    submitted.wait()
    milliseconds: int = submitted.get_job_client().get_job_execution_result().result().get_net_runtime()
    return milliseconds / 1000


assert BUCKET_MS == 10_000, "the windows above have the length of the other queries' buckets"

CASES = {function.__name__: function for function in (window_csv, window_generated)}
