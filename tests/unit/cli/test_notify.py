"""What `shmflink run` reports to systemd."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from shmflink.cli.notify import ServiceNotifier
from shmflink.cli.reporting import PlainReporter
from shmflink.cli.summary import RunRecord
from shmflink.core.ids import JobId
from shmflink.graph.job_graph import JobGraph
from shmflink.rpc.messages import JobEnded, JobProgress
from shmflink.rpc.states import JobState

JOB = JobGraph(JobId("a" * 32), "count\nWATCHDOG=1", False, (), ())


@pytest.fixture
def manager(tmp_path: Path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(30)
        yield sock


def _hear_until(text: bytes, manager: socket.socket) -> None:
    while manager.recv(200) != text:
        continue


def test_without_a_service_manager_nothing_is_put_in_between():
    reporter = PlainReporter(RunRecord("job.py"))
    assert ServiceNotifier.where_asked(reporter, {}) is reporter


def test_ready_alive_and_stopping_are_told(manager):
    """[P7] [R6] A job's name cannot say anything of its own."""
    environment = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "40000"}
    notifier = ServiceNotifier.where_asked(PlainReporter(RunRecord("job.py")), environment)
    assert isinstance(notifier, ServiceNotifier)
    assert manager.recv(100) == b"WATCHDOG=1", "no job: nobody who could hang"
    notifier.job_submitted(JOB)
    heard = manager.recv(200)
    while heard == b"WATCHDOG=1":
        heard = manager.recv(200)
    assert heard == b"READY=1\nSTATUS=runs count WATCHDOG=1 (" + b"a" * 32 + b")"
    notifier.job_progressed(JobProgress(JOB.job_id, ()))
    notifier.job_ended(JobEnded(JOB.job_id, JobState.FINISHED, 1, None, ()))
    assert manager.recv(200) == b"WATCHDOG=1"
    notifier.close()
    _hear_until(b"STOPPING=1", manager)


def test_a_job_of_which_nothing_is_heard_is_not_called_alive(manager):
    """[P7] The JobManager hangs: systemd restarts the service."""
    environment = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "40000"}
    notifier = ServiceNotifier.where_asked(PlainReporter(RunRecord("job.py")), environment)
    notifier.job_submitted(JOB)
    manager.settimeout(1.0)  # many intervals
    with pytest.raises(TimeoutError):
        _hear_until(b"never", manager)
    notifier.close()


def test_a_watchdog_that_is_meant_for_another_process_is_not_fed(manager):
    environment = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}
    notifier = ServiceNotifier.where_asked(PlainReporter(RunRecord("job.py")), environment)
    notifier.close()
    assert manager.recv(100) == b"STOPPING=1"
