"""The PostgreSQL server of a campaign: a table for each run, its rows as lines."""

from __future__ import annotations

from typing import Final

from shmflink.connectors.postgres.sink import staged_rows
from tests.chaos import processes
from tests.oracle.postgres_server import PostgresServer

__all__ = ["Database"]

_COLUMNS: Final = "tag text, key bigint, number bigint"


class Database:
    """One server, all of whose tables are those of runs."""

    def __init__(self) -> None:
        self._server = PostgresServer()
        processes.KEPT.add(self._server.pid)
        self._tables = 0

    def new_table(self) -> str:
        """An empty one. Its database has been used by every run before."""
        self._tables += 1
        name = f"numbers_{self._tables}"
        self._server.rows(f"CREATE TABLE {name} ({_COLUMNS})")
        return name

    def variables(self, table: str) -> dict[str, str]:
        """For the environment of a program that writes to it."""
        return {"SHMFLINK_CHAOS_POSTGRES": self._server.url, "SHMFLINK_CHAOS_TABLE": table}

    def lines(self, table: str) -> list[bytes]:
        rows = self._server.rows(f"SELECT tag, key, number FROM {table}")
        return [f"table: {tag} {key} {number}".encode() for tag, key, number in rows]

    def leftovers(self, table: str) -> list[str]:
        """Rows that were staged for the table and never came into it."""
        return [f"{staged} is left" for staged in staged_rows(self._server.url, table)]

    def stop(self) -> None:
        self._server.stop()
