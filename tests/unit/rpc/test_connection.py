"""Both kinds of connection over a real socket pair."""

from __future__ import annotations

import asyncio
import os
import socket
import threading

import pytest

from shmflink.core.ids import SubtaskId
from shmflink.errors import RpcError
from shmflink.rpc.async_connection import AsyncConnection
from shmflink.rpc.connection import BlockingConnection
from shmflink.rpc.messages import AssignSplit, ReleaseAttempt, Shutdown

_LARGE = AssignSplit(1, SubtaskId(0, 0), os.urandom(1 << 20) * 4, exhausted=False)


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    connections = BlockingConnection(ours), BlockingConnection(theirs)
    yield connections
    for connection in connections:
        connection.close()


def test_messages_arrive_in_order_whatever_their_size(pair):
    ours, theirs = pair
    sender = threading.Thread(target=lambda: [ours.send(m) for m in (Shutdown(), _LARGE, ReleaseAttempt(2))])
    sender.start()
    assert [theirs.receive().message for _ in range(3)] == [Shutdown(), _LARGE, ReleaseAttempt(2)]
    sender.join()


def test_a_descriptor_arrives_as_another_number_for_the_same_file(pair):
    ours, theirs = pair
    with open(os.memfd_create("x"), "wb") as file:
        file.write(b"hello")
        file.flush()
        ours.send(Shutdown(), [file.fileno()])
        (fd,) = theirs.receive().fds
        assert fd != file.fileno()
        assert os.pread(fd, 5, 0) == b"hello"
        assert not os.get_inheritable(fd)
        os.close(fd)


def test_the_end_of_the_stream(pair):
    ours, theirs = pair
    ours.send(Shutdown())
    ours.close()
    assert theirs.receive().message == Shutdown()
    assert theirs.receive() is None
    with pytest.raises(RpcError, match="cannot send ReleaseAttempt"):
        theirs.send(ReleaseAttempt(1))


def test_the_last_message_to_a_peer_that_closes_at_once_is_no_error(pair):
    ours, theirs = pair
    reader = threading.Thread(target=lambda: (theirs.receive(), theirs.close()))
    reader.start()
    ours.send(Shutdown())
    reader.join()


def test_shut_down_wakes_the_receiver(pair):
    ours, _ = pair
    got = []
    receiver = threading.Thread(target=lambda: got.append(ours.receive()))
    receiver.start()
    ours.shut_down()
    receiver.join()
    assert got == [None]


class _Peer:
    """An AsyncConnection that notes what it gets."""

    def __init__(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self.messages: list[object] = []
        self.fds: list[int] = []
        self._arrived = asyncio.Event()
        self.closed: asyncio.Future[str] = loop.create_future()
        self.connection = AsyncConnection(sock, loop, self._take, self.closed.set_result)

    def _take(self, received) -> None:
        self.messages.append(received.message)
        self.fds += received.fds
        self._arrived.set()

    async def has(self, count: int) -> None:
        """Waits until so many messages came."""
        while len(self.messages) < count:
            self._arrived.clear()
            await self._arrived.wait()


def test_an_async_connection_queues_what_the_peer_does_not_read_yet():
    async def story() -> list[object]:
        ours, theirs = socket.socketpair()
        sender = _Peer(ours)
        file = os.memfd_create("x")
        sender.connection.send(_LARGE)
        sender.connection.send(ReleaseAttempt(1), [file])
        os.close(file)  # it was duplicated
        receiver = _Peer(theirs)
        await receiver.has(2)
        assert os.fstat(receiver.fds[0])
        os.close(receiver.fds[0])
        sender.connection.close()
        assert await receiver.closed == "the connection was closed"
        return receiver.messages

    assert asyncio.run(story()) == [_LARGE, ReleaseAttempt(1)]


def test_nonsense_ends_an_async_connection():
    async def story() -> str:
        ours, theirs = socket.socketpair()
        peer = _Peer(ours)
        theirs.sendall(b"GET / HTTP/1.1\r\n\r\n")
        reason = await peer.closed
        peer.connection.send(Shutdown())  # no effect, no error
        theirs.close()
        return reason

    assert "does not speak" in asyncio.run(story())


def test_sending_to_a_peer_that_is_gone_is_reported_by_its_end():
    async def story() -> str:
        ours, theirs = socket.socketpair()
        peer = _Peer(ours)
        theirs.close()
        peer.connection.send(_LARGE)
        return await peer.closed

    assert asyncio.run(story())
