"""A cell: engines take turns, the least time of each counts, rows are compared, ratios are theirs by ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from perf.engines import Measured
from perf.process_tree import TreeUsage
from perf.runner import Options
from perf.shapes import measuring
from perf.shapes.measuring import Cell, chosen, measure, result_schema
from perf.shapes.rows import SHAPES


class Engines:
    """Stands for all engines: writes a row each, `wrong` ones another; the first run is slower than the rest."""

    def __init__(self, wrong: str = "", broken: str = "") -> None:
        self.wrong = wrong
        self.broken = broken
        self.ran: list[str] = []

    def run_ours(self, job: str, arguments: list[str]) -> Measured:
        assert (job, arguments[:2]) == ("perf/jobs/shape_query.py", ["like", "plain"])
        return self._run("shmflink", Path(arguments[3]), 0.5)

    def run_peer(self, engine: str, query: str, inputs: Path, output: Path) -> Measured:
        assert query == "like@plain"
        assert inputs.is_dir()
        return self._run(engine, output, {"duckdb": 1.0, "polars": 2.0}[engine])

    def _run(self, engine: str, output: Path, seconds: float) -> Measured:
        if engine == self.broken:
            raise RuntimeError("Parser Error: syntax\n        ^^^^")
        output.mkdir(parents=True)
        text = "abc" if engine != self.wrong else "cab"
        pq.write_table(pa.table({"text": [text], "n": [1]}), output / "part.parquet")
        slower = 1.0 if engine in self.ran else 2.0
        self.ran.append(engine)
        return Measured("1.0", seconds * slower, 0.0, seconds * slower + 1.0, 1.0, 1.0, TreeUsage())


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Cell]:
    def measured(engines: Engines, **options: Any) -> Cell:
        monkeypatch.setattr(measuring, "run_ours", engines.run_ours)
        monkeypatch.setattr(measuring, "run_peer", engines.run_peer)
        monkeypatch.setattr(measuring, "missing", lambda engine: None)
        chosen_options = Options(**({"scale": 0.001, "repeats": 2, "cache": tmp_path} | options))
        return measure(SHAPES["plain"], "like", chosen_options)

    return measured


def test_engines_take_turns_and_the_least_counts(run: Callable[..., Cell]) -> None:
    engines = Engines()
    cell = run(engines)
    assert engines.ran == ["duckdb", "polars", "shmflink"] * 2
    assert cell.seconds == {"duckdb": 1.0, "polars": 2.0, "shmflink": 0.5}
    assert (cell.ratio, cell.wall_ratio, cell.best_peer) == (2.0, 2.0 / 1.5, "duckdb")
    assert (cell.rows, cell.problem) == (4_000, None)


def test_other_rows_are_a_problem(run: Callable[..., Cell]) -> None:
    assert "polars has other rows than duckdb: the rows' hashes differ" in (run(Engines(wrong="polars")).problem or "")
    assert "shmflink has other rows" in (run(Engines(wrong="shmflink")).problem or "")


def test_a_failure_says_what_the_engine_said(run: Callable[..., Cell]) -> None:
    cell = run(Engines(broken="duckdb"), smoke=True)
    assert cell.problem == "duckdb failed: Parser Error: syntax"
    assert cell.best_peer == "polars"


def test_without_peers_there_is_no_ratio(run: Callable[..., Cell]) -> None:
    cell = run(Engines(), without=("duckdb", "polars"))
    assert (cell.ratio, cell.best_peer, cell.problem) == (None, None, None)


def test_only_picks_shapes_queries_and_pairs() -> None:
    def names(*only: str) -> list[str]:
        return [f"{shape.name}/{query}" for shape, query in chosen(only)]

    assert names("slim") == ["slim/etl", "slim/copy", "slim/aggregate", "slim/distinct", "slim/top_n", "slim/like"]
    assert names("plain/like", "skew/etl") == ["plain/like", "skew/etl"]
    assert len(names("window")) == len(SHAPES) - 1  # three columns have no time
    assert len(names()) == 7 * len(SHAPES) - 1
    with pytest.raises(ValueError, match="no shape or query 'plian'; shapes: plain, slim"):
        chosen(["etl", "plian"])


def test_results_have_the_types_of_the_shape() -> None:
    assert str(result_schema(SHAPES["decimals"], "aggregate").field("total").type) == "decimal128(38, 2)"
    assert result_schema(SHAPES["string_keys"], "window").names == ["key", "bucket", "n", "total"]
    nested = result_schema(SHAPES["nested"], "etl")
    assert nested.names == ["id", "ts", "key", "text", "tags", "doubled", "city"]
    assert nested.field("tags").type.value_type == pa.string()
    assert result_schema(SHAPES["wide_306"], "etl").names[4:7] == ["c003", "c150", "c300"]
