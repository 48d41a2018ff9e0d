from __future__ import annotations

import bz2
import gzip
import lzma
import re
import tracemalloc
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.driver import Driver

from shmflink.connectors.base import Poll, Split
from shmflink.connectors.file_system.file_systems import FileSystem
from shmflink.connectors.file_system.formats.text import format as text
from shmflink.connectors.file_system.formats.text.format import StreamFormat
from shmflink.connectors.file_system.reading import files_cursor, record_cursor
from shmflink.connectors.file_system.reading.source import FileSource
from shmflink.connectors.file_system.reading.splits import FileRange
from shmflink.core.batch import Batch
from shmflink.errors import ConfigurationError, DataFormatError

LINE_END = re.compile(rb"\r\n|\n|\r")


def lines_of(data: bytes) -> list[str]:
    """Java's BufferedReader.readLine, slowly."""
    lines = LINE_END.split(data)
    return [line.decode() for line in (lines[:-1] if lines[-1] == b"" else lines)]


def source(path: Path, charset: str = "UTF-8") -> FileSource:
    return FileSource.for_record_stream_format(StreamFormat.text_line_format(charset), str(path)).build()


def read_ranges(path: Path, cuts: list[int]) -> list[str]:
    rows: list[str] = []
    for start, stop in pairwise(cuts):
        cursor = text.RangeCursor(Split("0", FileRange(str(path), start, stop - start)), "utf-8", FileSystem())
        while isinstance(batch := cursor.next_batch(), Batch):
            rows += batch.rows()
        cursor.close()
    return rows


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"a",
        b"a\n",
        b"a\nb",
        b"a\r\nb\r\n",
        b"\r\r\n\n\r",
        b"a\rb\r",
        "ä\n€\n😀".encode(),
        b"\n\n\na",
    ],
)
def test_lines_end_as_in_java(driver: Driver, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "in.txt"
    path.write_bytes(data)
    assert driver.rows(source(path)) == lines_of(data)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([b"a", b"bc", "ä".encode(), b"\n", b"\r", b"\r\n"]), max_size=12),
    st.lists(st.integers(0, 20), max_size=4),
)
def test_every_line_is_in_one_split_wherever_the_file_is_cut(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], cuts: list[int]
) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.txt"
    data = b"".join(pieces)
    path.write_bytes(data)
    borders = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    assert read_ranges(path, borders) == lines_of(data)


@pytest.mark.parametrize("chunk", [1, 2, 3, 7])
def test_chunks_change_nothing(driver: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(record_cursor, "BLOCK_BYTES", chunk)
    data = "one\r\ntwo\r\rthree long line\n\nä€😀\nlast".encode()
    path = tmp_path / "in.txt"
    path.write_bytes(data)
    assert driver.rows(source(path)) == lines_of(data)
    (tmp_path / "in.txt.gz").write_bytes(gzip.compress(data))
    assert driver.rows(source(tmp_path / "in.txt.gz")) == lines_of(data)


@pytest.mark.parametrize("parallelism", [1, 3])
def test_a_large_file_in_parallel(driver: Driver, tmp_path: Path, parallelism: int) -> None:
    expected = [f"line {number} " + "x" * (number % 97) for number in range(60_000)]
    path = tmp_path / "in.txt"
    path.write_text("\n".join(expected) + "\n")
    assert path.stat().st_size > 3 << 20
    batches = driver.batches(source(path), parallelism)
    assert all(batch.is_columnar and batch.columns().nbytes < 2 * record_cursor.BLOCK_BYTES for batch in batches)
    assert [row for batch in batches for row in batch.rows()] == expected


@pytest.mark.parametrize(
    ("suffix", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)]
)
def test_compressed_files(driver: Driver, tmp_path: Path, suffix: str, compress: Any) -> None:
    expected = [f"line {number}" for number in range(50_000)]
    path = tmp_path / f"in.txt{suffix}"
    path.write_bytes(compress("\n".join(expected).encode()))
    assert driver.rows(source(path), 4) == expected


def test_bz2_streams_with_an_empty_one_among_them(driver: Driver, tmp_path: Path) -> None:
    """As `cat a.bz2 empty.bz2 b.bz2` makes it; pyarrow 26.0.1 alone has an internal error."""
    path = tmp_path / "in.txt.bz2"
    path.write_bytes(bz2.compress(b"a\nb") + bz2.compress(b"") * 2 + bz2.compress(b"c\n"))
    assert driver.rows(source(path)) == ["a", "bc"]


def test_zstd_and_concatenated_gzip(driver: Driver, tmp_path: Path) -> None:
    path = tmp_path / "in.txt.zst"
    with pa.OSFile(str(path), "wb") as file, pa.CompressedOutputStream(file, "zstd") as stream:
        stream.write(b"a\nb\n")
    assert driver.rows(source(path)) == ["a", "b"]
    path = tmp_path / "in.txt.gz"
    path.write_bytes(gzip.compress(b"a\nb") + gzip.compress(b"c\n"))
    assert driver.rows(source(path)) == ["a", "bc"]


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz"])
def test_a_broken_compressed_file_names_itself(driver: Driver, tmp_path: Path, suffix: str) -> None:
    """[S1] Cut short within its compressed data."""
    compress = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}[suffix]
    path = tmp_path / f"in.txt{suffix}"
    path.write_bytes(compress(bytes(range(256)) * 100)[:-20])
    with pytest.raises(DataFormatError, match=re.escape(str(path))):
        driver.rows(source(path, "latin-1"))


@pytest.mark.parametrize("charset", ["ISO-8859-1", "UTF-16", "UTF-16LE", "UTF-32", "cp1252"])
def test_other_charsets(driver: Driver, tmp_path: Path, charset: str) -> None:
    expected = ["Ünïcödé", "", "Größe", "plain"] * 500
    path = tmp_path / "in.txt"
    path.write_bytes("\n".join(expected).encode(charset))
    assert driver.rows(source(path, charset), 2) == expected


def test_an_unknown_charset() -> None:
    with pytest.raises(ConfigurationError, match="unknown charset `klingon`"):
        StreamFormat.text_line_format("klingon")


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_malformed_text_names_file_and_byte(
    driver: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setattr(record_cursor, "BLOCK_BYTES", 16)
    data = "äöü\r\n".encode() * 10 + b"ab\xffcd\n"
    path = tmp_path / f"in.txt{suffix}"
    path.write_bytes(gzip.compress(data) if suffix else data)
    with pytest.raises(
        DataFormatError, match=re.escape(f"{path}: line 11 (byte 80): byte 2 of the row is not valid UTF-8")
    ):
        driver.rows(source(path))


def test_text_that_ends_inside_a_character(driver: Driver, tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    path.write_bytes(b"ab\n\xc3")
    with pytest.raises(
        DataFormatError, match=r"line 2 \(byte 3\): byte 0 of the row is not valid UTF-8; name the file's charset"
    ):
        driver.rows(source(path))


def test_a_line_without_end_is_refused(driver: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """[S13] Before memory is taken for more of it."""
    monkeypatch.setattr(text, "LINE_BYTES_MAX", 1000)
    monkeypatch.setattr(text, "CHUNK_BYTES", 100)
    monkeypatch.setattr(record_cursor, "BLOCK_BYTES", 100)
    path = tmp_path / "in.bin"
    path.write_bytes(b"x" * 5000)
    with pytest.raises(DataFormatError, match="a record is longer than 1000 bytes"):
        driver.rows(source(path))
    with pytest.raises(DataFormatError, match="a line is longer than 1000 bytes"):
        driver.rows(source(path, "latin-1"))


@pytest.mark.parametrize("charset", ["UTF-8", "latin-1"])
def test_a_compressed_bomb_is_read_in_pieces(driver: Driver, tmp_path: Path, charset: str) -> None:
    """[S13] 64 MiB of one short line in 64 KiB: at no time is more than a block of it in memory."""
    path = tmp_path / "in.txt.gz"
    path.write_bytes(gzip.compress(b"0\n" * (8 << 20)) * 4)
    files = source(path, charset)
    rows = most = 0
    tracemalloc.start()
    try:
        before = pa.total_allocated_bytes()
        with closing(files.create_reader(driver.context())) as reader:
            split = files.create_enumerator(1).next_split(0)
            assert split is not None
            reader.add_split(split)
            reader.no_more_splits()
            while (answer := reader.poll()) is not Poll.END:
                if isinstance(answer, Batch):
                    rows += answer.num_rows
                most = max(most, tracemalloc.get_traced_memory()[1] + pa.total_allocated_bytes() - before)
    finally:
        tracemalloc.stop()
    assert rows == 32 << 20
    assert most < 32 << 20


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_reader_goes_on_from_its_snapshot(
    driver: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setattr(record_cursor, "BLOCK_BYTES", 64)
    monkeypatch.setattr(files_cursor, "_BYTES_WANTED", 64)
    expected = [f"line {number}" for number in range(100)]
    data = "\n".join(expected).encode()
    path = tmp_path / f"in.txt{suffix}"
    path.write_bytes(gzip.compress(data) if suffix else data)
    files = source(path)
    reader = files.create_reader(driver.context())
    split = files.create_enumerator(1).next_split(0)
    assert split is not None
    reader.add_split(split)
    rows: list[str] = []
    for _ in range(3):
        batch = reader.poll()
        assert isinstance(batch, Batch)
        rows += batch.rows()
    (rest,) = reader.snapshot()
    reader.close()
    assert 0 < len(rows) < 100
    assert rows + driver.read_split(files, rest) == expected


def test_rows_stay_strings_on_the_wire(driver: Driver, tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    path.write_text("a\nb\n")
    (batch,) = driver.batches(source(path))
    assert Batch.from_wire(batch.to_wire()).rows() == ["a", "b"]


@pytest.mark.parametrize(
    ("charset", "suffix"), [("ISO-8859-1", ""), ("UTF-16", ""), ("UTF-16", ".gz"), ("UTF-8", ""), ("cp1252", ".gz")]
)
def test_every_charset_is_read_through_the_file_system(charset: str, suffix: str) -> None:
    fsspec = pytest.importorskip("fsspec")
    expected = ["Ünïcödé", "", "Größe", "plain"] * 500
    data = "\n".join(expected).encode(charset)
    data = gzip.compress(data) if suffix else data
    path = f"/charsets/{charset}.txt{suffix}"
    fsspec.filesystem("memory").pipe(path, data)
    try:
        split = Split("0", FileRange(f"memory:/{path}", 0, len(data)))
        cursor = StreamFormat.text_line_format(charset).open_split(split)
        rows: list[str] = []
        while isinstance(batch := cursor.next_batch(), Batch):
            rows += batch.rows()
        cursor.close()
        assert rows == expected
    finally:
        fsspec.filesystem("memory").rm("/charsets", recursive=True)
