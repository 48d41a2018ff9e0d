"""Children that are waited for by their pidfds, with real processes."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from shmflink.client.child_process import ChildProcess


def forked(code: int = 0) -> tuple[ChildProcess, int]:
    """A child that ends with `code` when the descriptor is closed."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(write)
        os.read(read, 1)
        os._exit(code)
    os.close(read)
    return ChildProcess(pid), write


def test_its_exit_code_as_often_as_one_asks() -> None:
    child, gate = forked(3)
    with pytest.raises(TimeoutError, match=f"process {child.pid} still runs after 0.0 s"):
        child.wait(0.0)
    os.close(gate)
    assert (child.wait(), child.wait(1.0)) == (3, 3)
    child.kill()  # it is gone: no error


def test_the_signal_that_ended_it() -> None:
    child, gate = forked()
    child.kill()
    assert child.wait() == -signal.SIGKILL
    os.close(gate)


def test_several_threads_wait_for_one() -> None:
    child, gate = forked(5)
    codes: list[int] = []
    threads = [threading.Thread(target=lambda: codes.append(child.wait())) for _ in range(4)]
    for thread in threads:
        thread.start()
    os.close(gate)
    for thread in threads:
        thread.join()
    assert codes == [5] * 4


def test_a_program_may_have_reaped_it() -> None:
    child, gate = forked(6)
    os.close(gate)
    assert os.waitpid(child.pid, 0)[1] == 6 << 8
    assert child.wait() == 0
