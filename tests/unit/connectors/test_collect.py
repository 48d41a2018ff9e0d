from __future__ import annotations

import socket
import threading
from typing import Any

import pytest

from shmflink.connectors.collect import CollectServer, CollectSink
from shmflink.core.batch import Batch
from shmflink.core.row import Row


@pytest.fixture
def server() -> Any:
    made = CollectServer()
    yield made
    made.close()


def test_rows_come_as_they_were_and_in_each_writers_order(driver: Any, server: CollectServer) -> None:
    sink = CollectSink(server.address)
    writers = [driver.writer(sink, subtask, 2) for subtask in range(2)]
    for number in range(3):
        for subtask, writer in enumerate(writers):
            driver.write(writer, Batch.of_rows([(subtask, number), Row(a=None)]))
    for writer in writers:
        driver.finish(writer)
    rows = [row for batch in server.batches() for row in batch.rows()]
    assert [row for row in rows if isinstance(row, tuple) and row[0] == 0] == [(0, 0), (0, 1), (0, 2)]
    assert [row for row in rows if isinstance(row, tuple) and row[0] == 1] == [(1, 0), (1, 1), (1, 2)]
    assert rows.count(Row(a=None)) == 6


def test_a_reader_that_waits_holds_the_writer_up(driver: Any, server: CollectServer) -> None:
    writer = driver.writer(CollectSink(server.address))
    batch = Batch.of_rows(["x" * 100_000])
    written = 0
    while writer.is_available:
        writer.write(batch)
        written += 1
    assert not writer.is_finished
    batches = server.batches()
    assert next(batches).rows() == ["x" * 100_000]
    finisher = threading.Thread(target=driver.finish, args=(writer,))
    finisher.start()
    assert sum(1 for _ in batches) == written - 1
    finisher.join()


def test_closing_early_lets_the_writers_end(driver: Any, server: CollectServer) -> None:
    writer = driver.writer(CollectSink(server.address))
    driver.write(writer, Batch.of_rows([1]), Batch.of_rows([2]))
    batches = server.batches()
    assert next(batches).rows() == [1]
    server.close()
    assert list(batches) == []
    driver.write(writer, *[Batch.of_rows(["y" * 100_000])] * 20)
    driver.finish(writer)


def test_a_writer_that_comes_after_the_reader_went(driver: Any) -> None:
    server = CollectServer()
    server.close()
    writer = driver.writer(CollectSink(server.address))
    driver.write(writer, Batch.of_rows([1]))
    driver.finish(writer)


def test_a_writer_can_be_closed_while_it_is_blocked(driver: Any, server: CollectServer) -> None:
    writer = driver.writer(CollectSink(server.address))
    while writer.is_available:
        writer.write(Batch.of_rows(["x" * 100_000]))
    driver.close(writer)


def test_a_job_that_failed_ends_the_iterator(driver: Any, server: CollectServer) -> None:
    writer = driver.writer(CollectSink(server.address))
    driver.write(writer, Batch.of_rows([1]))
    batches = server.batches()
    assert next(batches).rows() == [1]
    driver.close(writer)
    ender = threading.Timer(0.01, server.end)
    ender.start()
    assert list(batches) == []
    ender.join()


def test_a_job_that_never_ran_ends_the_iterator(server: CollectServer) -> None:
    server.end()
    assert list(server.batches()) == []


def test_strangers_are_turned_away(server: CollectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getuid", lambda: 12345)
    stranger = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    stranger.connect("\0" + server.address[1:])
    server.end()
    assert list(server.batches()) == []
    assert stranger.recv(1) == b""
    stranger.close()
