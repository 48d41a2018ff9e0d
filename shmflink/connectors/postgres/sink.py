"""Writing into a table of PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from shmflink.connectors.base import Committer, DeliveryGuarantee, Sink, SinkWriter, is_heir
from shmflink.connectors.postgres.session import Session, StagedTable, Target
from shmflink.connectors.postgres.writer import PostgresCommitter, PostgresWriter, WriteSettings, sink_id
from shmflink.core.changelog import Changelog
from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import ConfigurationError
from shmflink.operators.base import OperatorContext

__all__ = ["PostgresSink", "PostgresSinkBuilder", "StagedRows", "staged_rows"]


class PostgresSink(Sink):
    """*shmflink only.* Appends rows to a table, or updates it by key. Needs `shmflink[postgres]`.

    Columns are matched by name. PostgreSQL parses the text of strings, numbers, times and similar types; bytes go into
    `bytea`, durations into `interval` (or a number of microseconds), lists into arrays, or, with structs and maps, into
    `json` and `jsonb`.

    Exactly-once, the default: at each checkpoint, the rows since the previous one are committed to a staging table;
    when the checkpoint is complete, one transaction moves them into the table and records that it did. Readers see
    whole checkpoints of a subtask. The staging tables survive crashes of the job and of the server, on whichever host
    the job resumes; the price is that rows are written twice. A job without checkpoints moves all rows when it ends.

    At-least-once: rows become visible soon; after a restart some may appear twice.

    Rows are upserted if there are `key_columns`, which need a unique index: of several rows with the same key, the last
    one remains. All rows of a key must pass through one subtask (`key_by`), so that the last one is the newest.
    """

    def __init__(self, settings: WriteSettings) -> None:
        self._settings = settings

    @staticmethod
    def builder() -> PostgresSinkBuilder:
        """Begins to build a sink, with the names of Flink's JDBC connector."""
        return PostgresSinkBuilder()

    @staticmethod
    def for_table(
        url: str,
        table: str,
        *,
        key_columns: Sequence[str] = (),
        delivery_guarantee: DeliveryGuarantee = DeliveryGuarantee.EXACTLY_ONCE,
    ) -> PostgresSink:
        """Builds the usual sink. `url` is `postgresql://user:password@host:port/database` or a libpq string
        (`dbname=x`); prefer to keep passwords in `~/.pgpass`.
        """
        builder = PostgresSinkBuilder().with_url(url).with_table(table).with_key_columns(*key_columns)
        return builder.with_delivery_guarantee(delivery_guarantee).build()

    def create_writer(self, context: OperatorContext) -> SinkWriter:
        return PostgresWriter(self._settings, context)

    def create_committer(self, context: OperatorContext) -> Committer | None:
        return PostgresCommitter(self._settings, context) if self._settings.is_exactly_once else None

    def remove_leftovers(self, context: OperatorContext, kept: Sequence[StagedTable]) -> None:
        digest = sink_id(context).digest
        needed = {part.stage for part in kept}
        session = Session(self._settings.target)
        try:
            session.drop(
                stage.name
                for stage in session.stages()
                if stage.sink_digest == digest
                and stage.epoch < context.epoch
                and is_heir(context, stage.subtask)
                and stage.name not in needed
            )
        finally:
            session.close()

    def takes_updates(self, changelog: Changelog) -> bool:
        """Accepts updates by the same key, and those of per-record functions as records, like Flink's JDBC sink."""
        keys = self._settings.keys
        is_same_key = bool(keys) and changelog.key is not None and set(keys) == set(changelog.key)
        return changelog.of_records or is_same_key

    def delivery_guarantee(self, configuration: Mapping[str, str]) -> DeliveryGuarantee:
        is_idempotent = self._settings.is_exactly_once or bool(self._settings.keys)
        return DeliveryGuarantee.EXACTLY_ONCE if is_idempotent else DeliveryGuarantee.AT_LEAST_ONCE


class PostgresSinkBuilder:
    """Builds a PostgresSink; URL and table are needed."""

    def __init__(self) -> None:
        self._settings = WriteSettings(Target("", ""), (), True, 100_000, 1000, 3)

    def with_url(self, url: str) -> PostgresSinkBuilder:
        """`postgresql://...`, optionally prefixed by `jdbc:`, or a libpq string."""
        return self._with_target(url=url)

    def with_user_name(self, user_name: str) -> PostgresSinkBuilder:
        """The user, if it is not in the URL."""
        return self._with_target(user=user_name)

    def with_password(self, password: str) -> PostgresSinkBuilder:
        """The password, if it is neither in the URL nor in `~/.pgpass`."""
        return self._with_target(password=password)

    def with_table(self, table: str) -> PostgresSinkBuilder:
        """The table as written in SQL: `orders`, `sales.orders`, `"Orders"`."""
        return self._with_target(table=table)

    def with_stage_schema(self, schema: str) -> PostgresSinkBuilder:
        """The schema of the staging tables and of the sink's own two tables; by default the schema of the table."""
        return self._with_target(stage_schema=schema)

    def with_key_columns(self, *columns: str) -> PostgresSinkBuilder:
        """Enables upserts; the columns need a unique index."""
        self._settings = replace(self._settings, keys=columns)
        return self

    def with_delivery_guarantee(self, delivery_guarantee: DeliveryGuarantee) -> PostgresSinkBuilder:
        """EXACTLY_ONCE, the default, or AT_LEAST_ONCE.

        Raises:
            ConfigurationError: NONE, which would be no faster.
        """
        if delivery_guarantee is DeliveryGuarantee.NONE:
            raise ConfigurationError("a PostgreSQL sink supports EXACTLY_ONCE and AT_LEAST_ONCE")
        self._settings = replace(self._settings, is_exactly_once=delivery_guarantee is DeliveryGuarantee.EXACTLY_ONCE)
        return self

    def with_batch_size(self, size: int) -> PostgresSinkBuilder:
        """At-least-once: rows become visible after this many; 100,000 by default."""
        self._settings = replace(self._settings, flush_rows=_at_least_1("with_batch_size", size))
        return self

    def with_batch_interval_ms(self, interval_ms: int) -> PostgresSinkBuilder:
        """At-least-once: rows become visible after this time; a second by default."""
        self._settings = replace(self._settings, flush_interval_ms=_at_least_1("with_batch_interval_ms", interval_ms))
        return self

    def with_max_retries(self, max_retries: int) -> PostgresSinkBuilder:
        """How often a commit is retried if its connection breaks, before the job fails (and, if it restarts, commits
        again); 3 by default.
        """
        if max_retries < 0:
            raise ConfigurationError(f"with_max_retries() needs a number >= 0, got {max_retries}")
        self._settings = replace(self._settings, retries_max=max_retries)
        return self

    def build(self) -> PostgresSink:
        """Raises ConfigurationError if the URL or the table is missing."""
        target = self._settings.target
        if not target.url or not target.table:
            raise ConfigurationError("a PostgreSQL sink needs with_url() and with_table()")
        return PostgresSink(self._settings)

    def _with_target(self, **changes: str) -> PostgresSinkBuilder:
        self._settings = replace(self._settings, target=replace(self._settings.target, **changes))
        return self


@dataclass(frozen=True, slots=True)
class StagedRows:
    """A staging table: `about` names job, operator, subtask and checkpoint."""

    stage: str
    about: str


def staged_rows(url: str, table: str) -> Iterator[StagedRows]:
    """The staging tables of a table, including those of running jobs. If a job never runs again, its tables can be
    examined, inserted by hand, or dropped.
    """
    session = Session(Target(url, table))
    try:
        for stage in session.stages():
            yield StagedRows(stage.name, stage.about)
    finally:
        session.close()


def _at_least_1(method: str, value: int) -> int:
    if value < 1:
        raise ConfigurationError(f"{method}() needs at least 1, got {value}")
    return value
