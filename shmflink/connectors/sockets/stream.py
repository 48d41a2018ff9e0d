"""A TCP connection with a separate reading thread, so that a silent or hanging peer never blocks a slot.

Independent of sources: a bounded buffer of bytes, which the owner may take at any time.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from shmflink.errors import ResourceError

__all__ = ["BUFFER_BYTES_MAX", "CONNECT_TIMEOUT_S", "RETRY_DELAY_S", "SocketStream", "Taken"]

BUFFER_BYTES_MAX: Final = 4 << 20
"""The limit of received bytes that were not taken yet. Beyond it nothing is received, and TCP slows the sender down."""

CONNECT_TIMEOUT_S: Final = 10.0
RETRY_DELAY_S: Final = 0.5
_RECEIVE_BYTES: Final = 256 << 10
_JOIN_TIMEOUT_S: Final = 0.25  # only a name lookup can block the thread for longer; it is a daemon

Taken = tuple[bytes, bool, bool]
"""Bytes; whether the connection ended after them; whether the stream ended as well."""


class SocketStream:
    """The bytes of a connection, and of its successors after it breaks.

    The thread calls `wake` whenever there is something to `take`. Only one thread may call `take`.
    """

    def __init__(self, host: str, port: int, max_retries: int, wake: Callable[[], None]) -> None:
        """Begins to connect. `max_retries`: further attempts after a connection has failed or ended; negative =
        unlimited.

        A connection that delivered bytes resets the count.
        """
        self._host = host
        self._port = port
        self._max_retries = max_retries
        self._wake = wake
        self._condition = threading.Condition()
        self._pieces: deque[bytes] = deque()  # an empty item marks the end of a connection
        self._size = 0
        self._has_ended = False
        self._error: OSError | None = None
        self._socket: socket.socket | None = None
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"socket {host}:{port}", daemon=True)
        self._thread.start()

    def take(self) -> Taken:
        """What has arrived since the last call, up to the end of its connection; never waits.

        Raises:
            ResourceError: no connection was possible, and no retries are left.
        """
        taken = []
        has_broken = False
        with self._condition:
            while self._pieces and not has_broken:
                taken.append(self._pieces.popleft())
                has_broken = not taken[-1]
            data = b"".join(taken)
            self._size -= len(data)
            has_ended = self._has_ended and not self._pieces
            error = self._error
            self._condition.notify()
        if error is not None and has_ended and not taken:
            raise ResourceError(
                f"{self._host}:{self._port}: no connection after {self._max_retries + 1} attempts: {error}. "
                "Start the server first, or set max_retries of the source"
            ) from error
        return data, has_broken, has_ended and error is None

    @property
    def buffered_bytes(self) -> int:
        """Bytes received and not taken yet."""
        return self._size

    def close(self) -> None:
        """Stops the thread and closes the connection."""
        self._is_closed.set()
        with self._condition:
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)
            self._condition.notify()
        self._thread.join(_JOIN_TIMEOUT_S)

    def _run(self) -> None:
        failures = 0
        while not self._is_closed.is_set():
            error: OSError | None = None
            try:
                has_received = self._receive_all()
            except OSError as raised:
                error, has_received = raised, False
            failures = 1 if has_received else failures + 1
            if 0 <= self._max_retries < failures:
                self._end(error)
                return
            self._is_closed.wait(RETRY_DELAY_S)

    def _receive_all(self) -> bool:
        """Reads one connection from its beginning to its end; returns whether any bytes arrived. Raises OSError if it
        cannot connect.
        """
        made = socket.create_connection((self._host, self._port), CONNECT_TIMEOUT_S)
        with made:
            made.settimeout(None)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # detects, eventually, a peer that has vanished
            with self._condition:
                self._socket = made
            has_received = False
            try:
                while not self._is_closed.is_set() and (piece := made.recv(_RECEIVE_BYTES)):
                    has_received = True
                    self._put(piece)
            except OSError:
                pass  # a reset connection has ended; the bytes before that remain valid
            finally:
                with self._condition:
                    self._socket = None
                    self._pieces.append(b"")
        self._wake()
        return has_received

    def _put(self, piece: bytes) -> None:
        """Waits while the buffer is full: nothing is received meanwhile."""
        with self._condition:
            self._condition.wait_for(lambda: self._size < BUFFER_BYTES_MAX or self._is_closed.is_set())
            self._pieces.append(piece)
            self._size += len(piece)
        self._wake()

    def _end(self, error: OSError | None) -> None:
        with self._condition:
            self._has_ended = True
            self._error = error
        self._wake()
