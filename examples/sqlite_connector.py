"""A custom source and sink: SQLite tables, read in parallel and written exactly once.

    shmflink run examples/sqlite_connector.py --slots 2
    python examples/sqlite_connector.py

The job copies orders from one table to another with a tenth off, and prints the sum of both tables at the end.

The source: `create_enumerator` runs in the JobManager and divides the input into splits: ranges of row ids. An idle
reader asks for a split. A partly read split is its own checkpoint: `remaining()` returns the range after the last
batch. A source that discovers splits while it runs implements a `SplitEnumerator` and sets
`boundedness = Boundedness.CONTINUOUS_UNBOUNDED`. A cursor that must wait for rows returns `Poll.WAIT`;
`context.mailbox.wake()` has it polled again.

The sink commits in two phases: `write` receives batches. At a barrier, `prepare_commit` returns the rows since the
previous barrier as committables, which become part of the checkpoint. When the checkpoint is complete, or when a job
without checkpoints ends, `commit` makes them visible. After a failure `commit` is called again, so it must detect what
it has already done: here by the committable's id, which it writes in the same transaction as the rows. A sink without
a committer writes in `write` and is at-least-once.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from shmflink.common import WatermarkStrategy
from shmflink.datastream import StreamExecutionEnvironment
from shmflink.datastream.connectors.custom import (
    Batch,
    ColumnsTypeInfo,
    Committer,
    DeliveryGuarantee,
    OperatorContext,
    Sink,
    SinkWriter,
    Source,
    Split,
    SplitCursor,
    SplitQueue,
    SplitReader,
    even_ranges,
)
from shmflink.expressions import col

BATCH_ROWS = 10_000
SPLIT_ROWS = 50_000


class SqliteSource(Source):
    """The rows of a table with a row id. Plain data: it is pickled into the job."""

    def __init__(self, path: str, table: str, schema: pa.Schema) -> None:
        self._path, self._table, self._schema = path, table, schema

    @property
    def produced_type(self) -> ColumnsTypeInfo:
        """Expressions can use columns whose types are known."""
        return ColumnsTypeInfo(self._schema)

    def create_enumerator(self, parallelism: int, state: Any = None) -> SplitQueue:
        """`state`: the splits that were not yet assigned at the restored checkpoint."""
        if state is not None:
            return SplitQueue(state)
        with sqlite3.connect(self._path) as connection:
            query = f"SELECT min(rowid), max(rowid) FROM {self._table}"  # noqa: S608 - a table's name cannot be a parameter
            first, last = connection.execute(query).fetchone()
        if first is None:
            return SplitQueue([])
        parts = max(parallelism, (last - first) // SPLIT_ROWS)
        ranges = even_ranges(first, last + 1, parts)
        return SplitQueue(Split(f"{start}", (start, stop), stop - start) for start, stop in ranges)

    def create_reader(self, context: OperatorContext) -> SplitReader:
        """Runs in a slot, as does everything below."""
        return SplitReader(lambda split: SqliteCursor(self._path, self._table, self._schema, split))


class SqliteCursor(SplitCursor):
    """A position in one range of row ids."""

    def __init__(self, path: str, table: str, schema: pa.Schema, split: Split) -> None:
        self._split, self._schema = split, schema
        self._next, self._stop = split.payload
        columns = ", ".join(schema.names)
        what = f"SELECT rowid, {columns} FROM {table}"  # noqa: S608 - names cannot be parameters; the program gave them
        query = f"{what} WHERE rowid >= ? AND rowid < ? ORDER BY rowid"
        self._connection = sqlite3.connect(path)
        self._rows = self._connection.execute(query, (self._next, self._stop))

    def next_batch(self) -> Batch | None:
        """None at the end. Batches are of limited size, so that barriers do not wait long."""
        rows = self._rows.fetchmany(BATCH_ROWS)
        if not rows:
            return None
        self._next = rows[-1][0] + 1
        arrays = [pa.array([row[i] for row in rows], kind) for i, kind in enumerate(self._schema.types, 1)]
        return Batch.of_columns(pa.record_batch(arrays, schema=self._schema))

    def remaining(self) -> Split:
        """The range after the last batch: a restored reader resumes there."""
        return Split(self._split.split_id, (self._next, self._stop), self._split.size)

    def close(self) -> None:
        self._connection.close()


@dataclass(frozen=True)
class Rows:
    """A committable: the rows of one subtask between two barriers, under a unique id."""

    id: str
    rows: list[tuple[Any, ...]]


class SqliteSink(Sink):
    """Inserts into a table whose columns have the names of the stream's."""

    def __init__(self, path: str, table: str) -> None:
        self._path, self._table = path, table

    def create_writer(self, context: OperatorContext) -> SqliteWriter:
        return SqliteWriter()

    def create_committer(self, context: OperatorContext) -> SqliteCommitter:
        return SqliteCommitter(self._path, self._table)

    def delivery_guarantee(self, configuration: Any) -> DeliveryGuarantee:
        return DeliveryGuarantee.EXACTLY_ONCE


class SqliteWriter(SinkWriter):
    def __init__(self) -> None:
        self._rows: list[tuple[Any, ...]] = []

    def write(self, batch: Batch) -> None:
        columns = batch.columns()  # as Arrow; `batch.rows()` has them as Python objects
        self._rows += zip(*(column.to_pylist() for column in columns), strict=True)

    def prepare_commit(self, checkpoint_id: int) -> Callable[[], Sequence[Rows]]:
        """Must be short: the slot waits. Another thread calls the returned function, which may take its time."""
        rows, self._rows = self._rows, []
        return lambda: [Rows(uuid.uuid4().hex, rows)] if rows else []

    @property
    def has_uncommitted(self) -> bool:
        return bool(self._rows)


class SqliteCommitter(Committer):
    def __init__(self, path: str, table: str) -> None:
        self._path, self._table = path, table

    def commit(self, committables: Sequence[Rows]) -> None:
        """Idempotent: `committed` lists what was inserted before the job died."""
        connection = sqlite3.connect(self._path, timeout=60)
        with connection:  # one transaction
            connection.execute("CREATE TABLE IF NOT EXISTS committed (id TEXT PRIMARY KEY)")
            for each in committables:
                new = connection.execute("INSERT OR IGNORE INTO committed VALUES (?)", (each.id,)).rowcount
                if new:
                    places = ", ".join("?" * len(each.rows[0]))
                    insert = f"INSERT INTO {self._table} VALUES ({places})"  # noqa: S608 - a table's name is no parameter
                    connection.executemany(insert, each.rows)
        connection.close()


def main(path: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, cents INTEGER)")
        connection.execute("CREATE TABLE reduced (id INTEGER, cents INTEGER)")
        connection.executemany("INSERT INTO orders (cents) VALUES (?)", [(100 * n,) for n in range(100_000)])

    env = StreamExecutionEnvironment.get_execution_environment()
    source = SqliteSource(path, "orders", pa.schema([("id", pa.int64()), ("cents", pa.int64())]))
    orders = env.from_source(source, WatermarkStrategy.no_watermarks(), "orders")
    orders.select("id", cents=col("cents") * 9 / 10).sink_to(SqliteSink(path, "reduced"))
    env.execute("a tenth off")

    with sqlite3.connect(path) as connection:
        for table in ("orders", "reduced"):
            sums = f"SELECT count(*), sum(cents) FROM {table}"  # noqa: S608 - one of the two names above
            print(table, *connection.execute(sums).fetchone())


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with tempfile.TemporaryDirectory(prefix="sqlite-") as scratch:
        main(str(Path(scratch) / "shop.db"))
