"""Results of a job back into the user's process, over a Unix socket that only this user can reach.

The *server* is in the user's process, the *writers* in slots; each has a connection. Frames::

    kind u8 | length u64 (little-endian) | payload of that length
    kind 0  HELLO: parallelism u32
    kind 1  BATCH: an Arrow IPC stream of one batch
    kind 2  END: nothing
    kind 3  OPEN: writer, 16 bytes          in jobs with checkpoints, instead of HELLO and END
    kind 4  MARK: checkpoint u64            what this writer sent since its last mark belongs to this checkpoint
    kind 5  COMMIT: (writer, checkpoint)*   from a committer: these are complete

There is no queue in between: rows that the iterator has not requested wait in the sockets, then in the writers'
outboxes, and finally back-pressure the job.

In jobs with checkpoints batches wait in the server until their checkpoint is complete, as in Flink, so that no row is
returned twice when the job restarts. A checkpoint can complete only after its mark is in the socket, which outlives the
writer. Therefore an iterator that nobody reads delays checkpoints as well.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import struct
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import pyarrow as pa

from shmflink.config.checkpoint_options import CHECKPOINT_INTERVAL
from shmflink.connectors.base import Committer, DeliveryGuarantee, Sink, SinkWriter
from shmflink.connectors.outbox_writer import OutboxWriter
from shmflink.core.batch import Batch
from shmflink.core.changelog import Changelog
from shmflink.core.outbox import Outbox
from shmflink.errors import InternalError, PeerError
from shmflink.operators.base import OperatorContext

__all__ = ["FRAME_BYTES_MAX", "CollectServer", "CollectSink"]

FRAME_BYTES_MAX: Final = 1 << 34

_HEADER: Final = struct.Struct("<BQ")
_HELLO, _BATCH, _END, _OPEN, _MARK, _COMMIT = range(6)
_CHECKPOINT: Final = struct.Struct("<Q")
_COMMITTED: Final = struct.Struct("<16sQ")
_PARALLELISM: Final = struct.Struct("<I")
_CREDENTIALS: Final = struct.Struct("3i")
_PENDING_CONNECTIONS_MAX: Final = 4096


class CollectServer:
    """Receives what the writers of one CollectSink send. Used by one thread, except `end` and `close`."""

    def __init__(self) -> None:
        name = f"shmflink-collect-{os.urandom(16).hex()}"
        # The abstract namespace leaves no file behind.
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._listener.bind(f"\0{name}")
        self._listener.listen(_PENDING_CONNECTIONS_MAX)
        self._listener.setblocking(False)
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._writers_left: int | None = None
        self._held = _HeldBatches()
        self._is_ending = False
        self._is_closed = False
        self._lock = threading.Lock()
        self.address = f"@{name}"
        _OF_THIS_PROCESS.add(self)

    def batches(self) -> Iterator[Batch]:
        """Batches as they arrive; those of one subtask keep their order.

        Ends when all writers have ended or `end` was called.

        A writer that disconnects without an end (because its job failed) only ends its connection.
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
        """Called when the job has ended: the iterator returns what has arrived and then ends.

        Any thread; idempotent.
        """
        with self._lock:
            self._is_ending = True
            if not self._is_closed:
                with contextlib.suppress(BlockingIOError):
                    os.write(self._wake_write, b"x")

    def close(self) -> None:
        """Ends everything at once; writers that still send discard their rows. Idempotent."""
        with self._lock:  # `end` must not write to a descriptor number that has been reused
            if self._is_closed:
                return
            self._is_closed = True
            os.close(self._wake_write)
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()
        os.close(self._wake_read)

    def leave_to_parent(self) -> None:
        """Called after a fork: writers must see the end of their connections when the parent closes them."""
        self._lock = threading.Lock()
        self.close()

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
        if kind > _COMMIT or length > FRAME_BYTES_MAX:
            raise InternalError(f"a collect frame of kind {kind} and {length} bytes")
        payload = _read_exactly(connection, length)
        if header is None or payload is None:
            self._drop(connection)
        elif kind == _HELLO:
            if self._writers_left is None:
                (self._writers_left,) = _PARALLELISM.unpack(payload)
        elif kind == _BATCH:
            if not self._held.hold(connection, payload):
                yield _batch(payload)
        elif kind == _OPEN:
            self._held.open(connection, bytes(payload))
        elif kind == _MARK:
            yield from map(_batch, self._held.mark(connection, *_CHECKPOINT.unpack(payload)))
        elif kind == _COMMIT:
            for writer, checkpoint_id in _COMMITTED.iter_unpack(payload):
                yield from map(_batch, self._held.commit(writer, checkpoint_id))
        else:
            assert self._writers_left is not None
            self._writers_left -= 1
            self._drop(connection)

    def _drop(self, connection: socket.socket) -> None:
        self._held.drop(connection)
        self._selector.unregister(connection)
        connection.close()


_OF_THIS_PROCESS: Final[weakref.WeakSet[CollectServer]] = weakref.WeakSet()


def _leave_to_parent() -> None:
    for server in list(_OF_THIS_PROCESS):
        server.leave_to_parent()


os.register_at_fork(after_in_child=_leave_to_parent)


class _HeldBatches:
    """The payloads of batches by writer and checkpoint, until the checkpoint is complete.

    The payloads of a dead writer are kept, because its successor may commit them. The size is unbounded, as are the
    results between two checkpoints.
    """

    def __init__(self) -> None:
        self._writers: dict[socket.socket, bytes] = {}
        self._unmarked: dict[socket.socket, list[bytearray]] = {}
        self._marked: dict[tuple[bytes, int], list[bytearray]] = {}
        # the commit was read before the mark, which comes on another connection
        self._early: set[tuple[bytes, int]] = set()

    def open(self, connection: socket.socket, writer: bytes) -> None:
        self._writers[connection] = writer
        self._unmarked[connection] = []

    def hold(self, connection: socket.socket, payload: bytearray) -> bool:
        """False if the writer's batches need not wait."""
        if connection not in self._writers:
            return False
        self._unmarked[connection].append(payload)
        return True

    def mark(self, connection: socket.socket, checkpoint_id: int) -> list[bytearray]:
        """The payloads that may now be returned."""
        key = (self._writers[connection], checkpoint_id)
        self._marked[key], self._unmarked[connection] = self._unmarked[connection], []
        if key not in self._early:
            return []
        self._early.remove(key)
        return self._marked.pop(key)

    def commit(self, writer: bytes, checkpoint_id: int) -> list[bytearray]:
        """The payloads that may now be returned; none if they were returned before."""
        key = (writer, checkpoint_id)
        if key not in self._marked and writer in self._writers.values():
            self._early.add(key)
        return self._marked.pop(key, [])

    def drop(self, connection: socket.socket) -> None:
        """Discards what the writer sent after its last mark: it is in no checkpoint."""
        self._writers.pop(connection, None)
        self._unmarked.pop(connection, None)


class CollectSink(Sink):
    """Sends every batch to the CollectServer at `address`."""

    def __init__(self, address: str, *, is_table: bool = False) -> None:
        """`is_table`: the rows form one table, as `to_arrow()` returns it, instead of single records."""
        self._address = address
        self._is_table = is_table

    def takes_updates(self, changelog: Changelog) -> bool:
        """Single records include the updates of per-record functions, as in Flink. From an unbounded input, which has
        no final rows, the sink receives every update in any case.
        """
        return changelog.of_records and not self._is_table

    def create_writer(self, context: OperatorContext) -> SinkWriter:
        return _CollectWriter(self._address, context, waits=_has_checkpoints(context.configuration))

    def create_committer(self, context: OperatorContext) -> Committer | None:
        return _CollectCommitter(self._address) if _has_checkpoints(context.configuration) else None

    def delivery_guarantee(self, configuration: Mapping[str, str]) -> DeliveryGuarantee:
        has_checkpoints = _has_checkpoints(configuration)
        return DeliveryGuarantee.EXACTLY_ONCE if has_checkpoints else DeliveryGuarantee.AT_LEAST_ONCE


class _CollectWriter(OutboxWriter):
    """`waits`: whether rows wait for checkpoints."""

    def __init__(self, address: str, context: OperatorContext, *, waits: bool) -> None:
        self._waits = waits
        self._id = os.urandom(16)
        self._has_uncommitted = False
        self._connection = _Connection(address)
        super().__init__(Outbox(f"collect {context.task_name}", context.mailbox, self._connection.send, self._send_end))
        self._outbox.put((_OPEN, self._id) if waits else (_HELLO, _PARALLELISM.pack(context.parallelism)))

    def write(self, batch: Batch) -> None:
        wire = batch.without_keys().to_wire()
        out = pa.BufferOutputStream()
        with pa.ipc.new_stream(out, wire.schema) as stream:
            stream.write_batch(wire)
        self._has_uncommitted = self._waits
        self._outbox.put((_BATCH, out.getvalue()))

    def prepare_commit(self, checkpoint_id: int) -> Callable[[], Sequence[tuple[bytes, int]]]:
        if not self._has_uncommitted:
            return tuple
        self._has_uncommitted = False
        mark = (_MARK, _CHECKPOINT.pack(checkpoint_id))
        sent = self._outbox.call(lambda: self._connection.send(mark))

        def committables() -> Sequence[tuple[bytes, int]]:
            sent()
            return [(self._id, checkpoint_id)]

        return committables

    @property
    def has_uncommitted(self) -> bool:
        return self._has_uncommitted

    def close(self) -> None:
        self._connection.shut_down()
        self._outbox.close()
        self._connection.close()

    def _send_end(self) -> None:
        if not self._waits:
            self._connection.send((_END, b""))


class _CollectCommitter(Committer):
    def __init__(self, address: str) -> None:
        self._address = address
        self._connection: _Connection | None = None

    def commit(self, committables: Sequence[tuple[bytes, int]]) -> None:
        if self._connection is None:
            self._connection = _Connection(self._address)
        self._connection.send((_COMMIT, b"".join(_COMMITTED.pack(*committable) for committable in committables)))

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


class _Connection:
    """Sends to the server; after the server has gone, output is discarded."""

    def __init__(self, address: str) -> None:
        self._is_unwanted = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._socket.connect("\0" + address.removeprefix("@"))
        except ConnectionRefusedError:
            self._is_unwanted = True  # the iterator was closed before the job ran; the client cancels the job
        except OSError as error:
            self._socket.close()
            raise PeerError(f"the program that collects the results cannot be reached: {error}") from error

    def shut_down(self) -> None:
        """Makes a blocked `send` return. Any thread."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._socket.close()

    def send(self, frame: tuple[int, bytes | pa.Buffer]) -> None:
        """Blocks while the reader does not read."""
        if self._is_unwanted:
            return
        kind, payload = frame
        try:
            self._socket.sendall(_HEADER.pack(kind, len(payload)))
            self._socket.sendall(payload)
        except OSError:
            # The reader has closed it and is canceling the job: not an error of the job.
            self._is_unwanted = True


def _has_checkpoints(configuration: Mapping[str, str]) -> bool:
    return CHECKPOINT_INTERVAL.read(configuration) is not None


def _batch(payload: bytearray) -> Batch:
    with pa.ipc.open_stream(payload) as stream:
        return Batch.from_wire(stream.read_next_batch())


def _read_exactly(connection: socket.socket, length: int) -> bytearray | None:
    """None if the peer closed first."""
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
