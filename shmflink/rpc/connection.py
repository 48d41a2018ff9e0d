"""A blocking control connection: for TaskManagers, the fork server, clients.

A connection owns its socket, checks the peer's user, and passes descriptors by SCM_RIGHTS. The sender keeps owning the
descriptor that it sends; the receiver owns the one that it receives.
"""

from __future__ import annotations

import array
import os
import socket
import threading
from collections import deque
from collections.abc import Sequence
from typing import Final

from shmflink.errors import RpcError
from shmflink.rpc.wire import FDS_MAX, FrameDecoder, Received, check_peer, frame_of

__all__ = ["BlockingConnection", "read_messages"]

_READ_BYTES: Final = 256 * 1024
_ANCILLARY_BYTES: Final = socket.CMSG_LEN(FDS_MAX * array.array("i").itemsize)
_BACKLOG_BYTES_MAX: Final = 4 << 30  # bytes that may wait for a slow peer; above this the peer is considered broken


def read_messages(sock: socket.socket, decoder: FrameDecoder) -> list[Received] | None:
    """One `recvmsg`: the messages that it completed, or None at the end of the stream."""
    # Not `socket.recv_fds`: it ignores its flags, and children of user code would inherit the descriptors.
    data, ancillary, flags, _ = sock.recvmsg(_READ_BYTES, _ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC)
    fds = array.array("i")
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    if flags & socket.MSG_CTRUNC:
        for fd in fds:
            os.close(fd)
        raise RpcError("file descriptors were lost in transfer: this process may not open more; raise 'ulimit -n'")
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
                if sent < len(frame):  # an empty send would fail if the peer has read everything and gone
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
        """Reads what is available, waits only if nothing is; a list of messages, perhaps empty; None = gone."""
        try:
            return read_messages(self._socket, self._decoder)
        except OSError:
            return None

    def shut_down(self) -> None:
        """Wakes a thread that waits in `receive`; it gets None. The peer sees the end of the stream."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # already gone: nothing to do

    def close(self) -> None:
        """Closes the socket and descriptors that no message took. Idempotent."""
        self._decoder.close()
        while self._ready:
            for fd in self._ready.popleft().fds:
                os.close(fd)
        self._socket.close()
