"""Random files through real operators, compared with DuckDB: a short run of `python -m tests.random_tables`."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("duckdb")
pytest.importorskip("polars")

from tests.random_tables.trial import trial

TRIALS = 100
PIECES = 4


@pytest.mark.parametrize("piece", range(PIECES))
def test_a_hundred_random_tables_are_as_duckdb_has_them(tmp_path: Path, piece: int) -> None:
    outcomes = [trial(1, number, tmp_path) for number in range(piece, TRIALS, PIECES)]
    assert [(one.difference, one.story) for one in outcomes if one.difference is not None] == []
