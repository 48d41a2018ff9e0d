"""What a JobManager process and its fork server receive first: they have been starting before that is known.

::

    1 byte     length of the address
    2 bytes    length of the names, big endian
    n bytes    address of the client's LogServer, ASCII
    n bytes    names of modules that tasks will need, ASCII, a space between two
    ancillary  two descriptors: its standard output and error from now on
"""

from __future__ import annotations

import socket
import struct
from typing import Final

from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import RpcError

__all__ = ["LaunchSettings", "receive_launch", "send_launch"]

_STREAMS: Final = 2
_LENGTHS: Final = struct.Struct("!BH")
_NAMES_BYTES_MAX: Final = 65_535


@dataclass(frozen=True, slots=True)
class LaunchSettings:
    """`streams`: descriptors, owned by their receiver. `modules` are worth importing before tasks arrive."""

    log_address: str
    streams: tuple[int, int]
    modules: tuple[str, ...] = ()


def send_launch(connection: socket.socket, settings: LaunchSettings) -> None:
    """Sends copies of the descriptors. OSError where the process is gone."""
    address = settings.log_address.encode("ascii")
    names = " ".join(settings.modules).encode("ascii")
    if len(names) > _NAMES_BYTES_MAX:
        names = b""  # they only save time
    text = _LENGTHS.pack(len(address), len(names)) + address + names
    sent = socket.send_fds(connection, [text], settings.streams)
    connection.sendall(text[sent:])


def receive_launch(connection: socket.socket) -> LaunchSettings | None:
    """Waits for them; None where the client ended without."""
    begun, fds, _, _ = socket.recv_fds(connection, 1, _STREAMS, socket.MSG_CMSG_CLOEXEC)
    lengths = begun + _exactly(connection, _LENGTHS.size - 1) if begun else b""
    if len(lengths) < _LENGTHS.size:
        return None
    address_length, names_length = _LENGTHS.unpack(lengths)
    text = _exactly(connection, address_length + names_length)
    if len(text) < address_length + names_length:
        return None
    if len(fds) != _STREAMS:
        raise RpcError(f"a JobManager is started with {_STREAMS} descriptors for its output, got {len(fds)}")
    names = text[address_length:].decode("ascii").split()
    return LaunchSettings(text[:address_length].decode("ascii"), (fds[0], fds[1]), tuple(names))


def _exactly(connection: socket.socket, count: int) -> bytes:
    """Fewer where the peer ended."""
    text = b""
    while len(text) < count:
        part = connection.recv(count - len(text))
        if not part:
            break
        text += part
    return text
