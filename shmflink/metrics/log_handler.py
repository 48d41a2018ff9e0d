"""Logging in TaskManagers and the JobManager: records go to the process whose program configured logging."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping
from typing import Any, Final

from shmflink.metrics.log_records import LogFrames, apply_levels, content_of, frame_of

__all__ = ["LOG_ADDRESS", "ForwardingHandler", "forward_logs"]

LOG_ADDRESS: Final = "SHMFLINK_LOG_ADDRESS"
"""Environment variable: the address where the client receives records."""

_LEVELS_S: Final = 2.0  # the client answers at once, unless it is stopped


def forward_logs(environment: Mapping[str, str], process: str, patience_s: float | None = None) -> ForwardingHandler:
    """Makes all loggers of this process log to the client. `process` is its name in records.

    `patience_s`: how long a record may wait for a client that does not read; None = forever.
    """
    root = logging.getLogger()
    for old in [one for one in root.handlers if isinstance(one, ForwardingHandler)]:
        root.removeHandler(old)
    handler = ForwardingHandler(environment.get(LOG_ADDRESS, ""), process, patience_s)
    root.addHandler(handler)
    return handler


class ForwardingHandler(logging.Handler):
    """Sends records; those that cannot be sent go to standard error, as without a configuration."""

    def __init__(self, address: str, process: str, patience_s: float | None) -> None:
        super().__init__()
        self._address = address
        self._process = process
        self._patience_s = patience_s
        self._socket: socket.socket | None = None
        self._pid = 0
        self._levels: dict[str, Any] = {}

    def update_levels(self) -> None:
        """Asks which records are wanted; keeps the previous answer if there is no reply."""
        self.acquire()
        try:
            levels = self._ask()
        finally:
            self.release()
        if levels is not None:
            apply_levels(levels, self._levels)
            self._levels = levels

    def _ask(self) -> dict[str, Any] | None:
        try:
            sock = self._connected()
            sock.settimeout(_LEVELS_S)
            sock.sendall(frame_of(None))
            frames = LogFrames()
            while data := sock.recv(1 << 16):
                for levels in frames.feed(data):
                    return levels
        except (OSError, ValueError):
            self._disconnect()
        return None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sock = self._connected()
            sock.settimeout(self._patience_s)
            sock.sendall(frame_of(content_of(record, self._process)))
        except OSError:
            self._disconnect()  # the reader could not parse what follows a partial frame
            if logging.lastResort is not None and record.levelno >= logging.lastResort.level:
                logging.lastResort.handle(record)
        except Exception:
            self.handleError(record)

    def _connected(self) -> socket.socket:
        if self._socket is None or self._pid != os.getpid():  # a fork's records must not mix with its parent's
            if not self._address:
                raise OSError("nobody receives log records")
            self._pid = os.getpid()
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            self._socket.connect("\0" + self._address)
        return self._socket

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def close(self) -> None:
        self._disconnect()
        super().close()
