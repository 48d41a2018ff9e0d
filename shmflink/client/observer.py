"""How somebody outside (the command line) follows the jobs that a program submits."""

from __future__ import annotations

import contextlib
import sys
from typing import Protocol

from shmflink.graph.job_graph import JobGraph
from shmflink.rpc.messages import JobEnded, JobProgress

__all__ = ["JobObserver", "SilentObserver", "TextObserver"]


class JobObserver(Protocol):
    """Called from the client's receiving thread; must not block. `job_submitted` comes from the thread that submits,
    where there is no HA directory.
    """

    wants_progress: bool
    """Whether `job_progressed` is to be called at all."""

    def job_submitted(self, graph: JobGraph) -> None: ...

    def job_progressed(self, progress: JobProgress) -> None: ...

    def job_ended(self, ended: JobEnded) -> None: ...

    def cluster_says(self, text: str) -> None:
        """Something happened that a person should know: a job restarts, or waits; the JobManager was replaced."""
        ...


class TextObserver:
    """Says what a person should know on standard error; nothing while all is well (`python job.py`)."""

    wants_progress = False

    def job_submitted(self, graph: JobGraph) -> None: ...

    def job_progressed(self, progress: JobProgress) -> None: ...

    def job_ended(self, ended: JobEnded) -> None: ...

    def cluster_says(self, text: str) -> None:
        if sys.stderr is None:  # it was closed when the program started
            return
        with contextlib.suppress(OSError, ValueError):  # nobody reads it, or it was closed since: the job goes on
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()


class SilentObserver:
    """Observes nothing."""

    wants_progress = False

    def job_submitted(self, graph: JobGraph) -> None: ...

    def job_progressed(self, progress: JobProgress) -> None: ...

    def job_ended(self, ended: JobEnded) -> None: ...

    def cluster_says(self, text: str) -> None: ...
