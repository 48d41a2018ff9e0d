"""`/jobs/:jobid/exceptions` and those of applications."""

from __future__ import annotations

from shmflink.rpc.messages import Failure
from shmflink.rpc.read_messages import FailureRead, JobRead

__all__ = ["application_exceptions", "exception_text", "exceptions"]

Json = dict[str, object]


def exception_text(failure: Failure) -> str:
    """The kind of error, its message, the traceback of the user's code, and the record, where they are known."""
    lines = [f"{failure.kind}: {failure.message}"]
    if failure.record is not None:
        lines.append(f"record: {failure.record}")
    if failure.traceback_text and failure.traceback_text.strip() not in failure.message:
        lines.append(failure.traceback_text.rstrip())
    return "\n".join(lines)


def exceptions(read: JobRead, limit: int, host: str) -> Json:
    """The newest first, at most `limit`."""
    entries = [_entry(one, host) for one in read.failures[:limit]]
    return {"exceptionHistory": {"entries": entries, "truncated": len(read.failures) > limit}}


def _entry(one: FailureRead, host: str) -> Json:
    failure = one.failure
    entry: Json = {
        "exceptionName": failure.kind,
        "stacktrace": exception_text(failure),
        "timestamp": one.at_ms,
        "failureLabels": {},
        "concurrentExceptions": [],
    }
    if failure.task_name:
        entry["taskName"] = f"{failure.task_name} - execution #{one.attempt}"
        entry["endpoint"] = host
        entry["taskManagerId"] = one.taskmanager
    return entry


def application_exceptions(read: JobRead) -> Json:
    """`/applications/:id/exceptions`: of a job that has failed, why."""
    if read.summary.overview.state.value != "FAILED" or not read.failures:
        return {"exceptionHistory": {"entries": []}}
    last = read.failures[0]
    entry = {
        "exceptionName": last.failure.kind,
        "stacktrace": exception_text(last.failure),
        "timestamp": last.at_ms,
        "jobId": read.summary.overview.job_id.hex,
    }
    return {"exceptionHistory": {"entries": [entry]}}
