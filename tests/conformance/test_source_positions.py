"""The contract of sources with checkpoints, for every source: each record is read exactly once.

A run reads some batches with some readers, snapshots enumerator and readers as a checkpoint does, reads on (what comes
then is lost with the failure), and begins again from the snapshot with another number of readers; several times.
[S1-S3, S9, C15] and the restore of every kind of position.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.orc as orc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shmflink.connectors import arrow_tables, collection, generator, number_sequence
from shmflink.connectors.base import Poll, Source, SourceReader, Split, SplitEnumerator
from shmflink.connectors.file_system.formats.parquet import cursor as parquet_cursor
from shmflink.connectors.file_system.formats.parquet.format import ParquetFormat
from shmflink.connectors.file_system.formats.text import format as text
from shmflink.connectors.file_system.reading import arrow_cursor, files_cursor, record_cursor, splits
from shmflink.connectors.file_system.reading.source import FileSource
from shmflink.core.batch import Batch
from shmflink.core.serialization.codec import dumps_value, loads_value
from shmflink.core.types.typeinfo import Types
from shmflink.expressions import col
from shmflink.operators.base import OperatorContext, SideOutput
from shmflink.state.operator_state import OperatorStatePart, Redistribution, redistributed
from shmflink.testing import ManualClock

ROWS = 900
POLLS_MAX = 50_000
SCHEMA = pa.schema([("i", pa.int64()), ("s", pa.string())])


@dataclass(frozen=True)
class Case:
    """A source, and the records that it has; one that `is_endless` has more, and is read until it gave these."""

    source: Source
    records: list[Any]
    is_endless: bool = False


Make = Callable[[Path], Case]


def table(first: int = 0, rows: int = ROWS) -> pa.Table:
    numbers = np.arange(first, first + rows)
    return pa.table([pa.array(numbers), pa.array([f"värde {n}" for n in numbers])], schema=SCHEMA)


def records(first: int = 0, rows: int = ROWS) -> list[Any]:
    return [tuple(row.values()) for row in table(first, rows).to_pylist()]


def make_range(start: int, stop: int) -> pa.RecordBatch:
    return pa.record_batch([pa.array(np.arange(start, stop))], names=["i"])


def sequence(_: Path) -> Case:
    return Case(number_sequence.NumberSequenceSource(-5, ROWS), list(range(-5, ROWS + 1)))


def pickled_collection(_: Path) -> Case:
    items = [{"n": n} for n in range(ROWS)]
    return Case(collection.CollectionSource(items), items)


def typed_collection(_: Path) -> Case:
    return Case(collection.CollectionSource(list(range(ROWS)), Types.LONG()), list(range(ROWS)))


def arrow_table(_: Path) -> Case:
    return Case(arrow_tables.ArrowSource(table()), records())


def bounded_generator(_: Path) -> Case:
    source = generator.GeneratorSource(make_range, ROWS, batch_rows=7)
    return Case(source, [(n,) for n in range(ROWS)])


def slow_generator(_: Path) -> Case:
    source = generator.GeneratorSource(make_range, ROWS, batch_rows=16, rows_per_second=1000.0)
    return Case(source, [(n,) for n in range(ROWS)])


def list_generator(_: Path) -> Case:
    source = generator.GeneratorSource(lambda start, stop: list(range(start, stop)), ROWS, batch_rows=11)
    return Case(source, list(range(ROWS)))


def endless_generator(_: Path) -> Case:
    source = generator.GeneratorSource(make_range, batch_rows=3)
    return Case(source, [(n,) for n in range(ROWS)], is_endless=True)


def parquet_files(folder: Path) -> Case:
    for number in range(3):
        pq.write_table(table(number * 1000), folder / f"{number}.parquet", row_group_size=70)
    everything = [row for number in range(3) for row in records(number * 1000)]
    return Case(FileSource.of_format(ParquetFormat(batch_size=40), str(folder)), everything)


def numbered_parquet(folder: Path) -> Case:
    pq.write_table(table(100), folder / "a.parquet", row_group_size=90, compression="zstd")
    source = FileSource.of_format(ParquetFormat(batch_size=40), str(folder), metadata=["row_number", "file_name"])
    filtered = source.with_filter(col("i") % 3 == 0)
    assert filtered is not None
    kept = [(*row, at, "a.parquet") for at, row in enumerate(records(100)) if row[0] % 3 == 0]
    return Case(filtered[0], kept)


def orc_files(folder: Path) -> Case:
    orc.write_table(table(), folder / "a.orc", stripe_size=1 << 12, batch_size=64)
    return Case(FileSource.orc(str(folder), metadata=["row_number"]), [(*row, at) for at, row in enumerate(records())])


def ipc_files(folder: Path) -> Case:
    with pa.OSFile(str(folder / "a.arrow"), "wb") as out, pa.ipc.new_file(out, SCHEMA) as writer:
        writer.write_table(table(), 37)
    with pa.OSFile(str(folder / "b.arrows"), "wb") as out, pa.ipc.new_stream(out, SCHEMA) as stream:
        stream.write_table(table(5000), 41)
    everything = [(*row, at) for first in (0, 5000) for at, row in enumerate(records(first))]
    return Case(FileSource.ipc(str(folder), metadata=["row_number"]), everything)


def csv_of(first: int = 0) -> bytes:
    lines = [f'{n},"värde\n{n}"' if n % 10 == 0 else f"{n},värde {n}" for n in range(first, first + ROWS)]
    return ("i,s\n" + "\n".join(lines) + "\n").encode()


def csv_records(first: int = 0) -> list[Any]:
    return [(n, f"värde\n{n}" if n % 10 == 0 else f"värde {n}") for n in range(first, first + ROWS)]


def csv_files(folder: Path) -> Case:
    (folder / "a.csv").write_bytes(csv_of())
    return Case(FileSource.csv(str(folder), metadata=["row_number"]), [(*r, n) for n, r in enumerate(csv_records())])


def csv_with_holes(folder: Path) -> Case:
    """Malformed rows go to a side output; each of them once, too."""
    lines = [f"{n},x" if n % 7 else f"{n};x" for n in range(ROWS)]
    (folder / "a.csv").write_text("i,s\n" + "\n".join(lines) + "\n")
    source = FileSource.csv(str(folder), on_error="side_output", column_types={"i": pa.int64()})
    bad = [("malformed", f"{n};x") for n in range(0, ROWS, 7)]
    return Case(source, [(n, "x") for n in range(ROWS) if n % 7] + bad)


def compressed(suffix: str, compress: Callable[[bytes], bytes]) -> Make:
    def make(folder: Path) -> Case:
        (folder / f"a.csv{suffix}").write_bytes(compress(csv_of()))
        (folder / f"b.csv{suffix}").write_bytes(compress(csv_of(7000)))
        return Case(
            FileSource.csv(str(folder), metadata=["row_number"]),
            [(*row, at) for first in (0, 7000) for at, row in enumerate(csv_records(first))],
        )

    return make


def json_lines(folder: Path) -> Case:
    lines = [f'{{"i": {n}, "s": "värde {n}"}}' for n in range(ROWS)]
    (folder / "a.jsonl").write_text("\n".join(lines))
    return Case(FileSource.json_lines(str(folder)), records())


def text_lines(folder: Path) -> Case:
    for name in "abc":
        (folder / name).write_text("".join(f"{name} {n}\r\n" for n in range(ROWS)))
    return Case(FileSource.text(str(folder)), [f"{name} {n}" for name in "abc" for n in range(ROWS)])


def text_of(charset: str, suffix: str = "") -> Make:
    def make(folder: Path) -> Case:
        lines = [f"å{n}" for n in range(ROWS)]
        data = "\n".join(lines).encode(charset)
        (folder / f"a.txt{suffix}").write_bytes(gzip.compress(data) if suffix else data)
        return Case(FileSource.text(str(folder), charset=charset), lines)

    return make


def small_files(folder: Path) -> Case:
    """Many to a split, in folders that tell a column."""
    for n in range(60):
        (folder / f"k={n % 3}").mkdir(exist_ok=True)
        (folder / f"k={n % 3}" / f"{n}.csv").write_text(f"i\n{n}\n{n + 1000}\n")
    return Case(FileSource.csv(str(folder)), [(i, n % 3) for n in range(60) for i in (n, n + 1000)])


def watched_folder(folder: Path) -> Case:
    """Files appear while it runs (`LateFiles`): some are there, some come between two runs."""
    for n in range(10):
        (folder / f"{n}.txt").write_text("".join(f"{n}/{line}\n" for line in range(50)))
    source = FileSource.text(str(folder), monitor_interval=0.001)
    return Case(source, [f"{n}/{line}" for n in range(10) for line in range(50)], is_endless=True)


CASES: list[Make] = [
    sequence,
    pickled_collection,
    typed_collection,
    arrow_table,
    bounded_generator,
    slow_generator,
    list_generator,
    endless_generator,
    parquet_files,
    numbered_parquet,
    orc_files,
    ipc_files,
    csv_files,
    csv_with_holes,
    compressed(".gz", gzip.compress),
    compressed(".bz2", bz2.compress),
    compressed(".xz", lzma.compress),
    json_lines,
    text_lines,
    text_of("latin-1"),
    text_of("utf-16"),
    text_of("latin-1", ".gz"),
    small_files,
    watched_folder,
]


@contextmanager
def small_batches() -> Iterator[None]:
    """Everything that bounds a batch or a split, made small, so that positions are inside files, groups and blocks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(number_sequence, "BATCH_ROWS", 13)
        patch.setattr(collection, "SLICE_ROWS", 17)
        patch.setattr(arrow_tables, "TABLE_BATCH_ROWS", 19)
        patch.setattr(arrow_cursor, "BATCH_ROWS", 23)
        patch.setattr(record_cursor, "BATCH_ROWS", 11)
        patch.setattr(record_cursor, "BLOCK_BYTES", 2048)
        patch.setattr(text, "CHUNK_BYTES", 1024)
        patch.setattr(parquet_cursor, "_RUN_ROWS_MIN", 100)
        patch.setattr(splits, "_SPLIT_BYTES_MIN", 1500)
        patch.setattr(splits, "_OPEN_COST_BYTES", 10)
        patch.setattr(files_cursor, "_ROWS_WANTED", 29)
        patch.setattr(files_cursor, "_ROWS_ALONE", 25)
        yield


class Mailbox:
    def put(self, action: Any) -> None:
        action()

    def wake(self) -> None:
        """The slot looks again anyway."""


class Run:
    """The enumerator and the readers of one attempt, as JobManager and tasks drive them."""

    def __init__(self, source: Source, parallelism: int, restored: tuple[bytes, list[bytes]] | None) -> None:
        self.clock = ManualClock()
        state, states = (None, []) if restored is None else (loads_value(restored[0]), restored[1])
        self.enumerator: SplitEnumerator = source.create_enumerator(parallelism, state)
        self.readers: list[SourceReader] = []
        self.ended: set[int] = set()
        self._turn = threading.Event()
        parts = [{"splits": OperatorStatePart(Redistribution.SPLIT_DISTRIBUTE, loads_value(s), "")} for s in states]
        dealt = redistributed(parts, parallelism) if parts else [{} for _ in range(parallelism)]
        for subtask in range(parallelism):
            reader = source.create_reader(self._context(subtask, parallelism))
            for split in dealt[subtask]["splits"].elements if dealt[subtask] else ():
                assert isinstance(split, Split)
                reader.add_split(split)
            self.readers.append(reader)

    def poll(self, subtask: int) -> list[Any]:
        """The records of one poll."""
        if subtask in self.ended:
            return []
        reader = self.readers[subtask]
        answer = reader.poll()
        if answer is Poll.NEED_SPLIT:
            split = self.enumerator.next_split(subtask)
            if split is not None:
                reader.add_split(loads_value(dumps_value(split)))
            elif self.enumerator.is_exhausted:
                reader.no_more_splits()
            else:
                self._turn.wait(0.001)  # another thread lists the folder
        elif answer is Poll.WAIT:
            self.clock.advance_ms(20)
        elif answer is Poll.END:
            self.ended.add(subtask)
        elif isinstance(answer, SideOutput):
            return [("malformed", row["text"]) for row in answer.batch.columns().to_pylist()]
        elif isinstance(answer, Batch):
            return plain(answer)
        return []

    def snapshot(self) -> tuple[bytes, list[bytes]]:
        """As a checkpoint: the enumerator first, then each reader."""
        return dumps_value(self.enumerator.snapshot()), [dumps_value(list(r.snapshot())) for r in self.readers]

    @property
    def has_ended(self) -> bool:
        return len(self.ended) == len(self.readers)

    def close(self) -> None:
        for reader in self.readers:
            reader.close()
        self.enumerator.close()

    def _context(self, subtask: int, parallelism: int) -> OperatorContext:
        return OperatorContext(
            operator_name="source",
            operator_id="0" * 32,
            task_name="source",
            subtask_index=subtask,
            parallelism=parallelism,
            max_parallelism=128,
            attempt=0,
            is_batch=False,
            configuration={},
            mailbox=Mailbox(),
            clock=self.clock,
        )


def plain(batch: Batch) -> list[Any]:
    rows = batch.rows()
    return [tuple(row) if hasattr(row, "as_dict") or isinstance(row, tuple) else row for row in rows]


def hashable(row: Any) -> str:
    return repr(row)


def read_with_failures(case: Case, data: Any) -> list[Any]:
    """Everything, through a few failures."""
    fixed = case.source.fixed_parallelism
    kept: list[Any] = []
    restored = None
    polls = 0
    for failures_left in range(data.draw(st.integers(1, 3), "failures"), -1, -1):
        parallelism = fixed or data.draw(st.integers(1, 4), "parallelism")
        with closing(Run(case.source, parallelism, restored)) as run:
            schedule = random.Random(data.draw(st.integers(0, 1 << 30), "schedule"))
            for _ in range(data.draw(st.integers(0, 80), "polls") if failures_left else 0):
                kept += run.poll(schedule.randrange(parallelism))
            if failures_left:
                restored = run.snapshot()
                for subtask in range(parallelism):  # lost with the failure
                    for _ in range(data.draw(st.integers(0, 3), "lost")):
                        run.poll(subtask)
                continue
            missing = Counter(map(hashable, case.records)) - Counter(map(hashable, kept))
            while not run.has_ended and (missing or not case.is_endless):
                came = run.poll(polls % parallelism)
                if came:
                    kept += came
                    missing -= Counter(map(hashable, came))
                polls += 1
                assert polls < POLLS_MAX, f"it never ends, and {missing} never came"
    return kept


@pytest.mark.parametrize("make", CASES, ids=lambda make: getattr(make, "__qualname__", "").partition(".")[0])
def test_each_record_comes_exactly_once(make: Make, tmp_path_factory: pytest.TempPathFactory) -> None:
    with small_batches():
        case = make(tmp_path_factory.mktemp("files"))

        @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
        @given(data=st.data())
        def check(data: Any) -> None:
            found = Counter(map(hashable, read_with_failures(case, data)))
            expected = Counter(map(hashable, case.records))
            if case.is_endless:
                found = Counter({row: count for row, count in found.items() if row in expected or count > 1})
            assert found == expected

        check()
