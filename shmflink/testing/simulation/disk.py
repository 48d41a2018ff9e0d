"""The disk of the simulated cluster, which outlives every process: folders, manifests, pointers of the HA directory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NoReturn

from shmflink.checkpoint.handles import CheckpointLocation
from shmflink.checkpoint.manifest import CHECKPOINT, Manifest
from shmflink.checkpoint.reading import coordinator_state
from shmflink.errors import CheckpointError
from shmflink.graph.job_graph import JobGraph
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
from shmflink.rpc.states import JobState
from shmflink.testing.simulation.world import World

__all__ = ["SimulatedDisk", "SimulatedStore", "savepoint_directory"]

_INLINE_BYTES: Final = 1 << 30  # every state file stays in the manifest: nothing reaches a real disk
_PREFIX: Final = "chk-"


class SimulatedStore:
    """The durable state."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.folders: set[str] = set()
        self.manifests: dict[str, Manifest] = {}
        self.pointers: tuple[str, ...] = ()
        self.result: JobState | None = None
        """How the job ended for ever; None while it is to run."""
        self.completed = 0
        self.has_drained = False
        """A manifest is of a drained job: windows have fired that were not over."""
        self.last_epoch = 0
        self.term = 0
        """Of the JobManager that leads: what one of an earlier term asks for is refused."""

    def violated(self, text: str) -> NoReturn:
        """Stops the run."""
        self._world.violated(text)

    def next_term(self) -> int:
        """Another JobManager leads."""
        self.term += 1
        return self.term

    def load(self, directory: str, term: int) -> Manifest:
        """For a JobManager of this term. Nothing is ever damaged here: what a pointer of the leader names is there.

        Raises:
            CheckpointError: the leader has removed what an earlier one knew.
        """
        if directory not in self.manifests:
            if term != self.term:
                raise CheckpointError(f"{directory} is gone: another JobManager has taken over")
            self.violated(f"a pointer to {directory}, which is not there")
        return self.manifests[directory]

    def checkpoint_ids(self) -> list[int]:
        """Of the folders of checkpoints."""
        return [_checkpoint_id_of(folder) for folder in self.folders if folder.startswith(_PREFIX)]

    def remove(self, directory: str) -> None:
        """A folder, with its manifest."""
        if directory in self.pointers:
            self.violated(f"{directory} is removed while the job would restart from it")
        self.folders.discard(directory)
        self.manifests.pop(directory, None)


def savepoint_directory(term: int, checkpoint_id: int) -> str:
    """A deposed JobManager's savepoint is not that of its successor, whose ids may be the same."""
    return f"savepoint-{term}-{checkpoint_id}"


class SimulatedDisk:
    """As one JobManager uses it for one job: a `jobmanager.disk_calls.JobDisk`."""

    def __init__(
        self,
        graph: JobGraph,
        store: SimulatedStore,
        start: str,
        fails: Callable[[str], bool],
        is_drained: Callable[[], bool],
        term: int,
    ) -> None:
        """`start`: the savepoint to start from, empty for the pointers. `fails(what)`: the disk refuses this time.
        `is_drained`: whether the job's sources were drained. `term`: of the JobManager.
        """
        self._graph = graph
        self._store = store
        self._start = start
        self._fails = fails
        self._is_drained = is_drained
        self._term = term

    @property
    def _leads(self) -> bool:
        return self._term == self._store.term

    def _check_leads(self) -> None:
        if not self._leads:
            raise CheckpointError("another JobManager has taken over the checkpoints")

    @property
    def folder(self) -> str:
        return ""

    def open(self) -> StorageOpened:
        self._check_leads()
        store = self._store
        if self._start and not store.pointers:
            known = [KnownCheckpoint(self._start, 0)]
        else:
            known = [_known(directory, store.load(directory, self._term)) for directory in store.pointers]
        ids = [store.manifests[one.directory].checkpoint_id for one in known]
        retained = tuple(store.manifests[one.directory] for one in known if one.is_in_folder)
        return StorageOpened(max([0, *ids, *store.checkpoint_ids()]) + 1, tuple(known), retained)

    def restore(self, directories: Iterable[str], *, is_whole: bool) -> RestorePrepared:
        first = next(iter(directories), None)
        found = None if first is None else RestorePoint(first, self._store.load(first, self._term))
        known = () if found is None else found.manifest.operators
        states = {op.operator_id: state for op in known if (state := coordinator_state("", op)) is not None}
        leftovers = Leftovers(tuple(self._store.checkpoint_ids())) if is_whole else None
        return RestorePrepared(found, (), (), states, leftovers)

    def make_folder(self, checkpoint_id: int, target: str | None) -> CheckpointLocation:
        self._check_leads()
        if self._fails("folder"):
            raise CheckpointError("no folder on the simulated disk")
        directory = f"{_PREFIX}{checkpoint_id}" if target is None else savepoint_directory(self._term, checkpoint_id)
        if directory in self._store.manifests:
            self._store.violated(f"{directory} is a complete checkpoint already")
        self._store.folders.add(directory)
        return CheckpointLocation(directory, "" if target is not None else "shared", _INLINE_BYTES)

    def store(self, effect: StoreCheckpoint) -> CheckpointStored:
        self._check_leads()
        if self._fails("metadata"):
            raise CheckpointError("no space left on the simulated disk")
        store, directory = effect.store, effect.location.directory
        if directory not in self._store.folders:
            self._store.violated(f"{directory} was removed while it was written")
        operators = operators_of(self._graph, store, effect.enumerators, effect.location, effect.epoch)
        manifest = Manifest(store.checkpoint_id, self._graph.job_id.hex, "simulated", 0, CHECKPOINT, operators)
        self._store.manifests[directory] = manifest
        self._store.completed += 1
        self._store.has_drained |= store.is_savepoint and self._is_drained()
        return CheckpointStored(store.checkpoint_id, manifest)

    def remove(self, effect: DeleteFiles | DiscardFolder | DiscardClaimed) -> None:
        if not self._leads:
            return  # what cannot be removed is logged, and left
        match effect:
            case DeleteFiles(deletions):
                for checkpoint_id in deletions.checkpoints:
                    self._store.remove(f"{_PREFIX}{checkpoint_id}")
            case DiscardFolder(directory) | DiscardClaimed(directory):
                self._store.remove(directory)

    def close(self, *, keeps: bool) -> None:
        if keeps or not self._leads:
            return
        if self._store.result is None and self._store.pointers:
            self._store.violated("its checkpoints go before the end of the job is durable")
        self._store.pointers = ()
        for checkpoint_id in self._store.checkpoint_ids():
            self._store.remove(f"{_PREFIX}{checkpoint_id}")


def _known(directory: str, manifest: Manifest) -> KnownCheckpoint:
    return KnownCheckpoint(directory, manifest.checkpoint_id, directory.startswith(_PREFIX))


def _checkpoint_id_of(directory: str) -> int:
    return int(directory.removeprefix(_PREFIX))
