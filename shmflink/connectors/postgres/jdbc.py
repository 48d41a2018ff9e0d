"""PyFlink's names for its JDBC sink, over the PostgreSQL sink: `INSERT INTO t (a, b) VALUES (?, ?)` and upserts.

Other databases, and other statements than inserts and upserts, are refused with an error that names an alternative.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from typing import Any, ClassVar, Final

from shmflink.connectors.base import Committer, DeliveryGuarantee, Sink, SinkWriter
from shmflink.connectors.postgres.sink import PostgresSink
from shmflink.core.batch import Batch
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.types.typeinfo import RowTypeInfo
from shmflink.errors import ConfigurationError
from shmflink.operators.base import OperatorContext

__all__ = ["JdbcConnectionOptions", "JdbcExecutionOptions", "JdbcSink"]

_STATEMENTS: Final = (
    "`INSERT INTO t (a, b) VALUES (?, ?)` and the same with `ON CONFLICT (a) DO UPDATE SET b = EXCLUDED.b`"
)
_NAME: Final = r'(?:"(?:[^"]|"")+"|\w+)'
_INSERT: Final = re.compile(
    rf"\s*insert\s+into\s+(?P<table>{_NAME}(?:\.{_NAME})*)\s*\((?P<columns>[^()]*)\)\s*values\s*\((?P<marks>[\s,?]*)\)"
    rf"(?:\s*on\s+conflict\s*\((?P<keys>[^()]*)\)\s*do\s+update\s+set\s+(?P<updates>.*?))?\s*;?\s*",
    re.IGNORECASE | re.DOTALL,
)
_UPDATE: Final = re.compile(rf"\s*({_NAME})\s*=\s*excluded\.({_NAME})\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class JdbcConnectionOptions:
    """How to connect to the database. Created by `JdbcConnectionOptions.JdbcConnectionOptionsBuilder()`."""

    url: str = ""
    driver: str = ""
    user: str = ""
    password: str = field(default="", repr=False)

    JdbcConnectionOptionsBuilder: ClassVar[Any]

    def get_db_url(self) -> str:
        return self.url

    def get_driver_name(self) -> str:
        return self.driver

    def get_user_name(self) -> str:
        return self.user

    def get_password(self) -> str:
        return self.password


class _ConnectionBuilder:
    """Builds JdbcConnectionOptions."""

    def __init__(self) -> None:
        self._options = JdbcConnectionOptions()

    def with_url(self, url: str) -> _ConnectionBuilder:
        """`jdbc:postgresql://host:port/database`."""
        self._options = replace(self._options, url=url)
        return self

    def with_driver_name(self, driver_name: str) -> _ConnectionBuilder:
        """Accepted for compatibility with Flink; has no effect: the URL determines the database."""
        self._options = replace(self._options, driver=driver_name)
        return self

    def with_user_name(self, user_name: str) -> _ConnectionBuilder:
        self._options = replace(self._options, user=user_name)
        return self

    def with_password(self, password: str) -> _ConnectionBuilder:
        self._options = replace(self._options, password=password)
        return self

    def build(self) -> JdbcConnectionOptions:
        """Raises ConfigurationError without a URL."""
        if not self._options.url:
            raise ConfigurationError("JdbcConnectionOptions: with_url() is needed")
        return self._options


JdbcConnectionOptions.JdbcConnectionOptionsBuilder = _ConnectionBuilder


@dataclass(frozen=True, slots=True)
class JdbcExecutionOptions:
    """How rows are batched. Created by `builder()`; the defaults are Flink's."""

    batch_interval_ms: int = 0
    batch_size: int = 5000
    max_retries: int = 3

    Builder: ClassVar[Any]

    @staticmethod
    def defaults() -> JdbcExecutionOptions:
        return JdbcExecutionOptions()

    @staticmethod
    def builder() -> _ExecutionBuilder:
        return _ExecutionBuilder()

    def get_batch_interval_ms(self) -> int:
        """0 = only after `batch_size` rows and at checkpoints."""
        return self.batch_interval_ms

    def get_batch_size(self) -> int:
        return self.batch_size

    def get_max_retries(self) -> int:
        return self.max_retries


class _ExecutionBuilder:
    """Builds JdbcExecutionOptions."""

    def __init__(self) -> None:
        self._options = JdbcExecutionOptions()

    def with_batch_size(self, size: int) -> _ExecutionBuilder:
        self._options = replace(self._options, batch_size=size)
        return self

    def with_batch_interval_ms(self, interval_ms: int) -> _ExecutionBuilder:
        self._options = replace(self._options, batch_interval_ms=interval_ms)
        return self

    def with_max_retries(self, max_retries: int) -> _ExecutionBuilder:
        self._options = replace(self._options, max_retries=max_retries)
        return self

    def build(self) -> JdbcExecutionOptions:
        return self._options


JdbcExecutionOptions.Builder = _ExecutionBuilder


class JdbcSink(Sink):
    """Writes rows into a PostgreSQL table, at-least-once, as in Flink. Created by `sink(...)`; for `add_sink`,
    `sink_to`.

    `PostgresSink` (*shmflink only*) writes exactly once.
    """

    def __init__(self, inner: PostgresSink, names: Sequence[str]) -> None:
        self._inner = inner
        self._names = tuple(names)

    @staticmethod
    def sink(
        sql: str,
        type_info: RowTypeInfo,
        jdbc_connection_options: JdbcConnectionOptions,
        jdbc_execution_options: JdbcExecutionOptions | None = None,
    ) -> JdbcSink:
        """A sink for rows of `type_info`, whose fields are the statement's `?` in order.

        Raises:
            ConfigurationError: a database other than PostgreSQL, or a statement of another form.
        """
        options = jdbc_connection_options
        if not options.url.startswith(("jdbc:postgresql:", "postgresql:", "postgres:")):
            raise ConfigurationError(
                f"JdbcSink: {options.url}: PostgreSQL is the only supported database in this version; write "
                f"files, or derive a "
                "class from SinkFunction that uses the database's own client"
            )
        table, names, keys = _parsed(sql)
        count = len(type_info.get_field_types())
        if count != len(names):
            raise ConfigurationError(
                f"JdbcSink: the statement has {len(names)} columns, but the rows have {count} fields: {sql}"
            )
        execution = jdbc_execution_options or JdbcExecutionOptions.defaults()
        builder = PostgresSink.builder().with_url(options.url).with_table(table).with_key_columns(*keys)
        builder.with_delivery_guarantee(DeliveryGuarantee.AT_LEAST_ONCE).with_batch_size(execution.batch_size)
        builder.with_max_retries(execution.max_retries)
        if execution.batch_interval_ms:
            builder.with_batch_interval_ms(execution.batch_interval_ms)
        for value, use in ((options.user, builder.with_user_name), (options.password, builder.with_password)):
            if value:
                use(value)
        return JdbcSink(builder.build(), names)

    def create_writer(self, context: OperatorContext) -> SinkWriter:
        return _NamingWriter(self._inner.create_writer(context), self._names)

    def create_committer(self, context: OperatorContext) -> Committer | None:
        return self._inner.create_committer(context)

    def delivery_guarantee(self, configuration: Mapping[str, str]) -> DeliveryGuarantee:
        return self._inner.delivery_guarantee(configuration)


class _NamingWriter(SinkWriter):
    """Renames the columns to the statement's names."""

    def __init__(self, inner: SinkWriter, names: Sequence[str]) -> None:
        self._inner = inner
        self._names = list(names)

    def write(self, batch: Batch) -> None:
        self._inner.write(Batch.of_columns(batch.columns().rename_columns(self._names)))

    def prepare_commit(self, checkpoint_id: int) -> Callable[[], Sequence[Any]]:
        return self._inner.prepare_commit(checkpoint_id)

    def prepare_savepoint(self, checkpoint_id: int) -> Callable[[], Sequence[Any]]:
        return self._inner.prepare_savepoint(checkpoint_id)

    @property
    def has_uncommitted(self) -> bool:
        return self._inner.has_uncommitted

    @property
    def is_available(self) -> bool:
        return self._inner.is_available

    def finish(self) -> None:
        self._inner.finish()

    @property
    def is_finished(self) -> bool:
        return self._inner.is_finished

    def close(self) -> None:
        self._inner.close()


def _parsed(sql: str) -> tuple[str, list[str], list[str]]:
    """Table, columns and key columns of an insert."""
    match = _INSERT.fullmatch(sql)
    if match is None:
        raise ConfigurationError(f"JdbcSink: {sql!r} does not have the form {_STATEMENTS}; name the columns")
    names, keys = _names(match["columns"]), _names(match["keys"] or "")
    if match["marks"].count("?") != len(names):
        raise ConfigurationError(f"JdbcSink: {len(names)} columns, {match['marks'].count('?')} `?`: {sql}")
    if keys:
        updates = [_UPDATE.fullmatch(part) for part in match["updates"].split(",")]
        updated = {_plain(part[1]) for part in updates if part is not None and _plain(part[1]) == _plain(part[2])}
        if None in updates or updated != set(names) - set(keys):
            raise ConfigurationError(
                f"JdbcSink: an upsert must set every column except the keys to EXCLUDED's value; this one does "
                f"not: {sql!r}"
            )
    return match["table"], names, keys


def _names(text: str) -> list[str]:
    return [_plain(name) for name in text.split(",") if name.strip()]


def _plain(name: str) -> str:
    """The name as PostgreSQL reads it: in lower case unless it is quoted."""
    name = name.strip()
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()
