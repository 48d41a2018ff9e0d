"""Database tables under PyFlink's JDBC names (`pyflink.datastream.connectors.jdbc`): PostgreSQL only."""

from __future__ import annotations

from shmflink.connectors.postgres.jdbc import JdbcConnectionOptions, JdbcExecutionOptions, JdbcSink

__all__ = ["JdbcConnectionOptions", "JdbcExecutionOptions", "JdbcSink"]
