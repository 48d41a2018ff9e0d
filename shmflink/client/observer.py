"""How somebody outside (the command line) follows the jobs that a program submits."""

from __future__ import annotations

from typing import Protocol

from shmflink.graph.job_graph import JobGraph
from shmflink.rpc.messages import JobEnded, JobProgress

__all__ = ["JobObserver", "SilentObserver"]


class JobObserver(Protocol):
    """Called from the client's receiving thread, except `job_submitted`; must not block."""

    def job_submitted(self, graph: JobGraph) -> None: ...

    def job_progressed(self, progress: JobProgress) -> None: ...

    def job_ended(self, ended: JobEnded) -> None: ...

    def cluster_says(self, text: str) -> None:
        """Something happened that a person should know: the JobManager was replaced."""
        ...


class SilentObserver:
    """Observes nothing."""

    def job_submitted(self, graph: JobGraph) -> None: ...

    def job_progressed(self, progress: JobProgress) -> None: ...

    def job_ended(self, ended: JobEnded) -> None: ...

    def cluster_says(self, text: str) -> None: ...
