"""Writes the rows of one subtask into PostgreSQL, and makes them visible."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa

from shmflink._core import csv_lines
from shmflink.connectors.base import Committer, SinkWriter
from shmflink.connectors.file_system.writing.encoders import BulkWriterFactory, conform
from shmflink.connectors.postgres.columns import StagedColumn, names, plain_columns, quoted, staged_columns
from shmflink.connectors.postgres.session import Session, SinkId, StagedTable, Target, refused
from shmflink.core.batch import Batch
from shmflink.core.clock import Clock
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.outbox import Outbox
from shmflink.errors import ConfigurationError, DataFormatError, ResourceError
from shmflink.operators.base import OperatorContext

__all__ = ["PostgresCommitter", "PostgresWriter", "WriteSettings", "sink_id"]

_BATCHES_WAITING_MAX: Final = 4
_PIECE_ROWS: Final = 32_768
_NULL: Final = "\\N"
_FORMAT: Final = f"(FORMAT csv, NULL '{_NULL}')"
"""Null has a distinct text: an empty line of one column could mean an empty string or nothing."""
_ROW: Final = "_shmflink_row"
_RETRY_SECONDS: Final = 0.5
_ABANDON_TIMEOUT: Final = "1s"
_CANCELS_MAX: Final = 20
_CANCEL_SECONDS: Final = 0.25


@dataclass(frozen=True, slots=True)
class WriteSettings:
    """`keys`: columns of a unique index, for upserts. Unless `is_exactly_once`, rows become visible after `flush_rows`,
    after `flush_interval_ms`, and at every checkpoint.
    """

    target: Target
    keys: tuple[str, ...]
    is_exactly_once: bool
    flush_rows: int
    flush_interval_ms: int
    retries_max: int


class PostgresWriter(SinkWriter):
    """Makes batches independent of the slot's memory; a separate thread talks to the server."""

    def __init__(self, settings: WriteSettings, context: OperatorContext) -> None:
        self._is_exactly_once = settings.is_exactly_once
        self._columns = _Columns()
        self._has_uncommitted = False
        self._stream = _Stream(settings, context)
        is_timed = not settings.is_exactly_once
        self._outbox = Outbox(
            f"postgres {context.task_name}",
            context.mailbox,
            self._stream.write,
            self._stream.flush if is_timed else lambda: None,
            items_max=_BATCHES_WAITING_MAX,
            idle=self._stream.flush if is_timed else None,
            idle_seconds=settings.flush_interval_ms / 1000 if is_timed else None,
        )
        self._outbox.call(self._stream.open)

    def write(self, batch: Batch) -> None:
        if batch.num_rows:
            self._has_uncommitted = True
            self._outbox.put(self._columns.encode(batch))

    def prepare_commit(self, checkpoint_id: int) -> Callable[[], Sequence[StagedTable]]:
        self._has_uncommitted = False
        return self._outbox.call(lambda: self._stream.barrier(checkpoint_id))

    @property
    def has_uncommitted(self) -> bool:
        return self._is_exactly_once and self._has_uncommitted

    @property
    def is_available(self) -> bool:
        return self._outbox.is_available

    def finish(self) -> None:
        if not self._is_exactly_once:
            self._outbox.finish()

    @property
    def is_finished(self) -> bool:
        if self._is_exactly_once:
            self._outbox.raise_error()
            return not self._has_uncommitted
        return self._outbox.is_finished

    def close(self) -> None:
        # Repeated: a statement that does not wait for the server yet at the first cancel may wait a moment later.
        for _ in range(_CANCELS_MAX):
            self._stream.interrupt()
            if self._outbox.close(_CANCEL_SECONDS):
                self._stream.close()
                return


class _Columns(BulkWriterFactory):
    """The error for records that are not columns, as for file formats."""

    def create(self, file: Any, first: Any) -> Any:
        raise AssertionError("not a file")


class _Stream:
    """The open transaction with the rows since the last barrier. Used only by the outbox's thread."""

    def __init__(self, settings: WriteSettings, context: OperatorContext) -> None:
        self._settings = settings
        self._clock: Clock = context.clock
        self._subtask = context.subtask_index
        self._sink = sink_id(context)
        self._about = f"shmflink job {context.job_id}, operator {context.operator_name!r}, subtask {self._subtask}"
        self._session: Session | None = None
        self._copy: Any = None
        self._schema: pa.Schema | None = None
        self._stage = self._insert = ""
        self._count = self._rows = self._begun_ms = 0
        self._is_interrupted = False

    def open(self) -> None:
        self._session = Session(self._settings.target)
        self._session.begin_attempt(self._sink)
        if self._is_interrupted:
            raise ResourceError("the writer was closed")

    def write(self, rows: pa.RecordBatch) -> None:
        if self._copy is None:
            self._begin(rows.schema)
        assert self._schema is not None
        rows = plain_columns(conform(rows, self._schema))
        try:
            for start in range(0, rows.num_rows, _PIECE_ROWS):
                self._copy.write(_lines(rows.slice(start, _PIECE_ROWS)))
        except Exception as error:
            raise self._refused(error) from error
        self._rows += rows.num_rows
        if not self._settings.is_exactly_once and self._is_full():
            self.flush()

    def barrier(self, checkpoint_id: int) -> list[StagedTable]:
        """Makes the rows since the last barrier durable in their staging table; does nothing if there are none."""
        if self._copy is None:
            return []
        if not self._settings.is_exactly_once:
            self.flush()
            return []
        session = self._end_copy()
        session.execute(f"COMMENT ON TABLE {self._stage} IS {_literal(f'{self._about}, checkpoint {checkpoint_id}')}")
        session.check_attempt(self._sink)
        session.commit()
        return [StagedTable(self._stage, self._insert, self._sink.text, self._subtask, checkpoint_id)]

    def flush(self) -> None:
        """At-least-once: makes the written rows visible."""
        if self._copy is None:
            return
        session = self._end_copy()
        session.check_attempt(self._sink)
        if self._insert:
            session.execute(self._insert)
        session.commit()

    def interrupt(self) -> None:
        """Interrupts a statement that waits for the server. Any thread."""
        self._is_interrupted = True
        session = self._session
        if session is not None:
            with contextlib.suppress(Exception):
                session.connection.cancel()

    def close(self) -> None:
        if self._session is not None:
            self._session.close()

    def _begin(self, schema: pa.Schema) -> None:
        session = self._session
        assert session is not None, "write() before open()"
        columns = staged_columns(session.table, session.columns, schema)
        missing = [key for key in self._settings.keys if key not in schema.names]
        if missing:
            raise ConfigurationError(f"{session.table}: the rows lack the key columns {', '.join(missing)}")
        self._stage, self._insert = self._make_stage(session, columns)
        self._schema = schema
        self._rows, self._begun_ms = 0, self._clock.processing_time_ms()
        try:
            copying = session.connection.cursor().copy(f"COPY {self._stage} ({names(columns)}) FROM STDIN {_FORMAT}")
            self._copy = _Copy(copying)
        except Exception as error:
            raise self._refused(error) from error

    def _make_stage(self, session: Session, columns: Sequence[StagedColumn]) -> tuple[str, str]:
        """Creates the table that receives the COPY, and the statement that moves its rows into the target."""
        keys = self._settings.keys
        if not self._settings.is_exactly_once and not keys and all(c.expression == quoted(c.name) for c in columns):
            return session.table, ""
        definitions = [f"{quoted(column.name)} {column.stage_type}" for column in columns]
        if keys:
            definitions.append(f"{_ROW} bigint GENERATED ALWAYS AS IDENTITY")
        stage = quoted(f"_shmflink_{self._sink.digest}_{self._sink.epoch}_{self._subtask}_{self._count}")
        self._count += 1
        if self._settings.is_exactly_once:
            stage = f"{session.schema}.{stage}"
            session.execute(f"CREATE TABLE {stage} ({', '.join(definitions)}) WITH (autovacuum_enabled = off)")
        else:
            session.execute(f"CREATE TEMP TABLE {stage} ({', '.join(definitions)}) ON COMMIT DROP")
        return stage, _insert(session.table, stage, columns, keys)

    def _end_copy(self) -> Session:
        copy, self._copy = self._copy, None
        try:
            copy.end()
        except Exception as error:
            raise self._refused(error) from error
        assert self._session is not None
        return self._session

    def _is_full(self) -> bool:
        age_ms = self._clock.processing_time_ms() - self._begun_ms
        return self._rows >= self._settings.flush_rows or age_ms >= self._settings.flush_interval_ms

    def _refused(self, error: Exception) -> Exception:
        # A row that does not fit is the program's error; SQLSTATE 22 is "data exception".
        if (getattr(error, "sqlstate", None) or "").startswith("22"):
            return DataFormatError(str(refused(self._settings.target, error)))
        return refused(self._settings.target, error)


class _Copy:
    """A COPY that stays open across function calls."""

    def __init__(self, copying: contextlib.AbstractContextManager[Any]) -> None:
        self._copying = copying
        self.write: Callable[[bytes], None] = copying.__enter__().write

    def end(self) -> None:
        self._copying.__exit__(None, None, None)


class PostgresCommitter(Committer):
    """Moves staged rows into the target; one transaction for all rows that are due."""

    def __init__(self, settings: WriteSettings, context: OperatorContext) -> None:
        self._settings = settings
        self._sink = sink_id(context)
        self._session: Session | None = None
        self._closed = threading.Event()

    def commit(self, committables: Sequence[StagedTable]) -> None:
        """Retries if the connection breaks, also because it may break after the server has committed."""
        for retries_left in range(self._settings.retries_max, -1, -1):
            try:
                self._commit(committables)
                return
            except ResourceError as error:
                self._drop_session()
                if not retries_left or not _is_broken_connection(error) or self._closed.wait(_RETRY_SECONDS):
                    raise

    def abandon(self, committables: Sequence[StagedTable]) -> None:
        with contextlib.suppress(Exception):
            self._drop_session()
            session = self._session = Session(self._settings.target)
            session.execute(f"SET lock_timeout = '{_ABANDON_TIMEOUT}'")  # short, because the slot waits
            for part in committables:
                session.execute(f"DROP TABLE IF EXISTS {part.stage}")
            session.commit()

    def close(self) -> None:
        self._closed.set()
        self._drop_session()

    def _commit(self, committables: Sequence[StagedTable]) -> None:
        session = self._open_session()
        try:
            session.check_attempt(self._sink)
            session.make_visible(committables)
            session.commit()
        except BaseException:
            session.rollback()
            raise

    def _open_session(self) -> Session:
        if self._session is None:
            self._session = Session(self._settings.target)
            self._session.begin_attempt(self._sink)
        return self._session

    def _drop_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()


def sink_id(context: OperatorContext) -> SinkId:
    """The session of the subtask's attempt."""
    return SinkId(context.job_id, context.operator_id, context.subtask_index, context.epoch, context.ha_identity)


def _insert(table: str, stage: str, columns: Sequence[StagedColumn], keys: Sequence[str]) -> str:
    into = f"INSERT INTO {table} ({names(columns)})"
    values = ", ".join(f"{column.expression} AS {quoted(column.name)}" for column in columns)
    if not keys:
        return f"{into} SELECT {values} FROM {stage}"
    key = ", ".join(map(quoted, keys))
    updates = [f"{quoted(c.name)} = excluded.{quoted(c.name)}" for c in columns if c.name not in keys]
    action = f"DO UPDATE SET {', '.join(updates)}" if updates else "DO NOTHING"
    # An upsert must not affect a row twice, so only the last row of each key is used.
    last = f"SELECT DISTINCT ON ({key}) * FROM {stage} ORDER BY {key}, {_ROW} DESC"
    return f"{into} SELECT {values} FROM ({last}) AS staged ON CONFLICT ({key}) {action}"


def _lines(rows: pa.RecordBatch) -> bytes:
    # A line that consists of `\\.` would end the data; in quotes it does not.
    quoting = "all" if rows.num_columns == 1 else "minimal"
    return csv_lines(rows, delimiter=ord(","), quote=ord('"'), quoting=quoting, null_text=_NULL)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''").replace("\\", "") + "'"


def _is_broken_connection(error: ResourceError) -> bool:
    import psycopg

    cause = error.__cause__
    return isinstance(cause, psycopg.OperationalError)
