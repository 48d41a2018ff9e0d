"""A note about how its jobs ended, which a JobManager that ends cleanly leaves for programs waiting for its HA
directory.

A waiting program must not run a job again that has just ended (Flink: the job result store). A program that is started
later means a new run; it finds the note of a JobManager for which it has not waited, and ignores it.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from shmflink.core.ids import JobId
from shmflink.core.lazy_dataclass import dataclass
from shmflink.rpc.messages import Failure, JobEnded, SubmitJob
from shmflink.rpc.states import JobState

__all__ = ["EndedJob", "dump_note", "load_note"]


@dataclass(frozen=True, slots=True)
class EndedJob:
    """The program's job of this `number`, from 0, and how it ended. `arguments`: the program's; None: not known."""

    number: int
    name: str
    main_file: str
    arguments: tuple[str, ...] | None
    ended: JobEnded

    @staticmethod
    def of(submission: SubmitJob, ended: JobEnded) -> EndedJob:
        graph = submission.graph
        return EndedJob(submission.place, graph.name, graph.main_file, submission.arguments, ended)

    def is_of(self, submission: SubmitJob) -> bool:
        """Whether it is the same job of the same command."""
        return self == EndedJob.of(submission, self.ended)


def dump_note(jobs: Sequence[EndedJob]) -> bytes:
    """The inverse of `load_note`."""
    return orjson.dumps([_fields(job) for job in jobs])


def load_note(note: bytes) -> tuple[EndedJob, ...]:
    """The jobs of a note; empty if it is damaged or of another release, in which case its jobs run again."""
    try:
        return tuple(_job(fields) for fields in orjson.loads(note))
    except (ValueError, TypeError, LookupError):
        return ()


def _fields(job: EndedJob) -> dict[str, object]:
    ended = job.ended
    failure = None if ended.failure is None else [ended.failure.kind, ended.failure.message]
    return {
        "number": job.number,
        "name": job.name,
        "main_file": job.main_file,
        "arguments": job.arguments,
        "job_id": ended.job_id.hex,
        "state": ended.state.value,
        "runtime_ms": ended.runtime_ms,
        "failure": failure,
    }


def _job(fields: dict[str, object]) -> EndedJob:
    failure, arguments = fields["failure"], fields["arguments"]
    ended = JobEnded(
        JobId(str(fields["job_id"])),
        JobState(str(fields["state"])),
        int(str(fields["runtime_ms"])),
        Failure(str(failure[0]), str(failure[1])) if isinstance(failure, list) else None,
        (),
    )
    return EndedJob(
        int(str(fields["number"])),
        str(fields["name"]),
        str(fields["main_file"]),
        tuple(map(str, arguments)) if isinstance(arguments, list) else None,
        ended,
    )
