"""Tells the service manager that a session cluster is ready, alive, and ending (sd_notify(3)).

Alive means that the event loop turns: systemd restarts a JobManager that hangs. Without a service manager, nothing is
sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping
from typing import Final

__all__ = ["ServiceNotices"]

_BEATS: Final = 4  # per watchdog interval


class ServiceNotices:
    """Used by the event loop alone; sends without waiting."""

    def __init__(self, loop: asyncio.AbstractEventLoop, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._loop = loop
        is_for_us = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        interval = environment.get("WATCHDOG_USEC", "")
        self._interval_s = int(interval) / 1e6 if interval.isdigit() and is_for_us else 0.0

    def ready(self, status: str) -> None:
        """The cluster takes jobs. `status`: a line for people."""
        self._say(f"READY=1\nSTATUS={status}")
        if self._interval_s and self._address:
            self._beat()

    def stopping(self) -> None:
        """It takes no more jobs."""
        self._say("STOPPING=1")

    def _beat(self) -> None:
        self._say("WATCHDOG=1")
        self._loop.call_later(self._interval_s / _BEATS, self._beat)

    def _say(self, text: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.setblocking(False)  # a full queue: the next beat comes soon
            end.sendto(text.encode(), self._address)
