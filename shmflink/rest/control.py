"""The control socket of a JobManager, asked from an event loop."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Final, TypeVar

from shmflink.errors import RequestFailedError, RpcError
from shmflink.rpc.async_connection import AsyncConnection
from shmflink.rpc.control_messages import RequestFailed
from shmflink.rpc.wire import Received

__all__ = ["Control"]

_REQUESTS_MAX: Final = 16
"""Long requests at once, below the connections that a JobManager takes; others wait for their turn. Urgent ones have
as many places of their own.
"""
_READ_TIMEOUT_S: Final = 5.0  # without an answer for so long, the JobManager is stopped or the machine swaps

Answer = TypeVar("Answer")


class Control:
    """Of one JobManager. `read` asks over one connection that stays open, `ask` over one for each request."""

    def __init__(self, path: str, timeout_s: float = _READ_TIMEOUT_S) -> None:
        """`path`: of the control socket. `timeout_s`: the longest that a read takes."""
        self._path = path
        self._timeout_s = timeout_s
        self._reading = asyncio.Lock()
        self._line: _Line | None = None
        self._places = asyncio.Semaphore(_REQUESTS_MAX)
        self._urgent_places = asyncio.Semaphore(_REQUESTS_MAX)

    async def read(self, request: object, kind: type[Answer]) -> Answer:
        """What the JobManager answers at once; one request at a time is under way.

        Raises:
            RequestFailedError: there is no such thing.
            RpcError: the JobManager is gone or does not answer.
        """
        try:
            async with asyncio.timeout(self._timeout_s), self._reading:  # those before us have no longer than we have
                answer = await self._read(request)
        except TimeoutError:
            raise RpcError(f"the JobManager did not answer within {self._timeout_s:g} s") from None
        return _checked(request, answer, kind)

    async def _read(self, request: object) -> object:
        if self._line is None or self._line.is_closed:  # the JobManager closes what is idle for long
            self._line = await _Line.to(self._path)
        try:
            return await self._line.ask(request)
        except BaseException:
            self._line.close()  # an answer that nobody waits for must not be taken for the next one
            raise

    async def ask(self, request: object, kind: type[Answer], *, is_urgent: bool = False) -> Answer:
        """What takes its time. Raises as `read` does."""
        async with self._urgent_places if is_urgent else self._places:
            line = await _Line.to(self._path)
            try:
                return _checked(request, await line.ask(request), kind)
            finally:
                line.close()

    def close(self) -> None:
        """Ends the connection that stays open."""
        if self._line is not None:
            self._line.close()


class _Line:
    """One connection, with at most one question at a time."""

    def __init__(self, sock: socket.socket) -> None:
        self.is_closed = False
        self._answer: asyncio.Future[object] | None = None
        self._connection = AsyncConnection(sock, asyncio.get_running_loop(), self._said, self._gone)

    @staticmethod
    async def to(path: str) -> _Line:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, path)
            return _Line(sock)
        except OSError as error:
            sock.close()
            raise RpcError(f"the JobManager is gone: {os.strerror(error.errno or 0)}") from None
        except BaseException:
            sock.close()
            raise

    async def ask(self, request: object) -> object:
        self._answer = asyncio.get_running_loop().create_future()
        if self.is_closed:
            raise RpcError("the JobManager closed the connection")
        self._connection.send(request)
        return await self._answer

    def close(self) -> None:
        self.is_closed = True
        self._connection.close()

    def _said(self, received: Received) -> None:
        for fd in received.fds:
            os.close(fd)
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(received.message)

    def _gone(self, reason: str) -> None:
        self.is_closed = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(RpcError(f"the JobManager is gone: {reason}"))


def _checked(request: object, answer: object, kind: type[Answer]) -> Answer:
    if isinstance(answer, RequestFailed):
        raise RequestFailedError(answer.reason)
    if not isinstance(answer, kind):
        asked = type(request).__name__
        raise RpcError(f"the JobManager answered a {asked} with a {type(answer).__name__}")
    return answer
