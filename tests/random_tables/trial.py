"""One random table: written, read and worked on twice, compared."""

from __future__ import annotations

import contextlib
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb

from shmflink.errors import ShmflinkError
from shmflink.testing import MiniCluster
from tests.random_tables.comparison import difference
from tests.random_tables.files import write
from tests.random_tables.pipelines import Pipeline, random_pipeline
from tests.random_tables.tables import random_table

__all__ = ["Outcome", "trial"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """`difference`: what was not as DuckDB has it; `refused`: an error that is right, by its kind."""

    story: str
    difference: str | None = None
    refused: str | None = None


def trial(seed: int, number: int, folder: Path) -> Outcome:
    """The trial of this number, in an empty folder."""
    rng = random.Random(f"{seed}/{number}")
    table, kinds = random_table(rng)
    place = folder / "trial"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    with _database() as database:
        database.register("t", table)
        reader, written = write(table, place, rng, database)
        pipeline = random_pipeline(rng, table, kinds)
        story = f"{[kind.name for kind in kinds]}, {table.num_rows} rows, {written}: {pipeline}"
        try:
            expected, reason = pipeline.reference(database), None
        except duckdb.Error as error:
            expected, reason = None, str(error)
        path = next(iter(place.iterdir()))
        try:
            with MiniCluster(slots=2):
                made = pipeline.run(reader, path, rng.choice((1, 2)))
        except ShmflinkError as error:
            return _refused(story, pipeline, str(error), reason)
        if expected is None and pipeline.aggregate in ("sum", "avg") and "verflow" in (reason or ""):
            return Outcome(story, refused="a sum that DuckDB cannot hold")
        if expected is None:
            return Outcome(story, f"{made.num_rows} rows, an error by DuckDB: {reason}")
        return Outcome(story, difference(made, expected))


@contextlib.contextmanager
def _database() -> Iterator[duckdb.DuckDBPyConnection]:
    """A cursor of one database for all trials: making one takes longer than a trial."""
    global _shared
    if _shared is None:
        _shared = duckdb.connect(config={"threads": 1})
        _shared.execute("set timezone = 'UTC'")
    with _shared.cursor() as cursor:
        yield cursor


_shared: duckdb.DuckDBPyConnection | None = None


def _refused(story: str, pipeline: Pipeline, error: str, reason: str | None) -> Outcome:
    is_sum = pipeline.aggregate in ("sum", "avg") and ("overflow" in error or "digits" in error or "fit" in error)
    if is_sum:
        return Outcome(story, refused="a sum that its type cannot hold")
    if reason is not None:
        return Outcome(story, refused="as DuckDB does")
    return Outcome(story, f"refused: {error[:400]}")
