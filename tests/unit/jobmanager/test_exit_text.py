"""Descriptions of how a process ended."""

from __future__ import annotations

import signal

from shmflink.jobmanager.exit_text import describe_exit, taskmanager_lost
from shmflink.rpc.last_words import EXIT_FAILED


def test_by_signal() -> None:
    assert describe_exit(signal.SIGKILL).startswith("was killed by signal 9 (SIGKILL); unless somebody killed it")
    assert "native library that the job uses crashed" in describe_exit(signal.SIGSEGV)
    assert describe_exit(signal.SIGTERM) == "was killed by signal 15 (SIGTERM)"
    assert "out of memory" in describe_exit(signal.SIGKILL, oom_killed=True)
    assert describe_exit(120) == "was killed by signal 120 (unknown)"


def test_by_code() -> None:
    assert describe_exit(3 << 8).startswith("exited with code 3: user code")
    assert "unknown" in describe_exit(None)


def test_a_failure_of_our_own_is_not_put_down_to_user_code() -> None:
    assert describe_exit(EXIT_FAILED << 8) == "failed (exit code 70); its traceback is on standard error"


def test_the_failure_names_index_and_pid() -> None:
    failure = taskmanager_lost(2, 77, "died")
    assert (failure.kind, failure.message) == ("TaskManagerLostError", "TaskManager 2 (pid 77) died")
