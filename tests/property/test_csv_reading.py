"""CSV against Python's csv module, wherever the file is cut and however small the blocks are."""

from __future__ import annotations

import csv
import io
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shmflink.connectors.base import Split
from shmflink.connectors.file_system.formats.csv.format import CsvFormat
from shmflink.connectors.file_system.reading import record_cursor, record_starts
from shmflink.connectors.file_system.reading.splits import FileRange
from shmflink.core.batch import Batch
from shmflink.errors import DataFormatError

COLUMNS = 3
SCHEMA = pa.schema([(f"c{index}", pa.string()) for index in range(COLUMNS)])

words = st.text(st.sampled_from("ab ,;\"\n\r\\'ä€"), max_size=6)
rows = st.lists(st.lists(words, min_size=COLUMNS, max_size=COLUMNS), max_size=30)
cuts = st.lists(st.integers(1, 400), max_size=5)


def read(path: Path, borders: list[int], made: CsvFormat) -> list[list[Any]]:
    """All rows of the ranges between the borders, range after range, each cursor restored after each batch."""
    found: list[list[Any]] = []
    for start, stop in pairwise(borders):
        split = Split("0", FileRange(str(path), start, stop - start))
        while True:
            with closing(made.open_split(split)) as cursor:
                batch = cursor.next_batch()
                split = cursor.remaining()
            if batch is None:
                break
            assert isinstance(batch, Batch)
            found += [list(row.values()) for row in batch.columns().to_pylist()]
    return found


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_cursor, "BLOCK_BYTES", 64)
    monkeypatch.setattr(record_cursor, "_TAIL_BYTES", 16)
    monkeypatch.setattr(record_starts, "_PIECE_BYTES", 64)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows, cuts, st.sampled_from(",;\t|"), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_what_csv_writes_is_read_whole(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[list[str]],
    cuts: list[int],
    delimiter: str,
    line_end: str,
    quote_all: bool,
) -> None:
    text = io.StringIO()
    bare_cr = line_end == "\n" and any("\r" in word for row in rows for word in row)  # Python writes it without quotes
    quoting = csv.QUOTE_ALL if quote_all or bare_cr else csv.QUOTE_MINIMAL
    csv.writer(text, delimiter=delimiter, lineterminator=line_end, quoting=quoting).writerows([SCHEMA.names, *rows])
    data = text.getvalue().encode()
    path = tmp_path_factory.getbasetemp() / "rows.csv"
    path.write_bytes(data)
    made = CsvFormat(SCHEMA, delimiter=delimiter, null_values=()).with_schema(SCHEMA)
    assert read(path, [0, len(data)], made) == rows
    borders = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    try:
        found = read(path, borders, made)
    except DataFormatError as error:
        if "do not determine where records start" not in str(error):
            raise
        return  # refused, never read wrongly
    assert found == rows


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.sampled_from('ab,"\n'), max_size=60))
def test_odd_quotes_are_read_as_python_does(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "odd.csv"
    path.write_text(text, newline="")
    schema = pa.schema([("a", pa.string()), ("b", pa.string())])
    made = CsvFormat(schema, header=False, null_values=(), on_error="skip").with_schema(schema)
    found = read(path, [0, len(text)], made) if text else []
    try:
        expected = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if len(row) == 2]
    except csv.Error:
        return  # malformed: read as far as it goes
    assert found == expected
