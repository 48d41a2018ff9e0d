"""PyFlink's JDBC names over the PostgreSQL sink."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shmflink.common import Types
from shmflink.connectors.base import DeliveryGuarantee
from shmflink.datastream import StreamExecutionEnvironment
from shmflink.datastream.connectors.jdbc import JdbcConnectionOptions, JdbcExecutionOptions, JdbcSink
from shmflink.errors import ConfigurationError
from shmflink.testing import MiniCluster

PAIR = Types.ROW([Types.STRING(), Types.INT()])


def connection(url: str = "jdbc:postgresql://host:5432/db") -> JdbcConnectionOptions:
    builder = JdbcConnectionOptions.JdbcConnectionOptionsBuilder().with_url(url).with_user_name("root")
    return builder.with_password("secret").with_driver_name("org.postgresql.Driver").build()


def settings(sink: Any) -> Any:
    return sink._inner._settings


def test_an_insert_is_a_postgres_sink_at_least_once() -> None:
    execution = (
        JdbcExecutionOptions.builder().with_batch_interval_ms(2000).with_batch_size(100).with_max_retries(5).build()
    )
    sink = JdbcSink.sink('INSERT INTO sales.orders (Id, "Name") VALUES (?, ?)', PAIR, connection(), execution)
    made = settings(sink)
    assert (made.target.table, sink._names, made.keys) == ("sales.orders", ("id", "Name"), ())
    assert (made.flush_rows, made.flush_interval_ms, made.retries_max) == (100, 2000, 5)
    assert (made.target.url, made.target.user, made.target.password) == (connection().url, "root", "secret")
    assert sink.delivery_guarantee({}) is DeliveryGuarantee.AT_LEAST_ONCE
    assert "secret" not in repr(connection())
    with MiniCluster(slots=1):
        env = StreamExecutionEnvironment.get_execution_environment()
        env.from_collection([("a", 1)], PAIR).add_sink(sink).name("jdbc sink")
        assert json.loads(env.get_execution_plan())["nodes"][-1]["type"] == "Sink: jdbc sink"


def test_an_upsert_has_key_columns() -> None:
    sql = "insert into t (a, b) values (?, ?) on conflict (a) do update set b = excluded.b;"
    assert settings(JdbcSink.sink(sql, PAIR, connection())).keys == ("a",)


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("insert into t values (?, ?)", "name the columns"),
        ("delete from t where a = ?", "does not have the form"),
        ("insert into t (a, b) values (?)", "2 columns, 1 `\\?`"),
        ("insert into t (a) values (?)", "the statement has 1 columns, but the rows have 2 fields"),
        (
            "insert into t (a, b) values (?, ?) on conflict (a) do update set b = t.b + 1",
            "an upsert must set every column",
        ),
    ],
)
def test_another_statement_is_refused(sql: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        JdbcSink.sink(sql, PAIR, connection())


def test_another_database_is_refused() -> None:
    with pytest.raises(
        ConfigurationError, match="jdbc:mysql://host/db: PostgreSQL is the only supported database in this version"
    ):
        JdbcSink.sink("insert into t (a, b) values (?, ?)", PAIR, connection("jdbc:mysql://host/db"))
    with pytest.raises(ConfigurationError, match="with_url"):
        JdbcConnectionOptions.JdbcConnectionOptionsBuilder().build()
    assert JdbcExecutionOptions.defaults().get_batch_size() == 5000
