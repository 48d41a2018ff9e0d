"""One connection of a sink: the statements that its writers and committers send to PostgreSQL.

Besides the target table, the sink keeps two tables and, between the phases of a commit, one staging table for each
subtask and checkpoint that has rows::

    shmflink_sinks     sink, subtask, epoch         the newest attempt of each subtask: older ones are refused
    shmflink_commits   sink, subtask, checkpoint_id up to which checkpoint each subtask's rows are in the target
    _shmflink_<sink>_<epoch>_<subtask>_<number>     staged rows; its comment names job and checkpoint

`sink` is the job's id, the identity of the HA directory that keeps the job, and the operator's id, so that any number
of jobs may use one database; `<sink>` is a digest of it. A commit is one transaction: rows from the staging table into
the target, the row of `shmflink_commits`, the removal of the staging table. If any process dies, either all of this has
happened or nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from shmflink.connectors.postgres.columns import quoted
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.serialization.plain_values import register_plain
from shmflink.errors import ConfigurationError, ResourceError, ShmflinkError, StagedDataLostError

if TYPE_CHECKING:  # an optional package
    from psycopg import Cursor

__all__ = ["Session", "SinkId", "Stage", "StagedTable", "Target", "refused"]

_LOCK_TIMEOUT: Final = "60s"
_PATIENCE: Final = {"connect_timeout": "10", "tcp_user_timeout": "60000"}
"""The default if the URL sets none: a server that does not answer finally becomes an error."""
_STAGE: Final = re.compile(r"_shmflink_(?P<sink>[0-9a-f]{16})_(?P<epoch>\d+)_(?P<subtask>\d+)_\d+")


@dataclass(frozen=True, slots=True)
class Target:
    """A table: its name as the user writes it, the URL of the database, and the URL without password for messages."""

    url: str
    table: str
    user: str | None = None
    password: str | None = None
    stage_schema: str | None = None

    def __repr__(self) -> str:
        return f"Target({self.table!r})"


@dataclass(frozen=True, slots=True)
class SinkId:
    """One attempt of one subtask of a sink in a job; `text` is the sink's key in its own tables."""

    job_id: str
    operator_id: str
    subtask: int
    epoch: int
    ha_identity: str = ""

    @property
    def text(self) -> str:
        job = f"{self.job_id}-{self.ha_identity}" if self.ha_identity else self.job_id
        return f"{job}/{self.operator_id}"

    @property
    def digest(self) -> str:
        return hashlib.blake2b(self.text.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class Stage:
    """A staging table that was found. `name` as written in SQL; `about` is its comment."""

    name: str
    sink_digest: str
    epoch: int
    subtask: int
    about: str


@dataclass(frozen=True, slots=True)
class StagedTable:
    """Rows that are in the database and not yet in the target. `insert` is the statement that moves them."""

    stage: str
    insert: str
    sink: str
    subtask: int
    checkpoint_id: int


class Session:
    """Used by one thread at a time. Raises ResourceError if the server reports an error."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self.connection: Any = _connect(target)
        try:
            self.execute(f"SET lock_timeout = '{_LOCK_TIMEOUT}'")
            self.execute("SET idle_in_transaction_session_timeout = 0")  # a stage is open from barrier to barrier
            row = self.execute(
                "SELECT quote_ident(n.nspname), n.nspname, quote_ident(n.nspname) || '.' || quote_ident(c.relname), "
                "c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass(%s)",
                [target.table],
            ).fetchone()
            schema = self._only_row("SELECT quote_ident(current_schema()), current_schema()")
            own = (quoted(target.stage_schema), target.stage_schema) if target.stage_schema else (row or schema)[:2]
            _check_schema(own[0])
            self.schema: str = own[0]
            self._schema_name: str = own[1]
            self.table: str = row[2] if row else target.table
            self.columns = self._columns_of(row[3]) if row else {}
            self.connection.commit()
        except BaseException:
            self.close()
            raise

    def execute(self, statement: str, values: Sequence[Any] | None = None) -> Cursor[Any]:
        """Executes a statement in the open transaction, or begins one; returns the cursor."""
        try:
            cursor: Cursor[Any] = self.connection.execute(statement, values)
        except Exception as error:
            raise refused(self._target, error) from error
        return cursor

    def _only_row(self, statement: str, values: Sequence[Any] | None = None) -> tuple[Any, ...]:
        """The row of a statement that returns exactly one."""
        (row,) = self.execute(statement, values).fetchall()
        return tuple(row)

    def commit(self) -> None:
        """Commits the open transaction."""
        try:
            self.connection.commit()
        except Exception as error:
            raise refused(self._target, error) from error

    def rollback(self) -> None:
        """Rolls the open transaction back. Never raises."""
        with contextlib.suppress(Exception):
            self.connection.rollback()

    def begin_attempt(self, sink: SinkId) -> None:
        """Creates the sink's own tables, and records this attempt of the subtask as the newest."""
        # `IF NOT EXISTS` alone fails if two sessions create the same table at the same time.
        self.execute("SELECT pg_advisory_xact_lock(hashtext('shmflink'))")
        self.execute(
            f"CREATE TABLE IF NOT EXISTS {self.schema}.shmflink_sinks (sink text, subtask int, epoch bigint, "
            "PRIMARY KEY (sink, subtask))"
        )
        self.execute(
            f"CREATE TABLE IF NOT EXISTS {self.schema}.shmflink_commits (sink text, subtask int, checkpoint_id bigint, "
            "committed_at timestamptz DEFAULT now(), PRIMARY KEY (sink, subtask))"
        )
        self.execute(
            f"INSERT INTO {self.schema}.shmflink_sinks AS s VALUES (%s, %s, %s) ON CONFLICT (sink, subtask) "
            "DO UPDATE SET epoch = excluded.epoch WHERE s.epoch < excluded.epoch",
            [sink.text, sink.subtask, sink.epoch],
        )
        self.check_attempt(sink)
        self.commit()

    def check_attempt(self, sink: SinkId) -> None:
        """Called inside a transaction, for which a newer attempt then waits.

        Raises:
            ResourceError: there is a newer attempt: the caller was considered dead and must not write.
        """
        found = self.execute(
            f"SELECT epoch FROM {self.schema}.shmflink_sinks WHERE sink = %s AND subtask = %s FOR SHARE",
            [sink.text, sink.subtask],
        ).fetchone()
        if found is None or found[0] > sink.epoch:
            self.rollback()
            raise ResourceError(
                f"{self.table}: attempt {sink.epoch} of subtask {sink.subtask} was replaced by attempt "
                f"{found[0] if found else '?'}; its further writes are refused"
            )

    def make_visible(self, staged: Sequence[StagedTable]) -> None:
        """Runs in the open transaction. Rows that are already visible are left alone.

        Raises:
            StagedDataLostError: a staging table is gone, and its rows are not in the target.
        """
        for part in staged:
            schema = part.stage.rpartition(".")[0]
            key = [part.sink, part.subtask]
            self.execute(f"INSERT INTO {schema}.shmflink_commits VALUES (%s, %s, -1) ON CONFLICT DO NOTHING", key)
            # From here on, concurrent commits of the same rows wait for each other.
            (done,) = self._only_row(
                f"SELECT checkpoint_id FROM {schema}.shmflink_commits WHERE sink = %s AND subtask = %s FOR UPDATE", key
            )
            (exists,) = self._only_row("SELECT to_regclass(%s) IS NOT NULL", [part.stage])
            if not exists:
                if done >= part.checkpoint_id:
                    continue
                raise StagedDataLostError(
                    f"{self.table}: the rows of subtask {part.subtask} and checkpoint {part.checkpoint_id} were staged "
                    f"in {part.stage}, which no longer exists: they are lost. Restore an older checkpoint or savepoint"
                )
            self.execute(part.insert)
            self.execute(f"DROP TABLE {part.stage}")
            self.execute(
                f"UPDATE {schema}.shmflink_commits SET checkpoint_id = greatest(checkpoint_id, %s), "
                "committed_at = now() WHERE sink = %s AND subtask = %s",
                [part.checkpoint_id, *key],
            )

    def stages(self) -> list[Stage]:
        """All staging tables in the schema."""
        found = self.execute(
            "SELECT c.relname, obj_description(c.oid, 'pg_class') FROM pg_class c JOIN pg_namespace n "
            "ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relkind = 'r' AND c.relname LIKE '\\_shmflink\\_%%' "
            "ORDER BY c.relname",
            [self._schema_name],
        ).fetchall()
        self.commit()
        matches = [(_STAGE.fullmatch(name), name, comment) for name, comment in found]
        return [
            Stage(
                f"{self.schema}.{quoted(name)}",
                match["sink"],
                int(match["epoch"]),
                int(match["subtask"]),
                comment or "",
            )
            for match, name, comment in matches
            if match is not None
        ]

    def drop(self, stages: Iterable[str]) -> None:
        """Drops staging tables, one after the other."""
        for stage in stages:
            self.execute(f"DROP TABLE IF EXISTS {stage}")
            self.commit()

    def close(self) -> None:
        """Closes the connection; the server discards what was not committed."""
        with contextlib.suppress(Exception):
            self.connection.close()

    def _columns_of(self, oid: int) -> dict[str, str]:
        return dict(
            self.execute(
                "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
                "WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum",
                [oid],
            ).fetchall()
        )


def refused(target: Target, error: Exception) -> ShmflinkError:
    """The error message of the server or the connection, in one line."""
    if isinstance(error, ShmflinkError):
        return error
    text = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
    return ResourceError(f"PostgreSQL table {target.table}: {text or type(error).__name__}")


def _check_schema(name: str | None) -> None:
    if name is None:
        raise ConfigurationError("no schema in the search path exists: name one, as in schema.table")


def _connect(target: Target) -> Any:
    try:
        import psycopg  # an extra of the package
    except ImportError:
        raise ConfigurationError("the PostgreSQL sink needs psycopg: pip install 'shmflink[postgres]'") from None
    given = {**_PATIENCE, "user": target.user, "password": target.password}
    try:
        words = psycopg.conninfo.conninfo_to_dict(target.url.removeprefix("jdbc:"))
        missing = {name: value for name, value in given.items() if value is not None and name not in words}
        return psycopg.connect(psycopg.conninfo.make_conninfo("", **words, **missing))
    except psycopg.ProgrammingError as error:
        raise ConfigurationError(f"PostgreSQL: the URL cannot be read: {error}") from error
    except psycopg.Error as error:
        raise refused(target, error) from error


register_plain(StagedTable)
