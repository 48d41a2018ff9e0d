from __future__ import annotations

import io
import random

import pytest

from shmflink.connectors.file_system.formats.csv.dialect import CsvDialect
from shmflink.connectors.file_system.reading.record_starts import csv_record_start, line_start


@pytest.mark.parametrize(
    ("data", "position", "expected"),
    [
        (b"a\nb\n", 0, 0),
        (b"a\nb\n", 1, 2),
        (b"a\nb\n", 2, 2),
        (b"a\r\nb", 2, 3),
        (b"a\rb", 1, 2),
        (b"ab", 1, 2),
        (b"", 0, 0),
    ],
)
def test_line_starts(data: bytes, position: int, expected: int) -> None:
    assert line_start(io.BytesIO(data), position) == expected


def test_only_lf_ends_lines_of_json() -> None:
    assert line_start(io.BytesIO(b"a\rb\nc"), 1, only_lf=True) == 4


def test_record_starts_everywhere_in_a_well_quoted_file() -> None:
    made = random.Random(5)
    pieces = ['"a\nb"', '"x"', "y", '""', '"q""\n""r"', "12", '"end, "']
    records = [",".join(made.choice(pieces) for _ in range(4)) + "\n" for _ in range(300)]
    starts, at = [0], 0
    for record in records:
        at += len(record)
        starts.append(at)
    file = io.BytesIO("".join(records).encode())
    for position in range(0, at, 7):
        expected = next(start for start in starts if start >= position)
        assert csv_record_start(file, position, CsvDialect()) == expected


def test_quotes_that_mean_nothing() -> None:
    data = b'5" pipe,a\n6" pipe,b\n'
    assert csv_record_start(io.BytesIO(data), 3, CsvDialect(quote=None)) == 10
    assert csv_record_start(io.BytesIO(data), 3, CsvDialect(quoted_newlines=False)) == 10
