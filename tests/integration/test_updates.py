"""Aggregates of aggregates in STREAMING mode: final rows once, or a refusal; never updates counted as rows."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shmflink.common import Types
from shmflink.datastream import StreamExecutionEnvironment
from shmflink.datastream.connectors.file_system import FileSink
from shmflink.errors import JobGraphError
from shmflink.expressions import col, count
from shmflink.testing import MiniCluster

ROWS = 150_000  # several batches
ORIGINS = [("JFK", "EWR", "LGA")[n % 3] for n in range(ROWS)]
DESTINATIONS = [("LAX", "SFO", "BOS", "MIA", "ORD")[(n * n + n // 7) % 5] for n in range(ROWS)]
FLIGHTS = pa.table({"origin": ORIGINS, "destination": DESTINATIONS})
ROUTES = Counter(zip(ORIGINS, DESTINATIONS, strict=True))


@pytest.fixture
def flights() -> Iterator[Any]:
    with MiniCluster(slots=2):
        yield StreamExecutionEnvironment.get_execution_environment().from_arrow(FLIGHTS)


def routes(flights: Any) -> Any:
    return flights.key_by("origin", "destination").aggregate(n=count())


def plain(table: pa.Table) -> list[tuple[Any, ...]]:
    return sorted(tuple(row.values()) for row in table.to_pylist())


def test_a_table_of_a_bounded_input_has_final_rows_once(flights: Any) -> None:
    assert plain(routes(flights).to_arrow()) == sorted((*key, n) for key, n in ROUTES.items())
    assert len(routes(flights).execute_and_collect(limit=ROWS)) == len(ROUTES)
    assert plain(routes(flights).select("n").to_arrow()) == sorted((n,) for n in ROUTES.values())
    half = max(ROUTES.values()) // 2
    assert plain(routes(flights).filter(col("n") < half).select("n").to_arrow()) == [
        (n,) for n in sorted(ROUTES.values()) if n < half
    ]


def test_an_aggregate_of_an_aggregate_counts_no_row_twice(flights: Any) -> None:
    totals = routes(flights).key_by("origin").aggregate(flights=col("n").sum, routes=count())
    assert plain(totals.to_arrow()) == sorted(
        (name, ORIGINS.count(name), len({d for o, d in ROUTES if o == name})) for name in set(ORIGINS)
    )
    top = routes(flights).final().key_by("origin").aggregate(top=col("n").top_n(3))
    most = {name: sorted((n for (o, _), n in ROUTES.items() if o == name), reverse=True)[:3] for name in set(ORIGINS)}
    assert {row["origin"]: row["top"] for row in top.to_arrow().to_pylist()} == most


def test_files_have_final_rows_once(flights: Any, tmp_path: Path) -> None:
    routes(flights).sink_to(FileSink.parquet(os.fspath(tmp_path / "routes")))
    flights.get_execution_environment().execute()
    assert plain(pq.read_table(tmp_path / "routes")) == sorted((*key, n) for key, n in ROUTES.items())


def test_updates_are_rows_where_the_program_says_so(flights: Any) -> None:
    changes = routes(flights).updates().to_arrow()
    assert changes.num_rows > len(ROUTES)
    assert {(r["origin"], r["destination"]): r["n"] for r in changes.sort_by("n").to_pylist()} == ROUTES
    routes(flights).filter(col("n") > 1).print()
    with pytest.raises(JobGraphError, match=r"test_updates\.py:\d+: filter\(\) would treat every update"):
        flights.get_execution_environment().execute()


def test_running_results_are_records_to_record_functions_and_updates_to_columns(flights: Any) -> None:
    numbered = flights.map(
        lambda row: (row.origin, 1), Types.ROW_NAMED(["origin", "n"], [Types.STRING(), Types.LONG()])
    )
    running = numbered.key_by(lambda row: row[0]).sum("n")
    assert len(running.execute_and_collect(limit=ROWS)) == ROWS
    assert plain(running.to_arrow()) == sorted(Counter(ORIGINS).items())
    assert plain(running.aggregate(total=col("n").sum).to_arrow()) == [(ROWS,)]


def test_both_readers_of_updates_and_of_final_rows_are_served(flights: Any, capfd: pytest.CaptureFixture[str]) -> None:
    counts = flights.key_by("origin").aggregate(n=count())
    counts.map(lambda row: f"{row.origin} {row.n}").print()
    assert plain(counts.to_arrow()) == sorted(Counter(ORIGINS).items())
    last = dict(line.rpartition("> ")[2].split() for line in capfd.readouterr().out.splitlines())
    assert last == {name: str(n) for name, n in Counter(ORIGINS).items()}
