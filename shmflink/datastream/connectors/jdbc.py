"""Tables of databases (`pyflink.datastream.connectors.jdbc`): PostgreSQL's."""

from __future__ import annotations

from shmflink.connectors.postgres.jdbc import JdbcConnectionOptions, JdbcExecutionOptions, JdbcSink

__all__ = ["JdbcConnectionOptions", "JdbcExecutionOptions", "JdbcSink"]
