from __future__ import annotations

import socket
import threading
from typing import Any

import pytest
from oracle.driver import Driver
from oracle.two_phases import Attempt

from shmflink.connectors.collect import CollectServer, CollectSink, _HeldBatches
from shmflink.core.batch import Batch
from shmflink.core.row import Row
from shmflink.taskmanager.sink import COMMITTABLES_STATE


@pytest.fixture
def server() -> Any:
    made = CollectServer()
    yield made
    made.close()


def test_rows_come_as_they_were_and_in_each_writers_order(driver: Driver, server: CollectServer) -> None:
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


def test_a_reader_that_waits_holds_the_writer_up(driver: Driver, server: CollectServer) -> None:
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


def test_closing_early_lets_the_writers_end(driver: Driver, server: CollectServer) -> None:
    writer = driver.writer(CollectSink(server.address))
    driver.write(writer, Batch.of_rows([1]), Batch.of_rows([2]))
    batches = server.batches()
    assert next(batches).rows() == [1]
    server.close()
    assert list(batches) == []
    driver.write(writer, *[Batch.of_rows(["y" * 100_000])] * 20)
    driver.finish(writer)


def test_a_writer_that_comes_after_the_reader_went(driver: Driver) -> None:
    server = CollectServer()
    server.close()
    writer = driver.writer(CollectSink(server.address))
    driver.write(writer, Batch.of_rows([1]))
    driver.finish(writer)


def test_a_writer_can_be_closed_while_it_is_blocked(driver: Driver, server: CollectServer) -> None:
    writer = driver.writer(CollectSink(server.address))
    while writer.is_available:
        writer.write(Batch.of_rows(["x" * 100_000]))
    driver.close(writer)


def test_a_job_that_failed_ends_the_iterator(driver: Driver, server: CollectServer) -> None:
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


def rows_of(server: CollectServer) -> list[Any]:
    """All that is handed out until the job has ended."""
    server.end()
    return [row for batch in server.batches() for row in batch.rows()]


def test_rows_wait_for_their_checkpoint(server: CollectServer) -> None:
    """[E1] [E9]"""
    attempt = Attempt(CollectSink(server.address), 2)
    for number in range(3):
        attempt.write(Batch.of_rows([number]), subtask=number % 2)
        checkpoint = attempt.checkpoint(number)
        assert len(checkpoint.elements(COMMITTABLES_STATE)) == 1 + (number == 2)
        if number != 1:  # one is aborted: its rows come with the next
            attempt.complete(number)
    attempt.write(Batch.of_rows(["in no checkpoint"]))
    attempt.close()
    assert sorted(rows_of(server)) == [0, 1, 2]


@pytest.mark.parametrize("was_committed", [False, True])
def test_rows_come_once_though_the_job_was_restarted(server: CollectServer, was_committed: bool) -> None:
    """[E2] [E3] [E12]"""
    first = Attempt(CollectSink(server.address), 2)
    first.write(Batch.of_rows([1]), subtask=0)
    first.write(Batch.of_rows([2]), subtask=1)
    checkpoint = first.checkpoint(1)
    if was_committed:
        first.complete(1)
    first.write(Batch.of_rows([3]), subtask=0)
    first.checkpoint(2)  # never complete
    first.close()
    second = Attempt(CollectSink(server.address), 3, epoch=2, restored=checkpoint)
    second.settle()
    second.write(Batch.of_rows([3]), subtask=2)
    second.finish()
    assert second.operators[2].needs_commit
    second.checkpoint(3)
    second.complete(3)
    second.wait(lambda: all(operator.is_finished and not operator.needs_commit for operator in second.operators))
    second.close()
    assert sorted(rows_of(server)) == [1, 2, 3]


def test_a_commit_may_arrive_before_its_mark(server: CollectServer) -> None:
    held, connection = _HeldBatches(), server._listener
    held.open(connection, b"w")
    assert held.hold(connection, bytearray(b"a"))
    assert held.commit(b"w", 1) == []
    assert held.mark(connection, 1) == [b"a"]
    assert held.commit(b"w", 1) == []
