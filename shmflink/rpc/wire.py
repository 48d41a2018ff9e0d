"""Frames on a Unix stream socket, with descriptors. Pure except for owning the descriptors.

::

    0   magic "shmr"        4   descriptors in this frame (u32)
    8   bytes of JSON (u32) 12  blobs (u32)
    16  bytes of each blob (u64 each), then the JSON text, then the blobs

Every size is checked against a limit before anything is allocated for it.
"""

from __future__ import annotations

import os
import socket
import struct
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Final

from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import RpcError
from shmflink.rpc.codec import decode, encode

__all__ = ["BLOBS_MAX", "FDS_MAX", "FRAME_BYTES_MAX", "FrameDecoder", "Received", "check_peer", "frame_of"]

FRAME_BYTES_MAX: Final = 1 << 30  # a job graph with its collections fits; nothing else comes close
BLOBS_MAX: Final = 1 << 20
FDS_MAX: Final = 250  # the kernel passes at most 253 (SCM_MAX_FD) at once

_HEADER: Final = struct.Struct("<4sIII")
_MAGIC: Final = b"shmr"
_PEER_CREDENTIALS: Final = struct.Struct("iII")


@dataclass(frozen=True, slots=True)
class Received:
    """A message and the descriptors that came with it; the receiver owns them."""

    message: Any
    fds: tuple[int, ...] = ()


def frame_of(message: object, fds: Sequence[int] = ()) -> bytes:
    """The bytes of one frame; RpcError if it exceeds a limit."""
    text, blobs = encode(message)
    size = _HEADER.size + 8 * len(blobs) + len(text) + sum(map(len, blobs))
    name = type(message).__name__
    if size > FRAME_BYTES_MAX:
        raise RpcError(
            f"{name} takes {size} bytes, but the limit is {FRAME_BYTES_MAX}: "
            "keep large data in files and let a source read them"
        )
    if len(fds) > FDS_MAX or len(blobs) > BLOBS_MAX:
        raise RpcError(f"{name} has {len(fds)} descriptors and {len(blobs)} blobs, more than a frame takes")
    lengths = struct.pack(f"<{len(blobs)}Q", *map(len, blobs))
    return b"".join((_HEADER.pack(_MAGIC, len(fds), len(text), len(blobs)), lengths, text, *blobs))


class FrameDecoder:
    """Bytes and descriptors in, messages out. Descriptors of unfinished frames are closed by `close`."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._fds: deque[int] = deque()

    def feed(self, data: bytes, fds: Sequence[int] = ()) -> Iterator[Received]:
        """Takes the bytes of one read; yields the messages that are complete. RpcError for an invalid frame."""
        self._data += data
        self._fds.extend(fds)
        while (received := self._next()) is not None:
            yield received

    def _next(self) -> Received | None:
        data = self._data
        if len(data) < _HEADER.size:
            return None
        magic, fd_count, text_bytes, blob_count = _HEADER.unpack_from(data)
        if magic != _MAGIC or fd_count > FDS_MAX or text_bytes > FRAME_BYTES_MAX or blob_count > BLOBS_MAX:
            raise RpcError("the peer does not speak shmflink's control protocol, or its frame exceeds the limits")
        text_at = _HEADER.size + 8 * blob_count
        if len(data) < text_at:
            return None
        lengths = struct.unpack_from(f"<{blob_count}Q", data, _HEADER.size)
        end = text_at + text_bytes + sum(lengths)
        if end > FRAME_BYTES_MAX:
            raise RpcError(f"a control message of {end} bytes exceeds the limit of {FRAME_BYTES_MAX}")
        if len(data) < end:
            return None
        return self._complete(text_at, text_bytes, lengths, end, fd_count)

    def _complete(self, text_at: int, text_bytes: int, lengths: Sequence[int], end: int, fd_count: int) -> Received:
        if len(self._fds) < fd_count:
            raise RpcError(f"a control message came with {len(self._fds)} descriptors instead of {fd_count}")
        view = memoryview(self._data)
        blobs, at = [], text_at + text_bytes
        for length in lengths:
            blobs.append(bytes(view[at : at + length]))
            at += length
        text = bytes(view[text_at : text_at + text_bytes])
        view.release()
        del self._data[:end]
        fds = tuple(self._fds.popleft() for _ in range(fd_count))
        try:
            return Received(decode(text, blobs), fds)
        except RpcError:
            for fd in fds:
                os.close(fd)
            raise

    def close(self) -> None:
        """Closes descriptors that no message took."""
        while self._fds:
            os.close(self._fds.popleft())


def check_peer(sock: socket.socket) -> None:
    """RpcError unless the other end was opened by this user (SO_PEERCRED)."""
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER_CREDENTIALS.size)
    pid, uid, _ = _PEER_CREDENTIALS.unpack(raw)
    if uid != os.getuid():
        raise RpcError(f"the control connection's peer (pid {pid}) belongs to user {uid}, not to {os.getuid()}")
