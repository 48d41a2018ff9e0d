"""A control connection on an event loop, for the JobManager. `connection` says who owns descriptors."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from shmflink.errors import RpcError
from shmflink.rpc.connection import read_messages
from shmflink.rpc.wire import FrameDecoder, Received, check_peer, frame_of

__all__ = ["AsyncConnection"]

_BACKLOG_BYTES_MAX: Final = 4 << 30  # bytes that may wait for a slow peer; above this the peer is considered broken


class AsyncConnection:
    """A connection on an event loop: messages come by callback, sending never waits.

    `on_message(received)` runs in the loop; `on_closed(reason)` runs once, when the peer is gone or breaks the
    protocol.
    """

    def __init__(
        self,
        sock: socket.socket,
        loop: asyncio.AbstractEventLoop,
        on_message: Callable[[Received], None],
        on_closed: Callable[[str], None],
    ) -> None:
        check_peer(sock)
        sock.setblocking(False)
        self._socket = sock
        self._loop = loop
        self._on_message = on_message
        self._on_closed = on_closed
        self._decoder = FrameDecoder()
        self._out: deque[tuple[memoryview, tuple[int, ...]]] = deque()
        self._out_bytes = 0
        self._is_closed = False
        loop.add_reader(sock.fileno(), self._readable)

    def send(self, message: object, fds: Sequence[int] = ()) -> None:
        """Queues one message; duplicates `fds`: OSError if no more can be opened. No effect once closed."""
        if self._is_closed:
            return
        frame = memoryview(frame_of(message, fds))
        was_empty = not self._out
        self._out.append((frame, _duplicates(fds)))
        self._out_bytes += len(frame)
        if self._out_bytes > _BACKLOG_BYTES_MAX:
            self._fail(f"{self._out_bytes} bytes wait for a peer that does not read them")
        elif was_empty and not self._flush():
            self._loop.add_writer(self._socket.fileno(), self._writable)

    def _flush(self) -> bool:
        """Sends what the socket accepts; True when nothing is left to send."""
        while self._out:
            frame, fds = self._out[0]
            try:
                sent = socket.send_fds(self._socket, [frame], fds) if fds else self._socket.send(frame)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError:
                # The peer is gone; the reader reports it after the messages that the peer still sent.
                self._drop_output()
                return True
            for fd in fds:
                os.close(fd)
            self._out_bytes -= sent
            if sent < len(frame):
                self._out[0] = (frame[sent:], ())
            else:
                self._out.popleft()
        return True

    def _writable(self) -> None:
        if self._flush() and not self._is_closed:
            self._loop.remove_writer(self._socket.fileno())

    def _readable(self) -> None:
        try:
            received = read_messages(self._socket, self._decoder)
        except (BlockingIOError, InterruptedError):
            return
        except (OSError, RpcError) as error:
            self._fail(str(error))
            return
        if received is None:
            self._fail("the connection was closed")
            return
        for one in received:
            if self._is_closed:
                for fd in one.fds:
                    os.close(fd)
            else:
                self._on_message(one)

    def _fail(self, reason: str) -> None:
        if not self._is_closed:
            self.close()
            self._on_closed(reason)

    def _drop_output(self) -> None:
        for _, fds in self._out:
            for fd in fds:
                os.close(fd)
        self._out.clear()
        self._out_bytes = 0

    def close(self) -> None:
        """Closes the socket and drops unsent data; does not call `on_closed`. Idempotent."""
        if self._is_closed:
            return
        self._is_closed = True
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._drop_output()
        self._decoder.close()
        self._socket.close()


def _duplicates(fds: Sequence[int]) -> tuple[int, ...]:
    made: list[int] = []
    try:
        made.extend(os.dup(fd) for fd in fds)
    except OSError:
        for fd in made:
            os.close(fd)
        raise
    return tuple(made)
