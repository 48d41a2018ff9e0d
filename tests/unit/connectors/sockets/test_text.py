"""A text source over TCP: records, broken connections, back-pressure, and a peer that hangs."""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle.driver import Driver

from shmflink.connectors.base import Poll, SourceReader, Split
from shmflink.connectors.sockets import stream as socket_stream
from shmflink.connectors.sockets import text as socket_text
from shmflink.connectors.sockets.stream import SocketStream, Taken
from shmflink.connectors.sockets.text import SocketTextSource
from shmflink.core.batch import Batch
from shmflink.errors import ConfigurationError, DataFormatError, ResourceError

WATCHDOG_SECONDS = 20


@pytest.fixture(autouse=True)
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_stream, "RETRY_DELAY_S", 0.001)


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.settimeout(WATCHDOG_SECONDS)
        yield made


@pytest.fixture
def reader_of(driver: Driver) -> Iterator[Callable[..., SourceReader]]:
    made: list[SourceReader] = []

    def make(server: socket.socket, **options: Any) -> SourceReader:
        source = SocketTextSource("127.0.0.1", server.getsockname()[1], **options)
        enumerator = source.create_enumerator(1)
        reader = source.create_reader(driver.context())
        split = enumerator.next_split(0)
        assert split is not None
        reader.add_split(split)
        reader.no_more_splits()
        made.append(reader)
        return reader

    yield make
    for reader in made:
        reader.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("socket ")]


def take(reader: SourceReader, driver: Driver, rows: int | None = None) -> list[str]:
    """Polls as a slot does until so many rows came, or the end."""
    found: list[str] = []
    answers: list[Any] = []

    def has_enough() -> bool:
        while (answer := reader.poll()) is not Poll.WAIT:
            answers.append(answer)
            if answer is Poll.END:
                return rows is None
            assert isinstance(answer, Batch)
            found.extend(answer.rows())
            if rows is not None and len(found) >= rows:
                return True
        return False

    driver.mailbox.wait_until(has_enough)
    return found


def test_records_come_as_they_are_sent_and_the_rest_is_one(server: Any, reader_of: Any, driver: Driver) -> None:
    reader = reader_of(server)
    assert reader.poll() is Poll.WAIT
    connection, _ = server.accept()
    with connection:
        connection.sendall(b"eins\r\nzwei\n\ndr")
        assert take(reader, driver, 3) == ["eins", "zwei", ""]
        connection.sendall("ei\nzüri".encode()[:-2])
        assert take(reader, driver, 1) == ["drei"]
        connection.sendall(b"ri")
    assert take(reader, driver) == ["züri"]
    assert reader.poll() is Poll.END


@pytest.mark.parametrize("delimiter", ["||", ";", "ab"])
def test_delimiters_that_come_in_pieces(server: Any, reader_of: Any, driver: Driver, delimiter: str) -> None:
    reader = reader_of(server, delimiter=delimiter)
    reader.poll()
    rows: list[str] = []
    connection, _ = server.accept()
    with connection:
        for byte in f"x{delimiter}|{delimiter}{delimiter}y\n".encode():
            connection.sendall(bytes([byte]))
            reader_rows = reader.poll()
            assert reader_rows is Poll.WAIT or isinstance(reader_rows, Batch)
            if isinstance(reader_rows, Batch):
                rows += reader_rows.rows()
    rows += take(reader, driver)
    assert rows == f"x{delimiter}|{delimiter}{delimiter}y\n".split(delimiter)


@given(st.sampled_from(["|", "||", "aba", "abab", "ab"]), st.text("ab|", max_size=30), st.data())
def test_however_bytes_come_records_are_those_of_a_split(delimiter: str, text: str, data: st.DataObject) -> None:
    """Delimiters that overlap themselves are found from the left, as str.split does."""
    pieces: deque[Taken] = deque()
    left = text.encode()
    while left:
        size = data.draw(st.integers(1, len(left)))
        pieces.append((left[:size], False, False))
        left = left[size:]
    pieces += [(b"", True, True), (b"", False, True)]
    stream = SimpleNamespace(take=pieces.popleft)
    cursor = socket_text._RecordsCursor(Split("0", None), cast(SocketStream, stream), delimiter)
    found: list[str] = []
    while (batch := cursor.next_batch()) is not None:
        if isinstance(batch, Batch):
            found += batch.rows()
    expected = text.split(delimiter)
    assert found == (expected if expected[-1] else expected[:-1])


def test_it_connects_again_and_a_broken_record_stays_alone(server: Any, reader_of: Any, driver: Driver) -> None:
    """[S7] A server that is away for a while costs what it did not send, and no more."""
    reader = reader_of(server, max_retries=-1)
    reader.poll()
    for text in (b"one\nhal", b"two\n", b"three\n"):
        connection, _ = server.accept()
        with connection:
            connection.sendall(text)
    assert take(reader, driver, 4) == ["one", "hal", "two", "three"]


def test_a_server_that_never_comes_is_an_error(server: Any, reader_of: Any, driver: Driver) -> None:
    reader = reader_of(server, max_retries=2)
    server.close()
    with pytest.raises(ResourceError, match=r"127\.0\.0\.1:\d+: no connection after 3 attempts"):
        take(reader, driver)


def test_a_full_buffer_stops_receiving(
    server: Any, reader_of: Any, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[S13] A server that sends without end is slowed down; memory stays bounded."""
    monkeypatch.setattr(socket_stream, "BUFFER_BYTES_MAX", 10_000)
    reader = reader_of(server)
    reader.poll()
    connection, _ = server.accept()
    sent = 0
    with connection:
        connection.setblocking(False)
        line = b"x" * 999 + b"\n"
        refused = 0
        turn = threading.Event()
        while refused < 20:  # until it is not even taken a little later
            try:
                sent += connection.send((line * 100)[sent % 1000 :])
                refused = 0
            except BlockingIOError:
                refused += 1
                turn.wait(0.005)
        stream = reader._cursor._stream  # type: ignore[attr-defined]
        assert 10_000 <= stream.buffered_bytes < 10_000 + socket_stream._RECEIVE_BYTES
        connection.setblocking(True)
        rows = take(reader, driver, 1)
    rows += take(reader, driver)
    assert sum(len(row) for row in rows) + sent // 1000 == sent
    assert {len(row) for row in rows[:-1]} == {999}


def test_a_record_without_end_is_refused(
    server: Any, reader_of: Any, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[S13] The wrong delimiter does not fill the memory."""
    monkeypatch.setattr(socket_text, "RECORD_BYTES_MAX", 5000)
    reader = reader_of(server, delimiter="\0")
    reader.poll()
    connection, _ = server.accept()
    with connection:
        connection.sendall(b"x" * 6000)
        with pytest.raises(DataFormatError, match=r"more than 5000 bytes does not end with '\\x00'"):
            take(reader, driver)


def test_a_hanging_server_holds_nothing_up(server: Any, reader_of: Any) -> None:
    """[S10] A peer that accepts and is silent: polls, snapshots and the end do not wait for it."""
    reader = reader_of(server)
    assert reader.poll() is Poll.WAIT
    connection, _ = server.accept()
    with connection, closing(reader):
        assert reader.poll() is Poll.WAIT
        (split,) = reader.snapshot()
        assert split.split_id == "0"


def test_what_was_received_is_not_read_again(server: Any, reader_of: Any, driver: Driver) -> None:
    """[S11] At most once, and it says so: a restored reader connects anew."""
    reader = reader_of(server)
    reader.poll()
    connection, _ = server.accept()
    with connection:
        connection.sendall(b"lost\n")
        assert take(reader, driver, 1) == ["lost"]
        (split,) = reader.snapshot()
    reader.close()
    source = SocketTextSource("127.0.0.1", server.getsockname()[1])
    assert not source.is_replayable
    with closing(source.create_reader(driver.context())) as again:
        again.add_split(split)
        again.poll()
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"new\n")
            assert take(again, driver, 1) == ["new"]


def test_bytes_that_are_no_text_are_replaced(server: Any, reader_of: Any, driver: Driver) -> None:
    reader = reader_of(server)
    reader.poll()
    connection, _ = server.accept()
    with connection:
        connection.sendall(b"a\xffb\n")
    assert take(reader, driver) == ["a\ufffdb"]


@pytest.mark.parametrize(
    ("host", "port", "delimiter"), [("", 1, "\n"), ("h", 0, "\n"), ("h", 70000, "\n"), ("h", 1, "")]
)
def test_arguments_that_do_not_go(host, port, delimiter):
    with pytest.raises(ConfigurationError, match="needs a host, a port from 1 to 65535 and a delimiter"):
        SocketTextSource(host, port, delimiter)
