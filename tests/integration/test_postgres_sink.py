"""The PostgreSQL sink against a real server, killed at each step of its commit."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Iterator
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from oracle.postgres_server import PostgresServer
from oracle.two_phases import Attempt, Poller

from shmflink.checkpoint.handles import FINAL_CHECKPOINT_ID
from shmflink.connectors.base import DeliveryGuarantee
from shmflink.connectors.postgres.session import Session
from shmflink.connectors.postgres.sink import PostgresSink, staged_rows
from shmflink.core.batch import Batch
from shmflink.core.elements import Barrier
from shmflink.errors import ConfigurationError, DataFormatError, ResourceError, TypeMismatchError
from shmflink.taskmanager.sink import COMMITTABLES_STATE


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    made = PostgresServer()
    yield made
    made.stop()


@pytest.fixture
def table(server: PostgresServer) -> str:
    """An empty database schema with one table, and nothing of the tests before."""
    server.rows("DROP SCHEMA public CASCADE")
    server.rows("CREATE SCHEMA public")
    server.rows("CREATE TABLE numbers (n bigint)")
    return "numbers"


def rows(*numbers: int) -> Batch:
    return Batch.of_columns(pa.record_batch({"n": pa.array(numbers, pa.int64())}))


def numbers(server: PostgresServer) -> list[int]:
    return [n for (n,) in server.rows("SELECT n FROM numbers ORDER BY n")]


def stages(server: PostgresServer) -> list[str]:
    return [staged.about for staged in staged_rows(server.url, "numbers")]


def test_rows_are_visible_when_their_checkpoint_is_complete(server: PostgresServer, table: str) -> None:
    """[E1] [E9]"""
    attempt = Attempt(PostgresSink.for_table(server.url, table))
    attempt.write(rows(1, 2), rows(3))
    checkpoint = attempt.checkpoint(1)
    assert numbers(server) == []
    (about,) = stages(server)
    assert "operator 'sink', subtask 0, checkpoint 1" in about
    attempt.write(rows(4))
    attempt.complete(1)
    assert numbers(server) == [1, 2, 3]
    for checkpoint_id in range(2, 12):
        checkpoint = attempt.checkpoint(checkpoint_id)
        attempt.complete(checkpoint_id)
    assert checkpoint.elements(COMMITTABLES_STATE) == []
    assert numbers(server) == [1, 2, 3, 4]
    assert stages(server) == []
    attempt.close()
    assert server.rows("SELECT subtask, checkpoint_id FROM shmflink_commits") == [(0, 2)]


@pytest.mark.parametrize("crash", ["before the checkpoint", "before the commit", "in the commit", "after the commit"])
@pytest.mark.parametrize("victim", ["job", "server"])
def test_a_crash_at_each_step(
    server: PostgresServer, table: str, crash: str, victim: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[E1] [E2] [E3] [E4]"""
    sink = PostgresSink.for_table(server.url, table)
    first = Attempt(sink, 2)
    first.write(rows(1), subtask=0)
    first.write(rows(2), subtask=1)
    checkpoint = first.checkpoint(1)
    first.complete(1)
    first.write(rows(3), subtask=0)
    first.write(rows(4), subtask=1)
    replayed = [5]
    if crash == "before the checkpoint":
        first.checkpoint(2)
        replayed = [3, 4, 5]
    else:
        checkpoint = first.checkpoint(2)
        first.write(rows(5))
    if crash == "in the commit":
        die_before_the_end_of_the_transaction(monkeypatch)
        with pytest.raises(KeyboardInterrupt):
            first.complete(2)
        for operator in first.operators:
            operator._commits._outbox._thread.join()
        monkeypatch.undo()
    elif crash == "after the commit":
        first.complete(2)
    if victim == "server":
        server.kill()
        server.start()
    kill(first)
    assert numbers(server) == ([1, 2, 3, 4] if crash == "after the commit" else [1, 2])

    second = Attempt(sink, 3, epoch=2, restored=checkpoint)
    second.settle()
    second.write(rows(*replayed))
    second.finish()
    second.checkpoint(3)
    second.complete(3)
    assert numbers(server) == [1, 2, 3, 4, 5]
    assert stages(server) == []
    second.close()


def kill(attempt: Attempt) -> None:
    """The process is gone: its connections break, and nothing is said to anybody."""
    for operator in attempt.operators:
        for session in (operator._writer._stream._session, operator._commits._committer._session):
            if session is not None:
                session.connection.close()
        operator._writer._outbox.close()
        operator._commits._outbox.close()


def die_before_the_end_of_the_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    visible = Session.make_visible

    def die(self: Session, staged: Any) -> None:
        visible(self, staged)
        raise KeyboardInterrupt

    monkeypatch.setattr(Session, "make_visible", die)


def test_a_connection_that_breaks_in_the_commit_is_made_again(
    server: PostgresServer, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[E3] The server has committed; the answer never came."""
    committed = Session.commit
    breaks = [1]

    def commit(self: Session) -> None:
        committed(self)
        if breaks and self.connection.info.transaction_status == 0 and numbers(server):
            breaks.pop()
            raise ResourceError("the connection is lost") from psycopg.OperationalError()

    attempt = Attempt(PostgresSink.for_table(server.url, table))
    attempt.write(rows(1))
    attempt.checkpoint(1)
    monkeypatch.setattr(Session, "commit", commit)
    attempt.complete(1)
    assert not breaks
    assert numbers(server) == [1]
    attempt.close()


def test_a_zombie_writes_nothing_and_commits_nothing(server: PostgresServer, table: str) -> None:
    """[E7] A stopped process that wakes up after its successor has started."""
    sink = PostgresSink.for_table(server.url, table)
    zombie = Attempt(sink)
    zombie.write(rows(1))
    checkpoint = zombie.checkpoint(1)
    zombie.write(rows(2))
    successor = Attempt(sink, epoch=2, restored=checkpoint)
    successor.checkpoint(2)
    with pytest.raises(ResourceError, match="attempt 1 of subtask 0 was replaced by attempt 2"):
        zombie.complete(1)
    zombie.close()
    late = Attempt(sink)
    with pytest.raises(ResourceError, match="replaced by attempt 2"):
        late.checkpoint(2)
    late.close()
    successor.settle()
    assert numbers(server) == [1]
    successor.close()
    assert stages(server) == []


def test_a_zombies_writer_is_refused(server: PostgresServer, table: str) -> None:
    """[E7]"""
    zombie = Attempt(PostgresSink.for_table(server.url, table))
    zombie.write(rows(1))
    successor = Attempt(PostgresSink.for_table(server.url, table), epoch=2)
    successor.checkpoint(1)
    with pytest.raises(ResourceError, match="replaced by attempt 2"):
        zombie.checkpoint(1)
    zombie.close()
    successor.close()
    assert numbers(server) == []
    assert stages(server) == []


@pytest.mark.parametrize(("before", "after"), [(3, 1), (1, 3), (3, 2)])
def test_rescaling_with_staged_rows(server: PostgresServer, table: str, before: int, after: int) -> None:
    """[E12]"""
    sink = PostgresSink.for_table(server.url, table)
    first = Attempt(sink, before)
    for checkpoint_id in (1, 2):
        for subtask in range(before):
            first.write(rows(10 * checkpoint_id + subtask), subtask=subtask)
        checkpoint = first.checkpoint(checkpoint_id)
    kill(first)
    second = Attempt(sink, after, epoch=2, restored=checkpoint)
    second.settle()
    expected = [10 * checkpoint_id + subtask for checkpoint_id in (1, 2) for subtask in range(before)]
    assert numbers(server) == expected
    second.close()
    third = Attempt(sink, before, epoch=3, restored=checkpoint)
    third.settle()
    assert numbers(server) == expected
    third.close()


def test_a_subtask_that_is_restarted_alone_leaves_the_others_rows(server: PostgresServer, table: str) -> None:
    """[E4] [E7] The others run on in their older attempt: they are no zombies."""
    sink = PostgresSink.for_table(server.url, table)
    first = Attempt(sink, 2)
    for subtask in range(2):
        first.write(rows(subtask), subtask=subtask)
    checkpoint = first.checkpoint(1)
    again = Attempt(sink, 2, epoch=2, restored=checkpoint, subtasks=[0])
    again.settle()
    assert numbers(server) == [0]
    zombie, running = first.operators
    with pytest.raises(ResourceError, match="replaced by attempt 2"):
        first.complete(1)
    first.operators = [running]
    first.write(rows(11))
    first.checkpoint(2)
    first.complete(2)
    assert numbers(server) == [0, 1, 11]
    zombie.close()
    first.close()
    again.close()


def test_leftovers_of_this_job_go_and_those_of_others_are_listed(server: PostgresServer, table: str) -> None:
    """[E4] [E13]"""
    sink = PostgresSink.for_table(server.url, table)
    other = Attempt(sink, job_id="c" * 32)
    other.write(rows(7))
    other.checkpoint(1)
    for epoch in range(1, 4):
        lost = Attempt(sink, epoch=epoch)
        lost.write(rows(epoch))
        lost.checkpoint(1)
        kill(lost)
    last = Attempt(sink, epoch=4)
    last.settle()
    (about,) = stages(server)
    assert about == f"shmflink job {'c' * 32}, operator 'sink', subtask 0, checkpoint 1"
    last.close()
    other.complete(1)
    other.close()
    assert numbers(server) == [7]


def test_a_database_that_an_older_job_used_is_as_good_as_new(server: PostgresServer, table: str) -> None:
    """Its attempts had higher numbers, and its commits went further: they are another job's."""
    sink = PostgresSink.for_table(server.url, table)
    older = Attempt(sink, job_id="c" * 32, epoch=1010)
    older.write(rows(1))
    older.checkpoint(900)
    older.complete(900)
    older.close()
    first = Attempt(sink, epoch=0)
    first.write(rows(2))
    checkpoint = first.checkpoint(1)
    kill(first)
    second = Attempt(sink, epoch=1, restored=checkpoint)
    second.settle()
    second.close()
    assert numbers(server) == [1, 2]
    assert server.rows("SELECT count(*), max(checkpoint_id) FROM shmflink_commits") == [(2, 900)]


def test_a_copy_of_an_ha_directory_leaves_the_originals_rows_alone(server: PostgresServer, table: str) -> None:
    """Same job id, same operator: neither takes the other for a zombie, or its stages for leftovers."""
    sink = PostgresSink.for_table(server.url, table)
    first = Attempt(sink, ha_identity="1" * 16)
    first.write(rows(1))
    first.checkpoint(1)
    copy = Attempt(sink, epoch=1001, ha_identity="2" * 16)
    copy.write(rows(2))
    copy.checkpoint(1)
    for attempt in (first, copy):
        attempt.complete(1)
        attempt.close()
    assert numbers(server) == [1, 2]
    assert stages(server) == []


def test_a_reader_sees_whole_checkpoints(server: PostgresServer, table: str) -> None:
    """[E5] Ten rows each; a job that is killed now and then."""

    def look() -> None:
        count, different = server.rows("SELECT count(*), count(DISTINCT n) FROM numbers")[0]
        assert count == different
        assert count % 10 == 0

    poller = Poller(look)
    sink = PostgresSink.for_table(server.url, table)
    attempt = Attempt(sink)
    for checkpoint_id in range(1, 16):
        for n in range(10):
            attempt.write(rows(10 * checkpoint_id + n))
        checkpoint = attempt.checkpoint(checkpoint_id)
        if checkpoint_id % 4:
            attempt.complete(checkpoint_id)
        else:
            kill(attempt)
            attempt = Attempt(sink, epoch=checkpoint_id, restored=checkpoint)
    attempt.settle()
    attempt.close()
    poller.stop()
    assert numbers(server) == list(range(10, 160))


def test_a_staging_table_that_is_gone_is_data_loss(server: PostgresServer, table: str) -> None:
    """[E6] Never silently on."""
    sink = PostgresSink.for_table(server.url, table)
    first = Attempt(sink)
    first.write(rows(1))
    checkpoint = first.checkpoint(1)
    kill(first)
    ((_, staged),) = checkpoint.elements(COMMITTABLES_STATE)
    server.rows(f"DROP TABLE {staged.stage}")
    second = Attempt(sink, epoch=2, restored=checkpoint)
    with pytest.raises(ResourceError, match="they are lost"):
        second.settle()
    second.close()


def test_a_commit_that_the_table_refuses_is_kept(server: PostgresServer, table: str) -> None:
    """[E11]"""
    server.rows("ALTER TABLE numbers ADD UNIQUE (n)")
    server.rows("INSERT INTO numbers VALUES (1)")
    sink = PostgresSink.for_table(server.url, table)
    first = Attempt(sink)
    first.write(rows(1))
    checkpoint = first.checkpoint(1)
    with pytest.raises(ResourceError, match="duplicate key"):
        first.complete(1)
    first.close()
    server.rows("DELETE FROM numbers")
    second = Attempt(sink, epoch=2, restored=checkpoint)
    second.settle()
    assert numbers(server) == [1]
    second.close()


@pytest.mark.parametrize("guarantee", [DeliveryGuarantee.EXACTLY_ONCE, DeliveryGuarantee.AT_LEAST_ONCE])
def test_upserts_by_key(server: PostgresServer, table: str, guarantee: DeliveryGuarantee) -> None:
    server.rows("CREATE TABLE \"Totals\" (k text PRIMARY KEY, n bigint, note text DEFAULT '-')")
    sink = PostgresSink.for_table(server.url, '"Totals"', key_columns=["k"], delivery_guarantee=guarantee)
    attempt = Attempt(sink)
    for n, keys in enumerate(("ab", "ba", "ac")):
        attempt.write(Batch.of_columns(pa.record_batch({"n": [n] * 2, "k": list(keys)})))
        if n:
            attempt.checkpoint(n)
            attempt.complete(n)
    attempt.close()
    assert server.rows('SELECT k, n, note FROM "Totals" ORDER BY k') == [("a", 2, "-"), ("b", 1, "-"), ("c", 2, "-")]


def test_at_least_once_does_not_wait_for_checkpoints(server: PostgresServer, table: str) -> None:
    builder = PostgresSink.builder().with_url(server.url).with_table(table).with_batch_size(2)
    sink = builder.with_delivery_guarantee(DeliveryGuarantee.AT_LEAST_ONCE).with_batch_interval_ms(60_000).build()
    attempt = Attempt(sink)
    attempt.write(rows(1, 2), rows(3))
    while numbers(server) != [1, 2]:  # the watchdog is pytest's
        attempt.operators[0].raise_failure()
    attempt.checkpoint(1)
    assert numbers(server) == [1, 2, 3]
    attempt.write(rows(4))
    attempt.finish()
    attempt.wait(lambda: attempt.operators[0].is_finished)
    assert not attempt.operators[0].needs_commit
    assert numbers(server) == [1, 2, 3, 4]
    attempt.close()


def test_a_job_without_checkpoints_is_visible_at_its_end(server: PostgresServer, table: str) -> None:
    for is_complete in (False, True):
        attempt = Attempt(PostgresSink.for_table(server.url, table), configuration={}, epoch=1 + is_complete)
        attempt.write(rows(1))
        attempt.finish()
        attempt.checkpoint(FINAL_CHECKPOINT_ID)
        if is_complete:
            attempt.complete(FINAL_CHECKPOINT_ID)
        attempt.close()
        assert numbers(server) == ([1] if is_complete else [])
        assert stages(server) == []


UTC = datetime.UTC
VALUES: dict[str, tuple[pa.Array, list[Any]]] = {
    "boolean": (pa.array([True, False, None]), [True, False, None]),
    "text": (pa.array(["", 'a"b,\\.\n', None]), ["", 'a"b,\\.\n', None]),
    "bytea": (pa.array([b"\x00\xff", b"", None]), [b"\x00\xff", b"", None]),
    "double precision": (pa.array([1.5, float("inf"), None]), [1.5, float("inf"), None]),
    "numeric(20)": (pa.array([2**64 - 1, 0, None], pa.uint64()), [decimal.Decimal(2**64 - 1), 0, None]),
    "numeric(10, 2)": (
        pa.array([decimal.Decimal("-1.50"), 0, None], pa.decimal128(10, 2)),
        [decimal.Decimal("-1.50"), 0, None],
    ),
    "date": (pa.array([0, -1, None], pa.date32()), [datetime.date(1970, 1, 1), datetime.date(1969, 12, 31), None]),
    "time": (pa.array([1, 0, None], pa.time64("us")), [datetime.time(0, 0, 0, 1), datetime.time(), None]),
    "timestamp": (
        pa.array([1, 0, None], pa.timestamp("us")),
        [datetime.datetime(1970, 1, 1, 0, 0, 0, 1), datetime.datetime(1970, 1, 1), None],
    ),
    "timestamptz": (
        pa.array([1, 0, None], pa.timestamp("s", "Europe/Berlin")),
        [datetime.datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), datetime.datetime(1970, 1, 1, tzinfo=UTC), None],
    ),
    "interval": (
        pa.array([90_000, -1, None], pa.duration("ms")),
        [datetime.timedelta(seconds=90), datetime.timedelta(milliseconds=-1), None],
    ),
    "bigint[]": (pa.array([[1, None], [], None]), [[1, None], [], None]),
    "text[]": (pa.array([['a"', "b,"], [], None]), [['a"', "b,"], [], None]),
    "jsonb": (pa.array([{"a": [1]}, {"a": None}, None]), [{"a": [1]}, {"a": None}, None]),
}


def test_every_type_arrives_as_it_was(server: PostgresServer, table: str) -> None:
    """Also: the statement that the error message offers makes a table that takes the rows."""
    batch = pa.record_batch({f"c {name}": array for name, (array, _) in VALUES.items()})
    attempt = Attempt(PostgresSink.for_table(server.url, "everything"))
    attempt.write(Batch.of_columns(batch))
    with pytest.raises(ConfigurationError, match="there is no table everything") as caught:
        attempt.checkpoint(1)
    attempt.close()
    _, _, statement = str(caught.value).partition("This statement creates one that fits: ")
    server.rows(statement)
    attempt = Attempt(PostgresSink.for_table(server.url, "everything"), epoch=2)
    attempt.write(Batch.of_columns(batch))
    attempt.checkpoint(1)
    attempt.complete(1)
    attempt.close()
    found = list(zip(*server.rows("SELECT * FROM everything"), strict=True))
    assert {name: list(column) for name, column in zip(VALUES, found, strict=True)} == {
        name: expected for name, (_, expected) in VALUES.items()
    }


@pytest.mark.parametrize("text", ["\\.", "", 'quo"te', "a\nb", "\\N"])
def test_a_single_column_of_text_that_looks_like_something_else(server: PostgresServer, table: str, text: str) -> None:
    server.rows("CREATE TABLE words (word text)")
    attempt = Attempt(PostgresSink.for_table(server.url, "words"))
    attempt.write(Batch.of_columns(pa.record_batch({"word": [text, None]})))
    attempt.checkpoint(1)
    attempt.complete(1)
    attempt.close()
    assert server.rows("SELECT word FROM words") == [(text,), (None,)]


def written(attempt: Attempt, batch: Batch) -> None:
    attempt.write(batch)
    attempt.checkpoint(1)


def test_rows_that_do_not_fit(server: PostgresServer, table: str) -> None:
    def failing(batch: Batch, error: type[Exception], message: str) -> None:
        attempt = Attempt(PostgresSink.for_table(server.url, table))
        with pytest.raises(error, match=message):
            written(attempt, batch)
        attempt.close()

    columns = Batch.of_columns
    failing(
        columns(pa.record_batch({"n": [1], "m": [1]})), ConfigurationError, 'ALTER TABLE public.numbers ADD COLUMN "m"'
    )
    failing(columns(pa.record_batch({"n": ["x"]})), DataFormatError, "invalid input syntax for type bigint")
    failing(
        columns(pa.record_batch({"n": [2**70]}, pa.schema({"n": pa.decimal128(38)}))), DataFormatError, "out of range"
    )
    failing(Batch.of_rows([object()]), TypeMismatchError, "needs columns")
    assert numbers(server) == []
    assert stages(server) == []


def test_servers_and_settings_that_are_refused(server: PostgresServer, table: str) -> None:
    for url, error in (("host=/nowhere", ResourceError), ("postgresql://[", ConfigurationError)):
        attempt = Attempt(PostgresSink.for_table(url, table))
        with pytest.raises(error):
            attempt.checkpoint(1)
        attempt.close()
    with pytest.raises(ConfigurationError, match="needs with_url"):
        PostgresSink.builder().build()
    with pytest.raises(ConfigurationError, match="AT_LEAST_ONCE"):
        PostgresSink.builder().with_delivery_guarantee(DeliveryGuarantee.NONE)
    with pytest.raises(ConfigurationError, match="at least 1"):
        PostgresSink.builder().with_batch_size(0)


def test_a_writer_that_waits_for_the_server_can_be_closed(server: PostgresServer, table: str) -> None:
    attempt = Attempt(PostgresSink.for_table(server.url, table))
    attempt.write(rows(1))
    attempt.checkpoint(1)
    with psycopg.connect(server.url) as connection:
        connection.execute("LOCK TABLE shmflink_sinks")
        attempt.write(rows(2))
        staged = attempt.operators[0].snapshot_state(Barrier(2, 0)).pending
        attempt.close()
        with pytest.raises(ResourceError):
            staged()
    assert numbers(server) == []
