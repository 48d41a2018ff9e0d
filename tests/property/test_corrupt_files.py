"""[S4] Files with flipped bits: rows, or an error that names the file; never a dead process.

A reader that reads beyond its buffers would take this test's process along.
"""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.orc as orc
import pyarrow.parquet as pq
import pytest

from shmflink.connectors.base import Poll
from shmflink.connectors.file_system.reading.files_cursor import FilesCursor
from shmflink.connectors.file_system.reading.source import FileSource
from shmflink.core.batch import Batch
from shmflink.errors import ShmflinkError

ROWS = 2000
TABLE = pa.table(
    {
        "i": np.arange(ROWS),
        "s": [f"värde {n}" for n in range(ROWS)],
        "l": [[n] * (n % 3) for n in range(ROWS)],
        "d": pa.array(["x", "y"] * (ROWS // 2)).dictionary_encode(),
    }
)
SEEDS = range(60)


def write_ipc(path: Path) -> None:
    with pa.OSFile(str(path), "wb") as out, pa.ipc.new_file(out, TABLE.schema) as writer:
        writer.write_table(TABLE, 500)


def write_stream(path: Path) -> None:
    with pa.OSFile(str(path), "wb") as out, pa.ipc.new_stream(out, TABLE.schema) as writer:
        writer.write_table(TABLE, 500)


def write_parquet(compression: str) -> Callable[[Path], None]:
    return lambda path: pq.write_table(TABLE.drop_columns("l"), path, row_group_size=500, compression=compression)


def write_csv(path: Path) -> None:
    path.write_bytes(gzip.compress(b"i,s\n" + "".join(f"{n},värde {n}\n" for n in range(ROWS)).encode()))


KINDS: dict[str, tuple[str, Callable[[Path], None], Callable[..., FileSource]]] = {
    "ipc": ("in.arrow", write_ipc, FileSource.ipc),
    "stream": ("in.arrows", write_stream, FileSource.ipc),
    "parquet": ("in.parquet", write_parquet("none"), FileSource.parquet),
    "snappy": ("in.parquet", write_parquet("snappy"), FileSource.parquet),
    "zstd": ("in.parquet", write_parquet("zstd"), FileSource.parquet),
    "orc": ("in.orc", lambda path: orc.write_table(TABLE.drop_columns("d"), path), FileSource.orc),
    "csv.gz": ("in.csv.gz", write_csv, FileSource.csv),
}


def flipped(good: bytes, seed: int) -> bytes:
    """Some bits, half of them near the end, where footers are."""
    choice = random.Random(seed)
    data = bytearray(good)
    for _ in range(choice.choice([1, 1, 2, 8])):
        near_end = choice.random() < 0.5
        at = len(data) - 1 - choice.randrange(min(600, len(data))) if near_end else choice.randrange(len(data))
        data[at] ^= 1 << choice.randrange(8)
    return bytes(data)


def read_all(source: FileSource) -> int:
    """Reads every row, and looks at every byte of it."""
    plan = source._scan.read_plan()
    rows = 0
    for split in source.create_enumerator(1).snapshot():
        with closing(FilesCursor(split, source._scan.files, plan)) as cursor:
            while (answer := cursor.next_batch()) is not None:
                if answer is Poll.AGAIN:
                    continue
                assert isinstance(answer, Batch)
                columns = answer.columns()
                columns.take(pa.array(np.arange(columns.num_rows)[::-1]))
                rows += columns.num_rows
    return rows


@pytest.mark.parametrize("kind", KINDS)
def test_rows_or_an_error_that_names_the_file(kind: str, tmp_path: Path) -> None:
    name, write, source_of = KINDS[kind]
    path = tmp_path / name
    write(path)
    good = path.read_bytes()
    assert read_all(source_of(path)) == ROWS
    refused: list[str] = []
    for seed in SEEDS:
        path.write_bytes(flipped(good, seed))
        print(f"{kind}: seed {seed}")  # shown where it fails
        try:
            read_all(source_of(path))
        except ShmflinkError as error:
            refused.append(str(error))
    assert len(refused) > len(SEEDS) // 5
    assert [text for text in refused if name not in text] == []
