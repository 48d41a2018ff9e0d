"""What of the jobs outlives the JobManager: with an HA directory all that is needed to go on, without one nothing."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Final

from shmflink.checkpoint.settings import local_directory
from shmflink.config.checkpoint_options import HA_CLUSTER_ID, HA_STORAGE_DIRECTORY, HA_TYPE
from shmflink.core.ids import JobId
from shmflink.errors import ResourceError, UsageError
from shmflink.jobmanager.ha_store import HaStore, JobResult, Owner
from shmflink.rpc.messages import Failure, JobEnded, SubmitJob
from shmflink.rpc.states import JobState

__all__ = ["Recovery"]

_LOG: Final = logging.getLogger(__name__)
_EPOCH_MASK: Final = (1 << 31) - 1


class Recovery:
    """All methods may raise ResourceError where the directory cannot be read or written; they block for its disk."""

    def __init__(self, store: HaStore | None) -> None:
        self._store = store
        self._epoch = int.from_bytes(os.urandom(4), "little") & _EPOCH_MASK

    @staticmethod
    def open(configuration: Mapping[str, str], environment: Mapping[str, str], owner: Owner) -> Recovery:
        """Takes hold of the HA directory where the configuration names one."""
        if HA_TYPE.read(configuration) == "NONE":
            return Recovery(None)
        text = HA_STORAGE_DIRECTORY.read(configuration) or _default_directory(environment)
        directory = local_directory(text, HA_STORAGE_DIRECTORY.key)
        return Recovery(HaStore.open(directory, HA_CLUSTER_ID.read(configuration), owner))

    @property
    def is_on(self) -> bool:
        return self._store is not None

    def next_epoch(self) -> int:
        """For the next attempt: above all before, those of dead JobManagers included; without HA, only ours."""
        if self._store is not None:
            return self._store.next_epoch()
        self._epoch = (self._epoch + 1) & _EPOCH_MASK
        return self._epoch

    def jobs(self) -> list[SubmitJob]:
        """Jobs that a former JobManager did not bring to an end. What cannot be read is told, and left where it is."""
        found, wrong = ([], []) if self._store is None else self._store.jobs()
        for problem in wrong:
            _LOG.error("a job cannot be recovered: %s", problem)
        return found

    def result(self, job_id: JobId) -> JobEnded | None:
        """How a job under this id ended before; None where it is to run."""
        result = None if self._store is None else self._store.result(job_id)
        if result is None:
            return None
        failure = None
        if result.state is JobState.FAILED:
            text = f"{result.failure_kind}: {result.failure_message}"
            failure = Failure("JobExecutionError", f"job {job_id} failed before the JobManager was restarted: {text}")
        return JobEnded(job_id, result.state, result.runtime_ms, failure, ())

    def admit(self, submission: SubmitJob) -> Sequence[str]:
        """Keeps the job; the checkpoints, newest first, that its former self left under its id.

        UsageError where that was another program.
        """
        if self._store is None:
            return ()
        job_id = submission.graph.job_id
        pointers = self._store.checkpoints(job_id)
        self._check_same(submission, pointers)
        self._store.put_job(submission)
        return pointers

    def _check_same(self, submission: SubmitJob, pointers: Sequence[str]) -> None:
        """Without uids, state would be matched by the graphs' shapes, which may be alike by accident."""
        assert self._store is not None
        graph = submission.graph
        try:
            before = self._store.job(graph.job_id)
        except ResourceError as error:  # of an older version: what is submitted now takes its place
            _LOG.warning("%s", error)
            return
        if before is None or not pointers:
            return
        other = before.graph
        if other.name != graph.name and other.main_file != graph.main_file:
            raise UsageError(
                f"the HA directory {self._store.folder} holds job '{other.name}' ({other.main_file}), which has not "
                f"ended, in the place of '{graph.name}' ({graph.main_file}). Give this program an id of its own (-D "
                "high-availability.cluster-id=NAME), or remove that folder to give the other job up"
            )

    def refused(self, job_id: JobId) -> None:
        """The job was admitted but cannot even begin. One that has checkpoints stays, for another try."""
        if self._store is not None and not self._store.checkpoints(job_id):
            self._store.remove_job(job_id)

    def checkpoints_changed(self, job_id: JobId, folders: Sequence[str]) -> None:
        """What the job restarts from; durable when this returns, so that its sinks may commit."""
        if self._store is not None:
            self._store.set_checkpoints(job_id, folders)

    def ended(self, ended: JobEnded) -> None:
        """A job that is over for ever is not run again."""
        if self._store is None or not ended.state.is_globally_terminal:
            return
        failure = ended.failure or Failure("", "")
        result = JobResult(ended.job_id, ended.state, ended.runtime_ms, failure.kind, failure.message)
        self._store.put_result(result)

    def close(self, *, is_finished: bool) -> None:
        """`is_finished`: nobody will ask for the results again, the program is over."""
        if self._store is not None:
            if is_finished:
                self._store.forget_results()
            self._store.close()


def _default_directory(environment: Mapping[str, str]) -> str:
    state = environment.get("XDG_STATE_HOME") or os.path.join(environment.get("HOME") or "/", ".local", "state")
    return os.path.join(state, "shmflink", "ha")
