"""Runs a query over a shape by every engine, in turns, compares the rows and makes ratios of the times."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from perf.checksum import Checksum, checksum_of, difference
from perf.data import warm
from perf.engines import OURS, Measured, missing, run_ours, run_peer
from perf.peers.shape_queries import NESTED, QUERIES, SLIM, passed
from perf.runner import Options
from perf.shapes.files import ensure, rows_at
from perf.shapes.rows import SHAPES, Shape, piece

__all__ = ["PEERS", "Cell", "chosen", "measure", "result_schema"]

PEERS: Final = ("duckdb", "polars")
JOB: Final = "perf/jobs/shape_query.py"


@dataclass(frozen=True, slots=True)
class Cell:
    """A query over a shape: seconds of the query or job, and of the whole process, the least of each; by engine."""

    shape: str
    query: str
    rows: int
    seconds: dict[str, float] = field(default_factory=dict)
    wall_s: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    problem: str | None = None

    @property
    def ratio(self) -> float | None:
        """The best peer's seconds by ours: more than 1 means that ours is faster. None without one of them."""
        return _ratio(self.seconds)

    @property
    def wall_ratio(self) -> float | None:
        """The same of the whole processes."""
        return _ratio(self.wall_s)

    @property
    def best_peer(self) -> str | None:
        """The peer whose query is fastest."""
        peers = [engine for engine in self.seconds if engine != OURS]
        return min(peers, key=self.seconds.__getitem__, default=None)


def _ratio(seconds: dict[str, float]) -> float | None:
    theirs = [value for engine, value in seconds.items() if engine != OURS]
    return min(theirs) / seconds[OURS] if theirs and OURS in seconds else None


def chosen(only: Sequence[str]) -> list[tuple[Shape, str]]:
    """The pairs of a shape and a query that fit one of `only`, each `SHAPE`, `QUERY` or `SHAPE/QUERY`; all without any.

    Raises:
        ValueError: one of `only` names nothing.
    """
    pairs = [(shape, query) for shape in SHAPES.values() for query in QUERIES if _applies(shape, query)]
    for wanted in only:
        if not any(_fits(shape, query, wanted) for shape, query in pairs):
            raise ValueError(
                f"no shape or query {wanted!r}; shapes: {', '.join(SHAPES)}; queries: {', '.join(QUERIES)}"
            )
    return [pair for pair in pairs if not only or any(_fits(*pair, wanted) for wanted in only)]


def _applies(shape: Shape, query: str) -> bool:
    return query != "window" or shape.name != SLIM


def _fits(shape: Shape, query: str, wanted: str) -> bool:
    return wanted in (shape.name, query, f"{shape.name}/{query}")


def result_schema(shape: Shape, query: str) -> pa.Schema:
    """The columns that a query writes; engines' own types are cast to these."""
    columns = piece(shape, 0, 1, 1).schema
    value, key, text = (columns.field(name) for name in ("value", "key", "text"))
    total = value if pa.types.is_floating(value.type) else value.with_type(pa.decimal128(38, 2))
    number, bucket = pa.field("n", pa.int64()), pa.field("bucket", pa.timestamp("ms"))
    fields = {
        "etl": [*(columns.field(name) for name in passed(shape.name)), total.with_name("doubled")],
        "copy": list(columns),
        "aggregate": [key, number, total.with_name("total"), value.with_name("top")],
        "distinct": [text],
        "top_n": [key, value.with_name("top")],
        "like": [text, number],
        "window": [key, bucket, number, total.with_name("total")],
    }[query]
    if query == "etl" and shape.name == NESTED:
        fields.append(pa.field("city", pa.string()))
    return pa.schema(fields)


def measure(shape: Shape, query: str, options: Options) -> Cell:
    """Every engine that is installed, in turns, ours last. Other rows than the first engine's are a problem.

    Raises:
        OSError: not enough space for the files.
    """
    inputs = ensure(shape, options.cache, options.scale, options.smoke)
    warm(inputs)
    cell = Cell(shape.name, query, rows_at(shape, options.scale, options.smoke))
    checksums: dict[str, Checksum] = {}
    engines = [engine for engine in PEERS if engine not in options.without and missing(engine) is None]
    engines += [OURS] if OURS not in options.without else []
    problems = [
        problem
        for _ in range(options.rounds)
        for engine in engines
        if (problem := _run(shape, query, engine, inputs, options, cell, checksums)) is not None
    ]
    problems += _differences(checksums)
    return Cell(cell.shape, query, cell.rows, cell.seconds, cell.wall_s, cell.versions, "; ".join(problems) or None)


def _run(
    shape: Shape, query: str, engine: str, inputs: Path, options: Options, cell: Cell, checksums: dict[str, Checksum]
) -> str | None:
    """Notes one run in `cell`, the first one's rows in `checksums`. What went wrong."""
    output = options.cache / "output" / f"shape-{shape.name}-{query}-{engine}-{os.getpid()}"
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        _note(cell, engine, _measured(shape, query, engine, inputs, output))
        if engine not in checksums:
            checksums[engine] = checksum_of(output, result_schema(shape, query))
    except (RuntimeError, OSError, pa.ArrowException, KeyError) as error:
        said = [text for text in str(error).splitlines() if any(map(str.isalpha, text))]  # not what points at a column
        return f"{engine} failed: {said[-1].strip() if said else type(error).__name__}"
    finally:
        shutil.rmtree(output, ignore_errors=True)
    return None


def _measured(shape: Shape, query: str, engine: str, inputs: Path, output: Path) -> Measured:
    if engine == OURS:
        return run_ours(JOB, [query, shape.name, str(inputs), str(output)])
    return run_peer(engine, f"{query}@{shape.name}", inputs, output)


def _note(cell: Cell, engine: str, run: Measured) -> None:
    cell.seconds[engine] = min(run.seconds, cell.seconds.get(engine, run.seconds))
    cell.wall_s[engine] = min(run.wall_s, cell.wall_s.get(engine, run.wall_s))
    if run.version:
        cell.versions[engine] = run.version


def _differences(checksums: dict[str, Checksum]) -> Iterator[str]:
    engines: list[Any] = list(checksums)
    for engine in engines[1:]:
        what = difference(checksums[engines[0]], checksums[engine])
        if what is not None:
            yield f"{engine} has other rows than {engines[0]}: {what}"
