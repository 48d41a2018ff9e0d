"""Errors of requests, with the status codes and texts that Flink's clients know.

Flink's texts begin with the class of a Java exception, and clients show them as they are. Ours begin with the same
class, because scripts look for it, and end where a Java stack trace would begin.
"""

from __future__ import annotations

from typing import Final

from shmflink.errors import ShmflinkError

__all__ = [
    "RestError",
    "bad_body",
    "bad_parameter",
    "handler_error",
    "internal",
    "job_not_found",
    "missing_field",
    "not_found",
    "unavailable",
]

_HANDLER: Final = "org.apache.flink.runtime.rest.handler.RestHandlerException"
_NOT_FOUND: Final = "org.apache.flink.runtime.rest.NotFoundException"
_JOB_UNKNOWN: Final = "org.apache.flink.runtime.messages.FlinkJobNotFoundException"


class RestError(ShmflinkError):
    """A request that cannot be served. `texts` are what the client reads under `errors`."""

    def __init__(self, status: int, *texts: str) -> None:
        super().__init__(texts[-1])
        self.status = status
        self.texts = texts


def handler_error(status: int, text: str) -> RestError:
    """What a handler refuses."""
    return RestError(status, f"{_HANDLER}: {text}")


def not_found(text: str) -> RestError:
    """404, for what a handler looked for."""
    return RestError(404, f"{_NOT_FOUND}: {text}")


def job_not_found(job_id: str) -> RestError:
    """404, of most paths below a job."""
    return not_found(f"Job {job_id} not found")


def bad_parameter(kind: str, name: str, value: str) -> RestError:
    """400: `kind` is `path` or `query`."""
    text = f'Cannot resolve {kind} parameter ({name}) from value "{value}".'
    return handler_error(400, f"Bad request, could not parse parameters: {text}")


def bad_body(name: str) -> RestError:
    """400: `name` is Flink's class of the body."""
    return handler_error(400, f"Request did not match expected format {name}.")


def missing_field(name: str) -> RestError:
    """400."""
    return handler_error(400, f"Field {name} must not be omitted or be null.")


def internal(cause: str) -> RestError:
    """500, as Flink answers where it expected nothing to fail."""
    text = f"<Exception on server side: {cause}\n\nEnd of exception on server side>"
    return RestError(500, "Internal server error.", text)


def unknown_job_cause(job_id: str) -> str:
    """The exception of what asks the dispatcher, not a handler."""
    return f"{_JOB_UNKNOWN}: Could not find Flink job ({job_id})"


def unavailable(text: str) -> RestError:
    """503: the JobManager does not answer."""
    return handler_error(503, text)
