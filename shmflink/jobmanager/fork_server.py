"""The fork server: a pre-imported, single-threaded process from which TaskManagers are forked on request.

The JobManager forks it before it starts its own event loop. The fork server reaps its children and reports how they
ended. When the JobManager is gone (the connection ends), it kills its children and the processes that user code started
there, and ends. If it is killed itself, its children die by their parent-death signal.

Orphans of user code become children of the fork server (PR_SET_CHILD_SUBREAPER). It kills those of a TaskManager when
that ends, and all of them at its own end.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Final, NoReturn

from shmflink._core import set_parent_death_signal
from shmflink.core.clock import SYSTEM_CLOCK
from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import InternalError, RpcError
from shmflink.rpc.connection import BlockingConnection
from shmflink.rpc.last_words import EXIT_FAILED, told
from shmflink.rpc.messages import ForkTaskManager, Shutdown, TaskManagerExited, TaskManagerForked
from shmflink.rpc.wire import Received

__all__ = [
    "ForkServer",
    "TaskManagerMain",
    "count_threads",
    "die_with",
    "kill_group",
    "set_process_name",
    "start_fork_server",
]

TaskManagerMain = Callable[[ForkTaskManager, socket.socket], None]
_EXIT_ORPHAN: Final = 3
_PR_SET_CHILD_SUBREAPER: Final = 36  # linux/prctl.h
_IDLE_MS: Final = 3_000  # by then the first TaskManagers are up, and a short job, which needs all CPUs, has ended
_GARBAGE_MAX: Final = 50_000  # new objects between two collections; a batch of rows has thousands of long-lived objects
_END_S: Final = 2.0  # time for the kernel to end all processes; only one in an uninterruptible sleep takes longer
_NOTHING: Final[Iterator[None]] = iter(())
_MARK: Final = "SHMFLINK_TASKMANAGER"  # in the environment of processes that user code starts: the TaskManager's pid


def count_threads() -> int:
    """Threads of this process, native ones included."""
    return len(os.listdir("/proc/self/task"))


def set_process_name(name: str) -> None:
    """Sets the name that `ps` and `top` show; at most 15 characters."""
    with open("/proc/self/comm", "w", encoding="ascii") as file:
        file.write(name[:15])


def die_with(parent_pid: int) -> None:
    """Makes the kernel kill this process when its parent dies; ends it at once if the parent is already dead."""
    if not set_parent_death_signal(signal.SIGKILL, parent_pid):
        os._exit(_EXIT_ORPHAN)


def start_fork_server(
    begin: Callable[[socket.socket], TaskManagerMain | None],
    close_in_child: tuple[int, ...],
    warm_up: Iterator[None] = _NOTHING,
) -> tuple[int, socket.socket]:
    """Forks the fork server; returns its pid and the JobManager's end of the connection.

    `begin` is called in the fork server, with its end of the connection. It imports what TaskManagers need, while the
    JobManager imports its own modules, and returns the function that TaskManagers run; None if there is nothing to
    serve. `warm_up` runs in short steps while the fork server is idle: before the first fork at once, later after a
    pause. TaskManagers need not repeat its imports. It must not start threads.

    Call it from the main thread of a process without other threads: a lock that another thread holds at the fork would
    remain locked forever in the child. `close_in_child`: descriptors that only the JobManager may hold.
    """
    if count_threads() != 1:
        raise InternalError(f"the JobManager has {count_threads()} threads before the fork; it must have one")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _run_fork_server(begin, ours, theirs, close_in_child, warm_up)
    theirs.close()
    return pid, ours


def _run_fork_server(
    begin: Callable[[socket.socket], TaskManagerMain | None],
    ours: socket.socket,
    theirs: socket.socket,
    close_in_child: tuple[int, ...],
    warm_up: Iterator[None],
) -> NoReturn:
    code = EXIT_FAILED  # until it has finished serving
    try:
        connection = BlockingConnection(theirs)
        with told(connection):
            ours.close()
            for fd in close_in_child:
                os.close(fd)
            set_process_name("shmflink-fork")
            run_taskmanager = begin(theirs)
            if run_taskmanager is not None:
                ForkServer(connection, run_taskmanager, warm_up).serve()
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        _flush_output()
        os._exit(code)


@dataclass(frozen=True, slots=True)
class _Child:
    index: int
    pid: int
    pidfd: int


class ForkServer:
    """Serves fork requests from one connection until it closes. Created in the main thread of a separate process."""

    def __init__(
        self,
        connection: BlockingConnection,
        run_taskmanager: TaskManagerMain,
        warm_up: Iterator[None] = _NOTHING,
    ) -> None:
        self._connection = connection
        self._run_taskmanager = run_taskmanager
        self._warm_up = warm_up
        self._is_warm = False
        self._patience_ms = 0  # before the next step of the warm-up
        self._children: dict[int, _Child] = {}  # by pidfd
        self._poll = select.poll()
        self._poll.register(connection.fileno(), select.POLLIN)
        _adopt_orphans()
        self._wake, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _ignore)  # if SIGCHLD were ignored, children could not be waited for
        self._poll.register(self._wake, select.POLLIN)

    def serve(self) -> None:
        """Returns when the JobManager is gone or sends Shutdown; kills children that are still alive."""
        try:
            while all(self._serve(fd) for fd, _ in self._ready()):
                continue
        finally:
            self._kill_all()

    def _ready(self) -> list[tuple[int, int]]:
        """Readable descriptors; waits for the first one, and warms up meanwhile."""
        while not self._is_warm:
            ready = self._poll.poll(self._patience_ms)
            if ready:
                return ready
            self._patience_ms = 0
            self._is_warm = next(self._warm_up, self) is self
        return self._poll.poll()

    def _serve(self, fd: int) -> bool:
        """Handles one readable descriptor; False if the JobManager is gone."""
        if fd == self._wake:
            os.read(self._wake, 4096)
            self._reap_adopted()
            return True
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
        self._patience_ms = _IDLE_MS
        end = socket.socket(fileno=request.fds[0])
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._run_child(message, end, parent)
        end.close()
        child = _Child(message.index, pid, os.pidfd_open(pid))
        self._children[child.pidfd] = child
        self._poll.register(child.pidfd, select.POLLIN)
        self._tell(TaskManagerForked(child.index, pid), [child.pidfd])

    def _tell(self, message: object, fds: Sequence[int] = ()) -> None:
        with contextlib.suppress(RpcError):  # the JobManager died: the end of the connection follows
            self._connection.send(message, fds)

    def _run_child(self, message: ForkTaskManager, end: socket.socket, parent: int) -> NoReturn:
        code = EXIT_FAILED
        try:
            die_with(parent)
            os.setpgid(0, 0)  # so that processes that user code starts can be killed with it
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for fd in (self._wake, self._wake_write, *self._children):
                os.close(fd)
            self._connection.close()
            os.environ[_MARK] = str(os.getpid())
            gc.set_threshold(_GARBAGE_MAX)
            gc.enable()
            self._run_taskmanager(message, end)
            code = 0
        except SystemExit as error:
            code = _exit_code(error)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            _flush_output()
            os._exit(code)

    def _reap(self, child: _Child) -> None:
        _, status = os.waitpid(child.pid, 0)
        kill_group(child.pid)
        self._poll.unregister(child.pidfd)
        os.close(child.pidfd)
        del self._children[child.pidfd]
        for pid in self._adopted():  # processes that left the group
            if _marked(pid) == child.pid:
                _kill(pid)
        self._tell(TaskManagerExited(child.index, child.pid, status))

    def _adopted(self) -> list[int]:
        """Children that we did not fork: orphans of user code."""
        own = {child.pid for child in self._children.values()}
        return [pid for pid in _children_of_this_thread() if pid not in own]

    def _reap_adopted(self) -> None:
        for pid in self._adopted():
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)

    def _kill_all(self) -> None:
        """Kills all descendants. Processes that lose their parent meanwhile become our children and are killed next."""
        own = [child.pid for child in self._children.values()]
        for pid in own:
            kill_group(pid)
        self._children.clear()
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        end_ns = SYSTEM_CLOCK.monotonic_ns() + int(_END_S * 1e9)
        while left := self._adopted():
            for pid in left:
                _kill(pid)
            self._reap_adopted()
            if not self._adopted() or SYSTEM_CLOCK.monotonic_ns() > end_ns:
                return
            if poll.poll(100):
                os.read(self._wake, 4096)


def _exit_code(end: SystemExit) -> int:
    """Recreates a standard stream as the interpreter would."""
    if end.code is None:
        return 0
    return end.code if isinstance(end.code, int) else 1


def _adopt_orphans() -> None:
    """Makes descendants whose parent dies our children instead of those of process 1."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Does nothing: the wakeup descriptor reports the signal."""


def _children_of_this_thread() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:  # a kernel without CONFIG_PROC_CHILDREN
        return []


def _marked(pid: int) -> int:
    """The TaskManager from which a process descends; 0 if its environment does not say."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            variables = file.read().split(b"\0")
    except OSError:
        return 0
    mark = f"{_MARK}=".encode()
    found = next((one.removeprefix(mark) for one in variables if one.startswith(mark)), b"")
    return int(found) if found.isdigit() else 0


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # it has ended, or is a set-user-id program
        os.kill(pid, signal.SIGKILL)


def kill_group(pid: int) -> None:
    """Kills a TaskManager and the processes that user code started there. Its group lives as long as any member."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # the group is empty
    except PermissionError:
        return  # a set-user-id program that user code started: we may not kill it


def _flush_output() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue  # the reader of our output is gone, or user code has closed it: nothing can be reported
