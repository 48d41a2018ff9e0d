"""What a job can restart from: its checkpoints on disk, the savepoint that was to end it, what it was started from."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

from shmflink.checkpoint.handles import CheckpointLocation, OperatorSubtaskState
from shmflink.checkpoint.in_flight import check_without_pickle
from shmflink.checkpoint.manifest import Manifest, OperatorState
from shmflink.checkpoint.reading import checkpoint_directory, load_manifest
from shmflink.checkpoint.retention import Deletions, Retention
from shmflink.checkpoint.settings import CheckpointSettings, default_directory
from shmflink.checkpoint.storage import CheckpointStorage, check_writable, durability_warning
from shmflink.checkpoint.trust import is_own
from shmflink.errors import CheckpointCorruptedError, CheckpointError, StateMismatchError
from shmflink.graph.job_graph import ChainedOperator, JobGraph
from shmflink.jobmanager.attempt_run import RestorePoint

__all__ = ["RestorePoints"]

_LOG: Final = logging.getLogger(__name__)


class RestorePoints:
    """One per job and JobManager. The folder is made and locked when the first checkpoint needs it."""

    def __init__(
        self, graph: JobGraph, settings: CheckpointSettings, pointers: Sequence[str] = (), owner: str = ""
    ) -> None:
        """`pointers`: folders of checkpoints that an earlier JobManager knew, newest first. `owner`: identity of the HA
        directory that keeps the job.

        Raises:
            CheckpointError: a checkpoint to start from cannot be used, or checkpoints cannot be written.
        """
        self._graph = graph
        self._settings = settings
        self._owner = owner
        self._is_recovered = bool(pointers)
        self._ids: dict[str, int] = {}  # of checkpoints by folder, oldest first; 0: what the job was started from
        self._storage: CheckpointStorage | None = None
        self._retention: Retention | None = None
        self._deletions: list[Callable[[], None]] = []
        self._claimed: tuple[str, Manifest] | None = None
        self._damaged: str = ""
        self.storage_problem: str | None = None
        ids = [0]
        if settings.recovery_path and not pointers:
            manifest = self._start_from(settings.recovery_path)
            ids.append(manifest.checkpoint_id)
        for directory in reversed(pointers):
            checkpoint_id, is_own = self._identify(directory, is_newest=directory == pointers[0])
            self._ids[directory] = checkpoint_id if is_own else 0
            ids.append(checkpoint_id)
        if settings.interval_ms is not None or pointers:
            ids += self._open_storage().checkpoint_ids()
        self.next_id = max(ids) + 1

    # --- restarting ---

    @property
    def directories(self) -> Sequence[str]:
        """Newest first."""
        return tuple(reversed(self._ids))

    @property
    def oldest_id(self) -> int:
        """Of the oldest checkpoint that could be restored; 0 where that is one that the job was started from."""
        return min(self._ids.values(), default=0)

    def newest(self) -> RestorePoint | None:
        """What to restart from; damaged ones are left out, and told. None where there never was any.

        Raises:
            CheckpointCorruptedError: there were some, and all are damaged.
        """
        for directory in self.directories:
            try:
                return RestorePoint(directory, load_manifest(directory))
            except CheckpointError as error:
                self.damaged(str(error))
        if self._damaged:
            raise CheckpointCorruptedError(f"no checkpoint is left to go on from: {self._damaged}")
        return None

    def damaged(self, why: str) -> bool:
        """The newest one cannot be used. True where there is another."""
        directory, _ = self._ids.popitem()
        _LOG.warning("the checkpoint %s is left out: %s", directory, why)
        self._damaged = why
        self._retire(directory)
        return bool(self._ids)

    def begin_attempt(self) -> None:
        """Leftovers of attempts that are no more go."""
        if self._storage is not None and self._retention is not None:
            storage = self._storage
            self._delete(self._retention.begin_attempt(storage.checkpoint_ids(), storage.shared_files()))

    # --- writing ---

    def prepare(self, checkpoint_id: int) -> CheckpointLocation:
        """Makes the folder of a checkpoint."""
        return self._open_storage().prepare(checkpoint_id)

    def prepare_savepoint(self, target: str, suffix: str) -> CheckpointLocation:
        """Makes the folder of a savepoint."""
        return self._open_storage().prepare_savepoint(target, suffix)

    def acknowledge(self, checkpoint_id: int, states: Iterable[OperatorSubtaskState]) -> None:
        """A task's files are durable."""
        if self._retention is not None:
            self._retention.acknowledge(checkpoint_id, states)

    def complete(self, location: CheckpointLocation, manifest: Manifest) -> str:
        """Writes the manifest; in any thread."""
        return self._open_storage().complete(location, manifest)

    def add(self, directory: str, manifest: Manifest) -> None:
        """A checkpoint, or the savepoint that stops the job, is durable: what retained ones follow may go."""
        self._ids[directory] = manifest.checkpoint_id
        self._ids = dict(sorted(self._ids.items(), key=lambda item: item[1]))
        storage, retention = self._open_storage(), self._retention
        if retention is None or directory != storage.path_of(manifest.checkpoint_id):
            return
        self._delete_later(retention.complete(manifest, storage.shared_files()))
        if len(retention.retained) >= self._settings.num_retained:
            self._ids = {one: number for one, number in self._ids.items() if number >= retention.retained[0]}
            self._leave_claimed()

    def forget(self, directory: str) -> None:
        """It was complete, and is to be thrown away."""
        if self._ids.pop(directory, None) is not None:
            self._retire(directory)

    def discard(self, location: CheckpointLocation) -> None:
        """Removes what was written for a checkpoint that never was complete; in any thread."""
        self._open_storage().discard_folder(location.directory)

    def take_deletions(self) -> list[Callable[[], None]]:
        """What is to be deleted now, in any thread."""
        deletions, self._deletions = self._deletions, []
        return deletions

    # --- the end ---

    def close(self, *, keeps: bool) -> None:
        """The job is over here: its checkpoints stay, or go."""
        if self._storage is None:
            return
        if keeps and self._ids:
            self._storage.close()
        else:
            self._storage.dispose()

    # --- inside ---

    def _start_from(self, path: str) -> Manifest:
        directory = checkpoint_directory(path)
        manifest = load_manifest(directory)
        self._check(directory, manifest)
        self._ids[directory] = 0
        self._claimed = (directory, manifest) if self._settings.claims_recovery_path else None
        return manifest

    def _open_storage(self) -> CheckpointStorage:
        if self._storage is None:
            settings = self._settings
            directory = settings.directory or default_directory(os.environ)
            if not self._is_recovered:  # a job that runs survives a full disk, also where its JobManager dies meanwhile
                check_writable(directory)
            with open("/proc/self/mounts", encoding="utf-8") as mounts:
                warning = durability_warning(directory, mounts.read())
            if warning:
                _LOG.warning("%s", warning)
            self._storage = CheckpointStorage(
                directory,
                self._graph.job_id.hex,
                inline_bytes=settings.inline_bytes,
                compression=settings.compression,
                owner=self._owner,
            )
            known = self._storage.completed(lambda problem: _LOG.warning("%s", problem))
            mine = [one for one in known if one.path in self._ids]
            self._retention = Retention(settings.num_retained, [one.manifest for one in mine])
        return self._storage

    def _check(self, directory: str, manifest: Manifest) -> None:
        """The job can go on from it."""
        settings = self._settings
        _check_matches(self._graph, manifest, directory, ignores=settings.ignores_unclaimed_state)
        if not settings.trusts_pickled_state and not is_own(directory):
            check_without_pickle(directory, manifest)

    def _identify(self, directory: str, *, is_newest: bool) -> tuple[int, bool]:
        """The id of a checkpoint that an earlier JobManager knew, and whether this job wrote it."""
        try:
            manifest = load_manifest(directory)
        except CheckpointError:  # told when it is needed
            return _number(directory), True
        if is_newest:
            self._check(directory, manifest)
        return manifest.checkpoint_id, manifest.job_id == self._graph.job_id.hex

    def _leave_claimed(self) -> None:
        """The job has checkpoints of its own: the one that it was started from goes, where it was the job's to keep."""
        if self._claimed is not None:
            self._deletions.append(partial(self._open_storage().discard_claimed, *self._claimed))
            self._claimed = None

    def _retire(self, directory: str) -> None:
        if self._retention is not None and self._storage is not None:
            number = _number(directory)
            if directory == self._storage.path_of(number):
                self._retention.forget(number)  # the folder stays, for people to look at, until the next attempt

    def _delete(self, deletions: Deletions) -> None:
        self._open_storage().delete(deletions, lambda problem: _LOG.warning("%s", problem))

    def _delete_later(self, deletions: Deletions) -> None:
        if deletions.checkpoints or deletions.shared_files:
            self._deletions.append(partial(self._delete, deletions))


def _number(directory: str) -> int:
    """Of a checkpoint's folder; 0 of others."""
    name = os.path.basename(directory)
    return int(name.removeprefix("chk-")) if name.startswith("chk-") and name[4:].isdigit() else 0


def _check_matches(graph: JobGraph, manifest: Manifest, directory: str, *, ignores: bool) -> None:
    """State that no operator of the job takes would be lost in silence."""
    known = {op.operator_id: op for vertex in graph.vertices for op in vertex.operators}
    for op in manifest.operators:
        if op.operator_id in known and op.has_state and manifest.version > 1:
            _check_kind(op, known[op.operator_id], directory)
    lost = [op for op in manifest.operators if op.operator_id not in known and op.has_state]
    if lost and not ignores:
        names = ", ".join(f"'{op.name}' ({op.uid or op.operator_id})" for op in lost)
        raise StateMismatchError(
            f"{directory} has state of operators that the job does not have: {names}. Give operators the uid() under "
            "which their state was written, or leave the state out with --allow-non-restored-state"
        )


def _check_kind(before: OperatorState, now: ChainedOperator, directory: str) -> None:
    """What a source or sink has written only one of its kind understands."""
    if before.connector == now.connector or before.vertex < 0:  # the latter: of no job, but of a tool
        return
    raise StateMismatchError(
        f"operator '{now.name}' ({now.uid or now.operator_id}) is {_kind(now.connector)}, but its state in "
        f"{directory} is that of '{before.name}', {_kind(before.connector)}: it cannot resume from that. Bring the "
        "former one back, or give this one another uid and leave the state out (--allow-non-restored-state)"
    )


def _kind(connector: str) -> str:
    return f"a {connector}" if connector else "neither source nor sink"
