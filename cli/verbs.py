"""`shmflink savepoint`, `stop`, `cancel`, `checkpoint`: requests to a running job over a control socket."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Final

from shmflink.client.control_client import Answer, RunningJob, find_job, request, running_text, survey, wait_reasons
from shmflink.core.clock import SYSTEM_CLOCK
from shmflink.errors import RpcError, ShmflinkError
from shmflink.rpc.control_messages import (
    CancelRunningJob,
    CheckpointTaken,
    JobCancelled,
    SavepointCompleted,
    StopJob,
    TakeCheckpoint,
    TriggerSavepoint,
)
from shmflink.rpc.runtime_folder import runtime_folders
from shmflink.rpc.states import JobState

from .waiting import waiting

__all__ = ["absolute", "cancel_job", "stop_job", "take_checkpoint", "take_savepoint"]

FAILED: Final = 1
USAGE: Final = 2
_RESUME: Final = "You can resume your program from this {what} with the run command: shmflink run -s {path} JOB.PY"


def take_savepoint(job: str | None, directory: str | None) -> int:
    """Writes a savepoint while the job continues; returns the exit code."""

    def verb(found: RunningJob) -> None:
        _say(f"Triggering savepoint for job {found.overview.job_id}.")
        done = _asked(found, TriggerSavepoint(found.overview.job_id, absolute(directory)), SavepointCompleted)
        _savepoint_line(done.path)

    return _performed(job, verb)


def stop_job(job: str | None, directory: str | None, *, drains: bool) -> int:
    """Writes a savepoint and stops the job."""

    def verb(found: RunningJob) -> None:
        _say(f'Suspending job "{found.overview.job_id}" with a savepoint{" after draining its input" * drains}.')
        done = _asked(found, StopJob(found.overview.job_id, absolute(directory), drains), SavepointCompleted)
        _savepoint_line(done.path)

    return _performed(job, verb)


def cancel_job(job: str | None, savepoint_directory: str | None, *, with_savepoint: bool) -> int:
    """Cancels the job; `with_savepoint` first writes a savepoint (Flink's deprecated `cancel -s`)."""

    def verb(found: RunningJob) -> None:
        job_id = found.overview.job_id
        path = ""
        if with_savepoint:
            _say('DEPRECATION WARNING: Cancelling a job with savepoint is deprecated. Use "stop" instead.')
            done = _asked(found, TriggerSavepoint(job_id, absolute(savepoint_directory)), SavepointCompleted)
            path = done.path
        _say(f"Cancelling job {job_id}.")
        over = _asked(found, CancelRunningJob(job_id), JobCancelled)
        if over.state is not JobState.CANCELED:
            raise RpcError(f"job {job_id} was not canceled: it is {over.state}")
        _say(f"Cancelled job {job_id}." + (f" Savepoint stored in {path}." if path else ""))

    return _performed(job, verb)


def take_checkpoint(job: str | None) -> int:
    """Triggers a checkpoint and waits until it is durable."""

    def verb(found: RunningJob) -> None:
        _say(f"Triggering checkpoint for job {found.overview.job_id}.")
        done = _asked(found, TakeCheckpoint(found.overview.job_id), CheckpointTaken)
        _say(f"Checkpoint(CONFIGURED) {done.checkpoint_id} for job {found.overview.job_id} completed.")
        _say(_RESUME.format(what="checkpoint", path=done.path))

    return _performed(job, verb)


def absolute(directory: str | None) -> str:
    """The folder as an absolute path, as the JobManager has another working folder; empty = as configured there."""
    if not directory:
        return ""
    return directory if directory.startswith("file:") else os.path.abspath(directory)


def _performed(job: str | None, verb: Callable[[RunningJob], None]) -> int:
    """Finds the job and runs the action; reports errors on standard error."""
    try:
        found = survey(runtime_folders(os.environ, os.getuid()), SYSTEM_CLOCK)
        if job is None or not job.strip():  # an empty text: an unset variable of a script
            sys.stderr.write(f"which job? Give its id or its name.\n{running_text(found.jobs)}\n")
            return USAGE
        verb(find_job(job, found.jobs))
    except ShmflinkError as error:
        sys.stdout.flush()
        sys.stderr.write(f"{error}\n")
        return FAILED
    except KeyboardInterrupt:
        sys.stderr.write("stopped waiting; the JobManager continues with the request\n")
        return 130
    return 0


def _asked(found: RunningJob, message: object, kind: type[Answer]) -> Answer:
    with waiting(lambda: wait_reasons(found.socket, found.overview.job_id, SYSTEM_CLOCK)) as tick:
        return request(found.socket, message, kind, SYSTEM_CLOCK, tick)


def _savepoint_line(path: str) -> None:
    _say(f"Savepoint completed. Path: file:{path}")
    _say(_RESUME.format(what="savepoint", path=path))


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
