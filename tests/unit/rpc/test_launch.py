"""The first data that a JobManager process receives."""

from __future__ import annotations

import os
import socket

import pytest

from shmflink.errors import RpcError
from shmflink.rpc.launch import LaunchSettings, receive_launch, send_launch


def test_the_address_and_the_streams_arrive_and_what_follows_stays_in_the_connection() -> None:
    ours, theirs = socket.socketpair()
    out, out_end = os.pipe()
    with ours, theirs, open(out, "rb", buffering=0) as read:
        send_launch(ours, LaunchSettings("shmflink-log-1", (out_end, out_end)))
        os.close(out_end)
        ours.sendall(b"next")
        settings = receive_launch(theirs)
        assert settings is not None
        assert settings.log_address == "shmflink-log-1"
        os.write(settings.streams[0], b"1")
        os.write(settings.streams[1], b"2")
        assert theirs.recv(10) == b"next"
        for fd in settings.streams:
            os.close(fd)
        assert read.read() == b"12"


@pytest.mark.parametrize("begun", [b"", b"\x05ab"])
def test_a_client_that_ended_needs_no_jobmanager(begun: bytes) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        with ours:
            ours.sendall(begun)
        assert receive_launch(theirs) is None


def test_streams_that_are_missing_are_an_error() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"\x01a")
        with pytest.raises(RpcError, match="2 descriptors"):
            receive_launch(theirs)
