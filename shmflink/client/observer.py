"""How an observer (the command line) follows the jobs that a program submits."""

from __future__ import annotations

import contextlib
import sys
from typing import Protocol

from shmflink.graph.job_graph import JobGraph
from shmflink.rpc.messages import JobEnded, JobProgress

__all__ = ["JobObserver", "SilentObserver", "TextObserver"]


class JobObserver(Protocol):
    """Called from the client's receiving thread; must not block. Without an HA directory, the submitting thread calls
    `job_submitted`.
    """

    wants_progress: bool
    """Whether `job_progressed` should be called at all."""

    def job_submitted(self, graph: JobGraph) -> None: ...

    def job_progressed(self, progress: JobProgress) -> None: ...

    def job_ended(self, ended: JobEnded) -> None: ...

    def cluster_says(self, text: str) -> None:
        """A message for people: a job restarts or waits; the JobManager was replaced."""
        ...


class TextObserver:
    """Prints messages for people on standard error; silent while all is well (`python job.py`)."""

    wants_progress = False

    def job_submitted(self, graph: JobGraph) -> None: ...

    def job_progressed(self, progress: JobProgress) -> None: ...

    def job_ended(self, ended: JobEnded) -> None: ...

    def cluster_says(self, text: str) -> None:
        if sys.stderr is None:  # it was closed when the program started
            return
        with contextlib.suppress(OSError, ValueError):  # nobody reads it, or it was closed since: the job continues
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()


class SilentObserver:
    """Observes nothing."""

    wants_progress = False

    def job_submitted(self, graph: JobGraph) -> None: ...

    def job_progressed(self, progress: JobProgress) -> None: ...

    def job_ended(self, ended: JobEnded) -> None: ...

    def cluster_says(self, text: str) -> None: ...
