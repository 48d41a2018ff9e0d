"""A service manager hears that the cluster is ready, that it lives, and that it ends."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

from shmflink.jobmanager.service_notices import ServiceNotices


class Loop:
    """Keeps what is to be called later."""

    def __init__(self) -> None:
        self.later: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, delay_s: float, call: Callable[[], None]) -> None:
        self.later.append((delay_s, call))


def heard(end: socket.socket) -> list[str]:
    end.setblocking(False)
    words = []
    while True:
        try:
            words.append(end.recv(1000).decode())
        except BlockingIOError:
            return words


def test_ready_beats_and_stopping(tmp_path):
    path = str(tmp_path / "notify")
    loop: Any = Loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(path)
        own = str(os.getpid())
        environment = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "8000000", "WATCHDOG_PID": own}
        notices = ServiceNotices(loop, environment)
        notices.ready("2 slots")
        assert heard(end) == ["READY=1\nSTATUS=2 slots", "WATCHDOG=1"]
        ((delay_s, beat),) = loop.later
        assert delay_s == 2.0
        beat()
        notices.stopping()
        assert heard(end) == ["WATCHDOG=1", "STOPPING=1"]
        ServiceNotices(loop, {**environment, "WATCHDOG_PID": "1"}).ready("no beats: another process is watched")
        assert (len(heard(end)), len(loop.later)) == (1, 2)


def test_without_a_service_manager_nothing_is_sent():
    loop: Any = Loop()
    notices = ServiceNotices(loop, {"WATCHDOG_USEC": "8000000"})
    notices.ready("2 slots")
    notices.stopping()
    assert loop.later == []
    ServiceNotices(loop, {"NOTIFY_SOCKET": "/nowhere/at/all"}).ready("it may have gone")
