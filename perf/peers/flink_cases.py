"""Apache Flink: SQL in batch mode, parallelism 2, from CSV, JSON lines or text to CSV (its package has no Parquet).

Runs in the environment that `shmflink flink setup` makes. A case returns the net run time that Flink itself
reports for the job; planning and starting the mini-cluster count as start-up.
"""

from __future__ import annotations

from importlib.metadata import version as installed
from typing import Any

from perf.peers import flink_windows
from perf.peers.queries import BUCKET_MS, MIN_PRICE, THREADS

__all__ = ["CASES", "prepare", "version"]

EVENT = "id BIGINT, ts TIMESTAMP(3), `key` BIGINT, price DOUBLE, quantity INT, name STRING"
SETTINGS = {
    "parallelism.default": str(THREADS),
    "taskmanager.numberOfTaskSlots": str(THREADS),
    "taskmanager.memory.managed.size": "2g",
    "taskmanager.memory.network.max": "512m",
}

_state: dict[str, Any] = {}


def version() -> str:
    return installed("apache-flink")


def prepare() -> None:
    """Starts the virtual machine."""
    from pyflink.table import EnvironmentSettings, TableEnvironment

    tables = TableEnvironment.create(EnvironmentSettings.in_batch_mode())
    for key, value in SETTINGS.items():
        tables.get_config().set(key, value)
    _state["tables"] = tables


def csv_to_parquet(inputs: str, output: str) -> float:
    return _etl(inputs, "csv", output)


def jsonl_to_parquet(inputs: str, output: str) -> float:
    return _etl(inputs, "json", output)


def aggregate_csv(inputs: str, output: str) -> float:
    _table("events", EVENT, inputs, "csv")
    windows = f"TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '{BUCKET_MS // 1000}' SECONDS)"
    columns = "`key`, window_start, COUNT(*), SUM(price), MAX(price)"
    query = f"SELECT {columns} FROM TABLE({windows}) GROUP BY `key`, window_start, window_end"
    return _insert("`key` BIGINT, bucket TIMESTAMP(3), n BIGINT, total DOUBLE, top DOUBLE", query, output)


def word_count(inputs: str, output: str) -> float:
    _table("lines", "line STRING", inputs, "raw")
    query = "SELECT word, COUNT(*) FROM lines CROSS JOIN UNNEST(SPLIT(line, ' ')) AS words (word) GROUP BY word"
    return _insert("word STRING, n BIGINT", query, output)


def _etl(inputs: str, kind: str, output: str) -> float:
    _table("events", EVENT, inputs, kind)
    columns = "id, ts, `key`, UPPER(name), quantity, price * quantity"
    schema = "id BIGINT, ts TIMESTAMP(3), `key` BIGINT, name STRING, quantity INT, total DOUBLE"
    return _insert(schema, f"SELECT {columns} FROM events WHERE price > {MIN_PRICE}", output)


def _table(name: str, schema: str, path: str, kind: str) -> None:
    tables = _state["tables"]
    tables.execute_sql(f"DROP TEMPORARY TABLE IF EXISTS {name}")
    options = f"'connector' = 'filesystem', 'path' = 'file://{path}', 'format' = '{kind}'"
    tables.execute_sql(f"CREATE TEMPORARY TABLE {name} ({schema}) WITH ({options})")


def _insert(schema: str, query: str, output: str) -> float:
    _table("written", schema, output, "csv")
    submitted = _state["tables"].execute_sql(f"INSERT INTO written {query}")
    submitted.wait()
    milliseconds: int = submitted.get_job_client().get_job_execution_result().result().get_net_runtime()
    return milliseconds / 1000


CASES = {function.__name__: function for function in (csv_to_parquet, jsonl_to_parquet, aggregate_csv, word_count)}
CASES |= flink_windows.CASES
