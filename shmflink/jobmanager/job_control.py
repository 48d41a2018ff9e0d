"""The jobs of a JobManager as its control socket sees them: those that run and the last that are over."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from shmflink.core.ids import JobId
from shmflink.jobmanager.job_run import JobRun
from shmflink.rpc.control_messages import CheckpointTaken, JobOverview
from shmflink.rpc.messages import Failure

__all__ = ["RunControl"]

_REMEMBERED_MAX: Final = 50


class RunControl:
    """A `control_socket.JobControl` over job runs; `runs` is the JobManager's own, and changes."""

    def __init__(self, runs: Mapping[JobId, JobRun]) -> None:
        self._runs = runs
        self._over: deque[JobOverview] = deque(maxlen=_REMEMBERED_MAX)

    def jobs(self) -> Sequence[JobOverview]:
        """Those that are over first."""
        return [*self._over, *(_overview(run) for run in self._runs.values())]

    def remember(self, run: JobRun) -> None:
        """It is over."""
        self._over.append(_overview(run))

    def savepoint(
        self, job_id: JobId, target: str, stops: bool, drains: bool, callback: Callable[[str | Failure], None]
    ) -> None:
        self._runs[job_id].savepoint(target, stops=stops, drains=drains, answer=callback)

    def checkpoint(self, job_id: JobId, callback: Callable[[CheckpointTaken | Failure], None]) -> None:
        def answer(result: str | Failure) -> None:
            callback(
                result if isinstance(result, Failure) else CheckpointTaken(job_id, _checkpoint_id_of(result), result)
            )

        self._runs[job_id].checkpoint(answer)

    def cancel(self, job_id: JobId) -> None:
        self._runs[job_id].cancel(force=False)

    def waits_for(self, job_id: JobId) -> Sequence[str]:
        run = self._runs.get(job_id)
        return () if run is None else run.waits_for()


def _overview(run: JobRun) -> JobOverview:
    graph = run.graph
    return JobOverview(
        graph.job_id,
        graph.name,
        run.state,
        run.started_ms,
        run.duration_ms,
        max(vertex.parallelism for vertex in graph.vertices),
        run.slots,
        run.restarts,
        run.checkpoint_summary(),
    )


def _checkpoint_id_of(directory: str) -> int:
    """Of a checkpoint's folder, `chk-7`."""
    text = os.path.basename(directory).removeprefix("chk-")
    return int(text) if text.isdigit() else 0
