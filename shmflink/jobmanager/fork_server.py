"""The fork server: a pre-imported, single-threaded process from which TaskManagers are forked on request.

Forked from the JobManager before that starts its event loop. It reaps its children and reports how they ended. It dies
with the JobManager, and its children with it (parent-death signals).
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NoReturn

from shmflink._core import set_parent_death_signal
from shmflink.errors import InternalError, RpcError
from shmflink.rpc.connection import BlockingConnection
from shmflink.rpc.messages import ForkTaskManager, Shutdown, TaskManagerExited, TaskManagerForked
from shmflink.rpc.wire import Received

__all__ = [
    "ForkServer",
    "TaskManagerMain",
    "count_threads",
    "die_with",
    "set_process_name",
    "start_fork_server",
]

TaskManagerMain = Callable[[ForkTaskManager, socket.socket], None]
_EXIT_ORPHAN: Final = 3


def count_threads() -> int:
    """Threads of this process, native ones included."""
    return len(os.listdir("/proc/self/task"))


def set_process_name(name: str) -> None:
    """What `ps` and `top` show; at most 15 characters."""
    with open("/proc/self/comm", "w", encoding="ascii") as file:
        file.write(name[:15])


def die_with(parent_pid: int) -> None:
    """Has the kernel kill this process when its parent dies; ends it at once when that has happened already."""
    if not set_parent_death_signal(signal.SIGKILL, parent_pid):
        os._exit(_EXIT_ORPHAN)


def start_fork_server(run_taskmanager: TaskManagerMain, close_in_child: tuple[int, ...]) -> tuple[int, socket.socket]:
    """Forks the fork server; returns its pid and the JobManager's end of the connection.

    Call from the main thread of a process without other threads: a lock that another thread holds at the fork would
    stay locked for ever in the child. `close_in_child` are descriptors that only the JobManager may hold.
    """
    if count_threads() != 1:
        raise InternalError(f"the JobManager has {count_threads()} threads before the fork; it must have one")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _run_fork_server(run_taskmanager, parent, ours, theirs, close_in_child)
    theirs.close()
    return pid, ours


def _run_fork_server(
    run_taskmanager: TaskManagerMain,
    parent: int,
    ours: socket.socket,
    theirs: socket.socket,
    close_in_child: tuple[int, ...],
) -> NoReturn:
    try:
        die_with(parent)
        set_process_name("shmflink-fork")
        ours.close()
        for fd in close_in_child:
            os.close(fd)
        ForkServer(BlockingConnection(theirs), run_taskmanager).serve()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(0)


@dataclass(frozen=True, slots=True)
class _Child:
    index: int
    pid: int
    pidfd: int


class ForkServer:
    """Serves fork requests from one connection until it closes."""

    def __init__(self, connection: BlockingConnection, run_taskmanager: TaskManagerMain) -> None:
        self._connection = connection
        self._run_taskmanager = run_taskmanager
        self._children: dict[int, _Child] = {}  # by pidfd
        self._poll = select.poll()
        self._poll.register(connection.fileno(), select.POLLIN)

    def serve(self) -> None:
        """Returns when the JobManager is gone or says Shutdown; children that still live are killed."""
        try:
            while all(self._serve(fd) for fd, _ in self._poll.poll()):
                continue
        except RpcError:
            return  # the JobManager died while we talked to it
        finally:
            self._kill_all()

    def _serve(self, fd: int) -> bool:
        """One readable descriptor; False when the JobManager is gone."""
        child = self._children.get(fd)
        if child is None:
            return self._serve_requests()
        self._reap(child)
        return True

    def _serve_requests(self) -> bool:
        received = self._connection.read_once()
        if received is None:
            return False
        for request in received:
            if isinstance(request.message, Shutdown):
                return False
            self._fork(request)
        return True

    def _fork(self, request: Received) -> None:
        message = request.message
        if not isinstance(message, ForkTaskManager) or len(request.fds) != 1:
            raise InternalError(f"the fork server cannot serve {type(message).__name__}")
        end = socket.socket(fileno=request.fds[0])
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._run_child(message, end, parent)
        end.close()
        child = _Child(message.index, pid, os.pidfd_open(pid))
        self._children[child.pidfd] = child
        self._poll.register(child.pidfd, select.POLLIN)
        self._connection.send(TaskManagerForked(child.index, pid), [child.pidfd])

    def _run_child(self, message: ForkTaskManager, end: socket.socket, parent: int) -> NoReturn:
        code = 1
        try:
            die_with(parent)
            os.setpgid(0, 0)  # so that processes that user code starts can be ended with it
            for pidfd in self._children:
                os.close(pidfd)
            self._connection.close()
            gc.enable()
            self._run_taskmanager(message, end)
            code = 0
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            _flush_output()
            os._exit(code)

    def _reap(self, child: _Child) -> None:
        _, status = os.waitpid(child.pid, 0)
        _kill_group(child.pid)
        self._poll.unregister(child.pidfd)
        os.close(child.pidfd)
        del self._children[child.pidfd]
        self._connection.send(TaskManagerExited(child.index, child.pid, status))

    def _kill_all(self) -> None:
        for child in self._children.values():
            _kill_group(child.pid)


def _kill_group(pid: int) -> None:
    """Ends a TaskManager and what user code started there. Its group lives as long as any member does."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # nobody left
    except PermissionError:
        return  # a set-user-id program that user code started: not ours to kill


def _flush_output() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue  # the reader of our output is gone or user code closed it: nobody is left to tell
