from __future__ import annotations

import gzip
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from oracle.driver import Driver

from shmflink.connectors.base import Poll, Source
from shmflink.connectors.file_system.reading import record_cursor
from shmflink.connectors.file_system.reading.malformed import MALFORMED_SCHEMA
from shmflink.connectors.file_system.reading.source import FileSource
from shmflink.core.batch import Batch
from shmflink.errors import DataFormatError
from shmflink.operators.base import OperatorContext, SideOutput

CSV = (
    "id,price,name\n"
    + "".join(f"{n},{n}.5,n{n}\n" for n in range(20))
    + "x,1.5,bad id\n"
    + "7,2.5\n"
    + '8,"3.5"z,q\n9,9.5,ok\n'
)
LINES = "".join(f'{{"id": {n}, "price": {n}.5}}\n' for n in range(20)) + '{"id": "x"}\n{"id": 1\n[1]\n{"id": 9}\n'


def read(source: Source, context: OperatorContext, parallelism: int = 1) -> tuple[list[Any], list[dict[str, Any]]]:
    """Rows and malformed rows of one reader that reads all splits."""
    enumerator = source.create_enumerator(parallelism)
    rows: list[Any] = []
    bad: list[dict[str, Any]] = []
    with closing(source.create_reader(context)) as reader:
        while (answer := reader.poll()) is not Poll.END:
            if isinstance(answer, Batch):
                rows += answer.columns().to_pylist()
            elif isinstance(answer, SideOutput):
                assert answer.tag == "malformed"
                assert answer.batch.columns().schema == MALFORMED_SCHEMA
                bad += answer.batch.columns().to_pylist()
            elif answer is Poll.NEED_SPLIT:
                split = enumerator.next_split(0)
                reader.no_more_splits() if split is None else reader.add_split(split)
    return rows, bad


def source_of(path: Path, **options: Any) -> FileSource:
    """Types are inferred from the good rows at the start."""
    make = FileSource.csv if ".csv" in path.name else FileSource.json_lines
    return make(str(path), infer_rows=15, **options)


@pytest.fixture(params=["in.csv", "in.jsonl", "in.csv.gz", "in.jsonl.gz"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    made = tmp_path / request.param
    text = CSV if ".csv" in request.param else LINES
    made.write_bytes(gzip.compress(text.encode()) if request.param.endswith("gz") else text.encode())
    return made


@pytest.fixture(params=[40, 1 << 20])
def block_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_cursor, "BLOCK_BYTES", request.param)


@pytest.mark.usefixtures("block_bytes")
def test_the_job_fails_with_the_place_and_the_reason(driver: Driver, path: Path) -> None:
    is_csv = ".csv" in path.name
    text = CSV if is_csv else LINES
    place = text.index("x,1.5") if is_csv else text.index('{"id": "x"')
    line = text[:place].count("\n") + 1
    with pytest.raises(DataFormatError) as caught:
        read(source_of(path), driver.context())
    message = str(caught.value)
    assert message.startswith(f"{path}: line {line} (byte {place}): column 'id': ")
    assert (
        "is not a valid int64; declare column_types={'id': pa.string()}, the type was inferred from the first 15 rows"
        in message
    )
    assert "column_types={'id': pa.string()}" in message
    assert "The row: 'x,1.5,bad id'" in message or """The row: '{"id": "x"}'""" in message
    assert "on_error='skip'" in message


@pytest.mark.usefixtures("block_bytes")
def test_skipped_rows_are_counted(driver: Driver, path: Path) -> None:
    """[S5] Exactly as many as there are."""
    context = driver.context()
    rows, bad = read(source_of(path, on_error="skip"), context)
    assert [row["id"] for row in rows] == [*range(20), 9]
    assert bad == []
    assert context.counters.malformed_rows == 3


@pytest.mark.usefixtures("block_bytes")
def test_a_side_output_has_the_rows_and_the_reasons(driver: Driver, path: Path) -> None:
    """[S5] File, line, byte, text and reason of each."""
    context = driver.context()
    rows, bad = read(source_of(path, on_error="side_output"), context)
    assert [row["id"] for row in rows] == [*range(20), 9]
    assert context.counters.malformed_rows == len(bad) == 3
    text = CSV if ".csv" in path.name else LINES
    for row in bad:
        assert row["file"] == str(path)
        assert text[row["byte_offset"] :].startswith(row["text"] + "\n")
        assert text.split("\n")[row["line"] - 1] == row["text"]
    reasons = [row["reason"] for row in bad]
    if ".csv" in path.name:
        assert reasons[1] == "2 fields where 3 were expected"
        assert "text between a closing quote and the delimiter" in reasons[2]
    else:
        assert "the line ends where `,` or `}` was expected" in reasons[1]
        assert "`[1]` where an object was expected" in reasons[2]


def test_a_folder_gets_the_rows_as_a_whole_file(driver: Driver, path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bad"
    context = driver.context()
    source = source_of(path, on_error="folder", malformed_folder=str(folder))
    rows, bad = read(source, context)
    assert (len(rows), bad, context.counters.malformed_rows) == (21, [], 3)
    (file,) = folder.iterdir()
    found = [json.loads(line) for line in file.read_text().splitlines()]
    assert [list(row) for row in found] == [MALFORMED_SCHEMA.names] * 3
    _, expected = read(source_of(path, on_error="side_output"), driver.context())
    assert found == expected


def test_a_reader_that_is_stopped_leaves_no_file(driver: Driver, path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bad"
    source = source_of(path, on_error="folder", malformed_folder=str(folder))
    reader = source.create_reader(driver.context())
    split = source.create_enumerator(1).next_split(0)
    assert split is not None
    reader.add_split(split)
    assert isinstance(reader.poll(), Batch)
    reader.close()
    assert list(folder.iterdir()) == []


def test_a_checkpoint_keeps_the_rows_that_were_malformed_before_it(driver: Driver, path: Path, tmp_path: Path) -> None:
    """[S5] They are not read again after a restore: they must not be lost with the reader."""
    folder = tmp_path / "bad"
    source = source_of(path, on_error="folder", malformed_folder=str(folder))
    with closing(source.create_reader(driver.context())) as reader:
        split = source.create_enumerator(1).next_split(0)
        assert split is not None
        reader.add_split(split)
        assert isinstance(reader.poll(), Batch)
        rest = reader.snapshot()
    with closing(source.create_reader(driver.context())) as reader:
        for split in rest:
            reader.add_split(split)
        reader.no_more_splits()
        while reader.poll() is not Poll.END:
            pass
    found = [json.loads(line) for file in folder.iterdir() for line in file.read_text().splitlines()]
    _, expected = read(source_of(path, on_error="side_output"), driver.context())
    assert sorted(found, key=str) == sorted(expected, key=str)


@pytest.mark.usefixtures("block_bytes")
def test_nothing_is_twice_wherever_a_reader_goes_on(driver: Driver, path: Path) -> None:
    source = source_of(path, on_error="side_output")
    expected = read(source, driver.context())
    splits = [source.create_enumerator(1).next_split(0)]
    rows: list[Any] = []
    bad: list[Any] = []
    while splits:
        with closing(source.create_reader(driver.context())) as reader:
            for split in splits:
                assert split is not None
                reader.add_split(split)
            reader.no_more_splits()
            answer = reader.poll()
            splits = list(reader.snapshot())
        if isinstance(answer, Batch):
            rows += answer.columns().to_pylist()
        elif isinstance(answer, SideOutput):
            bad += answer.batch.columns().to_pylist()
    assert (rows, bad) == expected


def test_lines_are_counted_from_the_start_of_the_file(driver: Driver, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("a,b\n" + "1,2\n" * 1_000_000 + "x,3\n" + "1,2\n" * 10)
    with pytest.raises(DataFormatError, match=r"line 1000002 \(byte 4000004\): column 'a': `x` is not a valid int64"):
        read(source_of(path), driver.context(), parallelism=3)


@pytest.mark.parametrize("quoted_newlines", [True, False])
def test_a_quote_that_nothing_closes_costs_one_line(driver: Driver, tmp_path: Path, quoted_newlines: bool) -> None:
    path = tmp_path / "in.csv"
    path.write_text('a,b\n1,x\n2,"y\n3,z\n4,w\n')
    rows, bad = read(source_of(path, on_error="side_output", quoted_newlines=quoted_newlines), driver.context())
    assert [row["a"] for row in rows] == [1, 3, 4]
    assert [(row["line"], row["text"], row["reason"]) for row in bad] == [(3, '2,"y', "a quote is not closed")]


def test_long_rows_are_shortened_in_messages(driver: Driver, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("a,b\n1,x\n1," + "y" * 1000 + ",z\n")
    with pytest.raises(DataFormatError) as caught:
        read(source_of(path), driver.context())
    assert "y" * 195 + "..." in str(caught.value)
    assert "y" * 200 not in str(caught.value)


def test_invalid_utf8_is_one_row(driver: Driver, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(b"a,b\n1,x\n2,\xff\n3,z\n")
    rows, bad = read(source_of(path, on_error="side_output"), driver.context())
    assert [row["a"] for row in rows] == [1, 3]
    assert [row["reason"] for row in bad] == ["column 'b': byte 2 of the row is not valid UTF-8"]
