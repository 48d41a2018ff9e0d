"""The fork server with real forks, without a JobManager. Each test's server runs in a fresh interpreter."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import textwrap

import pytest

from shmflink.rpc.connection import BlockingConnection
from shmflink.rpc.last_words import EXIT_FAILED
from shmflink.rpc.messages import ForkTaskManager, Shutdown, TaskManagerExited, TaskManagerForked

_SERVER = """
    import os, signal, socket, subprocess, sys, time
    from shmflink.jobmanager.fork_server import ForkServer, count_threads
    from shmflink.rpc.connection import BlockingConnection

    def child(request, end):
        {body}

    connection = BlockingConnection(socket.socket(fileno=int(sys.argv[1])))
    ForkServer(connection, child).serve()
"""


class _Server:
    def __init__(self, body: str) -> None:
        ours, theirs = socket.socketpair()
        source = textwrap.dedent(_SERVER).format(body=textwrap.indent(textwrap.dedent(body), "    ").strip())
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-c", source, str(theirs.fileno())], pass_fds=[theirs.fileno()]
            )
        self.connection = BlockingConnection(ours)

    def fork(self, index: int = 0) -> tuple[TaskManagerForked, int, socket.socket]:
        """Has a child forked: what the server said, the pidfd, our end of the child's socket."""
        ours, theirs = socket.socketpair()
        with theirs:
            self.connection.send(ForkTaskManager(index, 1, (), 0, 1000), [theirs.fileno()])
        received = self.connection.receive()
        assert isinstance(received.message, TaskManagerForked)
        return received.message, received.fds[0], ours

    def exited(self) -> TaskManagerExited:
        message = self.connection.receive().message
        assert isinstance(message, TaskManagerExited)
        return message

    def close(self) -> None:
        self.connection.close()
        self.process.wait()


@pytest.fixture
def serve():
    servers = []

    def start(body: str) -> _Server:
        servers.append(_Server(body))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def _wait_gone(pidfd: int) -> None:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    assert poll.poll(30_000), "the process still lives"
    os.close(pidfd)


def test_children_are_forked_and_their_ends_reported(serve):
    server = serve("os._exit(request.index)")
    for index in range(3):
        forked, pidfd, end = server.fork(index)
        exited = server.exited()
        assert (exited.index, exited.pid) == (index, forked.pid)
        assert os.waitstatus_to_exitcode(exited.wait_status) == index
        end.close()
        os.close(pidfd)


def test_a_killed_child_is_reported_with_its_signal(serve):
    server = serve("end.recv(1)")
    _, pidfd, end = server.fork()
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    assert os.WTERMSIG(server.exited().wait_status) == signal.SIGKILL
    end.close()
    os.close(pidfd)


def test_a_child_owns_its_socket_and_has_one_thread(serve):
    server = serve("end.sendall(str(count_threads()).encode())")
    _, pidfd, end = server.fork()
    assert end.recv(10) == b"1"
    assert end.recv(10) == b"", "nobody else holds the child's end"
    end.close()
    os.close(pidfd)


def test_children_die_with_the_server(serve):
    server = serve("end.sendall(b'x'); end.recv(1)")
    children = [server.fork(index) for index in range(3)]
    for _, _, end in children:
        assert end.recv(1) == b"x"
    server.process.kill()
    for _, pidfd, end in children:
        _wait_gone(pidfd)
        end.close()


@pytest.mark.parametrize("how", ["close", "shutdown"])
def test_children_die_with_the_connection(serve, how):
    server = serve("end.sendall(b'x'); end.recv(1)")
    _, pidfd, end = server.fork()
    assert end.recv(1) == b"x"
    if how == "close":
        server.connection.close()
    else:
        server.connection.send(Shutdown())
    _wait_gone(pidfd)
    assert server.process.wait() == 0
    end.close()


def test_what_a_child_started_ends_with_it(serve):
    server = serve(
        """
        grandchild = subprocess.Popen(["sleep", "1000"])
        end.sendall(str(grandchild.pid).encode())
        end.recv(1)
        """
    )
    _, pidfd, end = server.fork()
    grandchild = os.pidfd_open(int(end.recv(20)))
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    server.exited()
    _wait_gone(grandchild)
    os.close(pidfd)
    end.close()


_DAEMON = """
        daemon = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        end.sendall(str(daemon.pid).encode())
        end.recv(1)
        """


def test_what_a_child_started_in_a_session_of_its_own_ends_with_it(serve):
    """[P10]"""
    server = serve(_DAEMON)
    others = [server.fork(index) for index in range(2)]
    daemons = [os.pidfd_open(int(end.recv(20))) for _, _, end in others]
    signal.pidfd_send_signal(others[0][1], signal.SIGKILL)
    server.exited()
    _wait_gone(daemons[0])
    poll = select.poll()
    poll.register(daemons[1], select.POLLIN)
    assert not poll.poll(0), "that of the other child goes on"
    server.connection.close()
    _wait_gone(daemons[1])
    for _, pidfd, end in others:
        os.close(pidfd)
        end.close()


def test_all_that_children_left_behind_ends_with_the_connection(serve):
    """[P10] Also what was orphaned before: a shell that started something and is gone."""
    server = serve(
        """
        shell = subprocess.Popen(["sh", "-c", "setsid sleep 1000 & echo $!"], stdout=subprocess.PIPE)
        pid = shell.stdout.readline()
        shell.wait()
        end.sendall(pid)
        end.recv(1)
        """
    )
    _, pidfd, end = server.fork()
    orphan = os.pidfd_open(int(end.recv(20)))
    server.connection.close()
    _wait_gone(orphan)
    _wait_gone(pidfd)
    assert server.process.wait() == 0
    end.close()


def test_orphans_that_end_leave_no_zombie(serve):
    """[M6]"""
    server = serve(
        """
        shell = subprocess.Popen(["sh", "-c", "setsid sleep 1000 & echo $!"], stdout=subprocess.PIPE)
        pid = shell.stdout.readline()
        shell.wait()
        end.sendall(pid)
        end.recv(1)
        """
    )
    _, pidfd, end = server.fork()
    pid = int(end.recv(20))
    orphan = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    _wait_gone(orphan)
    later = [server.fork(index) for index in (1, 2)]  # the second is answered behind the reaping
    assert not os.path.exists(f"/proc/{pid}")
    os.close(pidfd)
    end.close()
    for _, other_pidfd, other_end in later:
        os.close(other_pidfd)
        other_end.close()


def test_an_exception_in_a_child_is_shown_and_counts_as_a_failure_of_ours(serve):
    server = serve("raise ValueError('boom')")
    _, pidfd, end = server.fork()
    assert os.waitstatus_to_exitcode(server.exited().wait_status) == EXIT_FAILED
    os.close(pidfd)
    end.close()
