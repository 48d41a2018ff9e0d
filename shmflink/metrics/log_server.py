"""Receives log records of a cluster's processes and passes them to the loggers of this process."""

from __future__ import annotations

import logging
import os
import selectors
import socket
import struct
import sys
import threading
from typing import Any, Final

from shmflink.metrics.log_records import LogFrames, current_levels, frame_of, record_of

__all__ = ["LogServer"]

_CREDENTIALS: Final = struct.Struct("3i")
_READ_BYTES: Final = 1 << 16
_ROUNDS_MAX: Final = 10_000  # per drain, because others may log without end


class LogServer:
    """Serves from its own thread. Only processes of this user can connect."""

    def __init__(self) -> None:
        self.address: str = f"shmflink-log-{os.urandom(16).hex()}"
        # The abstract namespace: no file that could be left behind.
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._listener.bind(f"\0{self.address}")
        self._listener.listen(socket.SOMAXCONN)
        self._listener.setblocking(False)
        self._wake, self._wake_write = os.pipe2(os.O_CLOEXEC)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._lock = threading.RLock()  # a user's handler may call back into this object
        self._is_closed = False
        self._thread = threading.Thread(target=self._serve, name="shmflink-logs", daemon=True)
        self._thread.start()

    def drain(self) -> None:
        """Returns when everything sent before the call has been handled."""
        with self._lock:
            for _ in range(_ROUNDS_MAX):
                if self._is_closed or not self._handle_ready():
                    return

    def close(self) -> None:
        """Handles what was sent, then stops. Idempotent."""
        self.drain()
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        os.close(self._wake_write)  # the thread sees its end
        if self._thread is not threading.current_thread():
            self._thread.join()
        self._close_all()

    def leave_to_parent(self) -> None:
        """In a fork: closes the connections, or peers would not see the parent close them."""
        if self._is_closed:
            return  # the numbers of its descriptors may be those of others by now
        self._is_closed = True
        self._lock = threading.RLock()
        os.close(self._wake_write)
        self._close_all()

    def _close_all(self) -> None:
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()
        os.close(self._wake)

    def _serve(self) -> None:
        while not self._is_closed:
            self._selector.select()
            with self._lock:
                self._handle_ready()

    def _handle_ready(self) -> bool:
        """One round; False if there was nothing to do."""
        if self._is_closed:
            return False
        ready = [key for key, _ in self._selector.select(0) if isinstance(key.fileobj, socket.socket)]
        for key in ready:
            if key.fileobj is self._listener:
                self._accept()
            else:
                self._read(key.fileobj, key.data)  # type: ignore[arg-type]  # a socket, as was asked above
        return bool(ready)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # the peer has left again, or there are no descriptors
            return
        _, uid, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        if uid != os.getuid():
            connection.close()
            return
        connection.settimeout(1.0)  # for the levels, which are sent whole
        self._selector.register(connection, selectors.EVENT_READ, LogFrames())

    def _read(self, connection: socket.socket, frames: LogFrames) -> None:
        try:
            data = connection.recv(_READ_BYTES, socket.MSG_DONTWAIT)
            for content in frames.feed(data):
                if content is None:
                    connection.sendall(frame_of(current_levels()))
                else:
                    _handle(content)
        except BlockingIOError:
            return
        except (OSError, ValueError):
            data = b""
        if not data:
            self._selector.unregister(connection)
            connection.close()


def _handle(content: dict[str, Any]) -> None:
    """As if the record had been logged here."""
    record = record_of(content)
    logger = logging.getLogger(record.name)
    try:
        if logger.isEnabledFor(record.levelno):
            logger.handle(record)
    except Exception:  # a filter or handler of the user
        sys.excepthook(*sys.exc_info())
