"""Keyed state made by a user's function, row by row (`org.apache.flink.state.api.OperatorTransformation`).

The way for what columns cannot say: timers, several states at once, a function that folds many rows into one entry.
`SavepointWriter.with_keyed_state` is the fast way for everything else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pyarrow as pa

from shmflink.core.batch import Batch
from shmflink.core.clock import Clock
from shmflink.core.elements import BARRIER_SAVEPOINT, Barrier
from shmflink.core.isolation import isolated
from shmflink.core.keys.columns import encode_keys
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.types.typeinfo import ColumnsTypeInfo
from shmflink.errors import UsageError
from shmflink.operators.base import OperatorContext
from shmflink.operators.functions.process import KeyedProcessOperator
from shmflink.operators.time.processing_time import ProcessingTimeQueue
from shmflink.state.snapshots import KeyedSnapshot
from shmflink.state_processor.encoding import key_array

__all__ = ["KeyedStateBootstrapFunction", "OperatorTransformation", "StateBootstrapTransformation"]

_ROWS: Final = 1 << 16


class KeyedStateBootstrapFunction(ABC):
    """Puts rows into the state of their key.

    A job's own KeyedProcessFunction serves as well; what it emits is dropped.
    """

    def open(self, runtime_context: Any) -> None:  # noqa: B027  many have nothing to open
        """Called once: get the states here, with the descriptors of the job."""

    @abstractmethod
    def process_element(self, value: Any, ctx: Any) -> None:
        """One row of the table. `ctx` has `timestamp()`, `get_current_key()`, and `timer_service()` for timers."""

    def close(self) -> None:  # noqa: B027  many have nothing to free
        """Called once."""


@dataclass(frozen=True, slots=True)
class StateBootstrapTransformation:
    """What `SavepointWriter.with_operator` takes; made by `OperatorTransformation`."""

    table: pa.Table
    keys: tuple[str, ...] | Callable[[Any], Any]
    timestamps: str | None
    function: Any

    def run(self, name: str, max_parallelism: int, clock: Clock) -> tuple[KeyedSnapshot, ...]:
        """Calls the function for every row; returns the states of all keys.

        Raises:
            UserFunctionError: the function failed; the message has its record.
        """
        operator = KeyedProcessOperator(self.function)
        operator.open(_context(name, max_parallelism, clock))
        try:
            for batch in self.table.to_batches(max_chunksize=_ROWS):
                for _ in operator.process(self._keyed(batch)):
                    pass  # what a job's own function emits
            return operator.snapshot_state(Barrier(1, clock.processing_time_ms(), BARRIER_SAVEPOINT)).keyed
        finally:
            operator.close()

    def _keyed(self, columns: pa.RecordBatch) -> Batch:
        batch = Batch.of_columns(columns, ColumnsTypeInfo(columns.schema))
        if callable(self.keys):
            selector = self.keys
            keys = encode_keys([isolated(selector(row)) for row in batch.rows()])  # per row: the user's own function
        else:
            keys = key_array([columns.column(name) for name in self.keys])
        stamps = None if self.timestamps is None else columns.column(self.timestamps).cast(pa.int64())
        return batch.with_keys(keys).with_timestamps(stamps)


@dataclass(frozen=True, slots=True)
class OperatorTransformation:
    """`OperatorTransformation.bootstrap_with(table).key_by("account").transform(MyFunction())`."""

    _table: pa.Table
    _keys: tuple[str, ...] | Callable[[Any], Any] = ()
    _timestamps: str | None = None

    @staticmethod
    def bootstrap_with(table: Any) -> OperatorTransformation:
        """`table`: of pyarrow, or any object with Arrow columns. A row is a Row, as in a job that reads these
        columns.
        """
        return OperatorTransformation(as_table(table))

    def key_by(self, *keys: str | Callable[[Any], Any]) -> OperatorTransformation:
        """Columns, several of which are a tuple; or one function of a row. As the job does it."""
        if len(keys) == 1 and callable(keys[0]):
            return replace(self, _keys=keys[0])
        names = tuple(key for key in keys if isinstance(key, str))
        missing = [name for name in names if name not in self._table.column_names]
        if missing or len(names) != len(keys) or not names:
            raise UsageError(f"key_by() takes columns of {self._table.column_names} or one function, got {keys}")
        return replace(self, _keys=names)

    def assign_timestamps(self, column: str) -> OperatorTransformation:
        """*shmflink only.* The column of the rows' event time: a timestamp, or milliseconds."""
        if column not in self._table.column_names:
            raise UsageError(f"assign_timestamps() takes one of {self._table.column_names}, got {column!r}")
        kind = self._table.schema.field(column).type
        if pa.types.is_timestamp(kind):
            at = self._table.column_names.index(column)
            stamps = self._table[column].cast(pa.timestamp("ms"), safe=False)
            return replace(self, _table=self._table.set_column(at, column, stamps), _timestamps=column)
        return replace(self, _timestamps=column)

    def transform(self, function: Any) -> StateBootstrapTransformation:
        """`function`: a KeyedStateBootstrapFunction or a KeyedProcessFunction."""
        if not self._keys:
            raise UsageError("transform(): call key_by() first: keyed state needs keys")
        if not callable(getattr(function, "process_element", None)):
            raise UsageError(f"transform() takes a KeyedStateBootstrapFunction, got {function!r}")
        return StateBootstrapTransformation(self._table, self._keys, self._timestamps, function)


def as_table(data: Any) -> pa.Table:
    """Raises UsageError where `data` has no Arrow columns."""
    if isinstance(data, pa.Table):
        return data
    try:
        return pa.table(data)
    except (TypeError, ValueError) as error:
        raise UsageError(f"expected a table with Arrow columns, got {type(data).__name__}: {error}") from None


class _NoMailbox:
    """Nobody can be called back here."""

    def put(self, action: Any) -> None:
        raise UsageError("a bootstrap function must not call back from other threads")

    def wake(self) -> None:
        """Nothing sleeps."""


def _context(name: str, max_parallelism: int, clock: Clock) -> OperatorContext:
    return OperatorContext(
        operator_name=name,
        operator_id="0" * 32,
        task_name=name,
        subtask_index=0,
        parallelism=1,
        max_parallelism=max_parallelism,
        attempt=0,
        is_batch=False,
        configuration={},
        mailbox=_NoMailbox(),
        clock=clock,
        processing_time=ProcessingTimeQueue(clock).service(0),
        key_groups=range(max_parallelism),
    )
