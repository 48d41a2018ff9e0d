"""The first data that a JobManager process receives from its client: unknown when the process was started in advance.

::

    1 byte     length of the address
    n bytes    address of the client's LogServer, ASCII
    ancillary  two descriptors: its standard output and error from now on
"""

from __future__ import annotations

import socket
from typing import Final

from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import RpcError

__all__ = ["LaunchSettings", "receive_launch", "send_launch"]

_STREAMS: Final = 2


@dataclass(frozen=True, slots=True)
class LaunchSettings:
    """`streams`: descriptors, owned by their receiver."""

    log_address: str
    streams: tuple[int, int]


def send_launch(connection: socket.socket, settings: LaunchSettings) -> None:
    """Sends copies of the descriptors. OSError if the process is gone."""
    address = settings.log_address.encode("ascii")
    socket.send_fds(connection, [bytes([len(address)]) + address], settings.streams)


def receive_launch(connection: socket.socket) -> LaunchSettings | None:
    """Waits for the data; None if the client ended without sending it."""
    length, fds, _, _ = socket.recv_fds(connection, 1, _STREAMS, socket.MSG_CMSG_CLOEXEC)
    if not length:
        return None
    address = b""
    while len(address) < length[0]:
        part = connection.recv(length[0] - len(address))
        if not part:
            return None
        address += part
    if len(fds) != _STREAMS:
        raise RpcError(f"a JobManager is started with {_STREAMS} descriptors for its output, got {len(fds)}")
    return LaunchSettings(address.decode("ascii"), (fds[0], fds[1]))
