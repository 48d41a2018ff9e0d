"""Disk operations for a job's checkpoints: finding what to start from, the folder, manifests, deletions. They block."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from shmflink.checkpoint.handles import CheckpointLocation
from shmflink.checkpoint.in_flight import check_without_pickle
from shmflink.checkpoint.manifest import CHECKPOINT, SAVEPOINT, Manifest, OperatorState
from shmflink.checkpoint.reading import checkpoint_directory, coordinator_state, load_manifest
from shmflink.checkpoint.settings import CheckpointSettings, default_directory
from shmflink.checkpoint.storage import CheckpointStorage, check_writable, durability_warning
from shmflink.checkpoint.trust import is_own
from shmflink.errors import CheckpointError, StateMismatchError
from shmflink.graph.job_graph import ChainedOperator, JobGraph
from shmflink.jobmachine.effects import DeleteFiles, DiscardClaimed, DiscardFolder, StoreCheckpoint
from shmflink.jobmachine.events import (
    CheckpointStored,
    KnownCheckpoint,
    Leftovers,
    RestorePoint,
    RestorePrepared,
    StorageOpened,
)
from shmflink.jobmanager.manifests import operators_of

__all__ = ["CheckpointDisk"]

_LOG: Final = logging.getLogger(__name__)


class CheckpointDisk:
    """One per job and JobManager; thread-safe. Creates and locks the folder when a checkpoint first needs it.

    Each method performs the effect of the job machine that has its name.
    """

    def __init__(
        self, graph: JobGraph, settings: CheckpointSettings, pointers: Sequence[str] = (), owner: str = ""
    ) -> None:
        """`pointers`: folders of checkpoints that an earlier JobManager recorded, newest first. `owner`: identity of
        the HA directory that stores the job.
        """
        self._graph = graph
        self._settings = settings
        self._pointers = tuple(pointers)
        self._owner = owner
        self._storage: CheckpointStorage | None = None
        self._opening = threading.Lock()

    @property
    def folder(self) -> str:
        """The folder of the job's checkpoints; empty as long as none was needed."""
        return "" if self._storage is None else self._storage.directory

    # --- before attempts ---

    def open(self) -> StorageOpened:
        """Finds what the job can start from.

        Raises:
            CheckpointError: a checkpoint to start from cannot be used, or checkpoints cannot be written.
        """
        settings, ids = self._settings, [0]
        known: list[KnownCheckpoint] = []
        claimed: RestorePoint | None = None
        if settings.recovery_path and not self._pointers:
            start = self._start_from(settings.recovery_path)
            known.append(KnownCheckpoint(start.directory, 0))
            ids.append(start.manifest.checkpoint_id)
            claimed = start if settings.claims_recovery_path else None
        for directory in self._pointers:
            checkpoint_id, is_mine = self._identify(directory, is_newest=directory == self._pointers[0])
            known.append(KnownCheckpoint(directory, checkpoint_id if is_mine else 0))
            ids.append(checkpoint_id)
        retained: list[Manifest] = []
        if settings.interval_ms is not None or self._pointers:
            storage = self._open_storage()
            folders = {storage.path_of(checkpoint_id): checkpoint_id for checkpoint_id in storage.checkpoint_ids()}
            ids += folders.values()
            known = [KnownCheckpoint(one.directory, one.checkpoint_id, one.directory in folders) for one in known]
            mine = {one.directory for one in known}
            retained = [one.manifest for one in storage.completed(_LOG.warning) if one.path in mine]
        return StorageOpened(max(ids) + 1, tuple(known), tuple(retained), claimed)

    def restore(self, directories: Iterable[str], *, is_whole: bool) -> RestorePrepared:
        """The newest of `directories` that can be read; newer ones are damaged. Its epochs do not belong to this job.

        Raises:
            CheckpointError: the state of the enumerators cannot be read.
        """
        damaged: list[tuple[str, str]] = []
        found: RestorePoint | None = None
        for directory in directories:
            try:
                found = RestorePoint(directory, load_manifest(directory))
                break
            except CheckpointError as error:
                damaged.append((directory, str(error)))
        states = self._enumerators(found) if is_whole and found is not None else {}
        return RestorePrepared(found, (), tuple(damaged), states, self._leftovers() if is_whole else None)

    def _enumerators(self, restore: RestorePoint) -> Mapping[str, bytes]:
        trusts = self._settings.trusts_pickled_state
        return {
            op.operator_id: state
            for op in restore.manifest.operators
            if (state := coordinator_state(restore.directory, op, allows_pickle=trusts)) is not None
        }

    def _leftovers(self) -> Leftovers | None:
        storage = self._storage
        if storage is None:
            return None
        return Leftovers(tuple(storage.checkpoint_ids()), tuple(storage.shared_files()))

    # --- checkpoints ---

    def make_folder(self, checkpoint_id: int, target: str | None) -> CheckpointLocation:
        """Creates the folder of a checkpoint; with `target`, of a savepoint in it.

        Raises:
            CheckpointError: the system reports an error.
        """
        storage = self._open_storage()
        if target is None:
            return storage.prepare(checkpoint_id)
        return storage.prepare_savepoint(target, os.urandom(6).hex())

    def store(self, effect: StoreCheckpoint) -> CheckpointStored:
        """Writes the states of the enumerators and the manifest.

        Raises:
            CheckpointError: the system reports an error.
        """
        store = effect.store
        manifest = Manifest(
            store.checkpoint_id,
            self._graph.job_id.hex,
            self._graph.name,
            effect.timestamp_ms,
            SAVEPOINT if store.is_savepoint else CHECKPOINT,
            operators_of(self._graph, store, effect.enumerators, effect.location, effect.epoch),
            any(state.channels for states in store.states.values() for state in states),
        )
        storage = self._open_storage()
        storage.complete(effect.location, manifest)
        return CheckpointStored(store.checkpoint_id, manifest, tuple(storage.shared_files()))

    def remove(self, effect: DeleteFiles | DiscardFolder | DiscardClaimed) -> None:
        """Deletes files; logs those that it cannot delete, and leaves them."""
        try:
            match effect:
                case DeleteFiles(deletions):
                    self._open_storage().delete(deletions, _LOG.warning)
                case DiscardFolder(directory):
                    self._open_storage().discard_folder(directory)
                case DiscardClaimed(directory, manifest):
                    self._open_storage().discard_claimed(directory, manifest)
        except (CheckpointError, OSError) as error:
            _LOG.warning("%s", error)

    # --- the end ---

    def close(self, *, keeps: bool) -> None:
        """Called when the job is over here: keeps or deletes its checkpoints. No other operation may be in progress."""
        if self._storage is None:
            return
        if keeps:
            self._storage.close()
        else:
            self._storage.dispose()

    # --- inside ---

    def _start_from(self, path: str) -> RestorePoint:
        directory = checkpoint_directory(path)
        manifest = load_manifest(directory)
        self._check(directory, manifest)
        return RestorePoint(directory, manifest)

    def _open_storage(self) -> CheckpointStorage:
        with self._opening:
            if self._storage is None:
                self._storage = self._new_storage()
            return self._storage

    def _new_storage(self) -> CheckpointStorage:
        settings = self._settings
        directory = settings.directory or default_directory(os.environ)
        if not self._pointers:  # a running job survives a full disk, even if its JobManager dies meanwhile
            check_writable(directory)
        with open("/proc/self/mounts", encoding="utf-8") as mounts:
            warning = durability_warning(directory, mounts.read())
        if warning:
            _LOG.warning("%s", warning)
        return CheckpointStorage(
            directory,
            self._graph.job_id.hex,
            inline_bytes=settings.inline_bytes,
            compression=settings.compression,
            owner=self._owner,
        )

    def _check(self, directory: str, manifest: Manifest) -> None:
        """Records a checkpoint from which the job can resume."""
        settings = self._settings
        _check_matches(self._graph, manifest, directory, ignores=settings.ignores_unclaimed_state)
        if not settings.trusts_pickled_state and not is_own(directory):
            check_without_pickle(directory, manifest)

    def _identify(self, directory: str, *, is_newest: bool) -> tuple[int, bool]:
        """The id of a checkpoint that an earlier JobManager recorded, and whether this job wrote it."""
        try:
            manifest = load_manifest(directory)
        except CheckpointError:  # reported when it is needed
            return _checkpoint_id_of(directory), True
        if is_newest:
            self._check(directory, manifest)
        return manifest.checkpoint_id, manifest.job_id == self._graph.job_id.hex


def _checkpoint_id_of(directory: str) -> int:
    """The id in the name of a checkpoint's folder; 0 for other folders."""
    name = os.path.basename(directory)
    return int(name.removeprefix("chk-")) if name.startswith("chk-") and name[4:].isdigit() else 0


def _check_matches(graph: JobGraph, manifest: Manifest, directory: str, *, ignores: bool) -> None:
    """Refuses state that no operator of the job takes, because it would be lost silently."""
    known = {op.operator_id: op for vertex in graph.vertices for op in vertex.operators}
    for op in manifest.operators:
        if op.operator_id in known and op.has_state and manifest.version > 1:
            _check_kind(op, known[op.operator_id], directory)
    lost = [op for op in manifest.operators if op.operator_id not in known and op.has_state]
    if lost and not ignores:
        names = ", ".join(f"'{op.name}' ({op.uid or op.operator_id})" for op in lost)
        raise StateMismatchError(
            f"{directory} has state of operators that the job does not have: {names}. Give operators the uid() under "
            "which their state was written, or drop the state with --allow-non-restored-state"
        )


def _check_kind(before: OperatorState, now: ChainedOperator, directory: str) -> None:
    """Refuses state of a source or sink that an operator of another kind would restore."""
    if before.connector == now.connector or before.vertex < 0:  # the latter: written by a tool instead of a job
        return
    raise StateMismatchError(
        f"operator '{now.name}' ({now.uid or now.operator_id}) is {_kind(now.connector)}, but its state in "
        f"{directory} is that of '{before.name}', {_kind(before.connector)}: it cannot resume from that. Bring the "
        "former one back, or give this one another uid and leave the state out (--allow-non-restored-state)"
    )


def _kind(connector: str) -> str:
    return f"a {connector}" if connector else "neither source nor sink"
