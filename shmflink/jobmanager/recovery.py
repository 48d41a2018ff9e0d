"""What outlives the JobManager: with an HA directory, everything that jobs need to resume; without one, nothing."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from shmflink.checkpoint.reading import load_manifest
from shmflink.checkpoint.settings import local_directory
from shmflink.checkpoint.storage import remove_ended_job
from shmflink.config.checkpoint_options import HA_CLUSTER_ID, HA_STORAGE_DIRECTORY, HA_TYPE
from shmflink.core.ids import JobId
from shmflink.errors import CheckpointError, ResourceError, UsageError
from shmflink.jobmanager.admission import Admission
from shmflink.jobmanager.ha_folder import Owner
from shmflink.jobmanager.ha_store import HaStore, JobResult, Place, job_names
from shmflink.jobmanager.result_note import EndedJob, dump_note, load_note
from shmflink.rpc.messages import Failure, JobEnded, SubmitJob
from shmflink.rpc.states import JobState

__all__ = ["Recovery", "storage_directory"]

_LOG: Final = logging.getLogger(__name__)
_FIRST_EPOCH_MASK: Final = (1 << 30) - 1
"""The number of epochs left for attempts between two ranges: a later attempt must never have a lower epoch."""


class Recovery:
    """All methods may raise ResourceError if the directory cannot be read or written; they block on its disk."""

    def __init__(self, store: HaStore | None, cluster_id: str = "") -> None:
        self._store = store
        self._cluster_id = cluster_id
        self._epoch = int.from_bytes(os.urandom(4), "little") & _FIRST_EPOCH_MASK
        self._admitted: dict[JobId, SubmitJob] = {}
        self._ended: list[EndedJob] = []
        self._ended_under: int | None = None
        self._ended_before: tuple[EndedJob, ...] = ()

    @staticmethod
    def open(
        configuration: Mapping[str, str],
        environment: Mapping[str, str],
        owner: Owner,
        waited_for: tuple[int, str] | None = None,
    ) -> Recovery:
        """Locks the HA directory if the configuration names one. `waited_for`: who held it at the previous try
        (`DirectoryInUseError.holder`).
        """
        if HA_TYPE.read(configuration) == "NONE":
            return Recovery(None)
        cluster_id = HA_CLUSTER_ID.read(configuration)
        store = HaStore.open(storage_directory(configuration, environment), cluster_id, owner)
        recovery = Recovery(store, cluster_id)
        recovery._take_note(waited_for)
        recovery._finish_removals(store)
        return recovery

    def _finish_removals(self, store: HaStore) -> None:
        """Removes checkpoint folders of jobs whose JobManager was killed between the job's end and the removal."""
        for folder in store.folders_going():
            try:
                remove_ended_job(folder, store.identity)
            except CheckpointError as error:
                _LOG.warning("the checkpoints of a job that has ended cannot be removed: %s", error)

    @staticmethod
    def jobs_of_other(configuration: Mapping[str, str], environment: Mapping[str, str]) -> list[str]:
        """The names of the jobs of the JobManager that holds our HA directory."""
        return job_names(storage_directory(configuration, environment), HA_CLUSTER_ID.read(configuration))

    def _take_note(self, waited_for: tuple[int, str] | None) -> None:
        assert self._store is not None
        note = self._store.take_note(waited_for)
        if note is not None and waited_for is not None:
            self._ended_under, self._ended_before = waited_for[0], load_note(note)

    @property
    def is_on(self) -> bool:
        return self._store is not None

    @property
    def identity(self) -> str:
        """The identity of the HA directory; empty without one. With a job's id, it identifies the owner of
        leftovers.
        """
        return "" if self._store is None else self._store.identity

    def next_epoch(self) -> int:
        """The epoch of the next attempt: higher than all before. With HA, this includes those of dead JobManagers."""
        if self._store is not None:
            return self._store.next_epoch()
        self._epoch += 1
        return self._epoch

    def jobs(self) -> list[SubmitJob]:
        """Jobs that had not ended under an earlier JobManager. Logs those that it cannot read, and keeps them."""
        if self._store is None:
            return []
        found, wrong = self._store.jobs()
        for problem in wrong:
            _LOG.error("a job cannot be recovered: %s", problem)
        known = {place.job_id for place in self._store.places()}
        return [submission for submission in found if submission.graph.job_id in known]

    def admit(self, submission: SubmitJob) -> Admission:
        """Finds the job that the program submitted at this place before; otherwise stores this one as a new job.

        Raises:
            UsageError: another program's job is stored at this place and has not ended.
        """
        if self._store is None:
            return Admission(submission)
        over = next((job for job in self._ended_before if job.is_of(submission)), None)
        if over is not None:
            submission = replace(submission, graph=replace(submission.graph, job_id=over.ended.job_id))
            return Admission(submission, ended=over.ended, ended_under=self._ended_under)
        store, graph = self._store, submission.graph
        place = self._place_of(submission)
        if place is not None:
            submission = replace(submission, graph=replace(graph, job_id=place.job_id))
            ended = self._result(place.job_id)
            if ended is not None:
                return Admission(submission, ended=ended)
        job_id = submission.graph.job_id
        if place is None or place.main_file is None:
            store.put_place(Place(submission.place, job_id, graph.name, graph.main_file))
        pointers = store.checkpoints(job_id)
        arguments = None if place is None else self._arguments_of(job_id)
        store.put_job(submission)
        self._admitted[job_id] = submission
        return Admission(submission, pointers, None, place is not None, arguments)

    def _arguments_of(self, job_id: JobId) -> tuple[str, ...] | None:
        """The program's arguments when it last submitted the job; None if they are not known."""
        assert self._store is not None
        try:
            before = self._store.job(job_id)
        except ResourceError as error:  # another release wrote it; the new submission replaces it
            _LOG.info("%s", error)
            return None
        return None if before is None else before.arguments

    def _place_of(self, submission: SubmitJob) -> Place | None:
        """The recorded place of the program's job of this number; None if the job is new."""
        assert self._store is not None
        self._adopt_older(submission)
        graph, places = submission.graph, self._store.places()
        mine = next((place for place in places if place.number == submission.place), None)
        strangers = [place for place in places if place.main_file not in (None, graph.main_file)]
        if mine is not None and mine.name != graph.name and mine not in strangers:
            strangers.append(mine)
        if not strangers:
            return mine
        alive = [place for place in places if self._store.result(place.job_id) is None]
        if alive:
            raise self._taken(next((place for place in strangers if place in alive), alive[0]), submission)
        self._store.forget_results()  # left by a program that was killed at its very end
        return None

    def _taken(self, place: Place, submission: SubmitJob) -> UsageError:
        assert self._store is not None
        newest = next(iter(self._store.checkpoints(place.job_id)), None)
        start = "" if newest is None else f", or can be started from its newest checkpoint (run -s {newest})"
        graph = submission.graph
        return UsageError(
            f"the HA directory {self._store.folder} holds job '{place.name}' ({place.main_file or 'file not known'}), "
            f"which has not ended, in the place of '{graph.name}' ({graph.main_file}). Give this program its own "
            "id (-D high-availability.cluster-id=NAME). The other job resumes when its file is run again under its "
            f"job name{start}; to abandon it, remove that folder"
        )

    def _adopt_older(self, submission: SubmitJob) -> None:
        """An older release derived a job's id from the cluster's id and a number, so jobs of two clusters could have
        equal ids.

        The job gets the new id. It starts from its old checkpoints, and nothing deletes those.
        """
        store, graph = self._store, submission.graph
        assert store is not None
        older = JobId.of(f"{self._cluster_id}/{submission.place}")
        if any(place.number == submission.place for place in store.places()):
            return
        result, pointers = store.result(older), store.checkpoints(older)
        place = self._older_place(older, submission, pointers)
        if result is not None and not store.jobs()[0]:  # left by a program that was killed at its very end
            store.remove_result(older)
            result = None
        if place is None and result is None:
            return
        store.set_checkpoints(graph.job_id, pointers)
        store.put_place(place or Place(submission.place, graph.job_id, graph.name, None))
        if result is not None:
            store.put_result(replace(result, job_id=graph.job_id))
            store.remove_result(older)
        store.remove_job(older)
        if pointers:
            _LOG.warning(
                "job '%s' was kept by an older release of shmflink. It resumes from %s with the id %s; nothing deletes "
                "%s, remove it when the job has checkpoints of its own",
                graph.name, pointers[0], graph.job_id, os.path.dirname(pointers[0]),
            )  # fmt: skip

    def _older_place(self, older: JobId, submission: SubmitJob, pointers: Sequence[str]) -> Place | None:
        assert self._store is not None
        number, job_id = submission.place, submission.graph.job_id
        try:
            before = self._store.job(older)
        except ResourceError as error:  # its graph has another form now; the new submission replaces it
            _LOG.info("%s", error)
            return Place(number, job_id, _job_name(pointers) or submission.graph.name, None)
        if before is None:
            return Place(number, job_id, _job_name(pointers) or submission.graph.name, None) if pointers else None
        return Place(number, job_id, before.graph.name, before.graph.main_file)

    def _result(self, job_id: JobId) -> JobEnded | None:
        """How the job ended earlier; None if it must run."""
        result = None if self._store is None else self._store.result(job_id)
        if result is None:
            return None
        failure = None
        if result.state is JobState.FAILED:
            text = f"{result.failure_kind}: {result.failure_message}"
            failure = Failure("JobExecutionError", f"job {job_id} failed before the JobManager was restarted: {text}")
        return JobEnded(job_id, result.state, result.runtime_ms, failure, ())

    def refused(self, job_id: JobId) -> None:
        """Removes a job that was admitted but cannot begin. A job with checkpoints is kept, for another try."""
        if self._store is None or self._store.checkpoints(job_id):
            return
        for place in self._store.places():
            if place.job_id == job_id:
                self._store.remove_place(place.number)
        self._store.remove_job(job_id)

    def checkpoints_changed(self, job_id: JobId, folders: Sequence[str]) -> None:
        """Records the checkpoints from which the job restarts; durable when this returns, so that its sinks may
        commit.
        """
        if self._store is not None:
            self._store.set_checkpoints(job_id, folders)

    def ended(self, ended: JobEnded, folder_going: str = "") -> None:
        """Records that a job has ended for good. `folder_going`: the folder of its checkpoints, which is removed next;
        if this JobManager is killed before that, another one removes it.
        """
        if self._store is None or not ended.state.is_globally_terminal:
            return
        failure = ended.failure or Failure("", "")
        result = JobResult(ended.job_id, ended.state, ended.runtime_ms, failure.kind, failure.message, folder_going)
        self._store.put_result(result)
        if (submission := self._admitted.get(ended.job_id)) is not None:
            self._ended.append(EndedJob.of(submission, ended))

    def close(self, *, is_finished: bool) -> None:
        """`is_finished`: the program has ended, so nobody will request the results again."""
        if self._store is not None:
            if is_finished:
                self._store.leave_note(dump_note(self._ended))
                self._store.forget_results()
            self._store.close()


def _job_name(pointers: Sequence[str]) -> str:
    """The job's name in the newest readable checkpoint; empty if none can be read."""
    for directory in pointers:
        try:
            return load_manifest(directory).job_name
        except CheckpointError:  # reported when it is needed
            continue
    return ""


def storage_directory(configuration: Mapping[str, str], environment: Mapping[str, str]) -> str:
    """Where HA directories are: as configured, or in the user's state folder."""
    text = HA_STORAGE_DIRECTORY.read(configuration) or _default_directory(environment)
    return local_directory(text, HA_STORAGE_DIRECTORY.key)


def _default_directory(environment: Mapping[str, str]) -> str:
    state = environment.get("XDG_STATE_HOME") or os.path.join(environment.get("HOME") or "/", ".local", "state")
    return os.path.join(state, "shmflink", "ha")
