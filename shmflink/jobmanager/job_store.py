"""Gives the event loop access to what outlives the JobManager (`recovery.Recovery`).

All disk calls run one after the other in a separate thread, so that no job or client waits for another's disk. Results
reach the loop in the order of the calls. Without an HA directory nothing blocks, and every answer comes at once.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final, TypeVar

from shmflink.config.checkpoint_options import HA_TYPE
from shmflink.core.clock import Clock
from shmflink.core.ids import JobId
from shmflink.errors import DirectoryInUseError, ResourceError, ShmflinkError
from shmflink.jobmanager.admission import Admission
from shmflink.jobmanager.ha_calls import HaCalls
from shmflink.jobmanager.ha_folder import Owner
from shmflink.jobmanager.recovery import Recovery
from shmflink.jobmanager.resumption import resumption_text
from shmflink.jobmanager.session_recovery import SessionRecovery
from shmflink.rpc.messages import JobEnded, StartCluster, SubmitJob

__all__ = ["JobStore", "OpeningPatience"]

_LOG: Final = logging.getLogger(__name__)
_Found = TypeVar("_Found")


class OpeningPatience:
    """How long to wait until the previous JobManager, whose client was killed, releases the HA directory."""

    MAX_S: Final = 10.0
    RETRY_S: Final = 0.1
    QUIET_S: Final = 1.0  # after this time it reports that it waits


class JobStore:
    """One per JobManager. Used only by the event loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        environment: Mapping[str, str],
        gives_up: Callable[[ResourceError], None],
    ) -> None:
        """`gives_up` is called if the directory is lost or belongs to another JobManager."""
        self._loop = loop
        self._clock = clock
        self._environment = environment
        self._calls = HaCalls(loop, gives_up)
        self._recovery: Recovery | None = None
        self._waited_for: tuple[int, str] | None = None
        self._has_told = False
        self._is_closed = False

    @property
    def is_on(self) -> bool:
        """Whether an HA directory stores the jobs."""
        return self._recovery is not None and self._recovery.is_on

    @property
    def identity(self) -> str:
        """The identity of the HA directory; empty without one."""
        return self._known.identity

    @property
    def _known(self) -> Recovery:
        assert self._recovery is not None, "the HA directory is asked before it is open"
        return self._recovery

    # --- opening ---

    def open(
        self,
        request: StartCluster,
        opened: Callable[[Sequence[SubmitJob]], None],
        failed: Callable[[ShmflinkError], None],
    ) -> None:
        """Locks the HA directory if the configuration names one; waits a while until another JobManager releases it.
        Calls `opened` with the jobs that run again at once: none unless `request` recovers.
        """
        self._try(request, opened, failed, self._clock.monotonic_ns())

    def _try(
        self,
        request: StartCluster,
        opened: Callable[[Sequence[SubmitJob]], None],
        failed: Callable[[ShmflinkError], None],
        since_ns: int,
    ) -> None:
        if self._is_closed:
            return

        def tried(found: tuple[Recovery, Sequence[SubmitJob]] | ShmflinkError) -> None:
            if not isinstance(found, ShmflinkError):
                self._recovery, jobs = found
                opened(jobs)
                return
            waited_s = (self._clock.monotonic_ns() - since_ns) / 1e9
            if isinstance(found, DirectoryInUseError) and waited_s < OpeningPatience.MAX_S:
                self._waits_for(found, request, waited_s)
                self._loop.call_later(OpeningPatience.RETRY_S, self._try, request, opened, failed, since_ns)
            else:
                failed(found)

        self._call(partial(self._opened, request), tried, blocks=HA_TYPE.read(request.configuration) != "NONE")

    def _opened(self, request: StartCluster) -> tuple[Recovery, Sequence[SubmitJob]] | ShmflinkError:
        """Runs in the thread."""
        now_ms = self._clock.processing_time_ms()
        since = datetime.fromtimestamp(now_ms / 1000, tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        owner = Owner(os.getpid(), socket.gethostname(), since)
        try:
            if request.session:
                recovery = SessionRecovery.open_session(request.configuration, self._environment, owner)
            else:
                recovery = Recovery.open(request.configuration, self._environment, owner, self._waited_for)
            return recovery, recovery.jobs() if request.recovers else ()
        except ShmflinkError as error:
            return error

    def _waits_for(self, error: DirectoryInUseError, request: StartCluster, waited_s: float) -> None:
        self._waited_for = error.holder
        if error.holder is None or self._has_told or waited_s < OpeningPatience.QUIET_S:
            return
        self._has_told = True
        self._call(partial(self._tell_whom, error.holder[0], request), _ignore, blocks=True)

    def _tell_whom(self, pid: int, request: StartCluster) -> None:
        """Runs in the thread."""
        names = Recovery.jobs_of_other(request.configuration, self._environment)
        jobs = f", which runs {', '.join(map(repr, names))}," if names else ""
        _LOG.warning(
            "waits up to %d s for the JobManager with pid %d%s to let go of the HA directory: takes its jobs over if "
            "it dies, and their results if they end",
            OpeningPatience.MAX_S, pid, jobs,
        )  # fmt: skip

    # --- jobs ---

    def admit(
        self,
        submission: SubmitJob,
        admitted: Callable[[Admission, str], None],
        refused: Callable[[ShmflinkError], None],
    ) -> None:
        """Finds out which job it is and stores it. Calls `admitted` with a sentence that says from where a stored job
        resumes; empty for a new job.
        """
        recovery = self._known

        def admit() -> tuple[Admission, str] | ShmflinkError:
            try:
                admission = recovery.admit(submission)
                return admission, resumption_text(admission, self._clock.processing_time_ms())
            except ShmflinkError as error:
                return error

        def done(found: tuple[Admission, str] | ShmflinkError) -> None:
            if isinstance(found, ShmflinkError):
                refused(found)
            else:
                admitted(*found)

        self._call(admit, done, blocks=recovery.is_on)

    def withdraw(self, job_id: JobId) -> None:
        """Removes a job that was admitted but cannot begin."""
        recovery = self._known
        self._call(lambda: recovery.refused(job_id), _ignore, blocks=recovery.is_on)

    def epochs(self, count: int, granted: Callable[[tuple[int, ...]], None]) -> None:
        """Requests fencing epochs for new attempts, each above all before."""
        recovery = self._known
        self._call(lambda: tuple(recovery.next_epoch() for _ in range(count)), granted, blocks=recovery.is_on)

    def keep_checkpoints(self, job_id: JobId, directories: Sequence[str], kept: Callable[[], None]) -> None:
        """Records the checkpoints from which the job restarts; calls `kept` when that is durable."""
        recovery = self._known
        self._call(lambda: recovery.checkpoints_changed(job_id, directories), lambda _: kept(), blocks=recovery.is_on)

    def keep_end(self, ended: JobEnded, folder_going: str, kept: Callable[[], None]) -> None:
        """Records that a job has ended for good; calls `kept` when no JobManager would run it again. `folder_going`:
        the folder of its checkpoints, if it is removed then.
        """
        recovery = self._known
        self._call(lambda: recovery.ended(ended, folder_going), lambda _: kept(), blocks=recovery.is_on)

    # --- the end ---

    async def close(self, *, is_finished: bool) -> None:
        """Waits for the calls in progress and releases the directory. `is_finished`: the program has ended, so nobody
        will request the results again.
        """
        self._is_closed = True
        recovery = self._recovery
        if recovery is not None and recovery.is_on:
            await self._calls.wait(partial(recovery.close, is_finished=is_finished))
        self._calls.close()

    def _call(self, work: Callable[[], _Found], then: Callable[[_Found], None], *, blocks: bool) -> None:
        self._calls.call(work, then, blocks=blocks)


def _ignore(_found: object) -> None:
    return
