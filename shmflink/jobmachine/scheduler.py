"""When the regions of a job begin their attempts: after a delay, with slots, from the newest checkpoint.

::

    NOTHING ─ restart_in ─▶ DELAYED ─ timer ─▶ WANTED ─ storage open, slots ─▶ PREPARING ─ enumerators ─▶ NOTHING
                               ▲                  │                                                         │
                               └─ another failure ┘                                     idle regions begin ◀┘

Each failover region has its own attempts: tasks that are not connected to the failed ones continue.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

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
from shmflink.jobmachine.pointers import Pointers
from shmflink.jobmachine.regions import Regions
from shmflink.jobmachine.slots import Slots
from shmflink.rpc.messages import Failure

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
        regions: Regions,
        pointers: Pointers,
        outlet: Outlet,
        *,
        remembers_splits: bool,
        allows_local: bool,
    ) -> None:
        """`remembers_splits`: if regions fail over alone, the splits that readers receive are recorded from the start.
        `allows_local`: edges within a slot need no rings.
        """
        self._state = SchedulerState.NOTHING
        self.slots = Slots(slots_required(graph))
        self.restored: RestorePoint | None = None
        """What the last attempts resumed from."""
        self.is_storage_open = False
        self._graph = graph
        self._regions = regions
        self._pointers = pointers
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
    def is_idle(self) -> bool:
        """No attempt is to begin."""
        return self._state is SchedulerState.NOTHING

    @property
    def is_preparing(self) -> bool:
        """The disk or the enumerators have not answered yet."""
        return self._state is SchedulerState.PREPARING

    @property
    def is_restarting(self) -> bool:
        """The next attempts wait for their delay, or for slots."""
        return self._state in (SchedulerState.DELAYED, SchedulerState.WANTED)

    @property
    def restored_id(self) -> int | None:
        """Id of the checkpoint that the last attempts resumed from."""
        return None if self.restored is None else self.restored.manifest.checkpoint_id

    # --- towards an attempt ---

    def want(self) -> None:
        """Idle regions begin as soon as there are slots."""
        self._state = SchedulerState.WANTED
        if not self.slots.are_complete and not self._is_asked:
            self._is_asked = True
            self._outlet.ask(ask.WantSlots())

    def restart_in(self, delay_ms: int) -> None:
        """Replaces a delay that has begun."""
        self._state = SchedulerState.DELAYED
        self._outlet.ask(ask.SetTimer(_RESTART, delay_ms))

    def stop(self) -> None:
        """Nothing begins any longer."""
        if self._state is SchedulerState.DELAYED:
            self._outlet.ask(ask.StopTimer(_RESTART))
        self._state = SchedulerState.NOTHING

    def delay_is_over(self) -> None:
        """The timer of `restart_in` has fired."""
        if self._state is SchedulerState.DELAYED:
            self.want()

    def granted(self, event: SlotsGranted) -> None:
        """The slots are the job's until it is over or they are lost."""
        self._is_asked = False
        self.slots.grant(event.taskmanagers, event.per)
        if not self._regions.all:
            self._regions.all = self._make_regions()

    def _execution(self, attempt: int, epoch: int) -> ExecutionGraph:
        return ExecutionGraph.build(self._graph, attempt, epoch, self.slots.per, allows_local=self._allows_local)

    def _make_regions(self) -> tuple[PipelinedRegion, ...]:
        execution = self._execution(0, 0)
        if AlignmentGroups(self._graph).interval_ms is not None:  # its sources wait for each other: one region
            return (PipelinedRegion(frozenset(task.subtask for task in execution.tasks)),)
        return tuple(PipelinedRegion(tasks) for tasks in regions_of(execution))

    def prepare_if_ready(self) -> None:
        """Idle regions begin from the newest restore point."""
        if self._state is not SchedulerState.WANTED or not self.is_storage_open:
            return
        if not self.slots.are_complete:
            self.want()
            return
        self._state = SchedulerState.PREPARING
        self._beginning = self._regions.idle
        self._outlet.ask(ask.PrepareRestore(self._pointers.directories, self._is_whole, len(self._beginning)))

    @property
    def _is_whole(self) -> bool:
        """No region continues, or there are no enumerators that could."""
        return len(self._beginning) == len(self._regions.all) or not self._are_enumerators_open

    def prepared(self, event: RestorePrepared) -> Failure | None:
        """Returns why the job cannot continue if no restore point can be read."""
        for directory, why in event.damaged:
            self._pointers.leave_out(directory, why)
        damage = self._pointers.damage
        if event.restore is None and damage:
            return Failure("CheckpointCorruptedError", f"no checkpoint is left to resume from: {damage}")
        if self.is_preparing:  # else the job was canceled meanwhile
            if event.leftovers is not None:
                self._pointers.begin_attempt(event.leftovers)
            self._open_enumerators(event)
        return None

    def _open_enumerators(self, event: RestorePrepared) -> None:
        """New ones if nothing runs. Otherwise the readers that begin again get their splits back."""
        self.restored, self._epochs = event.restore, event.epochs
        if self._is_whole:
            self._are_enumerators_open = True
            remembers = self._remembers_splits and len(self._regions.all) > 1
            self._outlet.ask(ask.OpenEnumerators(event.enumerators or {}, remembers))
            return
        tasks = sorted(task for region in self._beginning for task in region.tasks)
        readers = tuple(task for task in tasks if self._graph.vertices[task.vertex].is_source)
        self._outlet.ask(ask.ResetReaders(readers, self.restored_id))
        self._begin()

    def enumerators_opened(self) -> None:
        """The attempts begin, unless the job was canceled meanwhile."""
        if self.is_preparing:
            self._begin()

    def _begin(self) -> None:
        if not self.slots.are_complete:  # one was lost meanwhile
            self.want()
            return
        self._state = SchedulerState.NOTHING
        self._attempts += 1
        parallelism = {vertex.index: vertex.parallelism for vertex in self._graph.vertices}
        path = "" if self.restored is None else self.restored.directory
        for region, epoch in zip(self._beginning, self._epochs, strict=True):
            execution = self._execution(self._attempts - 1, epoch)
            part = part_of(execution, region.tasks)
            attempt = Attempt(part, self.slots.taskmanagers, parallelism, self._times, self._outlet)
            region.begin(attempt)
            attempt.begin(path)
