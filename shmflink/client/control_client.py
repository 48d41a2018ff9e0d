"""Finds the running jobs of this user and sends requests to their JobManagers over the control sockets."""

from __future__ import annotations

import difflib
import select
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from shmflink.core.clock import Clock
from shmflink.core.ids import JobId
from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import RequestFailedError, RpcError, UsageError
from shmflink.rpc.connection import BlockingConnection
from shmflink.rpc.control_messages import (
    ClusterDescription,
    DescribeCluster,
    ExplainWait,
    JobList,
    JobOverview,
    ListJobs,
    RequestFailed,
    WaitExplained,
)
from shmflink.rpc.runtime_folder import connect, control_sockets

__all__ = [
    "Answer",
    "RunningJob",
    "Survey",
    "describe",
    "find_job",
    "request",
    "running_text",
    "survey",
    "wait_reasons",
]

_LIST_TIMEOUT_S: Final = 5.0  # without an answer for this long, the JobManager is stopped or the machine swaps
_WAIT_S: Final = 0.2  # interval at which the caller is told that we still wait
_SHOWN_MAX: Final = 10
_PREFIX_DIGITS_MIN: Final = 4  # of an id; a shorter one is more likely a typo, or an empty variable of a script

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job, with the control socket and process of its JobManager."""

    overview: JobOverview
    socket: str
    pid: int


@dataclass(frozen=True, slots=True)
class Survey:
    """All jobs of this user, oldest first; `silent` lists sockets whose JobManager does not answer."""

    jobs: tuple[RunningJob, ...]
    silent: tuple[str, ...]


def survey(folders: Sequence[str], clock: Clock) -> Survey:
    """Asks every JobManager for its jobs. Removes the sockets of dead ones."""
    jobs: list[RunningJob] = []
    silent: list[str] = []
    for path in control_sockets(folders):
        try:
            answer = _ask(path, ListJobs(), clock, _LIST_TIMEOUT_S)
        except RpcError:
            silent.append(path)
            continue
        if isinstance(answer, JobList):
            jobs += [RunningJob(overview, path, answer.pid) for overview in answer.jobs]
    jobs.sort(key=lambda job: (job.overview.started_ms, job.overview.job_id))
    return Survey(tuple(jobs), tuple(silent))


def request(
    path: str, message: object, kind: type[Answer], clock: Clock, waiting: Callable[[], None] | None = None
) -> Answer:
    """Sends a request and waits for the answer, of this kind, without a timeout; calls `waiting` from time to time.

    RequestFailedError if the JobManager refuses; RpcError if it dies, closes the connection or answers something else.
    """
    answer = _ask(path, message, clock, None, waiting)
    if answer is None:
        raise RpcError("the JobManager is gone")
    if isinstance(answer, RequestFailed):
        raise RequestFailedError(answer.reason)
    if not isinstance(answer, kind):
        raise RpcError(f"the JobManager answered a {type(message).__name__} with a {type(answer).__name__}")
    return answer


def describe(path: str, clock: Clock) -> ClusterDescription | None:
    """What a JobManager says of its cluster; None if it does not answer, or is of an older release."""
    try:
        answer = _ask(path, DescribeCluster(), clock, _LIST_TIMEOUT_S)
    except RpcError:
        return None
    return answer if isinstance(answer, ClusterDescription) else None


def wait_reasons(path: str, job_id: JobId, clock: Clock) -> tuple[str, ...]:
    """Sentences that say what a job waits for; none if its JobManager does not say."""
    try:
        answer = _ask(path, ExplainWait(job_id), clock, _LIST_TIMEOUT_S)
    except RpcError:
        return ()
    return answer.reasons if isinstance(answer, WaitExplained) else ()


def _ask(
    path: str, message: object, clock: Clock, timeout_s: float | None, waiting: Callable[[], None] | None = None
) -> object:
    """The answer; None if nobody listens any longer."""
    connection = connect(path)
    if connection is None:
        return None
    try:
        connection.send(message)
        return _receive(connection, clock, timeout_s, waiting)
    finally:
        connection.close()


def _receive(
    connection: BlockingConnection, clock: Clock, timeout_s: float | None, waiting: Callable[[], None] | None
) -> object:
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    end_ns = None if timeout_s is None else clock.monotonic_ns() + int(timeout_s * 1e9)
    while True:
        if poll.poll(_WAIT_S * 1000):
            received = connection.read_once()
            if received is None:
                raise RpcError("the JobManager closed the connection before it answered: it has ended or died")
            if received:
                return received[0].message
        elif end_ns is not None and clock.monotonic_ns() > end_ns:
            raise RpcError(f"the JobManager did not answer within {timeout_s:g} s")
        if waiting is not None:
            waiting()


def find_job(text: str, jobs: Sequence[RunningJob]) -> RunningJob:
    """The job with this id, this name, or an id that begins with `text` (at least four digits) and is the only such
    one; ended jobs only if no other job fits. UsageError, with a list of the jobs, if there is none or more than
    one.
    """
    if not text.strip():
        raise UsageError(f"the job argument is empty: give its id or its name.\n{running_text(jobs)}")
    for candidates in ([j for j in jobs if not j.overview.state.is_terminal], list(jobs)):
        found = _matching(text, candidates)
        if len(found) == 1:
            return found[0]
        if found:
            raise UsageError(f"{len(found)} jobs match '{text}'; give the id of one:\n{_listed(found)}")
    if begun := [job for job in jobs if job.overview.job_id.hex.startswith(text.lower())]:
        raise UsageError(
            f"'{text}' is too short: the beginning of an id needs at least {_PREFIX_DIGITS_MIN} digits:\n"
            f"{_listed(begun)}"
        )
    running = [job for job in jobs if not job.overview.state.is_terminal]
    names = {str(job.overview.job_id): job for job in running} | {job.overview.name: job for job in running}
    near = difflib.get_close_matches(text, list(names), n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    raise UsageError(f"there is no job '{text}'{hint}\n{running_text(jobs)}")


def running_text(jobs: Sequence[RunningJob]) -> str:
    """The jobs that have not ended, for an error that asks for one."""
    running = [job for job in jobs if not job.overview.state.is_terminal]
    return f"Running:\n{_listed(running)}" if running else "No job of this user runs on this host."


def _matching(text: str, jobs: Sequence[RunningJob]) -> list[RunningJob]:
    digits = text.lower()
    exact = [job for job in jobs if job.overview.job_id.hex == digits]
    named = [job for job in jobs if job.overview.name == text]
    if exact or named or len(digits) < _PREFIX_DIGITS_MIN:
        return exact or named
    return [job for job in jobs if job.overview.job_id.hex.startswith(digits)]


def _listed(jobs: Sequence[RunningJob]) -> str:
    lines = [f"  {job.overview.job_id}  {job.overview.state}  {job.overview.name}" for job in jobs[:_SHOWN_MAX]]
    if len(jobs) > _SHOWN_MAX:
        lines.append(f"  and {len(jobs) - _SHOWN_MAX} more: shmflink list")
    return "\n".join(lines)
