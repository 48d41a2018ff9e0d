"""The two ends of a control connection: blocking (TaskManager, client, fork server) and on an event loop (JobManager).

Both own their socket, check the peer's user, and pass descriptors by SCM_RIGHTS. A descriptor that is sent stays the
sender's; a received one is the receiver's.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from shmflink.errors import RpcError
from shmflink.rpc.wire import FDS_MAX, FrameDecoder, Received, check_peer, frame_of

__all__ = ["AsyncConnection", "BlockingConnection"]

_READ_BYTES: Final = 256 * 1024
_BACKLOG_BYTES_MAX: Final = (
    4 << 30
)  # what may wait for a peer that does not read; beyond it the peer counts as broken


def _read(sock: socket.socket, decoder: FrameDecoder) -> list[Received] | None:
    """One read; None at the end of the stream."""
    data, fds, flags, _ = socket.recv_fds(sock, _READ_BYTES, FDS_MAX, socket.MSG_CMSG_CLOEXEC)
    if flags & socket.MSG_CTRUNC:
        for fd in fds:
            os.close(fd)
        raise RpcError(
            "descriptors were lost on the way: this process may not open more; raise the limit with 'ulimit -n'"
        )
    if not data:
        return None
    return list(decoder.feed(data, fds))


class BlockingConnection:
    """`send` from any thread, `receive` from one thread at a time."""

    def __init__(self, sock: socket.socket) -> None:
        check_peer(sock)
        sock.setblocking(True)
        self._socket = sock
        self._decoder = FrameDecoder()
        self._ready: deque[Received] = deque()
        self._send_lock = threading.Lock()

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, message: object, fds: Sequence[int] = ()) -> None:
        """Sends one message whole; RpcError when the peer is gone."""
        frame = memoryview(frame_of(message, fds))
        try:
            with self._send_lock:
                sent = socket.send_fds(self._socket, [frame], list(fds)) if fds else self._socket.send(frame)
                self._socket.sendall(frame[sent:])
        except OSError as error:
            raise RpcError(f"cannot send {type(message).__name__}: {error}") from None

    def receive(self) -> Received | None:
        """Waits for the next message; None when the peer closed the connection or died."""
        while not self._ready:
            received = self.read_once()
            if received is None:
                return None
            self._ready.extend(received)
        return self._ready.popleft()

    def read_once(self) -> list[Received] | None:
        """Reads what is there, waiting only when nothing is; complete messages, maybe none. None = peer gone."""
        try:
            return _read(self._socket, self._decoder)
        except OSError:
            return None

    def shut_down(self) -> None:
        """Wakes a thread that waits in `receive`; it gets None. The peer sees the end of the stream."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # already gone: the goal is reached

    def close(self) -> None:
        """Closes the socket and descriptors that were not taken. Idempotent."""
        self._decoder.close()
        while self._ready:
            for fd in self._ready.popleft().fds:
                os.close(fd)
        self._socket.close()


class AsyncConnection:
    """A connection on an event loop: messages come by callback, sending never waits.

    `on_message(received)` runs in the loop; `on_closed(reason)` once, when the peer is gone or talks nonsense.
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
        """Queues one message; `fds` are duplicated. No effect once closed."""
        if self._is_closed:
            return
        frame = memoryview(frame_of(message, fds))
        was_empty = not self._out
        self._out.append((frame, tuple(os.dup(fd) for fd in fds)))
        self._out_bytes += len(frame)
        if self._out_bytes > _BACKLOG_BYTES_MAX:
            self._fail(f"{self._out_bytes} bytes wait for a peer that does not read them")
        elif was_empty and not self._flush():
            self._loop.add_writer(self._socket.fileno(), self._writable)

    def _flush(self) -> bool:
        """Sends what the socket takes; True when nothing waits any more."""
        while self._out:
            frame, fds = self._out[0]
            try:
                sent = socket.send_fds(self._socket, [frame], fds) if fds else self._socket.send(frame)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError:
                # The peer is gone; the reader will say so, after the messages that it still sent.
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
            received = _read(self._socket, self._decoder)
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
        """Closes the socket and drops what was not sent; `on_closed` is not called. Idempotent."""
        if self._is_closed:
            return
        self._is_closed = True
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._drop_output()
        self._decoder.close()
        self._socket.close()
