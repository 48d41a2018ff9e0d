from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from oracle.driver import Driver

from shmflink.connectors.base import DeliveryGuarantee
from shmflink.connectors.print_sink import PrintSink, line_prefix
from shmflink.core.batch import Batch
from shmflink.core.types.typeinfo import Types
from shmflink.errors import ResourceError


@pytest.mark.parametrize(
    ("identifier", "parallelism", "prefix"),
    [("", 1, ""), ("", 4, "3> "), ("id", 1, "id> "), ("id", 4, "id:3> ")],
)
def test_what_stands_in_front(identifier: str, parallelism: int, prefix: str) -> None:
    assert line_prefix(identifier, 2, parallelism) == prefix


def test_rows_are_lines_on_standard_output(driver: Driver, capfd: pytest.CaptureFixture[str]) -> None:
    writer = driver.writer(PrintSink("out"), 1, 2)
    driver.write(writer, Batch.of_rows([("a", 1), ("b", 2)], Types.TUPLE([Types.STRING(), Types.INT()])))
    driver.write(writer, Batch.of_rows([], None))
    driver.finish(writer)
    assert capfd.readouterr().out == "out:2> (a,1)\nout:2> (b,2)\n"


@contextmanager
def unread_stdout() -> Iterator[int]:
    """Standard output is a pipe that nobody reads yet. Not a fixture: pytest moves it between phases."""
    saved = os.dup(1)
    read, write = os.pipe()
    os.dup2(write, 1)
    os.close(write)
    try:
        yield read
    finally:
        os.dup2(saved, 1)
        os.close(saved)
        os.close(read)


def test_a_full_disk_is_said(driver: Driver) -> None:
    saved = os.dup(1)
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        os.dup2(full, 1)
        writer = driver.writer(PrintSink())
        writer.write(Batch.of_rows(["x"]))
        with pytest.raises(ResourceError, match=r"print\(\): standard output cannot be written: No space left on"):
            driver.finish(writer)
    finally:
        os.dup2(saved, 1)
        os.close(saved)
        os.close(full)


def test_a_blocked_reader_blocks_the_writer_but_loses_nothing(driver: Driver) -> None:
    """[P21]"""
    lines = [f"{number:0200d}" for number in range(2000)]
    written = 0
    got = b""
    with unread_stdout() as stdout:
        writer = driver.writer(PrintSink())
        while writer.is_available and written < len(lines):
            writer.write(Batch.of_rows(lines[written : written + 50]))
            written += 50
        while len(got) < written * 201:
            got += os.read(stdout, 1 << 16)
        driver.finish(writer)
    assert got.decode().split() == lines[:written]
    assert 0 < written < len(lines)


def test_close_gives_up_on_a_blocked_reader(driver: Driver) -> None:
    with unread_stdout():
        writer = driver.writer(PrintSink())
        for _ in range(100):
            if writer.is_available:
                writer.write(Batch.of_rows(["x" * 100_000]))
        assert not writer.is_available
        driver.close(writer)


def test_long_lines_stay_whole(driver: Driver, capfd: pytest.CaptureFixture[str]) -> None:
    lines = ["a" * 10_000, "b", "c" * 4095, "d"]
    writer = driver.writer(PrintSink())
    driver.write(writer, Batch.of_rows(lines))
    driver.finish(writer)
    assert capfd.readouterr().out.split() == lines


def test_a_checkpoint_waits_until_its_lines_are_printed(driver: Driver, capfd: pytest.CaptureFixture[str]) -> None:
    """[E10] At least once: what the checkpoint holds is not printed again."""
    writer = driver.writer(PrintSink())
    driver.write(writer, *[Batch.of_rows([str(number)]) for number in range(5)])
    assert list(writer.prepare_commit(1)()) == []
    assert capfd.readouterr().out.split() == [str(number) for number in range(5)]
    assert PrintSink().delivery_guarantee({}) is DeliveryGuarantee.AT_LEAST_ONCE
    driver.finish(writer)
