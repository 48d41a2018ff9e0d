"""One life of the JobManager: the job machine and its performer, those of production, on a simulated loop and disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.core.clock import Clock
from shmflink.graph.job_graph import JobGraph
from shmflink.jobmanager.job_run import JobRun
from shmflink.rpc.messages import (
    CheckpointCompleted,
    DeployTasks,
    DrainSources,
    Failure,
    JobEnded,
    TaskStateChanged,
)
from shmflink.rpc.states import JobState
from shmflink.testing.simulation.disk import SimulatedDisk, SimulatedStore, savepoint_directory
from shmflink.testing.simulation.loop import SimulatedLoop
from shmflink.testing.simulation.taskmanager import SimulatedTaskManager
from shmflink.testing.simulation.world import World

__all__ = ["LONG_TIMEOUT_MS", "SimulatedJobManager"]

LONG_TIMEOUT_MS: Final = 10_000
"""No checkpoint takes so long: one that does waits for something that never comes."""
_BUGS: Final = frozenset({"AssertionError", "AttributeError", "InternalError", "KeyError", "TypeError"})
"""What tasks and jobs never fail with, whatever user code and disks do."""


class SimulatedJobManager:
    """The owner of one job: a `jobmanager.job_run.JobOwner`. Starts it."""

    def __init__(
        self,
        graph: JobGraph,
        configuration: Mapping[str, str],
        settings: CheckpointSettings,
        store: SimulatedStore,
        clock: Clock,
        slots_per_taskmanager: int,
        start: str,
        new_taskmanager: Callable[[SimulatedJobManager, int, int], SimulatedTaskManager],
        disk_fails: Callable[[str], bool],
        world: World,
    ) -> None:
        """Takes over from the one before. `start`: the savepoint to start from; empty for what the store points to.
        `new_taskmanager(self, index, life)`.
        """
        self.term = store.next_term()
        self.has_given_up = False
        """It has noticed that another JobManager leads: its process ends."""
        self.epochs_used: set[int] = set()
        self.loop = SimulatedLoop(clock)
        self.taskmanagers: dict[int, SimulatedTaskManager] = {}
        """Processes by their index; the dead ones too, until the job has heard of it."""
        self.ended: JobEnded | None = None
        self.is_drained = False
        """The attempts that there are end before the end of their input."""
        self.savepoint = ""
        """Where the job was stopped; empty unless it was."""
        self._store = store
        self._world = world
        self._settings = settings
        self._per = slots_per_taskmanager
        self._new_taskmanager = new_taskmanager
        self._lives = 0
        self._wants = False
        self._ha_calls: deque[tuple[Callable[[], object], Callable[[], None]]] = deque()
        self._ha_done: deque[Callable[[], None]] = deque()
        disk = SimulatedDisk(graph, store, start, disk_fails, lambda: self.is_drained, self.term)
        self.run = JobRun(graph, configuration, settings, cast("Any", self.loop), clock, self, cast("Any", disk))
        self.run.start()

    @property
    def is_stopped(self) -> bool:
        """It ends with a savepoint, before the end of its input; the next job resumes from there."""
        return bool(self.savepoint) and not self.is_drained

    @property
    def is_leader(self) -> bool:
        """No other JobManager has taken over."""
        return self.term == self._store.term

    @property
    def is_writing(self) -> bool:
        """The HA directory has yet to write what it was asked for."""
        return bool(self._ha_calls)

    # --- what the schedule does ---

    def grant(self) -> bool:
        """The job gets the TaskManagers that it waits for, in new processes."""
        if not self._wants:
            return False
        self._wants = False
        missing = self.run.missing_taskmanagers(self._per)
        free = [index for index in range(missing + len(self.taskmanagers)) if index not in self.taskmanagers]
        fresh = [self._fork(index) for index in free[:missing]]
        self.run.granted(fresh, self._per)
        return True

    def _fork(self, index: int) -> SimulatedTaskManager:
        self._lives += 1
        taskmanager = self._new_taskmanager(self, index, self._lives)
        self.taskmanagers[index] = taskmanager
        return taskmanager

    def hear(self, taskmanager: SimulatedTaskManager) -> object:
        """The oldest thing that a TaskManager has said; behind the last one, that it is gone."""
        if taskmanager.outbox:
            message = taskmanager.outbox.popleft()
            if isinstance(message, TaskStateChanged) and message.failure is not None:
                self._check(message.failure, str(message.subtask))
            self.run.message(taskmanager, message)
            return message
        if taskmanager.is_alive or taskmanager.is_lost:
            return None
        taskmanager.is_lost = True
        del self.taskmanagers[taskmanager.index]
        failure = Failure("TaskManagerLostError", f"{taskmanager.id} was killed")
        self.run.taskmanager_lost(taskmanager, failure)
        return "lost"

    def told(self, message: object) -> None:
        """The job tells its tasks this."""
        match message:
            case DrainSources():
                self.is_drained = True
            case CheckpointCompleted(_, checkpoint_id, stops) if stops:
                self.savepoint = savepoint_directory(self.term, checkpoint_id)
            case DeployTasks():  # what was stopped begins again
                self.is_drained = False
                self.savepoint = ""

    # --- what its job tells ---

    def job_state_entered(self, run: JobRun, state: JobState, failure: Failure | None) -> None:
        if failure is not None:
            self._check(failure, "the job")
        if state is JobState.RESTARTING:
            self._world.counts["restarts"] += 1

    def job_ending(self, run: JobRun, ended: JobEnded, kept: Callable[[], None]) -> None:
        self._ha(lambda: self._keep_end(ended.state), kept)

    def _keep_end(self, state: JobState) -> None:
        self._store.result = state

    def job_ended(self, run: JobRun, ended: JobEnded) -> None:
        if ended.failure is not None:
            self._check(ended.failure, "the job")
        self.ended = ended

    def job_refused(self, run: JobRun, ended: JobEnded) -> None:
        if self.is_leader:
            self._world.violated(f"the job is refused: {ended.failure}")
        self._ha(lambda: None, lambda: None)  # to forget the job

    def job_notice(self, run: JobRun, text: str) -> None:
        self._world.violated(f"nobody waits for user code here: {text}")

    def taskmanagers_wanted(self, run: JobRun) -> None:
        self._wants = True

    def epochs(self, count: int, granted: Callable[[tuple[int, ...]], None]) -> None:
        reserved: list[int] = []
        self._ha(lambda: reserved.extend(self._reserve(count)), lambda: granted(tuple(reserved)))

    def _reserve(self, count: int) -> range:
        first, self._store.last_epoch = self._store.last_epoch + 1, self._store.last_epoch + count
        if any(epoch < first for taskmanager in self.taskmanagers.values() for epoch in taskmanager.attempts):
            self._world.counts["regions that restarted alone"] += count
        epochs = range(first, first + count)
        self.epochs_used.update(epochs)
        return epochs

    def restore_points_changed(self, run: JobRun, directories: Sequence[str], kept: Callable[[], None]) -> None:
        self._ha(lambda: self._keep_pointers(tuple(directories)), kept)

    def _keep_pointers(self, directories: tuple[str, ...]) -> None:
        for directory in directories:
            self._store.load(directory, self.term)
        self._store.pointers = directories

    def _ha(self, work: Callable[[], object], kept: Callable[[], None]) -> None:
        """One after the other, in a thread of the HA directory."""
        self._ha_calls.append((work, kept))

    def step_ha(self) -> bool:
        """The oldest call of the HA directory is durable, then heard of. It is refused if another JobManager leads."""
        if self._ha_done:
            self._ha_done.popleft()()
            return True
        if not self._ha_calls:
            return False
        work, kept = self._ha_calls.popleft()
        if not self.is_leader:
            self.has_given_up = True
            return True
        work()
        self._ha_done.append(kept)
        return True

    def job_log(self, run: JobRun, text: str, level: str) -> None:
        if self.is_stuck(text):
            self._world.violated(text)

    def is_stuck(self, text: str) -> bool:
        """Says of a checkpoint that waits for something that never comes, or that gave way to one that has to wait."""
        is_overtaken = "a newer checkpoint overtook it" in text
        return is_overtaken or ("not complete after" in text and self._settings.timeout_ms >= LONG_TIMEOUT_MS)

    def _check(self, failure: Failure, who: str) -> None:
        if failure.kind in _BUGS or self.is_stuck(failure.message):
            self._world.violated(f"{who}: {failure.kind}: {failure.message}\n{failure.traceback_text}")
