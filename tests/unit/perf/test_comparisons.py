"""Engines take turns, their rows are compared, and ours is judged against the best whose rows are right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from perf import comparisons, report
from perf.comparisons import COMPARISONS, compare
from perf.engines import Measured
from perf.process_tree import TreeUsage
from perf.runner import Options

SPEEDS = {"duckdb": 2.0, "polars": 1.0, "pyarrow": 4.0, "flink": 16.0, "shmflink": 1.25}


class Engines:
    """Stands for all engines: writes one row each, `wrong` ones another, and notes who ran."""

    def __init__(self, wrong: tuple[str, ...] = (), broken: tuple[str, ...] = ()) -> None:
        self.wrong = wrong
        self.broken = broken
        self.ran: list[str] = []

    def run_ours(self, job: str, arguments: list[str], slots: int = 2) -> Measured:
        del job, slots
        return self._run("shmflink", Path(arguments[2]))

    def run_peer(self, engine: str, query: str, inputs: Path, output: Path, *, is_warm: bool = False) -> Measured:
        assert inputs.is_dir()
        assert query == "csv_to_parquet"
        return self._run(engine, output, 8.0 if is_warm else None)

    def _run(self, engine: str, output: Path, warm_s: float | None = None) -> Measured:
        self.ran.append(engine)
        if engine in self.broken:
            raise RuntimeError("a long story\nout of memory")
        output.mkdir()
        row = {"id": 1, "ts": 0, "key": 7 if engine in self.wrong else 3, "name": "A", "quantity": 1, "total": 2.0}
        schema = COMPARISONS["csv_to_parquet"].schema
        columns = [pa.array([row[column.name]]).cast(column.type) for column in schema]
        table = pa.Table.from_arrays(columns, schema=schema)
        pq.write_table(table, output / "rows.parquet")
        return Measured("1.0", SPEEDS[engine], 0.5, SPEEDS[engine] + 0.5, 3.0, 100.0, TreeUsage(), warm_s)


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """Runs the case `csv_to_parquet` at a size that is judged, with these engines."""

    def run(engines: Engines, absent: tuple[str, ...] = (), **options: Any) -> list[dict[str, Any]]:
        monkeypatch.setattr(comparisons, "run_ours", engines.run_ours)
        monkeypatch.setattr(comparisons, "run_peer", engines.run_peer)
        monkeypatch.setattr(comparisons, "missing", lambda name: "not installed: do" if name in absent else None)
        chosen = Options(**({"has_peers": True, "scale": 0.0002, "repeats": 2, "cache": tmp_path} | options))
        return list(compare(COMPARISONS["csv_to_parquet"], chosen))

    return run


def test_engines_take_turns_and_ours_is_judged_by_each_target(measure: Callable[..., list[dict[str, Any]]]) -> None:
    engines = Engines()
    measured = measure(engines)
    assert engines.ran == ["duckdb", "polars", "pyarrow", "flink", "shmflink"] * 2
    assert [one["engine"] for one in measured] == ["duckdb", "polars", "pyarrow", "flink", "shmflink", "shmflink"]
    best, flink = measured[-2:]
    assert (best["against"], best["value"], best["ok"]) == ("polars", 0.8, False)
    assert (flink["against"], flink["value"], flink["ok"]) == ("flink", 12.8, True)
    assert flink["warm_ratio"] == 6.4
    assert measured[3]["wrote"] == "CSV"
    assert measured[0]["rows_per_s"] == 500


def test_other_rows_do_not_win(measure: Callable[..., list[dict[str, Any]]]) -> None:
    measured = measure(Engines(wrong=("polars",)))
    assert measured[1]["problem"].startswith("other rows: the rows' hashes differ")
    assert (measured[-2]["against"], measured[-2]["value"], measured[-2]["ok"]) == ("duckdb", 1.6, True)


@pytest.mark.parametrize("engines", [Engines(wrong=("shmflink",)), Engines(broken=("shmflink",))])
def test_ours_with_other_rows_or_none_is_missed_even_in_smoke_mode(
    measure: Callable[..., list[dict[str, Any]]], engines: Engines
) -> None:
    measured = measure(engines, smoke=True)
    assert measured[-1]["ok"] is False
    assert measured[-1]["problem"].startswith(("other rows", "failed: out of memory"))


def test_an_engine_that_is_absent_says_what_to_do(measure: Callable[..., list[dict[str, Any]]]) -> None:
    engines = Engines()
    measured = measure(engines, absent=("flink",))
    assert "flink" not in engines.ran
    assert measured[3]["problem"] == "not installed: do"
    assert [one["engine"] for one in measured].count("shmflink") == 1


def test_ours_alone_is_measured_and_not_judged(measure: Callable[..., list[dict[str, Any]]]) -> None:
    [ours] = measure(Engines(), has_peers=False)
    assert (ours["engine"], ours["value"], ours["ok"]) == ("shmflink", None, None)
    assert ours["rows_per_s"] == 800


def test_smoke_mode_leaves_flink_out(measure: Callable[..., list[dict[str, Any]]]) -> None:
    engines = Engines()
    assert all(one["ok"] is None for one in measure(engines, smoke=True))
    assert engines.ran == ["duckdb", "polars", "pyarrow", "shmflink"]


def test_tables_show_every_engine(measure: Callable[..., list[dict[str, Any]]]) -> None:
    measured = measure(Engines(), absent=("flink",))
    case = {"command": "python -m perf", "machine": "2 cores", "measured": measured}
    text = report.tables({"csv_to_parquet": case})
    speed = next(line for line in text.splitlines() if line.startswith("| `csv_to_parquet` | 0.001"))
    assert speed.count("|") == 9
    assert "not installed: do" in speed
    assert "0.80 of polars (>= 0.9 x the best: **missed**)" in speed
    assert "- `python -m perf` on 2 cores" in text
