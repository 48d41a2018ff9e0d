"""Frames: cut anywhere, limits, descriptors."""

from __future__ import annotations

import os
import socket
import struct

import pytest

from shmflink.core.ids import JobId, SubtaskId
from shmflink.errors import RpcError
from shmflink.rpc import wire
from shmflink.rpc.messages import AssignSplit, CancelJob, StartCluster
from shmflink.rpc.wire import FrameDecoder, Received, check_peer, frame_of

_MESSAGES = [
    CancelJob(JobId("ab"), force=True),
    AssignSplit(1, SubtaskId(0, 1), b"x" * 1000, exhausted=False),
    StartCluster(2, {}),
]


def test_frames_cut_at_every_byte():
    stream = b"".join(map(frame_of, _MESSAGES))
    for cut in range(len(stream)):
        decoder = FrameDecoder()
        got = [*decoder.feed(stream[:cut]), *decoder.feed(stream[cut:])]
        assert [one.message for one in got] == _MESSAGES


def test_one_byte_at_a_time():
    decoder = FrameDecoder()
    got = [one.message for byte in b"".join(map(frame_of, _MESSAGES)) for one in decoder.feed(bytes([byte]))]
    assert got == _MESSAGES


def test_descriptors_go_with_their_message():
    frames = frame_of(_MESSAGES[0], [7, 8]) + frame_of(_MESSAGES[2], [9])
    got = list(FrameDecoder().feed(frames, [70, 80, 90]))
    assert got == [Received(_MESSAGES[0], (70, 80)), Received(_MESSAGES[2], (90,))]


def test_missing_descriptors_are_an_error():
    with pytest.raises(RpcError, match="0 descriptors instead of 1"):
        list(FrameDecoder().feed(frame_of(_MESSAGES[0], [7])))


def test_descriptors_that_nobody_took_are_closed():
    read, write = os.pipe()
    decoder = FrameDecoder()
    assert list(decoder.feed(b"", [read, write])) == []
    decoder.close()
    for fd in (read, write):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


@pytest.mark.parametrize(
    "header",
    [
        struct.pack("<4sIII", b"http", 0, 0, 0),
        struct.pack("<4sIII", b"shmr", 251, 0, 0),
        struct.pack("<4sIII", b"shmr", 0, 2**31, 0),
        struct.pack("<4sIII", b"shmr", 0, 0, 2**31),
        struct.pack("<4sIIIQ", b"shmr", 0, 0, 1, 2**63),
    ],
)
def test_a_header_beyond_the_limits_is_refused_before_anything_is_allocated(header):
    with pytest.raises(RpcError, match="limit"):
        list(FrameDecoder().feed(header))


def test_too_large_a_message_is_not_sent(monkeypatch):
    monkeypatch.setattr(wire, "FRAME_BYTES_MAX", 1000)
    with pytest.raises(RpcError, match=r"AssignSplit takes .* bytes, but the limit is 1000: keep large data in files"):
        frame_of(_MESSAGES[1])


def test_a_peer_of_another_user_is_refused(monkeypatch):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        check_peer(ours)
        monkeypatch.setattr(os, "getuid", lambda: 12345)
        with pytest.raises(RpcError, match="belongs to user"):
            check_peer(ours)
