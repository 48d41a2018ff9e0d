"""What of the jobs of a session cluster outlives its JobManager: each job under the id with which it was submitted.

A job of a program has a *place* (`recovery`): the program submits it again, under another id. The jobs of a session
cluster come from many programs, which are gone by then: the next JobManager runs them by itself.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Final

from shmflink.config.checkpoint_options import HA_CLUSTER_ID, HA_TYPE
from shmflink.config.options import CLUSTER_NAME
from shmflink.core.ids import JobId
from shmflink.errors import UsageError
from shmflink.jobmanager.admission import Admission
from shmflink.jobmanager.ha_folder import Owner
from shmflink.jobmanager.ha_store import HaStore
from shmflink.jobmanager.recovery import Recovery, storage_directory
from shmflink.rpc.messages import JobEnded, SubmitJob

__all__ = ["SessionRecovery"]

_LOG: Final = logging.getLogger(__name__)


class SessionRecovery(Recovery):
    """All methods may raise ResourceError where the directory cannot be read or written; they block for its disk."""

    def __init__(self, store: HaStore) -> None:
        super().__init__(store)
        self._kept = store
        self._going: dict[JobId, str] = {}  # folders of checkpoints of jobs that are over, which somebody removes

    @staticmethod
    def open_session(configuration: Mapping[str, str], environment: Mapping[str, str], owner: Owner) -> Recovery:
        """Takes hold of the HA directory where the configuration names one. UsageError if it holds the jobs of a
        program.
        """
        if HA_TYPE.read(configuration) == "NONE":
            return Recovery(None)
        store = HaStore.open(storage_directory(configuration, environment), _cluster_id(configuration), owner)
        places = store.places()
        if places:
            store.close()
            raise UsageError(
                f"the HA directory {store.folder} holds job '{places[0].name}' of a program: give the session cluster "
                f"an id of its own (-D {HA_CLUSTER_ID.key}=NAME)"
            )
        recovery = SessionRecovery(store)
        recovery._finish_removals(store)
        store.forget_results()  # nobody submits those jobs again
        return recovery

    def jobs(self) -> list[SubmitJob]:
        """Jobs that had not ended under a former JobManager. Logs those that it cannot read, and leaves them."""
        found, wrong = self._kept.jobs()
        for problem in wrong:
            _LOG.error("a job cannot be recovered: %s", problem)
        return found

    def admit(self, submission: SubmitJob) -> Admission:
        """Keeps the job, or finds that it was kept."""
        job_id = submission.graph.job_id
        before = self._kept.job(job_id)
        pointers = self._kept.checkpoints(job_id)
        self._kept.put_job(submission)
        return Admission(submission, pointers, None, before is not None, None if before is None else before.arguments)

    def refused(self, job_id: JobId) -> None:
        """The job was admitted but cannot even begin. One that has checkpoints stays, for another try."""
        if not self._kept.checkpoints(job_id):
            self._kept.remove_job(job_id)

    def ended(self, ended: JobEnded, folder_going: str = "") -> None:
        """A job that is over for ever is not run again. Results stay only as long as there are checkpoints to remove:
        a cluster that runs for a year keeps no file for each of its jobs.
        """
        super().ended(ended, folder_going)
        if ended.state.is_globally_terminal:
            self._going[ended.job_id] = folder_going
        self._forget_gone()

    def _forget_gone(self) -> None:
        for job_id, folder in list(self._going.items()):
            if not folder or not os.path.exists(folder):
                self._kept.remove_result(job_id)
                del self._going[job_id]

    def close(self, *, is_finished: bool) -> None:
        """Lets go of the directory. Jobs that had not ended stay in it, also if the cluster was told to end."""
        self._forget_gone()
        self._kept.close()


def _cluster_id(configuration: Mapping[str, str]) -> str:
    """As configured; otherwise after the cluster's name, as programs that run on their own use the default."""
    given = any(key in configuration for key in (HA_CLUSTER_ID.key, *HA_CLUSTER_ID.old_keys))
    return HA_CLUSTER_ID.read(configuration) if given else f"session-{CLUSTER_NAME.read(configuration)}"
