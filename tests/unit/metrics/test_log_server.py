"""Log records between two processes, here with both ends in one: the handler sends, the server handles."""

from __future__ import annotations

import io
import logging
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from shmflink.metrics.log_handler import LOG_ADDRESS, ForwardingHandler, forward_logs
from shmflink.metrics.log_records import LogFrames, apply_levels, content_of, current_levels, frame_of, record_of
from shmflink.metrics.log_server import LogServer

LOG = logging.getLogger("test.log_server")


class Kept(logging.Handler):
    """What the program's own configuration is given."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def kept() -> Iterator[Kept]:
    handler = Kept()
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    yield handler
    LOG.removeHandler(handler)
    LOG.setLevel(logging.NOTSET)


@pytest.fixture
def server() -> Iterator[LogServer]:
    server = LogServer()
    yield server
    server.close()


@pytest.fixture
def sender(server: LogServer) -> Iterator[ForwardingHandler]:
    handler = ForwardingHandler(server.address, "TaskManager 3", None)
    yield handler
    handler.close()


def record(level: int = logging.INFO, **more: Any) -> logging.LogRecord:
    made = LOG.makeRecord(LOG.name, level, "/job.py", 7, "seen %s", ("x",), None, "f")
    vars(made).update(more)
    return made


def test_a_record_arrives_with_all_that_a_format_may_ask_for(kept, server, sender):
    sender.emit(record(user="ann"))
    server.drain()
    (got,) = kept.records
    assert (got.getMessage(), got.levelname, got.name, got.lineno, got.funcName) == ("seen x", "INFO", LOG.name, 7, "f")
    assert (got.processName, got.process, got.user) == ("TaskManager 3", os.getpid(), "ann")
    assert logging.Formatter("%(levelname)s %(message)s").format(got) == "INFO seen x"


def test_an_exception_arrives_as_its_text(kept, server, sender):
    try:
        int("bad")
    except ValueError as error:
        sender.emit(record(exc_info=(ValueError, error, error.__traceback__)))
    server.drain()
    text = logging.Formatter("%(message)s").format(kept.records[0])
    assert text.startswith("seen x\nTraceback")
    assert text.endswith("ValueError: invalid literal for int() with base 10: 'bad'")


def test_what_json_cannot_hold_arrives_as_text(kept, server, sender):
    sender.emit(record(thing={1}))
    server.drain()
    assert kept.records[0].thing == "{1}"


def test_records_below_the_level_of_here_are_not_handled(kept, server, sender):
    sender.emit(record(logging.DEBUG))
    server.drain()
    assert kept.records == []


def test_a_filter_that_fails_stops_nobody(kept, server, sender, capsys):
    kept.addFilter(lambda one: 1 // (one.lineno - 7))
    sender.emit(record())
    sender.emit(record(lineno=8))
    server.drain()
    assert len(kept.records) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_levels_are_asked_for_and_applied(server, sender):
    loud, off = logging.getLogger("test.loud"), logging.getLogger("test.off")
    loud.setLevel(logging.DEBUG)
    off.disabled = True
    wanted = current_levels()
    assert wanted["levels"]["test.loud"] == logging.DEBUG
    assert "test.off" in wanted["off"]
    sender.update_levels()
    loud.setLevel(logging.NOTSET)
    off.disabled = False
    apply_levels(wanted, {})
    assert (loud.level, off.disabled) == (logging.DEBUG, True)
    apply_levels({**wanted, "levels": {}, "off": []}, wanted)
    assert (loud.level, off.disabled) == (logging.NOTSET, False), "what is no longer said is taken back"


@pytest.mark.parametrize(("level", "said"), [(logging.WARNING, "seen x\n"), (logging.INFO, "")])
def test_without_a_receiver_records_go_where_they_go_without_configuration(level, said, monkeypatch):
    stream = io.StringIO()
    shown = logging.StreamHandler(stream)
    shown.setLevel(logging.WARNING)
    monkeypatch.setattr(logging, "lastResort", shown)
    for address in ("", "shmflink-log-of-nobody"):
        ForwardingHandler(address, "TaskManager 0", None).emit(record(level))
    assert stream.getvalue() == 2 * said


def test_one_who_talks_nonsense_is_shown_out_and_others_are_served(kept, server, sender):
    with socket.socket(socket.AF_UNIX) as nonsense:
        nonsense.connect(f"\0{server.address}")
        nonsense.sendall(b"GET / HTTP/1.1\r\n\r\n")
        nonsense.settimeout(60)
        assert nonsense.recv(1) == b""
    sender.emit(record())
    server.drain()
    assert len(kept.records) == 1


def test_one_handler_for_each_process():
    root = logging.getLogger()
    before = list(root.handlers)
    try:
        first = forward_logs({LOG_ADDRESS: "a"}, "JobManager")
        second = forward_logs({LOG_ADDRESS: "b"}, "TaskManager 0")
        assert first not in root.handlers
        assert second in root.handlers
    finally:
        root.handlers[:] = before


def test_frames_in_pieces():
    data = frame_of(None) + frame_of(content_of(record(), "p"))
    frames = LogFrames()
    found = [content for byte in data for content in frames.feed(bytes([byte]))]
    assert found[0] is None
    assert record_of(found[1]).getMessage() == "seen x"
    with pytest.raises(ValueError, match="a log record of 4294967295 bytes"):
        list(LogFrames().feed(b"\xff" * 4))


def test_a_server_that_was_closed_closes_nothing_in_a_fork() -> None:
    """The numbers of its descriptors may be those of a pipe to the new process by then."""
    server = LogServer()
    server.close()
    fds = [fd for _ in range(8) for fd in os.pipe()]
    server.leave_to_parent()
    for fd in fds:
        os.close(fd)  # OSError where it is closed
