"""Results of a job back into the user's process, over a Unix socket that only this user can reach.

The *server* is in the user's process, the *writers* in slots; each has a connection. Frames::

    kind u8 | length u64 (little-endian) | payload of that length
    kind 0  HELLO: parallelism u32
    kind 1  BATCH: an Arrow IPC stream of one batch
    kind 2  END: nothing

There is no queue in between: what the iterator has not asked for waits in the sockets, then in the writers'
outboxes, then as back-pressure in the job.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import selectors
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Final

import pyarrow as pa

from shmflink.connectors.base import Sink, SinkWriter
from shmflink.connectors.outbox import Outbox
from shmflink.core.batch import Batch
from shmflink.errors import InternalError, PeerError
from shmflink.operators.base import OperatorContext

__all__ = ["FRAME_BYTES_MAX", "CollectServer", "CollectSink"]

FRAME_BYTES_MAX: Final = 1 << 34

_HEADER: Final = struct.Struct("<BQ")
_HELLO, _BATCH, _END = range(3)
_PARALLELISM: Final = struct.Struct("<I")
_CREDENTIALS: Final = struct.Struct("3i")
_PENDING_CONNECTIONS_MAX: Final = 4096


class CollectServer:
    """Receives what the writers of one CollectSink send. Used by one thread, except `end` and `close`."""

    def __init__(self) -> None:
        name = f"shmflink-collect-{secrets.token_hex(16)}"
        # The abstract namespace: no file that could be left behind.
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._listener.bind(f"\0{name}")
        self._listener.listen(_PENDING_CONNECTIONS_MAX)
        self._listener.setblocking(False)
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._writers_left: int | None = None
        self._is_ending = False
        self._is_closed = False
        self._lock = threading.Lock()
        self.address = f"@{name}"

    def batches(self) -> Iterator[Batch]:
        """Batches as they come, those of one subtask in its order.

        Ends when all writers have ended or `end` was called.

        A writer that breaks off without an end (its job failed) only ends its connection.
        """
        while not self._was_closed() and self._writers_left != 0:
            ready = [key.fileobj for key, _ in self._selector.select(0 if self._is_ending else None)]
            if self._is_ending and not any(isinstance(source, socket.socket) for source in ready):
                return
            for source in ready:
                if source is self._listener:
                    self._accept()
                elif isinstance(source, socket.socket):
                    yield from self._receive(source)
                    if self._was_closed():
                        return

    def end(self) -> None:
        """The job has ended: the iterator hands out what has arrived and then ends.

        Any thread; idempotent.
        """
        with self._lock:
            self._is_ending = True
            if not self._is_closed:
                with contextlib.suppress(BlockingIOError):
                    os.write(self._wake_write, b"x")

    def close(self) -> None:
        """Ends everything now; writers that still send throw their rows away. Idempotent."""
        with self._lock:  # `end` must not write to a descriptor that is somebody else's by then
            if self._is_closed:
                return
            self._is_closed = True
            os.close(self._wake_write)
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()
        os.close(self._wake_read)

    def _was_closed(self) -> bool:
        """The consumer may close while it holds a batch."""
        return self._is_closed

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        _, uid, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        if uid != os.getuid():
            connection.close()  # batches may hold pickles: only from ourselves
            return
        connection.setblocking(True)
        self._selector.register(connection, selectors.EVENT_READ)

    def _receive(self, connection: socket.socket) -> Iterator[Batch]:
        """One frame."""
        header = _read_exactly(connection, _HEADER.size)
        kind, length = _HEADER.unpack(header) if header is not None else (_END, 0)
        if kind > _END or length > FRAME_BYTES_MAX:
            raise InternalError(f"a collect frame of kind {kind} and {length} bytes")
        payload = _read_exactly(connection, length)
        if header is None or payload is None:
            self._drop(connection)
        elif kind == _HELLO:
            if self._writers_left is None:
                (self._writers_left,) = _PARALLELISM.unpack(payload)
        elif kind == _BATCH:
            with pa.ipc.open_stream(payload) as stream:
                yield Batch.from_wire(stream.read_next_batch())
        else:
            assert self._writers_left is not None
            self._writers_left -= 1
            self._drop(connection)

    def _drop(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        connection.close()


class CollectSink(Sink):
    """Sends every batch to the CollectServer at `address`."""

    def __init__(self, address: str) -> None:
        self._address = address

    def create_writer(self, context: OperatorContext) -> SinkWriter:
        return _CollectWriter(self._address, context)


class _CollectWriter(SinkWriter):
    def __init__(self, address: str, context: OperatorContext) -> None:
        self._parallelism = context.parallelism
        self._is_unwanted = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._outbox = Outbox(f"collect {context.task_name}", context.mailbox, self._send, self._send_end)
        self._connect(address)

    def write(self, batch: Batch) -> None:
        wire = batch.without_keys().to_wire()
        out = pa.BufferOutputStream()
        with pa.ipc.new_stream(out, wire.schema) as stream:
            stream.write_batch(wire)
        self._outbox.put((_BATCH, out.getvalue()))

    @property
    def is_available(self) -> bool:
        return self._outbox.is_available

    def finish(self) -> None:
        self._outbox.finish()

    @property
    def is_finished(self) -> bool:
        return self._outbox.is_finished

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # a blocked send returns
        self._outbox.close()
        self._socket.close()

    def _connect(self, address: str) -> None:
        try:
            self._socket.connect("\0" + address.removeprefix("@"))
            self._outbox.put((_HELLO, _PARALLELISM.pack(self._parallelism)))
        except ConnectionRefusedError:
            self._is_unwanted = True  # the iterator was closed before the job ran; the client cancels the job
        except OSError as error:
            raise PeerError(f"the program that collects the results cannot be reached: {error}") from error

    def _send(self, frame: tuple[int, bytes | pa.Buffer]) -> None:
        """Runs in the outbox's thread."""
        if self._is_unwanted:
            return
        kind, payload = frame
        try:
            self._socket.sendall(_HEADER.pack(kind, len(payload)))
            self._socket.sendall(payload)
        except OSError:
            # Closed by the reader, who is cancelling the job: not an error of the job.
            self._is_unwanted = True

    def _send_end(self) -> None:
        self._send((_END, b""))


def _read_exactly(connection: socket.socket, length: int) -> bytearray | None:
    """None where the peer closed first."""
    data = bytearray(length)
    view = memoryview(data)
    while view:
        try:
            count = connection.recv_into(view)
        except OSError:
            return None
        if count == 0:
            return None
        view = view[count:]
    return data
