"""When the regions of a job begin their attempts: after a delay, with slots, from the newest checkpoint.

::

    NOTHING ─ restart_in ─▶ DELAYED ─ timer ─▶ WANTED ─ storage open, slots ─▶ PREPARING ─ enumerators ─▶ NOTHING
                               ▲                  │                                                         │
                               └─ another failure ┘                                     idle regions begin ◀┘

Each failover region has attempts of its own: what is not connected to the tasks that failed goes on.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence

from shmflink.config.options import CANCELLATION_INTERVAL, CANCELLATION_TIMEOUT
from shmflink.graph.execution_graph import ExecutionGraph, slots_required
from shmflink.graph.job_graph import JobGraph
from shmflink.graph.regions import part_of, regions_of
from shmflink.graph.watermark_alignment import AlignmentGroups
from shmflink.jobmachine import effects as ask
from shmflink.jobmachine.attempt import Attempt, AttemptTimes
from shmflink.jobmachine.events import RestorePoint, RestorePrepared, SlotsGranted, Timer, TimerKind
from shmflink.jobmachine.outlet import Outlet
from shmflink.jobmachine.pipelined_region import PipelinedRegion
from shmflink.jobmachine.slots import Slots

__all__ = ["Scheduler", "SchedulerState"]

_RESTART = Timer(TimerKind.RESTART)


class SchedulerState(enum.Enum):
    """On the way to the next attempts."""

    NOTHING = "nothing is to begin"
    DELAYED = "waits for the restart's delay"
    WANTED = "waits for slots and its storage"
    PREPARING = "waits for the disk and the enumerators"


class Scheduler:
    """One per job."""

    def __init__(
        self,
        graph: JobGraph,
        configuration: Mapping[str, str],
        outlet: Outlet,
        *,
        remembers_splits: bool,
        allows_local: bool,
    ) -> None:
        """`remembers_splits`: where regions fail over alone, what readers are handed out is kept from the start.
        `allows_local`: edges within a slot need no rings.
        """
        self.state = SchedulerState.NOTHING
        self.slots = Slots(slots_required(graph))
        self.regions: tuple[PipelinedRegion, ...] = ()
        self.restored: RestorePoint | None = None
        self.is_storage_open = False
        self._graph = graph
        self._times = AttemptTimes(CANCELLATION_TIMEOUT.read(configuration), CANCELLATION_INTERVAL.read(configuration))
        self._allows_local = allows_local
        self._remembers_splits = remembers_splits
        self._outlet = outlet
        self._is_asked = False  # for slots
        self._are_enumerators_open = False
        self._attempts = 0
        self._beginning: tuple[PipelinedRegion, ...] = ()
        self._epochs: tuple[int, ...] = ()

    # --- what others may know ---

    @property
    def attempts(self) -> list[Attempt]:
        """Those that there are, whatever their state."""
        return [region.attempt for region in self.regions if region.attempt is not None]

    @property
    def restored_id(self) -> int | None:
        """Of the checkpoint that the last attempts resumed from."""
        return None if self.restored is None else self.restored.manifest.checkpoint_id

    @property
    def are_all_running(self) -> bool:
        return all(region.is_running for region in self.regions)

    @property
    def are_all_finished(self) -> bool:
        return bool(self.regions) and all(region.is_finished for region in self.regions)

    def region_of(self, epoch: int) -> PipelinedRegion | None:
        """The one whose attempt has this epoch; None where that is over."""
        for region in self.regions:
            if region.attempt is not None and region.attempt.epoch == epoch:
                return region
        return None

    # --- towards an attempt ---

    def want(self) -> None:
        """The regions that are idle begin as soon as there are slots."""
        self.state = SchedulerState.WANTED
        if not self.slots.are_complete and not self._is_asked:
            self._is_asked = True
            self._outlet.ask(ask.WantSlots())

    def restart_in(self, delay_ms: int) -> None:
        """In place of a delay that has begun."""
        self.state = SchedulerState.DELAYED
        self._outlet.ask(ask.SetTimer(_RESTART, delay_ms))

    def revive(self) -> None:
        """Regions that have finished begin again with the others."""
        for region in self.regions:
            if region.is_finished:
                region.end(is_finished=False)

    def stop(self) -> None:
        """Nothing begins any longer."""
        if self.state is SchedulerState.DELAYED:
            self._outlet.ask(ask.StopTimer(_RESTART))
        self.state = SchedulerState.NOTHING

    def delay_is_over(self) -> None:
        """The timer of `restart_in` has fired."""
        if self.state is SchedulerState.DELAYED:
            self.want()

    def granted(self, event: SlotsGranted) -> None:
        """They are the job's until it is over, or they are lost."""
        self._is_asked = False
        self.slots.grant(event.taskmanagers, event.per)
        if not self.regions:
            self.regions = self._make_regions()

    def _execution(self, attempt: int, epoch: int) -> ExecutionGraph:
        return ExecutionGraph.build(self._graph, attempt, epoch, self.slots.per, allows_local=self._allows_local)

    def _make_regions(self) -> tuple[PipelinedRegion, ...]:
        execution = self._execution(0, 0)
        if AlignmentGroups(self._graph).interval_ms is not None:  # its sources wait for each other, so they are one
            return (PipelinedRegion(frozenset(task.subtask for task in execution.tasks)),)
        return tuple(PipelinedRegion(tasks) for tasks in regions_of(execution))

    def prepare_if_ready(self, directories: Sequence[str]) -> None:
        """`directories`: of checkpoints to restart from, newest first."""
        if self.state is not SchedulerState.WANTED or not self.is_storage_open:
            return
        if not self.slots.are_complete:
            self.want()
            return
        self.state = SchedulerState.PREPARING
        self._beginning = tuple(region for region in self.regions if region.is_idle)
        self._outlet.ask(ask.PrepareRestore(tuple(directories), self._is_whole, len(self._beginning)))

    @property
    def _is_whole(self) -> bool:
        """No region goes on, or there are no enumerators that could."""
        return len(self._beginning) == len(self.regions) or not self._are_enumerators_open

    def prepared(self, event: RestorePrepared) -> None:
        """Enumerators begin anew where nothing runs; else the readers that begin again get their splits back."""
        self.restored, self._epochs = event.restore, event.epochs
        if self._is_whole:
            self._are_enumerators_open = True
            remembers = self._remembers_splits and len(self.regions) > 1
            self._outlet.ask(ask.OpenEnumerators(event.enumerators or {}, remembers))
            return
        tasks = sorted(task for region in self._beginning for task in region.tasks)
        readers = tuple(task for task in tasks if self._graph.vertices[task.vertex].is_source)
        self._outlet.ask(ask.ResetReaders(readers, self.restored_id))
        self.begin()

    def begin(self) -> None:
        """The enumerators are there."""
        if not self.slots.are_complete:  # one was lost meanwhile
            self.want()
            return
        self.state = SchedulerState.NOTHING
        self._attempts += 1
        parallelism = {vertex.index: vertex.parallelism for vertex in self._graph.vertices}
        path = "" if self.restored is None else self.restored.directory
        for region, epoch in zip(self._beginning, self._epochs, strict=True):
            execution = self._execution(self._attempts - 1, epoch)
            part = part_of(execution, region.tasks)
            attempt = Attempt(part, self.slots.taskmanagers, parallelism, self._times, self._outlet)
            region.begin(attempt)
            attempt.begin(path)
