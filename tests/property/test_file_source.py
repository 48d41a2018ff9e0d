"""File sources against reading everything naively: random files, cuts, filters, columns and restarts."""

from __future__ import annotations

import tempfile
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import orc

from shmflink.connectors.base import Poll, Split
from shmflink.connectors.file_system.file_systems import FileInfo
from shmflink.connectors.file_system.formats.arrow.format import ArrowIpcFormat
from shmflink.connectors.file_system.formats.orc.format import OrcFormat
from shmflink.connectors.file_system.formats.parquet.format import ParquetFormat
from shmflink.connectors.file_system.formats.parquet.opening import BATCH_ROWS
from shmflink.connectors.file_system.reading.files_cursor import FilesCursor
from shmflink.connectors.file_system.reading.source import FileSource
from shmflink.connectors.file_system.reading.splits import FileRange, FileRanges
from shmflink.core.batch import Batch
from shmflink.expressions import Expression, col, lit

VALUES = st.one_of(st.none(), st.integers(-5, 5))
TEXTS = st.one_of(st.none(), st.sampled_from(["", "a", "b", "zz", "é"]))
ROWS = st.lists(st.tuples(VALUES, TEXTS, st.floats(-2, 2) | st.just(float("nan"))), max_size=60)
CUTS = st.lists(st.floats(0, 1), max_size=5)
SCHEMA = pa.schema([("i", pa.int64()), ("s", pa.string()), ("f", pa.float64())])

COMPARISONS = [
    lambda column, value: column == value,
    lambda column, value: column != value,
    lambda column, value: column < value,
    lambda column, value: column <= value,
    lambda column, value: column > value,
    lambda column, value: column >= value,
]


@st.composite
def predicates(draw: st.DrawFn) -> tuple[Expression, Any]:
    """An expression, and the same as a Python function of a row's dict, with SQL's nulls."""
    name = draw(st.sampled_from(["i", "i", "s", "f", "k", "row"]))
    if name != "row" and draw(st.integers(0, 4)) == 0:
        column = col(name)
        if draw(st.booleans()):
            return column.is_null, lambda row: row[name] is None
        return column.is_not_null, lambda row: row[name] is not None
    compare = draw(st.sampled_from(COMPARISONS))
    if name == "s":
        value: Any = draw(st.sampled_from(["", "a", "b", "c"]))
    else:
        value = draw(st.sampled_from([-1.5, 0.0, 1.0])) if name == "f" else draw(st.integers(-6, 6))
    return compare(col(name), lit(value)), lambda row: row[name] is not None and compare(row[name], value)


def write(folder: Path, suffix: str, files: list[list[Any]], group_rows: int) -> list[dict[str, Any]]:
    """Writes the files; returns the rows they hold, with what folder and place tell."""
    everything = []
    for number, rows in enumerate(files):
        path = folder / f"k={number % 3}" / f"{number}.{suffix}"
        path.parent.mkdir(exist_ok=True)
        columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], []]
        table = pa.table([pa.array(c, t) for c, t in zip(columns, SCHEMA.types, strict=True)], schema=SCHEMA)
        if suffix == "parquet":
            codec = "snappy" if number % 2 else "zstd"  # read by the core, and by pyarrow
            pq.write_table(table, path, row_group_size=group_rows, compression=codec)
        elif suffix == "orc":
            orc.write_table(table, path, batch_size=group_rows)
        else:
            with pa.OSFile(str(path), "wb") as out, pa.ipc.new_file(out, SCHEMA) as writer:
                writer.write_table(table, group_rows)
        for at, (i, s, f) in enumerate(rows):
            everything.append({"i": i, "s": s, "f": f, "k": number % 3, "row": at, "path": str(path)})
    return everything


def cut(paths: list[FileInfo], cuts: list[float]) -> list[FileRanges]:
    """The files in ranges that nobody would choose, two of them to a split."""
    ranges = []
    for info in paths:
        places = sorted({0, info.size, *(int(info.size * share) for share in cuts)})
        ranges += [FileRange(info.path, a, b - a) for a, b in pairwise(places)]
    return [FileRanges(tuple(ranges[at : at + 2])) for at in range(0, len(ranges), 2)]


def read(
    source: FileSource, payloads: list[FileRanges], restart_after: int, batch_rows: int | None
) -> list[dict[str, Any]]:
    """All rows, with a reader that is given up after some batches, its rest going to another one."""
    scan = source._scan
    plan = scan.read_plan()
    plan.format.batch_rows_max = batch_rows
    rows: list[dict[str, Any]] = []
    for payload in payloads:
        split = Split("0", payload)
        seen = 0
        done = False
        while not done:
            with closing(FilesCursor(split, scan.files, plan)) as cursor:
                while True:
                    answer = cursor.next_batch()
                    if answer is None:
                        done = True
                        break
                    if answer is Poll.AGAIN:
                        continue
                    assert isinstance(answer, Batch)
                    rows += answer.columns().to_pylist()
                    seen += 1
                    if seen == restart_after:
                        split = cursor.remaining()
                        break
    return rows


def key(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple((name, repr(value)) for name, value in row.items())


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    suffix=st.sampled_from(["parquet", "parquet", "arrow", "orc"]),
    files=st.lists(ROWS, min_size=1, max_size=4),
    group_rows=st.integers(1, 30),
    cuts=CUTS,
    parts=st.lists(predicates(), max_size=2),
    columns=st.permutations(["i", "s", "f", "k", "row"]).flatmap(lambda n: st.integers(1, 5).map(lambda k: n[:k])),
    restart_after=st.integers(1, 3),
    batch_rows=st.none() | st.integers(1, 20),
)
def test_equal_to_a_naive_read(
    suffix: str,
    files: list[list[Any]],
    group_rows: int,
    cuts: list[float],
    parts: list[tuple[Expression, Any]],
    columns: list[str],
    restart_after: int,
    batch_rows: int | None,
) -> None:
    with tempfile.TemporaryDirectory() as name:
        everything = write(Path(name), suffix, files, group_rows)
        parquet = ParquetFormat(batch_size=batch_rows or BATCH_ROWS)
        file_format = {"parquet": parquet, "orc": OrcFormat()}.get(suffix, ArrowIpcFormat())
        source: Any = FileSource.of_format(
            file_format, name, metadata={"row_number": "row"}, schema=SCHEMA, partitions={"k": pa.int64()}
        )
        for predicate, _ in parts:
            source, is_exact = source.with_filter(predicate)
            assert is_exact
        source = source.with_columns(columns)
        assert source.schema.names == columns
        splits = source.create_enumerator(2).snapshot()
        held = {part.path: part for split in splits for part in split.payload.ranges}
        infos = [FileInfo(path, Path(path).stat().st_size) for path in held]
        expected = [
            {column: row[column] for column in columns} for row in everything if all(test(row) for _, test in parts)
        ]
        found = read(source, cut(infos, cuts), restart_after, batch_rows)
        assert sorted(map(key, found)) == sorted(map(key, expected))
